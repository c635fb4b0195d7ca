"""RawBatch to CleanBatch, profile by profile and class by class."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.batch import ENCODED, CleanBatch, RawBatch, Reject
from lakehouse.definitions.tables import load_tables
from lakehouse.errors import LakehouseError
from lakehouse.identifiers import qualified
from lakehouse.privacy.deidentify import Deidentifier
from lakehouse.privacy.identity.pseudonyms import new_uid, offset_days, pseudonym
from lakehouse.privacy.keys.secret import Secret
from lakehouse.privacy.rules.policy import load_policy

SECRET = Secret(hashlib.sha256(b"one").digest())
SAFE, LIMITED = load_policy("safe_harbor"), load_policy("limited")


def ids(*numbers: str | None, authority: str = "HOSP") -> pa.Array:
    return qualified(authority, pa.array(numbers, pa.string()))


def times(*values: datetime | None) -> pa.Array:
    return pa.array(values, pa.timestamp("us", "UTC"))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def clean(tables: dict[str, dict[str, Any]], policy: Any = SAFE, **options: Any) -> CleanBatch:
    raw = {name: pa.table(columns) for name, columns in tables.items()}
    return Deidentifier(policy, SECRET, **options)(RawBatch(raw))


def column(batch: CleanBatch, table: str, name: str) -> list[Any]:
    return batch.tables[table][name].to_pylist()


def patient(born: date | None, stated: datetime | None, **more: Any) -> dict[str, Any]:
    return {
        "patient_id": ids("1"),
        "stated_at": times(stated),
        "_birth_date": pa.array([born], pa.date32()),
        **more,
    }


def test_every_table_comes_out_with_its_stored_schema() -> None:
    for name, table in load_tables().items():
        done = Deidentifier(SAFE, SECRET)(RawBatch({name: pa.table({})}))
        assert done.tables[name].schema.equals(table.schema)
        assert done.counts == {}


def test_identifiers_are_those_of_the_scalar_doors() -> None:
    done = clean({
        "orders": {
            "patient_id": ids("7", None),
            "order_id": ids("A1", "a1 "),
            "placer_order_id": ids("A1", ""),
            "provider_id": ids("A1", "B"),
        }
    })  # fmt: skip
    order = pseudonym(SECRET, "identifier.order", "HOSP", "A1")
    assert column(done, "orders", "patient_id") == [pseudonym(SECRET, "patient", "HOSP", "7"), None]
    assert column(done, "orders", "order_id") == [order, order]
    assert column(done, "orders", "placer_order_id") == [order, None]
    assert column(done, "orders", "provider_id") == [
        pseudonym(SECRET, "provider", "HOSP", n) for n in ("A1", "B")
    ]


def test_times_move_by_the_patient_and_keep_the_time_of_day() -> None:
    true = [at("2024-02-29T13:45:59.123456"), at("1999-12-31T00:00:00"), None, at("2024-01-01")]
    done = clean({
        "observations": {"patient_id": ids("1", "2", "1", None), "observed_at": times(*true)}
    })  # fmt: skip
    moved = column(done, "observations", "observed_at")
    for number, before, after in zip(("1", "2"), true[:2], moved[:2], strict=True):
        assert after - before == timedelta(days=offset_days(SECRET, "HOSP", number))
        assert after.timetz() == before.timetz()
    assert moved[2:] == [None, None]
    assert done.counts == {"observations.observed_at:shift": 1}


def test_times_at_the_ends_of_the_calendar() -> None:
    days = offset_days(SECRET, "HOSP", "1")
    last = at("9999-12-31T23:59:59.999999")
    true = [last, last - timedelta(days=days), last - timedelta(days=days - 1), at("0001-01-01")]
    extremes = pa.array([2**63 - 1, -(2**63) + 1, -62135596800000001], pa.int64())
    column_ = pa.chunked_array([times(*true), extremes.cast(pa.timestamp("us", "UTC"))])
    done = clean({"observations": {"patient_id": ids(*["1"] * 7), "observed_at": column_}})
    moved = column(done, "observations", "observed_at")
    assert moved == [None, last, None, None, None, None, None]
    assert done.counts == {"observations.observed_at:shift": 6}


def test_no_shifted_time_lies_before_the_line_that_tells_it_from_a_true_one() -> None:
    days = offset_days(SECRET, "HOSP", "1")
    first = at("2050-01-01") - timedelta(days=days)
    true = [first - timedelta(microseconds=1), first, at("1950-01-01")]
    done = clean({"observations": {"patient_id": ids(*["1"] * 3), "observed_at": times(*true)}})
    moved = column(done, "observations", "observed_at")
    assert moved == [None, at("2050-01-01"), at("1950-01-01") + timedelta(days=days)]


def test_limited_keeps_true_times_and_names_of_facilities() -> None:
    true = at("2024-02-29T13:45:59")
    done = clean(
        {
            "records": {
                "patient_id": ids("1", None),
                "recorded_at": times(true, true),
                "sender_facility": ids("GOOD HEALTH", "", authority=""),
            },
            "patients": patient(
                date(1930, 5, 6),
                true,
                city=["Bern"],
                state=["Ohio"],
                postal_code=["03601-1234"],
            ),
            "patient_links": {"patient_id": ids("1"), "old_patient_id": ids("2")},
        },
        LIMITED,
    )
    assert column(done, "records", "recorded_at") == [true, true]
    assert column(done, "records", "sender_facility") == ["GOOD HEALTH", None]
    assert column(done, "records", "patient_id")[0] == pseudonym(SECRET, "patient", "HOSP", "1")
    (row,) = done.tables["patients"].to_pylist()
    assert row["birth_date"] == date(1930, 5, 6)
    assert (row["birth_year"], row["age_years"]) == (1930, 93)
    assert (row["city"], row["state"], row["postal_code"]) == ("Bern", "Ohio", "03601")
    assert column(done, "patient_links", "offset_days") == [0]


def test_safe_harbor_addresses() -> None:
    done = clean({
        "patients": {
            "city": ["Boston"] * 5,
            "state": ["MA", "12 Main St", "Massachusetts", "SUFFOLK COUNTY", None],
            "postal_code": ["02139-4307", "03601", "2139", "02139", "K1A 0B1"],
            "country": ["USA", None, "", "CAN", "US"],
        }
    })  # fmt: skip
    assert column(done, "patients", "city") == [None] * 5
    assert column(done, "patients", "state") == ["MA", None, "Massachusetts", None, None]
    assert column(done, "patients", "postal_code") == ["021", "000", "021", None, None]
    assert done.counts["patients.city:dropped"] == 5
    assert done.counts["patients.postal_code:zip3"] == 2


def test_a_code_stays_while_it_has_the_shape_of_one() -> None:
    done = clean({
        "medications": {"code": ["LISINOPRIL 10MG", "555-123-4567", "jane@example.org", None]}
    })  # fmt: skip
    assert column(done, "medications", "code") == ["LISINOPRIL 10MG", None, None, None]
    assert done.counts == {"medications.code:code_shape": 2}


def test_a_code_that_repeats_itself_is_stored_once() -> None:
    codes = ["718-7", "jo@x.org", None, "2345-7", "555-123-4567"]
    done = clean({"observations": {"patient_id": ids(*"12345" * 4), "code": codes * 4}})
    stored = done.tables["observations"]["code"].chunk(0)
    assert stored.type == ENCODED
    assert stored.dictionary.to_pylist() == ["718-7", "2345-7"]
    assert stored.to_pylist() == ["718-7", None, None, "2345-7", None] * 4
    assert done.counts == {"observations.code:code_shape": 8}
    flags = ["N", "H", "N", "N", "N"]
    both = clean(
        {"observations": {"patient_id": ids(*"12345" * 4), "code": codes * 4, "flag": flags * 4}}
    )
    assert both.tables["observations"]["flag"].chunk(0).dictionary.to_pylist() == ["N", "H"]
    few = clean({"observations": {"patient_id": ids(*"12345"), "code": codes}})
    assert few.tables["observations"]["code"].type == pa.string()
    assert column(few, "observations", "code") == ["718-7", None, None, "2345-7", None]


def test_texts_of_codes() -> None:
    done = clean({
        "conditions": {
            "code": ["E11.9", "99X", "zz"],
            "code_system": ["icd10cm", "icd10cm", "local"],
            "code_display": ["her mother's diabetes", "Jane Doe", "Jane Doe"],
        },
        "observations": {
            "panel_code": ["24323-8", "24323-8"],
            "panel_system": ["loinc", None],
            "panel_display": ["Comprehensive panel", "Comprehensive panel"],
        },
        "allergies": {"code_display": ["no code, no system"]},
    })  # fmt: skip
    assert column(done, "conditions", "code_display") == [
        "Type 2 diabetes mellitus without complications", None, None
    ]  # fmt: skip
    assert column(done, "observations", "panel_display") == ["Comprehensive panel", None]
    assert column(done, "allergies", "code_display") == [None]
    assert done.counts["conditions.code_display:public_codes_only"] == 2


def test_a_site_can_list_texts(tmp_path: Path) -> None:
    (tmp_path / "local_codes.csv").write_text("code_system,code,display\nlocal,GLU,Glucose\n")
    row = {"observations": {"code": ["GLU"], "code_system": ["local"], "code_display": ["x"]}}
    assert column(clean(row, codes=[tmp_path]), "observations", "code_display") == ["Glucose"]


def test_free_text_is_not_stored() -> None:
    for policy in (SAFE, LIMITED):
        done = clean({"observations": {"value_text": ["Jane Doe says"]}}, policy)
        assert column(done, "observations", "value_text") == [None]
        assert done.counts == {"observations.value_text:dropped": 1}


def test_uids_are_those_of_the_scalar_door() -> None:
    known = "1.2.840.10008.1.2.1"
    done = clean({"imaging_instances": {"study_uid": ["1.2.3", "1.2.3 ", known, ""]}})
    uid = new_uid(SECRET, "1.2.3")
    assert column(done, "imaging_instances", "study_uid") == [uid, uid, known, None]


def test_links_lay_one_history_on_the_other() -> None:
    """The time of the old identity plus the link is what the survivor's own line would say."""
    true = at("2024-05-06T07:08:09")
    done = clean({
        "patient_links": {
            "patient_id": ids("1", "1", None),
            "old_patient_id": ids("2", None, "2"),
            "linked_at": times(true, true, true),
        },
        "observations": {"patient_id": ids("1", "2"), "observed_at": times(true, true)},
    })  # fmt: skip
    difference, *unknown = column(done, "patient_links", "offset_days")
    assert unknown == [None, None]
    mine, older = column(done, "observations", "observed_at")
    assert older + timedelta(days=difference) == mine
    assert difference == offset_days(SECRET, "HOSP", "1") - offset_days(SECRET, "HOSP", "2")


