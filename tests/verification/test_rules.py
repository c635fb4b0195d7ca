"""One violation is planted for every rule and every check, and each is found."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakehouse
from lakehouse.definitions.tables import load_tables
from lakehouse.errors import UserError
from lakehouse.pipeline.tombstones import tombstone
from lakehouse.privacy.keys.secret import Secret
from lakehouse.privacy.rules.policy import load_policy
from lakehouse.storage.transactions.leases import machine_id
from lakehouse.storage.warehouse import Warehouse
from lakehouse.verification import VerifyReport, verify
from lakehouse.verification.rules import ANSWERS, RULES, Checker

# ------------------------------------------------------------------ rules of a profile

Row = dict[str, Any]
SAFE, LIMITED = "safe_harbor", "limited"

PLANTED: dict[str, tuple[str, str, str, Row, Row]] = {
    "dropped": (SAFE, "observations", "value_text", {"value_text": "x"}, {}),
    "pseudonym": (
        SAFE,
        "patients",
        "patient_id",
        {"patient_id": "100001"},
        {"patient_id": "0" * 32},
    ),
    "uid": (
        SAFE,
        "imaging_instances",
        "study_uid",
        {"study_uid": "1.3.12.2.1107.5.99"},
        {"study_uid": "2.25.123456"},
    ),
    "shifted-time": (
        SAFE,
        "observations",
        "observed_at",
        {"observed_at": datetime(2024, 1, 1, tzinfo=UTC)},
        {"observed_at": datetime(2150, 1, 1, tzinfo=UTC)},
    ),
    "birth-year": (SAFE, "patients", "birth_year", {"birth_year": 1950}, {"birth_year": 2090}),
    "age-at-most-90": (SAFE, "observations", "age_years", {"age_years": 91}, {"age_years": 90}),
    "zip3": (SAFE, "patients", "postal_code", {"postal_code": "02139"}, {"postal_code": "000"}),
    "zip5": (
        LIMITED,
        "patients",
        "postal_code",
        {"postal_code": "02139-1"},
        {"postal_code": "02139"},
    ),
    "code-shape": (
        SAFE,
        "observations",
        "code",
        {"code": "call 555-123-4567"},
        {"code": "2345-7"},
    ),
    "place-shape": (SAFE, "patients", "state", {"state": "12 Elm Street"}, {"state": "MA"}),
    "public-codes-only": (
        SAFE,
        "observations",
        "code_display",
        {"code_display": "Jones panel", "code_system": "local"},
        {"code_display": "Glucose", "code_system": "loinc"},
    ),
    "answers-settled": (
        SAFE,
        "observations",
        "value_number",
        {"value_number": 93.0, "code": "30525-0", "code_system": "loinc"},
        {"value_number": 90.0, "code": "30525-0", "code_system": "loinc"},
    ),
}
"""By rule: profile, table, column, a row that breaks it, one that does not."""


def stored(table: str, rows: list[Row]) -> bytes:
    known = load_tables()[table].schema
    wanted = [f for f in known if any(f.name in r for r in rows)] or [known.field(0)]
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(wanted)), out)
    return out.getvalue()


def found(profile: str, table: str, rows: list[Row]) -> dict[tuple[str, str], int]:
    checker = Checker(load_policy(profile))
    checker.check(load_tables()[table], [stored(table, rows)])
    return {(c.column, c.rule): c.findings for c in checker.column_checks.values() if c.findings}


def test_every_rule_has_a_planted_violation() -> None:
    assert PLANTED.keys() == {r.id for r in (*RULES.values(), ANSWERS)}


@pytest.mark.parametrize("rule", PLANTED)
def test_a_broken_rule_is_found(rule: str) -> None:
    profile, table, column, bad, good = PLANTED[rule]
    assert found(profile, table, [good, bad, bad]) == {(column, rule): 2}
    assert found(profile, table, [good]) == {}


@pytest.mark.parametrize(
    "row",
    [
        {"code": "30525-0", "value_number": 93.0},
        {"code": "21612-7", "value_number": 93.0, "code_system": "loinc"},
        {"code": "29553-5", "value_number": 1100.0, "unit": "mo"},
        {"code": "397669002", "value_number": 93.0, "code_system": "snomed"},
        {"code": "30525-0", "value_number": -1.0},
        {"code": "30525-0", "value_code": "093Y"},
        {"code": "21112-8", "value_code": "19300101"},  # a birth date
        {"code": "42077-8", "value_number": 6175550100.0},  # a telephone number
    ],
    ids=str,
)
def test_an_answer_that_identifies_is_found(row: Row) -> None:
    assert {rule for _, rule in found(SAFE, "observations", [row])} == {"answers-settled"}


def test_what_is_no_age_may_be_above_90() -> None:
    rows = [
        {"code": "2345-7", "code_system": "loinc", "value_number": 140.0},
        {"code": "29553-5", "value_number": 1079.9, "unit": "mo"},
    ]
    assert found(SAFE, "observations", rows) == {}
    old = {"code": "30525-0", "value_number": 93.0}
    kept = load_policy(LIMITED).action("age").startswith("keep")
    assert (found(LIMITED, "observations", [old]) == {}) == kept


def test_a_date_of_birth_is_found() -> None:
    row = {"birth_date": date(2090, 1, 1)}
    assert found(SAFE, "patients", [row]) == {("birth_date", "birth-year"): 1}


# ------------------------------------------------------------------ checks of the whole


class Site:
    """A warehouse with a few rows, and its source."""

    def __init__(self, place: Path) -> None:
        self.key = place / "key"
        Secret.create(self.key)
        self.root = place / "warehouse"
        self.feed = place / "feed"
        self.feed.mkdir()
        (self.feed / "x.hl7").write_text(
            "".join(
                f"MSH|^~\\&|LAB|HOSP|A|B|20240102030405||ORU^R01|{n}|P|2.5\r"
                f"PID|1||{n}^^^GENERAL^MR||Doerfler^J||19500601|F\r"
                f"OBR|1|P{n}|F{n}|A^a^L|||20240101\r"
                f"OBX|1|NM|2345-7^Glucose^LN||{n}|mg/dL|||||F|||20240101\r"
                for n in range(5)
            ),
            newline="",
        )
        self.tokens = place / "tokens"
        self.tokens.write_text("Doerfler\n")
        lakehouse.init(self.root, key_file=self.key)
        lakehouse.ingest(self.feed, self.root, key_file=self.key, show_progress=False)

    def report(self) -> VerifyReport:
        return verify(self.root, tokens=self.tokens, control=[self.feed])

    def one(self, pattern: str) -> Path:
        return next(iter(sorted(self.root.glob(pattern))))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


Plant = Callable[[Site], Any]
DATA = "tables/observations/data/*/*.parquet"
LIST = "tables/observations/metadata/snap-*.avro"
MANIFEST = "tables/observations/metadata/*-m0.avro"


@contextmanager
def changed(path: Path, content: bytes | None) -> Iterator[None]:
    """Give a file other content, or take it away, and put it back."""
    before = path.read_bytes() if path.exists() else None
    made = [p for p in path.parents if not p.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)
    yield
    path.unlink(missing_ok=True)
    if before is not None:
        path.write_bytes(before)
    if made:
        shutil.rmtree(made[-1])


def cut(pattern: str) -> Plant:
    return lambda s: changed(s.one(pattern), s.one(pattern).read_bytes()[:200])


def gone(pattern: str) -> Plant:
    return lambda s: changed(s.one(pattern), None)


def rewritten(keep: int, **options: Any) -> Plant:
    def plant(site: Site) -> Any:
        out = io.BytesIO()
        pq.write_table(pq.ParquetFile(site.one(DATA)).read()[:keep], out, **options)
        return changed(site.one(DATA), out.getvalue())

    return plant


def besides(path: str, content: bytes = b"x") -> Plant:
    return lambda s: changed(s.root / path, content)


@contextmanager
def other_key(site: Site) -> Iterator[None]:
    with Warehouse.open(site.root) as warehouse:

        def say(key_id: str) -> None:
            with warehouse.iceberg("orders").transaction() as transaction:
                transaction.set_properties({"lakehouse.key-id": key_id})
            warehouse.refresh_hints(["orders"])

        say("another")
        yield
        say(warehouse.settings.key_id)


@contextmanager
def erased(site: Site) -> Iterator[None]:
    with Warehouse.open(site.root) as warehouse:
        patients = warehouse.iceberg("patients").scan().to_arrow()["patient_id"].to_pylist()
    reading = import_module("lakehouse.verification.stored_values")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "read_tombstones", lambda _: {tombstone(patients[0])})
        yield


@contextmanager
def tokens(site: Site, text: str) -> Iterator[None]:
    with changed(site.tokens, text.encode()):
        yield


def newest(site: Site) -> Path:
    return max(site.root.glob("tables/observations/metadata/0*.metadata.json"))


LEASE = json.dumps({"kind": "ingest", "machine": machine_id(), "pid": 4194304, "started": "1"})

VIOLATIONS: list[tuple[str, str, Plant]] = [
    ("tables-readable", "a manifest is cut", cut(MANIFEST)),
    ("tables-readable", "a manifest list is cut", cut(LIST)),
    ("tables-readable", "the metadata is missing", lambda s: changed(newest(s), None)),
    ("tables-readable", "the metadata is cut", lambda s: changed(newest(s), b"{")),
    ("files-present", "a data file is missing", gone(DATA)),
    ("files-present", "a manifest is missing", gone(MANIFEST)),
    ("files-present", "a manifest list is missing", gone(LIST)),
    ("files-whole", "a data file is cut", cut(DATA)),
    ("files-whole", "rows are missing in a data file", rewritten(2)),
    ("rows-equal-ledger", "rows are missing in a data file", rewritten(2)),
    ("rows-equal-ledger", "a data file is missing", gone(DATA)),
    ("rows-equal-ledger", "the ledger is cut", cut("tables/ingests/data/*/*.parquet")),
    (
        "no-bloom-filters",
        "a Bloom filter",
        rewritten(9, bloom_filter_options={"code": {"ndv": 10, "fpp": 0.01}}),
    ),
    ("no-orphans", "a file that nothing refers to", besides("tables/orders/data/x.parquet")),
    ("no-strangers", "a file in the root", besides("Doe_John.txt")),
    ("no-strangers", "a folder that is no table", besides("tables/nobody/data/x.parquet")),
    ("no-key-inside", "the key", lambda s: changed(s.root / "my.key", s.key.read_bytes())),
    (
        "hints-current",
        "an old hint",
        lambda s: changed(s.root / "tables/orders/metadata/version-hint.text", b"00000-old"),
    ),
    ("one-profile-one-key", "another key", other_key),
    (
        "nothing-interrupted",
        "an ingest that died",
        besides("state/attempts/0000000000001-0123456789ab.lease", LEASE.encode()),
    ),
    ("nothing-interrupted", "an erasure that died", besides("state/forget.json", b"{}")),
    ("erased-stay-erased", "an erased patient is back", erased),
    ("search-can-see", "a token nobody has", lambda s: tokens(s, "Doerfler\nNobody at all\n")),
    ("no-token", "a token", besides("cohorts/x.json", b'{"name": "DOERFLER"}')),
    (
        "no-token",
        "what cannot be decoded",
        besides("cohorts/x.json", b"\x1f\x8bno gzip at all"),
    ),
]


def test_a_sound_warehouse_passes_every_check(site: Site) -> None:
    report = site.report()
    assert report.passed, [c for c in report.checks if c.findings]
    assert {c.id for c in report.checks} == {v[0] for v in VIOLATIONS}, "plant one for each check"
    assert not any(c.notes for c in report.checks)


@pytest.mark.parametrize(
    ("check", "what", "plant"), VIOLATIONS, ids=lambda v: "" if callable(v) else v
)
def test_a_planted_violation_is_found(site: Site, check: str, what: str, plant: Plant) -> None:
    with plant(site):
        report = site.report()
    findings = {c.id: c.findings for c in report.checks}
    assert findings[check], findings
    assert not report.passed
    shown = report.to_json() + report.to_html()
    assert "Doe_John" not in shown and "Doerfler" not in shown.replace(str(site.root.parent), "")


def test_findings_name_our_own_files(site: Site) -> None:
    name = site.one(DATA).relative_to(site.root).as_posix()
    with gone(DATA)(site):
        (check,) = [c for c in site.report().checks if c.id == "files-present"]
    assert check.findings == (f"{name} is missing",)
    with besides("cohorts/x.json", b"Doerfler")(site):
        (check,) = [c for c in site.report().checks if c.id == "no-token"]
    assert any(f.endswith("in cohorts/x.json, bytes") for f in check.findings)


def test_a_number_that_equals_a_token_is_noted(site: Site) -> None:
    """Record numbers of few digits are results as well; a person must judge."""
    feed = site.feed / "y.hl7"
    message = (site.feed / "x.hl7").read_text().split("MSH")[1].replace("||0|mg", "||7310042|mg")
    with changed(feed, f"MSH{message}MSH{message.replace('R01|0', 'R01|9')}".encode()):
        root = site.root.with_name("other")
        lakehouse.init(root, key_file=site.key)
        lakehouse.ingest(feed, root, key_file=site.key, show_progress=False)
        with tokens(site, "7310042"):
            report = verify(root, tokens=site.tokens, control=[feed])
    assert report.passed
    (check,) = [c for c in report.checks if c.id == "no-token"]
    assert any("numbers of value_number: judge it" in n for n in check.notes)
    assert "To be judged" in report.to_html()


def test_an_ingest_at_work_is_noted(site: Site) -> None:
    from lakehouse.storage.transactions.transaction import IngestTransaction

    with Warehouse.open(site.root) as warehouse, IngestTransaction(warehouse, "running"):
        report = site.report()
    assert report.passed
    assert [c.id for c in report.checks if c.notes] == ["nothing-interrupted"]


def test_tokens_and_control_need_each_other(site: Site, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="seen to find"):
        verify(site.root, tokens=site.tokens)
    for arguments in ({"control": [site.feed]}, {"also": [site.feed]}):
        with pytest.raises(UserError, match="nothing to search for"):
            verify(site.root, **arguments)  # type: ignore[arg-type]
    for text in ("", "Ng\n"):
        (tmp_path / "tokens").write_text(text)
        with pytest.raises(UserError):
            verify(site.root, tokens=tmp_path / "tokens", control=[site.feed])
    assert os.listdir(tmp_path) == ["tokens"]
