"""The patients of one batch: who stands in which row, and how far each one's time line moves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from lakehouse.batch import BIRTH_DATE
from lakehouse.definitions.tables import Table
from lakehouse.identifiers import normal_identities
from lakehouse.privacy.columns import Bools, Days, Distinct, days_of, numbers
from lakehouse.privacy.identity.ages import MAX_AGE, TOP_AGE, years_between
from lakehouse.privacy.identity.pseudonyms import patients
from lakehouse.privacy.keys.secret import Secret

PATIENT = "patient_id"
"""The column that names the patient of a row; the time line of its ``date`` columns."""

RECORD = "record_id"
"""The column that names the source record of a row."""

Rows = Mapping[str, pa.Table]
Definitions = Mapping[str, Table]


class BatchPatients:
    """Every identity that stands in a column of class ``patient`` of a batch.

    Args:
        secret: The warehouse's secret.
        tables: Raw tables by name.
        known: Their definitions.
    """

    def __init__(self, secret: Secret, tables: Rows, known: Definitions) -> None:
        columns = {
            (name, column.name): table[column.name]
            for name, table in tables.items()
            for column in known[name].of_class("patient")
            if column.name in table.column_names
        }
        self._rows = Distinct(columns)
        normal = normal_identities(self._rows.values)
        self._pseudonyms, offsets = patients(secret, normal)
        # one nobody at the end, for the rows without a patient in a batch that knows no patient
        self._offsets = np.append(offsets, 0)
        self._named = np.append(normal.named, False)

    def pseudonyms(self, table: str, column: str) -> pa.Array:
        """Return the pseudonyms of a column."""
        return self._pseudonyms.take(self._rows.at[table, column])

    def at(self, table: str, column: str = PATIENT) -> tuple[Days, Bools]:
        """Return which patient each row has, and whether it has one."""
        place, valid = numbers(self._rows.at[table, column])
        return place, valid & self._named[place]

    def offsets(self, table: str, column: str = PATIENT) -> tuple[Days, Bools]:
        """Return by how many days the patient of each row moves, and whether it has one."""
        place, valid = self.at(table, column)
        return self._offsets[place], valid

    def has(self, table: str, column: str = PATIENT) -> bool:
        """Return whether the raw table has the column."""
        return (table, column) in self._rows.at


def birth_dates(table: pa.Table, definition: Table) -> tuple[Days, Bools] | None:
    """Return the true birth dates of the rows of a raw table, or None when it has none."""
    dates = [c.name for c in definition.of_class("birth_date") if pa.types.is_date32(c.type)]
    for name in (BIRTH_DATE, *dates):
        if name in table.column_names and pa.types.is_date32(table[name].type):
            return numbers(table[name])
    return None


def ages_at(birth: tuple[Days, Bools], at: tuple[Days, Bools]) -> tuple[Days, Bools]:
    """Return the ages of rows in whole years, and which are known and possible."""
    years = years_between(birth[0], at[0])
    return years, birth[1] & at[1] & (years >= 0) & (years <= MAX_AGE)


def records_over_89(tables: Rows, known: Definitions, time_zone: str) -> pa.Array:
    """Return the records that hold a time or an age at which their patient is 90 or over.

    Records and not patients, and no wider: what stands in other records of the batch depends on
    how files were divided among workers, and the same record must give the same rows everywhere.
    A time beyond the age of 120 is a placeholder (``9999-12-31``) and counts for nothing.
    """
    found: list[pa.Array] = []
    for name, table in tables.items():
        if RECORD not in table.column_names:
            continue
        birth = birth_dates(table, known[name])
        reached = np.zeros(len(table), dtype=bool)
        for column in known[name].columns.values():
            if column.name not in table.column_names:
                continue
            if column.phi == "age":
                years, valid = numbers(table[column.name])
                reached |= valid & (years >= TOP_AGE)
            elif column.phi == "date" and birth is not None:
                reached |= _over_90(birth, days_of(table[column.name], time_zone))
        found.append(table[RECORD].filter(pa.array(reached)).combine_chunks())
    return pa.concat_arrays(found) if found else pa.array([], pa.string())


def _over_90(birth: tuple[Days, Bools], at: tuple[Days, Bools]) -> Bools:
    lived = at[0] - birth[0]
    # 90 years have 32,871 days at least: most rows need no calendar
    reached = birth[1] & at[1] & (lived >= 32_871)
    some = np.flatnonzero(reached)
    years = years_between(birth[0][some], at[0][some])
    reached[some] = (years >= TOP_AGE) & (years <= MAX_AGE)
    return reached
