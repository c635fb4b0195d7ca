"""From files to tables: every file ends as rows, as a reject, or as not recognised."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import resource
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import lakehouse
from lakehouse.errors import InputError, KeyFileError, UserError, WarehouseError
from lakehouse.pipeline.reading import ReadOptions, read_files
from lakehouse.pipeline.replay import replay
from lakehouse.pipeline.reports import Tally
from lakehouse.privacy.keys.secret import Secret
from lakehouse.query.lakehouse import Lakehouse
from lakehouse.sources.discover import discover
from lakehouse.storage.warehouse import Warehouse

Rows = Callable[[Warehouse], dict[str, list[Any]]]

SECRET_NAME = "DOE-7788"

ADMISSION = (
    "MSH|^~\\&|ADT|MERCY|LAKE|MERCY|20240115083000||ADT^A01|C1|P|2.5\r"
    "PID|1||100001^^^MERCY^MR||Doe^Jane||19800101|F\r"
)


def lines(*body: str) -> bytes:
    return "\n".join(("LINES", *body, "")).encode()


def line(number: int, value: float = 1.0) -> str:
    return f"{SECRET_NAME}-{number};2024-03-{number % 28 + 1:02};{value}"


def card(number: int, tail: bytes = b"") -> bytes:
    return f"CARD {line(number)}\n".encode().ljust(64) + tail


def table(warehouse: Warehouse, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = warehouse.iceberg(name).scan().to_arrow().to_pylist()
    return rows


@pytest.fixture
def feed(tmp_path: Path, plugin: ModuleType) -> Path:
    """An empty folder for input."""
    folder = tmp_path / "feed"
    folder.mkdir()
    return folder


@pytest.fixture
def warehouse(new_warehouse: Callable[..., Warehouse]) -> Warehouse:
    return new_warehouse()


def test_records_rejects_and_warnings_are_stored_and_counted(
    feed: Path, warehouse: Warehouse
) -> None:
    (feed / "a.lines").write_bytes(lines(*map(line, range(10)), "bad", f"warn;{line(11)}"))
    report = lakehouse.ingest(feed, warehouse)
    assert (report.n_files, report.n_records, report.n_rejects, report.n_warnings) == (1, 12, 1, 1)
    assert report.rows == {"observations": 11, "records": 11, "rejects": 2}
    (entry,) = table(warehouse, "ingest_files")
    assert (entry["status"], entry["format"], entry["n_records"]) == ("done", "lines", 12)
    (ingest,) = table(warehouse, "ingests")
    assert ingest["ingest_id"] == report.ingest_id
    assert json.loads(ingest["n_rows"]) == report.rows
    rejects = {r["rule"]: r for r in table(warehouse, "rejects")}
    assert rejects["lines.bad"]["record_ordinal"] == 10
    assert rejects["lines.bad"]["file_id"] == entry["file_id"]
    assert rejects["lines.odd"]["level"] == "warning"


def test_nothing_identifying_is_stored(feed: Path, warehouse: Warehouse) -> None:
    (feed / "DOE_JANE.lines").write_bytes(lines(line(1), "bad", line(2), "crash"))
    lakehouse.ingest(feed, warehouse)
    stored = repr([table(warehouse, n) for n in warehouse.tables()])
    assert "DOE" not in stored
    assert "2024-03" not in stored  # the true dates of the lines


def test_the_same_again_changes_no_row(feed: Path, warehouse: Warehouse, rows_of: Rows) -> None:
    (feed / "a.lines").write_bytes(lines(line(1), "bad"))
    (feed / "b").write_bytes(b"nobody knows this")
    (feed / "c.lines").write_bytes(lines(line(2), line(3), line(4), line(5), line(6), "crash"))
    lakehouse.ingest(feed, warehouse)
    before = rows_of(warehouse)
    snapshots = warehouse.snapshots("records").num_rows
    report = lakehouse.ingest(feed, warehouse)
    assert (report.ingest_id, report.n_files, report.n_known) == (None, 0, 2)
    assert report.n_unrecognised == 1
    assert list(report.unrecognised.values()) == [(str(feed), False)]
    (feed / "a.lines").rename(feed / "renamed.lines")
    (feed / "copy.gz").write_bytes(gzip.compress((feed / "c.lines").read_bytes()))
    assert lakehouse.ingest(feed, warehouse).n_known == 3
    assert rows_of(warehouse) == before
    assert warehouse.snapshots("records").num_rows == snapshots


def test_a_content_that_comes_twice_is_stored_once(feed: Path, warehouse: Warehouse) -> None:
    for name in ("a.lines", "b.lines", "sub.lines"):
        (feed / name).write_bytes(lines(line(1)))
    report = lakehouse.ingest(feed, warehouse)
    assert (report.n_files, report.n_known, report.rows["records"]) == (1, 2, 1)


def test_a_parser_that_fails_takes_no_neighbour_along(feed: Path, warehouse: Warehouse) -> None:
    (feed / "1.lines").write_bytes(lines(line(1)))
    (feed / "2.lines").write_bytes(lines(*map(line, range(10, 15)), "crash", line(16)))
    (feed / "3.lines").write_bytes(lines(line(3)))
    report = lakehouse.ingest(feed, warehouse)
    assert report.n_unreadable == 1
    # of the second file, the batch before the fault landed
    assert report.rows == {"observations": 6, "records": 6, "rejects": 1}
    (reject,) = table(warehouse, "rejects")
    assert (reject["record_ordinal"], reject["rule"]) == (-1, "lines.unreadable")
    assert SECRET_NAME not in repr(reject)
    states = sorted(f["status"] for f in table(warehouse, "ingest_files"))
    assert states == ["done", "done", "unreadable"]


def test_files_read_together_fail_alone(feed: Path, warehouse: Warehouse) -> None:
    for number in range(13):
        (feed / f"{number:02}.card").write_bytes(card(number))
    (feed / "07.card").write_bytes(b"CARD crash\n".ljust(64))
    (feed / "11.card").write_bytes(b"CARD bad\n".ljust(64))
    report = lakehouse.ingest(feed, warehouse)
    assert (report.n_files, report.n_unreadable, report.n_rejects) == (13, 1, 1)
    assert (report.n_records, report.rows["records"]) == (12, 11)
    by_rule = {r["rule"]: r for r in table(warehouse, "rejects")}
    assert set(by_rule) == {"cards.unreadable", "cards.bad"}
    refused = {r["file_id"] for r in by_rule.values()}
    assert refused.isdisjoint(r["file_id"] for r in table(warehouse, "records"))
    counted = {f["file_id"]: f for f in table(warehouse, "ingest_files")}
    assert counted[by_rule["cards.bad"]["file_id"]]["n_rejects"] == 1
    assert sum(f["n_records"] for f in counted.values()) == 12


def test_a_file_whose_records_went_down_with_another_file_says_so(
    feed: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch may end inside a file; what the parser holds of it goes when the next file fails."""
    from lakehouse.formats.dicom import reader

    flat = [{"study_instance_uid": f"1.2.{n}", "modality": "CT"} for n in range(3)]
    (feed / "a.json").write_text("\n".join(map(json.dumps, flat)))
    (feed / "d.json").write_text(json.dumps(flat[0] | {"patient_id": SECRET_NAME}))
    (feed / "c.dcm").write_bytes(bytes(128) + b"DICM" + bytes(200))
    monkeypatch.setattr(reader, "BATCH_RECORDS", 2)
    with monkeypatch.context() as patch:
        patch.setattr(reader, "read_header", lambda *_: [][0])  # a fault of this software
        report = lakehouse.ingest(feed, warehouse)
    assert (report.n_unreadable, report.rows["imaging_instances"]) == (2, 3)
    states = {f["n_records"]: f["status"] for f in table(warehouse, "ingest_files")}
    assert states == {2: "unreadable", 1: "done", 0: "unreadable"}
    assert {r["rule"] for r in table(warehouse, "rejects")} == {"dicom.unreadable"}
    assert replay(feed, warehouse).rows["imaging_instances"] == 1
    stored = [r["study_uid"] for r in table(warehouse, "imaging_instances")]
    assert len(stored) == 4


