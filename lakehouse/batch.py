"""Types of the stages of an ingest: RawBatch -> (good RawBatch, Rejects) -> CleanBatch.

A ``RawBatch`` holds identified data and lives inside one call. It cannot be pickled, so it never
becomes a Ray block. Only ``privacy.deidentify`` makes a ``CleanBatch``, and the sink takes nothing
else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa

from lakehouse.definitions.tables import load_tables

BIRTH_DATE = "_birth_date"
"""Raw column (date32) that any patient table may have; never stored, used to compute ages."""


@dataclass(frozen=True)
class Source:
    """What a format knows about the file that it parses; nothing here identifies a person.

    Attributes:
        file_id: Keyed digest of the file's content, 32 hex digits.
        time_zone: IANA name in which times without an offset are read.
        authority: Assigning authority of record numbers that state none.
        size: Bytes of the file as stored, or None when unknown.
        mappings: Folders with a site's own mapping files.
        truncated: Whether the end of the content is missing, so that its last record is not whole.
    """

    file_id: str
    time_zone: str = "UTC"
    authority: str = ""
    size: int | None = None
    mappings: tuple[str, ...] = ()
    truncated: bool = False


@dataclass
class Reject:
    """A record or row that was rejected, or a warning about one that was stored.

    Attributes:
        record_ordinal: Position of the record in its file, from 0; -1 for the file as a whole.
        rule: Id of the conformance rule (``hl7v2.msh.control-id``).
        message: What is wrong, without any value from the data.
        location: Segment or path of the fault (``PID-3``, ``(0010,0020)``); may be empty.
        level: ``record`` (rejected), ``row`` (row dropped, record kept) or ``warning``.
        byte_offset: Position at which the record begins in the decoded file, or None.
        record_type: Type of the record, when it could be read.
        version: Version the record states.
        sender_application: Raw (qualified) sending application.
        sender_facility: Raw (qualified) sending facility.
        file_id: The file, where one batch holds several (``parse_many``); else None.
    """

    record_ordinal: int
    rule: str
    message: str
    location: str = ""
    level: str = "record"
    byte_offset: int | None = None
    record_type: str | None = None
    version: str | None = None
    sender_application: str | None = None
    sender_facility: str | None = None
    file_id: str | None = None


def rejects_table(rejects: Iterable[Reject]) -> pa.Table:
    """Return rejects as a raw ``rejects`` table (without ingest id and format)."""
    schema = load_tables()["rejects"].schema
    names = [f.name for f in fields(Reject)]
    return pa.Table.from_pylist(
        [{n: getattr(r, n) for n in names} for r in rejects],
        pa.schema([schema.field(n) for n in names]),
    )


@dataclass
class RawBatch:
    """Identified rows of one part of a file; never leaves the call that parsed it.

    ``tables`` maps a table's name to an Arrow table. Columns are those of the table's definition
    (missing ones are null), in raw form:

    - ``patient``, ``identifier.*``, ``provider``, ``facility``: ``identifiers.qualified``
    - ``date``: the true instant; ``birth_date``: the true date; ``address.postal``: as sent
    - ``age``: usually absent; computed later from the raw column ``_birth_date``
    - every other class: the final value

    Attributes:
        tables: Arrow tables by table name.
        rejects: Records, rows and warnings found while parsing; a format that finds them
            column-wise may instead (or as well) put a raw ``rejects`` table into ``tables``.
        n_records: Source records that this batch accounts for (stored or rejected).
        dropped: Count of segments or elements that no mapping names, by a public name.
        by_file: Records by file id, where one batch holds several files (``parse_many``).
        dropped_by_file: ``dropped`` by file id, in place of it, where one batch holds several.
    """

    tables: dict[str, pa.Table]
    rejects: list[Reject] = field(default_factory=list)
    n_records: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    by_file: Counter[str] = field(default_factory=Counter)
    dropped_by_file: dict[str, Counter[str]] = field(default_factory=dict)

    def count_dropped(self, file_id: str, name: str, n: int) -> None:
        """Count segments or elements of a file that no mapping names."""
        self.dropped_by_file.setdefault(file_id, Counter())[name] += n

    def __reduce__(self) -> NoReturn:
        raise TypeError("A RawBatch holds identified data and is never pickled.")


_SEAL = object()


class CleanBatch:
    """De-identified rows with the stored schema of each table; the only thing the sink takes.

    Made by ``privacy.deidentify`` alone. Every table has exactly the columns of its definition;
    strings may be dictionary-encoded (``ENCODED``).
    """

    __slots__ = ("counts", "tables")

    def __init__(
        self, tables: Mapping[str, pa.Table], counts: Mapping[str, int], *, seal: object
    ) -> None:
        if seal is not _SEAL:
            raise TypeError("A CleanBatch is made by privacy.deidentify only.")
        self.tables: dict[str, pa.Table] = dict(tables)
        self.counts: dict[str, int] = dict(counts)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.tables, self.counts)

    @property
    def nbytes(self) -> int:
        """Bytes of all its Arrow buffers."""
        return sum(t.nbytes for t in self.tables.values())


def _rebuild(tables: dict[str, pa.Table], counts: dict[str, int]) -> CleanBatch:
    return CleanBatch(tables, counts, seal=_SEAL)


def make_clean_batch(
    tables: Mapping[str, pa.Table], counts: Mapping[str, int] | None = None
) -> CleanBatch:
    """Make a CleanBatch; for ``privacy.deidentify`` and for the bookkeeping of the ingest.

    Args:
        tables: De-identified tables; each is cast to its stored schema, strings that are
            dictionary-encoded stay so.
        counts: Values dropped or changed, by ``table.column:action``.

    Raises:
        KeyError: A table has no definition.
        pa.ArrowInvalid: A column does not fit its type.
    """
    definitions = load_tables()
    return CleanBatch(
        {n: conform(t, definitions[n].schema, encoded=True) for n, t in tables.items()},
        counts or {},
        seal=_SEAL,
    )


ENCODED = pa.dictionary(pa.int32(), pa.string())
"""Type of a string column whose values repeat, between de-identification and Parquet."""


def compact_dictionary(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """Return a column whose dictionary holds only the values of its own rows.

    Parquet stores the whole dictionary. A value of other rows in it would be stored with these
    rows, and would outlive the erasure of those.

    Examples:
        >>> both = pa.array(["a", "b", None]).dictionary_encode()
        >>> compact_dictionary(both[1:]).dictionary.to_pylist()
        ['b']
    """
    is_used = np.zeros(len(column.dictionary), dtype=bool)
    is_used[column.indices.drop_null().to_numpy()] = True
    if is_used.all():
        return column
    new_codes = pa.array(np.cumsum(is_used, dtype=np.int32) - np.int32(1))
    return pa.DictionaryArray.from_arrays(
        new_codes.take(column.indices), column.dictionary.filter(pa.array(is_used))
    )


def conform(table: pa.Table, schema: pa.Schema, *, encoded: bool = False) -> pa.Table:
    """Return the table with exactly the columns of a schema; missing ones are null.

    Args:
        table: The rows.
        schema: Names and types of the columns.
        encoded: Whether a dictionary-encoded string column stays so.
    """
    present = set(table.column_names)
    columns, fields = [], []
    for f in schema:
        if f.name not in present:
            column = pa.chunked_array([pa.nulls(len(table), f.type)])
        else:
            column = table.column(f.name)
            if not (encoded and column.type == ENCODED and pa.types.is_string(f.type)):
                column = column.cast(f.type)
        columns.append(column)
        fields.append(f.with_type(column.type))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def merge_dropped(counters: Iterable[Counter[str]]) -> Counter[str]:
    """Return the sum of several counters of dropped elements."""
    total: Counter[str] = Counter()
    for counter in counters:
        total.update(counter)
    return total