# --- ages and birth years -------------------------------------------------------------------

BORN = date(1936, 2, 29)


def birthday(years: int) -> date:
    year = BORN.year + years
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return date(year, 2, 29) if leap else date(year, 3, 1)


@pytest.mark.parametrize("years", range(88, 113))
@pytest.mark.parametrize("edge", [0, -1])
def test_ages_88_to_112_at_their_edges(years: int, edge: int) -> None:
    day = birthday(years) + timedelta(days=edge)
    stated = datetime(day.year, day.month, day.day, 23, 59, 59, 999999, tzinfo=UTC)
    true = years + edge
    (row,) = clean({"patients": patient(BORN, stated)}).tables["patients"].to_pylist()
    assert row["age_years"] == min(true, 90)
    assert row["birth_date"] is None
    moved = BORN + timedelta(days=offset_days(SECRET, "HOSP", "1"))
    assert row["birth_year"] == (moved.year if true < 90 else None)
    (plain,) = clean({"patients": patient(BORN, stated)}, LIMITED).tables["patients"].to_pylist()
    assert plain["age_years"] == true


@pytest.mark.parametrize(
    ("born", "stated", "age"),
    [
        (date(2024, 1, 2), "2024-01-01", None),  # born after the event
        (date(2024, 1, 1), "2024-01-01", 0),
        (date(1904, 1, 1), "2024-01-01", 90),
        (date(1903, 12, 31), "2024-12-30", 90),  # 120
        (date(1903, 1, 1), "2024-01-01", None),  # 121: a mistake
        (date(1850, 1, 1), "2024-01-01", None),
        (None, "2024-01-01", None),
        (date(1980, 1, 1), None, None),
    ],
)
def test_ages_that_cannot_be_are_null(
    born: date | None, stated: str | None, age: int | None
) -> None:
    done = clean({"patients": patient(born, at(stated) if stated else None)})
    assert column(done, "patients", "age_years") == [age]
    if born and born.year < 1934:
        assert column(done, "patients", "birth_year") == [None]


