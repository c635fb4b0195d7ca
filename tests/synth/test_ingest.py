"""The synthetic hospital through the whole way: every table and every view has rows."""

from __future__ import annotations

from pathlib import Path

import pytest

import lakehouse
from lakehouse.pipeline.reports import IngestReport
from lakehouse.query.lakehouse import Lakehouse
from lakehouse.query.views.library import load_views

from .conftest import PATIENTS


@pytest.fixture(scope="session")
def ingested(
    hospital: tuple[Path, dict[str, int]], key_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, IngestReport]:
    # limited, because views that compare patients in time exist under it alone
    path = tmp_path_factory.mktemp("synthetic") / "warehouse"
    lakehouse.init(path, profile="limited", data_use_agreement="TEST-1", key_file=key_file)
    report = lakehouse.ingest(
        hospital[0], path, engine="local", key_file=key_file, show_progress=False
    )
    return path, report


@pytest.fixture(scope="session")
def lake(ingested: tuple[Path, IngestReport]) -> Lakehouse:
    return lakehouse.open(ingested[0])


def count(lake: Lakehouse, query: str) -> int:
    row = lake.sql(query).fetchone()
    assert row is not None
    return int(row[0])


def test_every_message_is_a_record_or_a_reject(hospital, ingested, lake):
    counts, report = hospital[1], ingested[1]
    assert report.n_unrecognised == 0
    kept = count(lake, "SELECT count(*) FROM records WHERE format = 'hl7v2'")
    lost = count(
        lake,
        "SELECT count(DISTINCT (file_id, record_ordinal)) FROM rejects "
        "WHERE format = 'hl7v2' AND level = 'record'",
    )
    assert kept + lost == counts["hl7v2.messages"]
    assert 0 < lost <= counts["hl7v2.malformed"]


def test_only_damaged_messages_are_rejected_or_warned_about(hospital, lake):
    query = "SELECT count(DISTINCT (file_id, record_ordinal)) FROM rejects WHERE format = 'hl7v2'"
    assert 0 < count(lake, query) <= hospital[1]["hl7v2.malformed"]


@pytest.mark.parametrize(
    "table",
    [
        "allergies", "appointments", "charges", "conditions", "coverages", "documents",
        "encounters", "imaging_instances", "immunizations", "medications", "observations",
        "orders", "patient_links",
        "patients", "procedures", "records", "rejects",
    ],
)  # fmt: skip
def test_every_table_is_fed(lake, table):
    assert count(lake, f"SELECT count(*) FROM {table}") > 0


def test_patients_are_counted_once_though_some_were_registered_twice(lake):
    assert count(lake, "SELECT count(*) FROM patients_current") == PATIENTS
    assert count(lake, "SELECT count(DISTINCT patient_id) FROM patients") > PATIENTS


@pytest.mark.slow
@pytest.mark.parametrize("view", sorted(load_views()))
def test_every_view_has_rows(lake, view):
    found = load_views()[view]
    if found.parameters:
        pytest.skip("a macro: the view it belongs to is looked at")
    assert count(lake, f"SELECT count(*) FROM (SELECT 1 FROM {view} LIMIT 1)") == 1


@pytest.mark.parametrize("view", ["lab_results", "egfr", "vital_signs"])
def test_the_latest_row_of_each_patient_can_be_asked_for(lake, view):
    # a rule of DuckDB's optimizer once made an internal error of this
    time = "measured_at" if view == "vital_signs" else "observed_at"
    rows = lake.sql(
        f"SELECT * FROM {view} "
        f"QUALIFY row_number() OVER (PARTITION BY patient_id ORDER BY {time} DESC) = 1"
    ).fetchall()
    assert 0 < len(rows) <= PATIENTS