def test_formats_mix_in_one_ingest(feed: Path, warehouse: Warehouse) -> None:
    for number in range(12):
        data = card(number) if number % 3 else lines(line(number))
        (feed / f"{number:02}").write_bytes(data)
    report = lakehouse.ingest(feed, warehouse)
    assert (report.n_files, report.rows["records"]) == (12, 12)
    assert {r["format"] for r in table(warehouse, "records")} == {"cards", "lines"}


def test_the_figures_for_the_bar_add_up_and_come_as_it_goes(
    feed: Path, secret: Secret, key_file: Path
) -> None:
    for number in range(12):
        (feed / f"{number:02}.card").write_bytes(card(number))
    (feed / "03.card").write_bytes(b"CARD crash\n".ljust(64))
    (feed / "90.lines").write_bytes(lines(*map(line, range(20_000))))
    (feed / "91.txt").write_bytes(b"nobody knows this")
    files = discover(feed, secret).files
    tallies = [p.tally for p in read_files(files, ReadOptions("x"), secret)]
    total = sum(tallies, Tally())
    assert (total.files, total.bytes) == (len(files), sum(f.content_size for f in files))
    assert total.records == 11 + 20_000
    assert sum(t.bytes > 0 for t in tallies) > 5  # a large file is not silent until its end


