"""No token of the canary corpus is anywhere: tables, files, logs, terminal, Ray's folders."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lakehouse.privacy.keys.secret import Secret
from lakehouse.verification import VerifyReport, verify
from tests.verification.canary import build


class Site:
    """A place with a key, a feed of canaries and the outputs of every command."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.feed = place / "feed"
        self.outputs = place / "outputs"
        self.warehouse = place / "warehouse"
        self.key = place / "keys" / "key"
        for folder in (self.feed, self.outputs, self.key.parent):
            folder.mkdir(parents=True)
        Secret.create(self.key)
        corpus = build()
        half = len(corpus.messages) // 2
        name = corpus.token()  # file names hold identifiers too
        (self.feed / f"{name}.hl7").write_text("".join(corpus.messages[:half]), newline="")
        (self.feed / "b.hl7").write_text("".join(corpus.messages[half:]), newline="")
        self.tokens = place / "tokens.txt"
        self.tokens.write_text("\n".join(corpus.tokens))
        self.n_tokens = len(corpus.tokens)

    def run(self, *command: str, **environment: str) -> int:
        """Run the CLI in a process of its own; what it prints is kept."""
        env = (
            os.environ
            | environment
            | {
                "LAKEHOUSE_KEY_FILE": str(self.key),
                "HOME": str(self.place),
                "RAY_USAGE_STATS_ENABLED": "0",
            }
        )
        done = subprocess.run(
            [sys.executable, "-m", "lakehouse.cli", *command, "--warehouse", str(self.warehouse)],
            capture_output=True,
            env=env,
            cwd=self.place,
            check=False,
        )
        number = len(list(self.outputs.iterdir()))
        (self.outputs / f"{number}").write_bytes(done.stdout + b"\n" + done.stderr)
        return done.returncode

    def report(self, *also: Path) -> VerifyReport:
        return verify(
            self.warehouse, tokens=self.tokens, control=[self.feed], also=[self.outputs, *also]
        )


POINTS = ["writing:observations", "journal-written", "before-ledger"]
"""Where an ingest is killed."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def assert_clean(report: VerifyReport) -> None:
    assert [f for c in report.checks for f in c.findings][:20] == []
    assert [c for c in report.columns if c.findings] == []
    seen = {c.id: c.checked for c in report.checks}
    assert seen["search-can-see"] > 2_000 and seen["no-token"] > 100_000


def assert_unseen(report: VerifyReport) -> None:
    """No token in what a killed ingest left: its lease, claims, journal, half-written files.

    Of a half-written file the pages are searched, and that it cannot be read is a finding.
    """
    found = {c.id: c.findings for c in report.checks}
    assert found["search-can-see"] == ()
    assert [f for f in found["no-token"] if "cannot be decoded" not in f] == []
    assert found["nothing-interrupted"]
    assert [c for c in report.columns if c.findings] == []


@pytest.mark.slow
def test_no_token_survives_an_ingest(site: Site) -> None:
    assert site.run("ingest", str(site.feed), "--engine", "local") == 0
    assert site.run("rejects") == 0
    assert site.run("sql", "SELECT * FROM observations") == 0
    assert_clean(site.report())


@pytest.mark.slow
def test_no_token_survives_failures(site: Site) -> None:
    """Killed at the worst places, refused queries, unreadable files, wrong keys."""
    (site.feed / "c.hl7").write_text(
        (site.feed / "b.hl7").read_text().replace("P|2", "T|2"), newline=""
    )
    for point in POINTS:
        assert site.run("ingest", str(site.feed), LAKEHOUSE_CRASH_AT=point) != 0
        assert_unseen(site.report())  # before anything is cleared up
    os.truncate(site.feed / "c.hl7", 5_000)
    assert site.run("ingest", str(site.feed)) == 0
    assert site.run("sql", "SELECT code::INTEGER FROM observations") != 0
    assert site.run("sql", "SELECT nonsense FROM patients") != 0
    assert site.run("ingest", str(site.feed / "b.hl7"), "--format", "dicom") in (0, 2)
    report = site.report()
    findings = [f for c in report.checks for f in c.findings if c.id != "no-orphans"]
    assert findings == []


@pytest.mark.ray
def test_no_token_in_rays_folders(site: Site) -> None:
    # A folder of its own, for other clusters run at the same time; short, for it holds sockets.
    with tempfile.TemporaryDirectory() as folder:
        command = ("ingest", str(site.feed), "--engine", "ray")
        assert site.run(*command, RAY_TMPDIR=folder) == 0
        (session,) = Path(folder).glob("**/session_2*")
        assert_clean(site.report(session))


@pytest.mark.slow
def test_a_token_that_is_there_is_found(site: Site) -> None:
    """The search itself: put one token into each kind of file and see it reported."""
    import gzip
    import sqlite3

    import pyarrow as pa
    import pyarrow.parquet as pq

    assert site.run("init") == 0
    token = site.tokens.read_text().splitlines()[3]
    root = site.warehouse
    pq.write_table(pa.table({"a": [token]}), root / "x.parquet")
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata({"k": token}), root / "y.parquet")
    (root / "z.gz").write_bytes(gzip.compress(token.lower().encode()))
    (root / f"{token}.log").write_text("")
    (root / "r.txt").write_text(token[::-1])
    (root / "h.txt").write_text(token.encode().hex())
    (root / "s.txt").write_text("-".join(token))
    with sqlite3.connect(root / "other.db") as database:
        database.execute("CREATE TABLE t (v BLOB)")
        database.execute("INSERT INTO t VALUES (?)", (token,))
    database.close()
    (check,) = [c for c in site.report().checks if c.id == "no-token"]
    places = {f.partition(" in ")[2].partition(",")[0] for f in check.findings}
    assert len(places) == 8, check.findings


@pytest.mark.slow
def test_a_token_in_a_file_cut_short_is_found(site: Site) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    assert site.run("init") == 0
    token = site.tokens.read_text().splitlines()[3]
    whole = site.warehouse / "x.parquet"
    pq.write_table(pa.table({"a": [token] * 9}), whole, compression="zstd")
    whole.write_bytes(whole.read_bytes()[:-60])
    (check,) = [c for c in site.report().checks if c.id == "no-token"]
    assert any("parquet: pages" in f for f in check.findings), check.findings
    assert any("cannot be decoded" in f for f in check.findings)
