"""The patients of one batch: the patient of each row, and the date offset of each patient."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from lakehouse.batch import BIRTH_DATE
from lakehouse.definitions.tables import Table
from lakehouse.identifiers import normal_identities
from lakehouse.privacy.columns import Bools, Days, Distinct, days_of, numbers
from lakehouse.privacy.identity.ages import MAX_AGE, TOP_AGE, years_between
from lakehouse.privacy.identity.pseudonyms import pseudonyms_and_offsets
from lakehouse.privacy.keys.secret import Secret

PATIENT = "patient_id"
"""The column that names the patient of a row; the time line of its ``date`` columns."""

RECORD = "record_id"
"""The column that names the source record of a row."""

RawTables = Mapping[str, pa.Table]
Definitions = Mapping[str, Table]


class BatchPatients:
    """The identities of all columns of class ``patient`` in a batch, each de-identified once.

    Args:
        secret: The warehouse's secret.
        tables: Raw tables by name.
        definitions: Their definitions.
    """

    def __init__(self, secret: Secret, tables: RawTables, definitions: Definitions) -> None:
        columns = {
            (name, column.name): table[column.name]
            for name, table in tables.items()
            for column in definitions[name].of_class("patient")
            if column.name in table.column_names
        }
        self._rows = Distinct(columns)
        normal = normal_identities(self._rows.values)
        self._pseudonyms, offsets = pseudonyms_and_offsets(secret, normal)
        # a sentinel at the end stands for rows without a patient
        self._offsets = np.append(offsets, 0)
        self._named = np.append(normal.named, False)

    def pseudonyms(self, table: str, column: str) -> pa.Array:
        """Return the pseudonyms of a column."""
        return self._pseudonyms.take(self._rows.at[table, column])

    def at(self, table: str, column: str = PATIENT) -> tuple[Days, Bools]:
        """Return the position of each row's patient, and a mask of the rows that name one."""
        position, valid = numbers(self._rows.at[table, column])
        return position, valid & self._named[position]

    def offsets(self, table: str, column: str = PATIENT) -> tuple[Days, Bools]:
        """Return the date offset of each row in days, and a mask of the rows with a patient."""
        position, valid = self.at(table, column)
        return self._offsets[position], valid

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
    """Return the ages of rows in whole years, and a mask of those that are known and possible."""
    years = years_between(birth[0], at[0])
    return years, birth[1] & at[1] & (years >= 0) & (years <= MAX_AGE)


def records_over_89(tables: RawTables, definitions: Definitions, time_zone: str) -> pa.Array:
    """Return the records with a time or an age at which their patient is 90 or over.

    The rule covers single records, not patients. Which other records share a batch depends on how
    files are divided among workers, and one record must give the same rows everywhere.
    A time beyond the age of 120 is a placeholder (``9999-12-31``) and is ignored.
    """
    records: list[pa.Array] = []
    for name, table in tables.items():
        if RECORD not in table.column_names:
            continue
        birth = birth_dates(table, definitions[name])
        over_89 = np.zeros(len(table), dtype=bool)
        for column in definitions[name].columns.values():
            if column.name not in table.column_names:
                continue
            if column.phi == "age":
                years, valid = numbers(table[column.name])
                over_89 |= valid & (years >= TOP_AGE)
            elif column.phi == "date" and birth is not None:
                over_89 |= _over_90(birth, days_of(table[column.name], time_zone))
        records.append(table[RECORD].filter(pa.array(over_89)).combine_chunks())
    return pa.concat_arrays(records) if records else pa.array([], pa.string())


def _over_90(birth: tuple[Days, Bools], at: tuple[Days, Bools]) -> Bools:
    days = at[0] - birth[0]
    # 90 years have 32,871 days at least: most rows need no calendar
    over_89 = birth[1] & at[1] & (days >= 32_871)
    candidates = np.flatnonzero(over_89)
    years = years_between(birth[0][candidates], at[0][candidates])
    over_89[candidates] = (years >= TOP_AGE) & (years <= MAX_AGE)
    return over_89
