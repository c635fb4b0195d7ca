"""Rows of objects with content trees: structured reports and radiotherapy objects."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import pyarrow as pa

from lakehouse.batch import BIRTH_DATE
from lakehouse.definitions.tables import load_tables
from lakehouse.formats.dicom.content import radiotherapy, reports
from lakehouse.formats.dicom.content.items import COMMON, Row, SequenceItem, tag
from lakehouse.formats.dicom.record import Record
from lakehouse.formats.dicom.vocabulary.dictionary import dictionary_vr


@cache
def tree_tags() -> dict[int, bytes]:
    """Return the tags at top level that trees are read from, with their VR."""
    keywords = [*COMMON, *reports.TAGS, *radiotherapy.TAGS]
    return {tag(k): dictionary_vr(tag(k)) for k in keywords}


class TreeRows:
    """Rows of reports and radiotherapy, gathered until a batch is full."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Row]] = defaultdict(list)
        self.n_rows = 0

    def add(self, record: Record) -> None:
        """Add the rows of one object; most objects have none."""
        if not record.values.keys() & (reports.MARKS | radiotherapy.MARKS):
            return
        root = SequenceItem(record, record.top)
        for table, rows in (*reports.rows(root), *radiotherapy.rows(root)):
            for ordinal, row in enumerate(rows):
                row.setdefault("ordinal", ordinal)
            self._rows[table].extend(rows)
            self.n_rows += len(rows)

    def tables(self) -> dict[str, pa.Table]:
        """Return the rows as raw tables."""
        return {name: _table(name, rows) for name, rows in self._rows.items() if rows}


def _table(name: str, rows: list[Row]) -> pa.Table:
    present = {column for row in rows for column in row}
    columns: dict[str, pa.Array] = {}
    for field in load_tables()[name].schema:
        if field.name in present:
            column = [row.get(field.name) for row in rows]
            stored = pa.int64() if pa.types.is_timestamp(field.type) else field.type
            columns[field.name] = pa.array(column, stored).cast(field.type)
    if BIRTH_DATE in present:
        days = [row.get(BIRTH_DATE) for row in rows]
        columns[BIRTH_DATE] = pa.array(days, pa.int32()).cast(pa.date32())
    return pa.table(columns)