def test_what_no_format_knows_is_in_the_ledger(feed: Path, warehouse: Warehouse) -> None:
    (feed / "notes.txt").write_bytes(b"call back Mr DOE")
    (feed / "empty").touch()
    report = lakehouse.ingest(feed, warehouse)
    assert (report.n_files, report.n_unrecognised, report.rows) == (2, 2, {})
    assert {f["status"] for f in table(warehouse, "ingest_files")} == {"not-recognised"}


def unknown(feed: Path) -> None:
    """Write six contents that no format knows: one of them twice, two in an archive."""
    (feed / f"{SECRET_NAME}.txt").write_text('{"resourceType": "Patient"}')
    (feed / "again.txt").write_text('{"resourceType": "Patient"}')
    (feed / "table.dat").write_text("id,sex\n1,F\n2,M\n")
    (feed / "letter").write_bytes(b"%PDF-1.7")
    (feed / "packed.csv.gz").write_bytes(gzip.compress(b"id;sex\n3;F\n"))
    with zipfile.ZipFile(feed / "outer.zip", "w") as outer:
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w") as archive:
            archive.writestr(f"{SECRET_NAME}.xml", '<ClinicalDocument xmlns="urn:hl7-org:v3"/>')
        outer.writestr("inner.zip", inner.getvalue())
        outer.writestr("notes", "words")


KINDS = {"CSV": 2, "FHIR": 1, "PDF": 1, "C-CDA": 1, "plain text": 1}


def test_files_of_no_known_format_are_counted_by_what_they_look_like(
    feed: Path, warehouse: Warehouse
) -> None:
    """The same whenever they are met, and no longer once a named format has read one."""
    unknown(feed)
    for _ in range(2):
        report = lakehouse.ingest(feed, warehouse)
        assert (report.unrecognised_kinds, report.has_recognised) == (KINDS, False)
        assert SECRET_NAME not in repr(report)
    (feed / "a.txt").write_bytes(lines(line(1)))
    assert lakehouse.ingest(feed, warehouse).has_recognised
    assert lakehouse.ingest(feed / "a.txt", warehouse).has_recognised, "known already"
    (feed / "table.dat").write_bytes(lines(line(3)).removeprefix(b"LINES"))
    taken = lakehouse.ingest(feed / "table.dat", warehouse, format="lines")
    assert (taken.unrecognised_kinds, taken.has_recognised) == ({}, True)
    assert lakehouse.ingest(feed / "table.dat", warehouse).has_recognised


def test_an_archive_that_cannot_be_opened_is_nothing_recognised(
    feed: Path, warehouse: Warehouse
) -> None:
    (feed / "a.gz").write_bytes(b"\x1f\x8b" + bytes(20))
    for _ in range(2):
        report = lakehouse.ingest(feed, warehouse)
        assert (report.has_recognised, report.unrecognised_kinds) == (False, {})


