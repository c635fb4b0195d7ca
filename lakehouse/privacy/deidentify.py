"""De-identifies a batch under one profile: ``RawBatch`` in, ``CleanBatch`` out.

This is the only step that lets rows out of the call that parsed them.

What happens to a column is decided by two files alone: the table's definition names its PHI class,
the profile names the action for that class. What neither names is dropped and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from lakehouse.arrays import whole
from lakehouse.batch import (
    BIRTH_DATE,
    CleanBatch,
    RawBatch,
    conform,
    make_clean_batch,
    rejects_table,
)
from lakehouse.definitions.tables import load_tables
from lakehouse.errors import LakehouseError
from lakehouse.privacy.columns import Distinct
from lakehouse.privacy.identity.patients import BatchPatients, records_over_89
from lakehouse.privacy.keys.secret import Secret
from lakehouse.privacy.rules.actions import ACTIONS, VALUE_ACTIONS, Rows
from lakehouse.privacy.rules.code_texts import Terminology
from lakehouse.privacy.rules.identifying_results import apply_result_rules
from lakehouse.privacy.rules.policy import Policy

DROPPED = "dropped"
"""Suffix of the name of a count where no action kept the values."""

OWN_NOTE = "_"
"""Prefix of the columns that a format keeps for itself and for validation; never stored."""

UNDEFINED = "(undefined)"
"""Replaces an undefined table or column in counts, because its name may come from the data."""


@contextmanager
def _without_values(table: str, column: str) -> Iterator[None]:
    """Replace errors of Arrow and Python about a column: their texts quote the data."""
    try:
        yield
    except (pa.ArrowException, ValueError, TypeError):
        raise LakehouseError(
            f"{table}.{column} could not be de-identified.",
            "Report this: the format that parsed it broke its contract.",
        ) from None


class Deidentifier:
    """De-identifies batches under one profile.

    An instance holds the secret, so a worker creates its own and never pickles it.

    Args:
        policy: The profile.
        secret: The warehouse's secret.
        codes: Folders with a site's own code sets (``local_codes.csv`` lists texts to keep).
        time_zone: IANA name of the zone in which an instant becomes a date when ages are
            computed; the ingest's own.

    Examples:
        >>> import os
        >>> from lakehouse.identifiers import qualified
        >>> from lakehouse.privacy.rules.policy import load_policy
        >>> deidentify = Deidentifier(load_policy("safe_harbor"), Secret(os.urandom(32)))
        >>> raw = pa.table({"patient_id": qualified("HOSP", pa.array(["1"])), "city": ["Bern"]})
        >>> clean = deidentify(RawBatch({"patients": raw}))
        >>> clean.tables["patients"]["city"].to_pylist(), clean.counts
        ([None], {'patients.city:dropped': 1})
    """

    def __init__(
        self,
        policy: Policy,
        secret: Secret,
        codes: Iterable[Path | str] = (),
        time_zone: str = "UTC",
    ) -> None:
        self.policy = policy
        self._secret = secret
        self._terminology = Terminology(codes)
        self._time_zone = time_zone
        self._tables = load_tables()

    def __call__(self, batch: RawBatch) -> CleanBatch:
        """Return the batch de-identified, its rejects as a table among the others."""
        counts: Counter[str] = Counter()
        tables = self._defined_columns(batch, counts)
        patients = BatchPatients(self._secret, tables, self._tables)
        by_value = self._apply_value_actions(tables, patients)
        over_89 = pa.array([], pa.string())
        if self.policy.action("birth_date") == "birth_year":
            over_89 = records_over_89(tables, self._tables, self._time_zone)
        clean = {}
        for name, table in tables.items():
            definition = self._tables[name]
            rows = Rows(table, definition, patients, over_89, self._terminology, self._time_zone)
            clean[name] = self._apply_column_actions(rows, by_value, counts)
        return make_clean_batch(clean, {k: n for k, n in counts.items() if n})

    def _defined_columns(self, batch: RawBatch, counts: Counter[str]) -> dict[str, pa.Table]:
        """Return the tables and columns that are defined, in their types; count the others."""
        tables: dict[str, pa.Table] = {}
        for name, table in batch.tables.items():
            if name not in self._tables:
                counts[f"{UNDEFINED}:{DROPPED}"] += table.num_rows
                continue
            types = {c.name: c.type for c in self._tables[name].columns.values()}
            types[BIRTH_DATE] = pa.date32()
            columns = {}
            for column in table.column_names:
                if column not in types:
                    if column.startswith(OWN_NOTE):
                        continue
                    lost = len(table) - table[column].null_count
                    counts[f"{name}.{UNDEFINED}:{DROPPED}"] += lost
                    continue
                with _without_values(name, column):
                    columns[column] = whole(table[column].cast(types[column]))
            tables[name] = pa.table(columns)
        if batch.rejects:
            schema = self._tables["rejects"].schema
            noted = [rejects_table(batch.rejects), tables.get("rejects", schema.empty_table())]
            tables["rejects"] = pa.concat_tables(conform(t, schema) for t in noted)
        return tables

    def _apply_value_actions(
        self, tables: dict[str, pa.Table], patients: BatchPatients
    ) -> dict[tuple[str, str], pa.Array]:
        """Return the columns that an action on distinct values covers, by table and name."""
        stored: dict[tuple[str, str], pa.Array] = {}
        groups: dict[str, dict[tuple[str, str], pa.ChunkedArray]] = {}
        for name, table in tables.items():
            for column in self._tables[name].columns.values():
                act = self.policy.action(column.phi)
                if column.name not in table.column_names or act not in VALUE_ACTIONS:
                    continue
                if (column.phi, act) == ("patient", "pseudonym"):
                    stored[name, column.name] = patients.pseudonyms(name, column.name)
                elif column.type == pa.string():
                    groups.setdefault(column.phi, {})[name, column.name] = table[column.name]
        for phi, columns in groups.items():
            with _without_values(*next(iter(columns))):
                rows = Distinct(columns)
                results = VALUE_ACTIONS[self.policy.action(phi)](self._secret, phi, rows.values)
                stored |= rows.expand(results)
        return stored

    def _apply_column_actions(
        self, rows: Rows, by_value: dict[tuple[str, str], pa.Array], counts: Counter[str]
    ) -> pa.Table:
        """Return the stored columns of one table; count the values that are dropped."""
        table = rows.definition.name
        stored: dict[str, pa.Array] = {}
        for column in rows.definition.columns.values():
            name = self.policy.action(column.phi)
            values = by_value.get((table, column.name))
            if act := ACTIONS.get(name):
                with _without_values(table, column.name):
                    values = act(rows, column)
            if values is None:
                values, name = pa.nulls(len(rows.table), column.type), DROPPED
            stored[column.name] = values
            raw = rows.raw(column.name)
            if raw is not None and raw.null_count < values.null_count:
                lost = values.null_count - raw.null_count
                counts[f"{table}.{column.name}:{name}"] += lost
        with _without_values(table, "the answers"):
            return pa.table(apply_result_rules(rows, stored, self.policy, counts))
