"""The de-identification actions that a profile may name, each for the columns of a PHI class.

An ``@action`` takes a whole raw column and returns the column to store. A ``@by_value`` action
takes distinct strings and runs once for all columns of one class in a batch. A new action is one
new function; a profile that names an unknown action drops the column.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.arrays import map_distinct, whole
from lakehouse.definitions.tables import Column, Table
from lakehouse.identifiers import SEPARATOR, normal_identities
from lakehouse.privacy.columns import DAY_US, Bools, days_of, integers, numbers
from lakehouse.privacy.identity.ages import MAX_AGE, TOP_AGE, year_of, years_between
from lakehouse.privacy.identity.patients import PATIENT, RECORD, BatchPatients, ages_at, birth_dates
from lakehouse.privacy.identity.pseudonyms import new_uids, pseudonyms
from lakehouse.privacy.keys.secret import Secret
from lakehouse.privacy.rules import postal as postal
from lakehouse.privacy.rules.code_patterns import looks_like_code, looks_like_place
from lakehouse.privacy.rules.code_texts import Terminology

LAST_DAY = 2_932_896
"""9999-12-31, the last day of a shifted time: other readers of the tables know no later one."""

SHIFTED_FROM = date(2050, 1, 1)
"""No shifted time lies before this day and no true time after it, so a stored time proves that it
was shifted. An offset of 100 years carries every event since 1950 across. An older event would
reveal an age of about 90 (45 CFR 164.514(b)(2)(i)(C)) and is dropped."""

_SHIFTED_FROM_DAY = (SHIFTED_FROM - date(1970, 1, 1)).days

NO_TEXT = pa.scalar(None, pa.string())


@dataclass(frozen=True)
class Rows:
    """The raw rows of one table, with the facts about their batch that actions need.

    Attributes:
        table: The raw table.
        definition: Its definition.
        patients: The patients of the batch.
        over_89: Records in which the patient is 90 or over at some time.
        terminology: The code texts that may be stored.
        time_zone: Zone in which an instant becomes a date, for ages.
    """

    table: pa.Table
    definition: Table
    patients: BatchPatients
    over_89: pa.Array
    terminology: Terminology
    time_zone: str

    def raw(self, column: str | None) -> pa.Array | None:
        """Return a raw column in one piece, or None when the table lacks it."""
        return whole(self.table[column]) if column in self.table.column_names else None

    def no_offsets(self) -> tuple[np.ndarray, Bools]:
        """Return offsets for a table without patients: all zero, none valid."""
        return np.zeros(len(self.table), np.int64), np.zeros(len(self.table), bool)

    def offsets(self, column: str = PATIENT) -> tuple[np.ndarray, Bools]:
        """Return the date offset of each row in days, and a mask of the rows with a patient."""
        name = self.definition.name
        return (
            self.patients.offsets(name, column)
            if self.patients.has(name, column)
            else self.no_offsets()
        )


Action = Callable[[Rows, Column], pa.Array | None]
ACTIONS: dict[str, Action] = {}
"""Actions by the name that a profile gives; a result of None drops the column."""

ValueAction = Callable[[Secret, str, pa.Array], pa.Array]
VALUE_ACTIONS: dict[str, ValueAction] = {}
"""Actions on distinct strings of one PHI class (the second argument)."""


def action(function: Action) -> Action:
    """Register an action under its function's name."""
    ACTIONS[function.__name__] = function
    return function


def by_value(function: ValueAction) -> ValueAction:
    """Register an action on distinct strings under its function's name."""
    VALUE_ACTIONS[function.__name__] = function
    return function


@by_value
def pseudonym(secret: Secret, phi: str, values: pa.Array) -> pa.Array:
    """Store the pseudonym; the domain is the PHI class."""
    return pseudonyms(secret, phi, normal_identities(values))


@by_value
def keep_name(secret: Secret, phi: str, values: pa.Array) -> pa.Array:
    """Store the name of a facility without its assigning authority."""
    names = (v.rpartition(SEPARATOR)[2].strip() or None for v in values.to_pylist())
    return pa.array(names, pa.string())


@by_value
def uid(secret: Secret, phi: str, values: pa.Array) -> pa.Array:
    """Store the new UID; those that the DICOM standard assigns stay."""
    return pa.array(new_uids(secret, values.to_pylist()), pa.string())


@by_value
def code_shape(secret: Secret, phi: str, values: pa.Array) -> pa.Array:
    """Store strings with the shape of a code; drop the others."""
    return pc.if_else(looks_like_code(values), values, NO_TEXT)


@by_value
def place_shape(secret: Secret, phi: str, values: pa.Array) -> pa.Array:
    """Store countries and states: short codes, and names in ``places.csv``."""
    return pc.if_else(looks_like_place(values), values, NO_TEXT)


