"""Applies conformance rules to a raw batch: removes or flags what breaks one, with a reject."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.batch import RawBatch
from lakehouse.quality.rules import Rule, load_rules

BYTE_OFFSET = "_byte_offset"
"""Raw column of ``records`` that a format may add; only rejects keep it."""

_DESCRIPTIVE = ("record_type", "version", "sender_application", "sender_facility")


def validate(batch: RawBatch, format_name: str) -> RawBatch:
    """Return the batch without the records and rows that break a rule, with rejects for them.

    A record that breaks a rule of level ``record`` loses its rows in every table, whole. Each
    broken rule is one reject row per record and place.

    Args:
        batch: Raw rows of one format, with a ``records`` table where the format makes one.
        format_name: Name of the format whose rules apply.
    """
    tables = dict(batch.tables)
    records = tables.get("records")
    if records is None:
        return batch
    rejects: list[pa.Table] = [tables["rejects"]] if "rejects" in tables else []
    rejected_ids: list[pa.Array] = []
    for rule in load_rules(format_name):
        table = tables.get(rule.table)
        if table is None or not len(table):
            continue
        broken = rule.fails(table)
        if not pc.any(broken).as_py():
            continue
        ids = table.column("record_id").filter(broken).unique()
        rejects.append(_rejects(rule, ids, records))
        if rule.level == "record":
            rejected_ids.append(ids)
        elif rule.level == "row":
            tables[rule.table] = table.filter(pc.invert(broken))
    if rejected_ids:
        lost_ids = pa.concat_arrays(rejected_ids).unique()
        tables = {
            n: t.filter(pc.invert(pc.is_in(t.column("record_id"), lost_ids)))
            for n, t in tables.items()
            if n != "rejects"
        }
        rejects = [_without_warnings(r, records, lost_ids) for r in rejects]
    if rejects:
        tables["rejects"] = pa.concat_tables(rejects, promote_options="default")
    if BYTE_OFFSET in records.column_names:
        tables["records"] = tables["records"].drop_columns([BYTE_OFFSET])
    return replace(batch, tables=tables)


def _rejects(rule: Rule, record_ids: pa.Array, records: pa.Table) -> pa.Table:
    """Return one reject row per record, described from the records table."""
    index = pc.index_in(record_ids, records.column("record_id").combine_chunks())
    n = len(record_ids)
    columns = {
        "file_id": records.column("file_id").take(index),
        "record_ordinal": records.column("ordinal").take(index),
    }
    if BYTE_OFFSET in records.column_names:
        columns["byte_offset"] = records.column(BYTE_OFFSET).take(index)
    columns |= {c: records.column(c).take(index) for c in _DESCRIPTIVE if c in records.column_names}
    constants = {
        "level": rule.level,
        "rule": rule.id,
        "location": rule.location,
        "message": rule.message,
    }
    return pa.table(columns | {k: pa.repeat(v, n) for k, v in constants.items()})


def _without_warnings(rejects: pa.Table, records: pa.Table, lost_ids: pa.Array) -> pa.Table:
    """Drop warnings and row rejects about records that a rule of level ``record`` removed."""
    lost_records = records.filter(pc.is_in(records.column("record_id"), lost_ids))
    about_lost = pc.is_in(
        _record_places(rejects, "record_ordinal"),
        _record_places(lost_records, "ordinal").combine_chunks(),
    )
    keep = pc.or_(pc.equal(rejects.column("level"), "record"), pc.invert(about_lost))
    return rejects.filter(keep)


def _record_places(table: pa.Table, ordinal: str) -> pa.ChunkedArray:
    """Return file id and ordinal of each row's record as one text."""
    position = table.column(ordinal).cast(pa.string())
    return pc.binary_join_element_wise(table.column("file_id"), position, " ")