@pytest.mark.parametrize(
    ("stated", "age"), [(45, 45), (90, 90), (97, 90), (-1, None), (121, None), (None, None)]
)
def test_an_age_that_the_source_states(stated: int | None, age: int | None) -> None:
    row = {"patient_id": ids("1"), "age_years": pa.array([stated], pa.int32())}
    assert column(clean({"patients": row}), "patients", "age_years") == [age]


def test_the_computed_age_comes_before_the_stated_one() -> None:
    row = patient(date(1980, 1, 1), at("2024-01-01"), age_years=pa.array([12], pa.int32()))
    assert column(clean({"patients": row}), "patients", "age_years") == [44]
    row = patient(date(1980, 1, 1), None, age_years=pa.array([12], pa.int32()))
    assert column(clean({"patients": row}), "patients", "age_years") == [12]


@pytest.mark.parametrize(
    ("zone", "age"), [("UTC", 89), ("Asia/Tokyo", 90), ("America/New_York", 89)]
)
def test_ages_follow_the_calendar_of_the_sender(zone: str, age: int) -> None:
    """At 20:00 UTC the 90th birthday has begun in Tokyo."""
    stated = at("2026-02-28T20:00:00")
    done = clean({"patients": patient(BORN, stated)}, time_zone=zone)
    assert column(done, "patients", "age_years") == [age]