@action
def keep(rows: Rows, column: Column) -> pa.Array | None:
    """Store the value; complete birth dates and ages where the source gives a birth date."""
    if column.phi == "age":
        return _ages(rows, column)
    raw = rows.raw(column.name)
    if column.phi != "birth_date":
        return raw
    birth = birth_dates(rows.table, rows.definition)
    if birth is None:
        return raw
    days, valid = birth
    filled = integers(
        days if pa.types.is_date32(column.type) else year_of(days), valid, column.type
    )
    return filled if raw is None else pc.coalesce(raw, filled)


@action
def shift(rows: Rows, column: Column) -> pa.Array | None:
    """Shift times by the date offset of the row's patient; drop them in rows without a patient."""
    raw = rows.raw(column.name)
    if raw is None or not (pa.types.is_timestamp(column.type) or pa.types.is_date32(column.type)):
        return None
    values, valid = numbers(raw)
    days, has_patient = rows.offsets()
    unit = DAY_US if pa.types.is_timestamp(column.type) else 1
    # comparing before adding avoids an overflow of extreme values
    fits = values >= (_SHIFTED_FROM_DAY - days) * unit
    fits &= values < (LAST_DAY + 1 - days) * unit
    stays = valid & has_patient & fits
    return integers(np.where(stays, values, 0) + days * unit, stays, column.type)


@action
def birth_year(rows: Rows, column: Column) -> pa.Array | None:
    """Store the year of birth on the patient's shifted time line; drop it from age 90 on."""
    birth = birth_dates(rows.table, rows.definition)
    if birth is None or not pa.types.is_integer(column.type):
        return None
    born, has_birth = birth
    days, has_patient = rows.offsets()
    stays = has_birth & has_patient
    record = rows.raw(RECORD)
    if record is not None:
        stays &= ~pc.is_in(record, value_set=rows.over_89).to_numpy(zero_copy_only=False)
    for event in rows.definition.of_class("age"):
        when = rows.raw(event.at)
        if when is not None:
            at, there = days_of(when, rows.time_zone)
            stays &= ~(there & (years_between(born, at) >= TOP_AGE))
    return integers(year_of(born + days), stays, column.type)


@action
def top_code_90(rows: Rows, column: Column) -> pa.Array | None:
    """Store the age at the true time of the event; 90 stands for 90 and over."""
    ages = _ages(rows, column)
    return (
        None
        if ages is None
        else pc.min_element_wise(ages, pa.scalar(TOP_AGE, ages.type), skip_nulls=False)
    )


def _ages(rows: Rows, column: Column) -> pa.Array | None:
    """Return ages from the true birth date, else the source's own; null for impossible ones."""
    stated, birth, when = (
        rows.raw(column.name),
        birth_dates(rows.table, rows.definition),
        rows.raw(column.at),
    )
    years, valid = rows.no_offsets()
    if stated is not None:
        years, valid = numbers(stated)
        valid &= (years >= 0) & (years <= MAX_AGE)
    if birth is not None and when is not None:
        computed, sure = ages_at(birth, days_of(when, rows.time_zone))
        years, valid = np.where(sure, computed, years), sure | valid
    elif stated is None:
        return None
    return integers(years, valid, column.type)


@action
def offset_difference(rows: Rows, column: Column) -> pa.Array | None:
    """Store the days from the time line of a merged identity to that of the surviving one."""
    old = [c.name for c in rows.definition.of_class("patient") if c.name != PATIENT]
    if len(old) != 1:
        return None
    surviving, merged = rows.offsets(), rows.offsets(old[0])
    return integers(surviving[0] - merged[0], surviving[1] & merged[1], column.type)


@action
def zero(rows: Rows, column: Column) -> pa.Array | None:
    """Store zero, because both identities are on the true calendar."""
    return pa.array(np.zeros(len(rows.table), np.int32)).cast(column.type)


@action
def public_codes_only(rows: Rows, column: Column) -> pa.Array | None:
    """Store a code's text where it says no more than the code (see ``code_texts``)."""
    text, system = rows.raw(column.name), rows.raw(column.system)
    stem = column.name.removesuffix("_display")
    code = rows.raw(stem if stem in rows.definition.columns else f"{stem}_code")
    if text is None or code is None:
        return None
    if system is None:
        system = pa.nulls(len(text), pa.string())
    return rows.terminology.texts(text, code, system)


def _postal(rows: Rows, column: Column, rule: Callable[[str], str | None]) -> pa.Array | None:
    raw = rows.raw(column.name)
    if raw is None:
        return None
    codes = map_distinct(raw, rule)
    for place in rows.definition.of_class("address.country"):
        country = rows.raw(place.name)
        if country is not None:
            ours = map_distinct(country, postal.is_us, pa.bool_())
            codes = pc.if_else(pc.fill_null(ours, True), codes, NO_TEXT)
    return codes


@action
def zip3(rows: Rows, column: Column) -> pa.Array | None:
    """Store three digits of a US ZIP code, 000 where few people live."""
    return _postal(rows, column, postal.zip3)


@action
def zip5(rows: Rows, column: Column) -> pa.Array | None:
    """Store five digits of a US ZIP code."""
    return _postal(rows, column, postal.zip5)
