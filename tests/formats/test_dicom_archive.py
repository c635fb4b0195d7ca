"""A whole archive of seven projects: each file ends as a row, or as a reject with a reason."""

from __future__ import annotations

from pathlib import Path

import lakehouse
from lakehouse.privacy.keys.secret import Secret
from lakehouse.sources.discover import discover


def test_every_sample_file_is_a_row_or_a_reject_with_a_reason(
    shared_data: Path, tmp_path: Path, secret: Secret
) -> None:
    place = tmp_path / "warehouse"
    lakehouse.init(place)
    files = {file.file_id for file in discover(shared_data / "dicom", secret).files}
    paths = [p for p in (shared_data / "dicom").rglob("*") if p.is_file()]
    assert len(paths) > 300
    report = lakehouse.ingest(shared_data / "dicom", place, engine="local", show_progress=False)
    assert report.n_files == len(files)
    with lakehouse.open(place) as lake:
        rows = {r[0] for r in lake.sql("SELECT file_id FROM records").fetchall()}
        rejects = lake.sql(
            "SELECT file_id, rule, message FROM open_rejects WHERE level IN ('record', 'file')"
        ).fetchall()
    assert all(rule and message for _, rule, message in rejects)
    refused = {file_id for file_id, _, _ in rejects}
    assert rows | refused == files
    assert not rows & refused
    rules = [rule for _, rule, _ in rejects]
    assert rules.count("file.not-recognised") == 8  # licences, and objects behind a stray byte
    assert rules.count("dicom.directory") == 8