def test_extreme_times_do_not_disturb_ages_in_any_zone() -> None:
    stated = times(at("9999-12-31T23:59:59"), at("0001-01-01"))
    row = {"patient_id": ids("1", "1"), "stated_at": stated, "_birth_date": pa.array([BORN] * 2)}
    for zone in ("UTC", "Asia/Tokyo", "America/New_York"):
        assert (
            column(clean({"patients": row}, time_zone=zone), "patients", "age_years") == [None] * 2
        )


def record(record_id: str, born: date, when: str) -> dict[str, Any]:
    return {**patient(born, at(when)), "record_id": [record_id]}


def test_no_birth_year_when_the_record_knows_the_patient_at_90() -> None:
    young = record("r1", date(1936, 3, 1), "2020-01-01")
    result = {
        "patient_id": ids("1"),
        "record_id": ["r1"],
        "observed_at": times(at("2026-03-01")),
        "_birth_date": pa.array([date(1936, 3, 1)]),
    }
    assert column(clean({"patients": young}), "patients", "birth_year") != [None]
    done = clean({"patients": young, "observations": result})
    assert column(done, "patients", "birth_year") == [None]
    assert column(done, "patients", "age_years") == [83]
    day_before = {**result, "observed_at": times(at("2026-02-28"))}
    done = clean({"patients": young, "observations": day_before})
    assert column(done, "patients", "birth_year") != [None]
    other_record = {**result, "record_id": ["r2"]}
    done = clean({"patients": young, "observations": other_record})
    assert column(done, "patients", "birth_year") != [None]


def test_a_stated_age_of_90_takes_the_birth_year_too() -> None:
    young = record("r1", date(1936, 3, 1), "2020-01-01")
    scan = {"patient_id": ids("1"), "record_id": ["r1"], "age_years": pa.array([92], pa.int32())}
    done = clean({"patients": young, "imaging_instances": scan})
    assert column(done, "patients", "birth_year") == [None]


def test_placeholder_times_take_no_birth_year() -> None:
    born = date(1990, 1, 1)
    young = record("r1", born, "2020-01-01")
    cover = {"ends_at": times(at("9999-12-31")), "record_id": ["r1"], "_birth_date": [born]}
    done = clean({"patients": young, "coverages": cover})
    assert column(done, "patients", "birth_year") != [None]


def test_birth_year_needs_a_patient() -> None:
    row = {"patient_id": ids(None), "_birth_date": pa.array([date(1990, 1, 1)])}
    assert column(clean({"patients": row}), "patients", "birth_year") == [None]


def test_a_birth_date_in_its_own_column_serves_as_well() -> None:
    row = {
        "patient_id": ids("1"),
        "stated_at": times(at("2024-06-01")),
        "birth_date": pa.array([date(1990, 1, 1)]),
    }
    done = clean({"patients": row})
    assert column(done, "patients", "birth_date") == [None]
    assert column(done, "patients", "age_years") == [34]
    moved = date(1990, 1, 1) + timedelta(days=offset_days(SECRET, "HOSP", "1"))
    assert column(done, "patients", "birth_year") == [moved.year]
    assert done.counts == {"patients.birth_date:dropped": 1}
    assert column(clean({"patients": row}, LIMITED), "patients", "birth_year") == [1990]


# --- what is not defined --------------------------------------------------------------------


