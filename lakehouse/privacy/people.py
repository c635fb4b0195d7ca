"""The patients of one batch: who stands in which row, and how far each one's time line moves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.batch import BIRTH_DATE
from lakehouse.privacy.ages import MAX_AGE, TOP_AGE, Days, birthday, years_between
from lakehouse.privacy.columns import Bools, Distinct, days_of, numbers
from lakehouse.privacy.identity import normal_identities, offsets, pseudonyms
from lakehouse.privacy.keys import Secret
from lakehouse.tables import Table

PATIENT = "patient_id"
"""The column that names the patient of a row; the time line of its ``date`` columns."""

RECORD, FILE_DIGITS = "record_id", 16
"""The column that names the record of a row, and how many of its digits name the file."""

Rows = Mapping[str, pa.Table]
Definitions = Mapping[str, Table]


class People:
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
        self._pseudonyms = pseudonyms(secret, "patient", normal)
        # one nobody at the end, for the rows without a patient in a batch that knows no patient
        self._offsets = np.append(offsets(secret, normal), 0)
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

    def old(self, tables: Rows, known: Definitions, time_zone: str) -> dict[str, Bools]:
        """Return which rows, by table, are of a patient whom their file shows at 90 or over.

        The file is the scope, not the batch: what is stored must not hang on which files an
        engine happened to read together. A time beyond the age of 120 is a placeholder
        (``9999-12-31``) and counts for nothing.
        """
        who, count = self._in_files(tables)
        found = np.zeros(count, dtype=bool)
        born = np.full(count, np.iinfo(np.int32).max, dtype=np.int64)
        for name, place in who.items():
            birth = births(tables[name], known[name])
            if birth is not None:
                days, valid = birth
                both = self.at(name)[1] & valid
                np.minimum.at(born, place[both], days[both])
        ninety, placeholder = birthday(born, TOP_AGE), birthday(born, MAX_AGE + 1)
        for name, place in who.items():
            table, there = tables[name], self.at(name)[1]
            for column in known[name].columns.values():
                if column.phi not in ("date", "age") or column.name not in table.column_names:
                    continue
                if column.phi == "age":
                    years, valid = numbers(table[column.name])
                    reached = years >= TOP_AGE
                else:
                    days, valid = days_of(table[column.name], time_zone)
                    reached = (days >= ninety[place]) & (days < placeholder[place])
                found[place[there & valid & reached]] = True
        return {name: found[place] for name, place in who.items()}

    def _in_files(self, tables: Rows) -> tuple[dict[str, Days], int]:
        """Return, by table, a number for the patient of each row within the row's own file."""
        named = [name for name in tables if self.has(name)]
        files = Distinct(
            {
                name: pc.utf8_slice_codeunits(tables[name][RECORD], 0, FILE_DIGITS)
                for name in named
                if RECORD in tables[name].column_names
            }
        )
        pairs = []
        for name in named:
            file = numbers(files.at[name])[0] if name in files.at else 0
            pairs.append(self.at(name)[0] + len(self._named) * file)
        distinct, dense = np.unique(
            np.concatenate([np.zeros(0, np.int64), *pairs]), return_inverse=True
        )
        ends = np.cumsum([len(p) for p in pairs])
        parts = np.split(dense.astype(np.int64), ends[:-1]) if pairs else []
        return dict(zip(named, parts, strict=True)), len(distinct)


def births(table: pa.Table, definition: Table) -> tuple[Days, Bools] | None:
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