def test_the_list_of_unknown_files_names_each_and_only_its_owner_reads_it(
    feed: Path, warehouse: Warehouse, tmp_path: Path
) -> None:
    unknown(feed)
    (feed / "a.txt").write_bytes(lines(line(1)))
    (feed / os.fsdecode(b"caf\xe9")).write_text("words of it")
    target = tmp_path / "unknown.csv"
    target.write_text("old")
    target.chmod(0o644)
    report = lakehouse.ingest(feed, warehouse, list_unknown=target)
    assert target.stat().st_mode & 0o777 == 0o600
    with target.open(newline="", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    assert {(row["kind"], row["path"], row["member"]) for row in rows} == {
        ("FHIR", f"{feed}/{SECRET_NAME}.txt", ""),
        ("FHIR", f"{feed}/again.txt", ""),
        ("CSV", f"{feed}/table.dat", ""),
        ("CSV", f"{feed}/packed.csv.gz", ""),
        ("PDF", f"{feed}/letter", ""),
        ("C-CDA", f"{feed}/outer.zip", f"inner.zip!{SECRET_NAME}.xml"),
        ("plain text", f"{feed}/outer.zip", "notes"),
        ("plain text", os.fsdecode(f"{feed}/caf".encode() + b"\xe9"), ""),
    }
    assert {row["file_id"] for row in rows} == set(report.unrecognised)
    assert not list(tmp_path.glob("tmp*"))
    again = tmp_path / "again.csv"
    lakehouse.ingest(feed, warehouse, list_unknown=again)
    assert again.read_bytes() == target.read_bytes()


def test_a_list_of_unknown_files_that_cannot_be_is_refused_before_anything_is_done(
    feed: Path, warehouse: Warehouse, tmp_path: Path
) -> None:
    unknown(feed)
    inside = Path(warehouse.path) / "unknown.csv"
    (tmp_path / "link").symlink_to(warehouse.path)
    Path(warehouse.path, "out.csv").symlink_to(tmp_path / "out.csv")
    for target, says in (
        (inside, "inside the warehouse"),
        (tmp_path / "link" / "unknown.csv", "inside the warehouse"),
        (Path(warehouse.path, "out.csv"), "inside the warehouse"),
        (tmp_path / "nowhere" / "unknown.csv", "no such file or directory"),
        (feed, "is a directory"),
    ):
        with pytest.raises(UserError, match=says):
            lakehouse.ingest(feed, warehouse, list_unknown=target)
    assert not inside.exists()
    assert table(warehouse, "ingest_files") == []


def test_what_no_mapping_names_is_summed_by_name(feed: Path, warehouse: Warehouse) -> None:
    """Over files that gave a record; the ledger holds the same."""
    (feed / "a.hl7").write_text(ADMISSION + "NK1|1\rNK1|2\rZBE|1\r", newline="")
    (feed / "b.hl7").write_text(ADMISSION.replace("C1", "C2") + "NK1|1\rDOE|1\r", newline="")
    report = lakehouse.ingest(feed, warehouse)
    assert report.unmapped == {"NK1": 3, "ZBE": 1, "unknown segment": 1}
    ledger = [Counter(json.loads(row["dropped"])) for row in table(warehouse, "ingest_files")]
    assert sum(ledger, Counter()) == report.unmapped
    assert lakehouse.ingest(feed, warehouse).unmapped == {}, "nothing is read"


def test_what_no_format_knew_is_taken_when_one_is_named(feed: Path, warehouse: Warehouse) -> None:
    (feed / "a").write_bytes(lines(line(1), line(2)).removeprefix(b"LINES"))

    def told(**how: Any) -> tuple[bool, int, int, int]:
        report = lakehouse.ingest(feed / "a", warehouse, **how)
        assert list(report.unrecognised.values()) == [(f"{feed}/a", True)] * report.n_unrecognised
        known = (report.n_known, report.n_unrecognised)
        return report.ingest_id is not None, *known, report.rows.get("records", 0)

    assert told() == (True, 0, 1, 0)
    assert told() == (False, 0, 1, 0)
    for other in ("hl7v2", "dicom"):  # it is not of those either, nor stored
        assert told(format=other) == (True, 0, 1, 0)
        assert told(format=other) == (False, 0, 1, 0)
    assert told() == (False, 0, 1, 0)
    with Lakehouse(warehouse.path) as lake:
        rules = lake.sql("SELECT rule, level FROM open_rejects ORDER BY ALL").fetchall()
    assert rules == [
        ("dicom.not-dicom", "record"),
        ("file.not-recognised", "file"),
        ("hl7v2.file.no-message", "warning"),
    ]
    assert told(format="lines") == (True, 0, 0, 2)
    assert told(format="lines") == (False, 1, 0, 0)
    assert told() == (False, 1, 0, 0)
    assert len(table(warehouse, "ingest_files")) == 4
    with Lakehouse(warehouse.path) as lake:
        assert lake.sql("SELECT rule FROM open_rejects").fetchall() == []


def test_what_no_format_knew_is_taken_by_a_version_that_knows_it(
    feed: Path, warehouse: Warehouse, plugin: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    (feed / "a").write_bytes(lines(line(1)))
    with monkeypatch.context() as patch:
        patch.setattr(plugin.Lines, "sniff", lambda self, head: False)
        assert lakehouse.ingest(feed, warehouse).n_unrecognised == 1
    assert lakehouse.ingest(feed, warehouse).rows["records"] == 1
    assert lakehouse.ingest(feed, warehouse).n_known == 1


def test_a_replay_takes_what_no_format_knew(feed: Path, warehouse: Warehouse) -> None:
    (feed / "a").write_bytes(lines(line(1)).removeprefix(b"LINES"))
    lakehouse.ingest(feed, warehouse)
    assert replay(feed, warehouse).ingest_id is None
    assert replay(feed, warehouse, format="lines").rows["records"] == 1
    assert replay(feed, warehouse, format="lines").ingest_id is None
    assert lakehouse.ingest(feed, warehouse).n_known == 1


def test_of_a_packed_file_without_its_end_the_rest_is_stored(
    feed: Path, warehouse: Warehouse
) -> None:
    def message(n: int) -> str:
        return f"MSH|^~\\&|A|B|||20240101||ADT^A04|{n}|P|2.5\rPID|1||{n}^^^H^MR\r"

    whole = "".join(map(message, range(100_000))).encode()  # more than one batch holds
    (feed / "a.hl7.gz").write_bytes(gzip.compress(whole, 1)[:-5000])
    (feed / "b.hl7").write_text(message(-1))
    report = lakehouse.ingest(feed, warehouse)
    kept = report.rows["records"] - 1
    assert report.n_unreadable == 1 and 90_000 < kept < 100_000
    rejects = table(warehouse, "rejects")
    assert {(r["rule"], r["record_ordinal"], r["level"]) for r in rejects} == {
        ("archive.unreadable", -1, "record"),
        ("hl7v2.message.cut-off", kept, "record"),
    }
    assert lakehouse.ingest(feed, warehouse).ingest_id is None


def test_a_damaged_packing_is_a_reject(feed: Path, warehouse: Warehouse) -> None:
    packed = bytearray(gzip.compress(lines(*map(line, range(999)))))
    packed[-6] ^= 0xFF  # in the checksum
    (feed / "a.lines.gz").write_bytes(packed)
    (feed / "b.lines").write_bytes(lines(line(1)))
    report = lakehouse.ingest(feed, warehouse)
    assert (report.n_unreadable, report.rows["records"]) == (1, 1)
    (reject,) = table(warehouse, "rejects")
    assert reject["rule"] == "archive.unreadable"


def test_a_format_can_be_forced(feed: Path, warehouse: Warehouse) -> None:
    (feed / "a").write_bytes(lines(line(1)).removeprefix(b"LINES"))
    assert lakehouse.ingest(feed, warehouse, format="lines").rows["records"] == 1
    with pytest.raises(UserError, match="no format named line"):
        lakehouse.ingest(feed, warehouse, format="line")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.lines", "a.card"])
@pytest.mark.parametrize("how", ["grows", "shrinks", "replaced", "vanishes"])
def test_a_file_that_changes_while_it_is_read_ends_the_ingest(
    how: str, name: str, feed: Path, warehouse: Warehouse, plugin: ModuleType, rows_of: Rows
) -> None:
    path = feed / name
    data = lines(*map(line, range(30_000))) if name.endswith("lines") else card(1, os.urandom(9000))
    path.write_bytes(data)
    (feed / "b.lines").write_bytes(lines(line(99)))
    empty = rows_of(warehouse)

    def change() -> None:
        plugin.on_record.clear()
        if how == "grows":
            with path.open("ab") as more:
                more.write(b"more\n")
        elif how == "shrinks":
            os.truncate(path, len(data) // 2)
        elif how == "replaced":
            other = feed.parent / "other"
            other.write_bytes(data.replace(b"DOE", b"ROE"))
            other.replace(path)
        else:
            path.unlink()

    plugin.on_record.append(change)
    whole = name == "a.lines" and how in ("replaced", "vanishes")
    if whole:
        # The open file is still what it was: its digest proves it, and it may be stored.
        assert lakehouse.ingest(feed, warehouse).rows["records"] == 30_001
        return
    with pytest.raises(InputError) as caught:
        lakehouse.ingest(feed, warehouse)
    assert str(feed) in caught.value.problem
    assert name not in str(caught.value)
    assert rows_of(warehouse) == empty
    assert orphans(warehouse) == []
    if path.exists():
        path.write_bytes(data)
    plugin.on_record.clear()
    records = {"a.lines": 30_001, "a.card": 2}[name] if path.exists() else 1
    assert lakehouse.ingest(feed, warehouse).rows["records"] == records


def orphans(warehouse: Warehouse) -> list[str]:
    """Return data files that no table refers to."""
    root = Path(warehouse.path)
    lying = {str(p) for p in root.rglob("*.parquet")}
    for name in warehouse.tables():
        live = warehouse.iceberg(name).inspect.all_data_files()["file_path"].to_pylist()
        lying -= set(live)
    return sorted(lying)


def test_a_file_that_vanishes_before_its_turn_ends_the_ingest(
    feed: Path, warehouse: Warehouse, plugin: ModuleType
) -> None:
    (feed / "a.lines").write_bytes(lines(line(1)))
    (feed / "b.lines").write_bytes(lines(line(2)))
    plugin.on_record.append(lambda: (feed / "b.lines").unlink(missing_ok=True))
    with pytest.raises(InputError, match="vanished"):
        lakehouse.ingest(feed, warehouse)
    assert lakehouse.ingest(feed, warehouse).rows["records"] == 1


def test_a_wrong_key_is_refused(feed: Path, warehouse: Warehouse, tmp_path: Path) -> None:
    (feed / "a.lines").write_bytes(lines(line(1)))
    Secret.create(tmp_path / "other.key")
    with pytest.raises(WarehouseError, match="second pseudonym"):
        lakehouse.ingest(feed, warehouse, key_file=tmp_path / "other.key")
    with pytest.raises(KeyFileError):
        lakehouse.ingest(feed, warehouse, key_file=tmp_path / "missing.key")


@pytest.mark.parametrize(
    ("option", "value", "hint"),
    [
        ("engine", "locl", "local"),
        ("time_zone", "Europe/Zurick", "Europe/Zurich"),
        ("format", "linez", "lines"),
    ],
)
def test_a_wrong_option_tells_the_near_names(
    option: str, value: str, hint: str, feed: Path, warehouse: Warehouse
) -> None:
    (feed / "a.lines").write_bytes(lines(line(1)))
    with pytest.raises(UserError, match=hint):
        lakehouse.ingest(feed, warehouse, **{option: value})  # type: ignore[arg-type]
    assert lakehouse.ingest(feed, warehouse).rows["records"] == 1


def test_a_folder_that_is_no_warehouse_is_refused(feed: Path, tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="lakehouse init"):
        lakehouse.ingest(feed, tmp_path / "nowhere")


# ------------------------------------------------------------------ replay


def test_a_replay_stores_what_passes_now_and_doubles_nothing(
    feed: Path, warehouse: Warehouse, plugin: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    (feed / "a.lines").write_bytes(lines(line(1), "bad", line(3), "bad", line(5)))
    (feed / "b.lines").write_bytes(lines(*map(line, range(10, 15)), "crash", line(16)))
    (feed / "c.lines").write_bytes(lines(line(20)))
    (feed / "d.card").write_bytes(b"CARD bad\n".ljust(64))
    first = lakehouse.ingest(feed, warehouse)
    assert (first.rows["records"], first.n_rejects, first.n_unreadable) == (8, 3, 1)
    assert replay(feed, warehouse).ingest_id is None  # nothing has been mended

    parse = plugin.Lines.parse

    def mended(self: Any, stream: Any, source: Any) -> Any:
        body = stream.read().replace(b"\nbad\n", f"\n{line(2)}\n".encode(), 1)
        return parse(self, io.BytesIO(body.replace(b"crash", line(15).encode())), source)

    with monkeypatch.context() as patch:
        patch.setattr(plugin.Lines, "parse", mended)
        report = replay(feed, warehouse)
        # one `bad` of two, and of the broken file the fifth, sixth and seventh record
        # and notes on the reject of a.lines and on that of the broken file
        assert report.rows == {"observations": 4, "records": 4, "rejects": 2}
        assert (report.n_records, report.n_rejects) == (4, 0)
        again = replay(feed, warehouse)
        assert (again.ingest_id, again.rows) == (None, {})
    records = table(warehouse, "records")
    assert len({r["record_id"] for r in records}) == len(records) == 12
    ledger = table(warehouse, "ingest_files")
    assert sum(f["n_records"] - f["n_rejects"] for f in ledger) == 12
    assert len({f["file_id"] for f in ledger}) == 4
    assert sum(f["bytes"] for f in ledger) == sum(f.stat().st_size for f in feed.iterdir())
    rejects = table(warehouse, "rejects")
    assert sum(r["level"] != "settled" for r in rejects) == 4  # what happened stays on record
    with Lakehouse(warehouse.path) as lake:
        still = lake.sql("SELECT rule, record_ordinal, level FROM open_rejects ORDER BY ALL")
        assert still.fetchall() == [("cards.bad", 0, "record"), ("lines.bad", 3, "record")]


def test_a_replay_of_files_that_the_warehouse_does_not_know_does_nothing(
    feed: Path, warehouse: Warehouse
) -> None:
    (feed / "a.lines").write_bytes(lines(line(1), "bad"))
    assert replay(feed, warehouse).ingest_id is None
    assert table(warehouse, "records") == []


# ------------------------------------------------------------------ HL7, and the cold start


@pytest.mark.parametrize("profile", ["safe_harbor", "limited"])
def test_the_tutorial_messages(
    profile: str, shared_data: Path, new_warehouse: Callable[..., Warehouse]
) -> None:
    warehouse = new_warehouse(profile=profile, data_use_agreement="DUA-1")
    report = lakehouse.ingest(shared_data / "hl7v2" / "tutorial", warehouse)
    assert (report.n_files, report.n_records, report.n_rejects) == (3, 300, 0)
    expected = {"records": 300, "patients": 300, "observations": 100, "medications": 100}
    assert report.rows == expected


def test_a_cold_start_takes_under_five_seconds(
    shared_data: Path, new_warehouse: Callable[..., Warehouse]
) -> None:
    warehouse = new_warehouse()
    source = shared_data / "hl7v2" / "tutorial" / "hl7_batch_000000.hl7"
    code = (
        "import sys, lakehouse\n"
        "report = lakehouse.ingest(sys.argv[1], sys.argv[2])\n"
        "assert report.n_records == 100, report\n"
        "assert 'ray' not in sys.modules"
    )
    # Processor time: it is one process, and the machine may have other things to do.
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code, str(source), warehouse.path], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 5


def test_import_is_quick() -> None:
    def seconds() -> float:
        code = (
            "import time; t = time.perf_counter(); import lakehouse; print(time.perf_counter() - t)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        return float(done.stdout)

    assert min(seconds() for _ in range(3)) < 0.2