@pytest.mark.parametrize("action", ["encrypt", "", "KEEP", "keep "])
def test_an_unknown_action_drops_and_counts(action: str) -> None:
    policy = replace(SAFE, actions={**SAFE.actions, "code": action, "none": action})
    done = clean({"medications": {"code": ["X", None], "dose": [1.5, 2.0]}}, policy)
    assert column(done, "medications", "code") == [None, None]
    assert column(done, "medications", "dose") == [None, None]
    assert done.counts == {"medications.code:dropped": 1, "medications.dose:dropped": 2}


@pytest.mark.parametrize(
    "phi", sorted({c.phi for t in load_tables().values() for c in t.columns.values()})
)
def test_a_class_that_no_profile_lists_is_dropped(phi: str) -> None:
    """Whatever the class: not listed, its columns are null in every table."""
    actions = {k: a for k, a in SAFE.actions.items() if k not in (phi, f"{phi.split('.')[0]}.*")}
    policy = replace(SAFE, actions=actions)
    for table in load_tables().values():
        for found in table.of_class(phi):
            value = {"string": "1", "bool": True}.get(str(found.type), 1)
            raw = {found.name: pa.array([value], found.type)}
            done = clean({table.name: raw}, policy)
            assert column(done, table.name, found.name) == [None]
            assert done.counts == {f"{table.name}.{found.name}:dropped": 1}


def test_undefined_tables_and_columns_are_dropped_and_counted() -> None:
    done = clean({
        "patients": {"patient_id": ids("1", "2"), "nickname": ["Jane", None], "_at": [1, 2]},
        "diaries": {"text": ["Dear diary"]},
    })  # fmt: skip
    assert set(done.tables) == {"patients"}
    assert "nickname" not in done.tables["patients"].column_names
    assert done.counts == {"patients.(undefined):dropped": 1, "(undefined):dropped": 1}


def test_rejects_from_the_list_and_from_the_table_come_out_together() -> None:
    batch = RawBatch(
        {"rejects": pa.table({"record_ordinal": [2], "rule": ["b"], "file_id": ["f"]})},
        rejects=[Reject(1, "a", "m", sender_facility="\x1fGOOD", record_type="call 555-123-4567")],
    )
    done = Deidentifier(SAFE, SECRET)(batch)
    assert column(done, "rejects", "rule") == ["a", "b"]
    assert column(done, "rejects", "record_ordinal") == [1, 2]
    assert column(done, "rejects", "sender_facility")[0] == pseudonym(
        SECRET, "facility", "", "GOOD"
    )
    assert column(done, "rejects", "record_type") == [None, None]
    named = Deidentifier(LIMITED, SECRET)(batch)
    assert column(named, "rejects", "sender_facility") == ["GOOD", None]


def test_a_broken_contract_is_an_error_without_the_value() -> None:
    with pytest.raises(LakehouseError) as caught:
        clean({"observations": {"patient_id": ids("1"), "observed_at": ["Jane Doe"]}})
    assert "observations.observed_at" in str(caught.value)
    assert "Jane" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_batch_may_come_in_chunks_slices_and_other_string_types() -> None:
    whole = {
        "patient_id": ids("1", "2", "3"),
        "observed_at": times(*[at("2024-01-01")] * 3),
        "code": pa.array(["A", "B", "555-123-4567"]),
    }
    expected = clean({"observations": whole}).tables["observations"]
    one = pa.table(whole)
    number = one["patient_id"].chunk(0)
    odd = pa.table({
        "patient_id": pa.chunked_array([number[:1], number[1:]]).cast(pa.large_string()),
        "observed_at": one["observed_at"],
        "code": one["code"].dictionary_encode(),
    })  # fmt: skip
    for raw in (odd, pa.concat_tables([one[:2], one[2:]]), pa.concat_tables([one, one])[3:]):
        done = Deidentifier(SAFE, SECRET)(RawBatch({"observations": raw}))
        assert done.tables["observations"].equals(expected)


def test_neither_the_engine_nor_a_raw_batch_travels_but_a_clean_one_does() -> None:
    engine = Deidentifier(SAFE, SECRET)
    for thing in (engine, RawBatch({})):
        with pytest.raises(TypeError, match="never pickled"):
            pickle.dumps(thing)
    done = clean({"observations": {"patient_id": ids("1"), "value_text": ["x"]}})
    again = pickle.loads(pickle.dumps(done))
    assert again.tables == done.tables
    assert again.counts == done.counts == {"observations.value_text:dropped": 1}
