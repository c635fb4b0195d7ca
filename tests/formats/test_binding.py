"""What formats bind to one meaning: codings of a concept, and local times to instants."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from lakehouse.formats.binding.codings import Coding, choose_coding, system_of
from lakehouse.formats.binding.instants import instant, instants

EPOCH = dt.datetime(1970, 1, 1)


def coding(code: str | None, system: str | None) -> Coding:
    return Coding(*(pa.array([v], pa.string()) for v in (code, system, code and code.lower())))


@pytest.mark.parametrize(
    ("first", "second", "chosen"),
    [
        (("K", "local"), ("2823-3", "loinc"), "2823-3"),
        (("HEP", "local"), ("B01AB01", "atc"), "B01AB01"),
        (("HR", "local"), ("147842", "mdc"), "147842"),
        (("B", "other"), ("2054-5", "cdcrec"), "2054-5"),
        (("M", "hl7-0001"), ("248153007", "snomed"), "248153007"),
        (("2823-3", "loinc"), ("K", "local"), "2823-3"),
        (("B01AB01", "atc"), ("5224", "rxnorm"), "B01AB01"),  # both public: as the sender did
        (("K", "local"), ("M", "hl7-0001"), "K"),
        (("K", "local"), ("UNK", "nullflavor"), "K"),  # says why there is no value
        ((None, None), ("K", "local"), "K"),
        (("K", "local"), (None, None), "K"),
    ],
)
def test_of_two_codings_of_one_result_the_public_one_is_chosen(
    first: tuple[str, str], second: tuple[str, str], chosen: str
) -> None:
    found = choose_coding(coding(*first), coding(*second))
    other = {first[0], second[0]} - {chosen}
    assert found.code.to_pylist() == [chosen]
    assert found.display.to_pylist() == [chosen.lower()]
    assert set(found.alt_code.to_pylist()) == other
    systems = dict([first, second])
    assert found.system.to_pylist() == [systems[chosen]]
    assert found.alt_system.to_pylist() == [systems[code] for code in other]


@pytest.mark.parametrize("name", ["LN", "http://loinc.org", "urn:oid:2.16.840.1.113883.6.1"])
def test_a_system_is_found_by_name_uri_and_oid(name: str) -> None:
    assert system_of(name) == "loinc"


def test_one_time_and_a_column_of_times_are_read_alike() -> None:
    zones = ["UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]
    days = [dt.datetime(2024, 3, 10), dt.datetime(2024, 11, 3), dt.datetime(2024, 4, 7)]
    days += [dt.datetime(2024, 10, 6), dt.datetime(1965, 7, 1)]  # changes of clocks, and none
    local = [
        (day + dt.timedelta(minutes=10 * n) - EPOCH) // dt.timedelta(microseconds=1)
        for day in days
        for n in range(24)
    ]
    for east in (None, -330):
        offsets = None if east is None else pa.array([east] * len(local))
        for zone in zones:
            column = instants(pa.array(local), offsets, zone).cast(pa.int64()).to_pylist()
            assert column == [instant(time, east, zone) for time in local]


def test_each_row_is_read_in_its_own_zone_unless_it_states_an_offset() -> None:
    noon = (dt.datetime(2024, 1, 15, 12) - EPOCH) // dt.timedelta(microseconds=1)
    zones = ["UTC", "America/New_York", "Europe/Berlin", "Europe/Berlin"]
    found = instants(pa.array([noon] * 4), pa.array([None, None, None, 330]), zones)
    assert [t.strftime("%H:%M") for t in found.to_pylist()] == ["12:00", "17:00", "11:00", "06:30"]
