"""The three templates of the tutorial, 10,000 messages in 100 files: all stored, none rejected."""

from __future__ import annotations

from pathlib import Path

import pytest

import lakehouse
from lakehouse.privacy.keys.secret import Secret
from lakehouse.synth import tutorial


def from_the_templates(folder: Path, sample_data: Path) -> None:
    """Write the tutorial's own three messages again and again, under fresh control ids."""
    first = sorted((sample_data / "hl7v2" / "tutorial").iterdir())[0].read_bytes()
    templates = [t + b"\r\n\r\n" for t in first.split(b"\r\n\r\n")][:3]
    folder.mkdir()
    for file in range(100):
        texts = []
        for number in range(file * 100, file * 100 + 100):
            fields = templates[number % 3].split(b"|")
            fields[9] = b"%d" % (500_000 + number)
            texts.append(b"|".join(fields))
        (folder / f"{file:03d}.hl7").write_bytes(b"".join(texts))


@pytest.mark.parametrize("origin", ["our own of the same shapes", "the tutorial's"])
def test_ten_thousand_messages_of_the_tutorials_templates(
    origin: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = tmp_path / "feed"
    if origin == "the tutorial's":
        from_the_templates(feed, request.getfixturevalue("shared_data"))
    else:
        tutorial.write(feed)
    assert len(list(feed.iterdir())) == 100
    Secret.create(tmp_path / "key")
    monkeypatch.setenv("LAKEHOUSE_KEY_FILE", str(tmp_path / "key"))
    lakehouse.init(tmp_path / "warehouse")
    report = lakehouse.ingest(feed, tmp_path / "warehouse", engine="local", show_progress=False)
    assert report.rows == {
        "medications": 3_333,
        "observations": 3_333,
        "patients": 10_000,
        "records": 10_000,
    }
    assert (report.n_records, report.n_rejects, report.n_warnings) == (10_000, 0, 0)
    again = lakehouse.ingest(feed, tmp_path / "warehouse", engine="local", show_progress=False)
    assert again.ingest_id is None and again.n_known == 100
