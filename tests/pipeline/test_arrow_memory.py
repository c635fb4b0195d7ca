"""Memory follows the batch, not the number of files: what is known of each file is held packed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from lakehouse.pipeline import reading
from lakehouse.pipeline.reading import ReadOptions, read_files
from lakehouse.privacy.keys.secret import Secret
from lakehouse.sources.discover import discover
from lakehouse.storage.warehouse import Warehouse
from lakehouse.synth.writers.dicom.encode import part10

CT = "1.2.840.10008.5.1.4.1.1.2"
FEW, MANY = 20_000, 50_000
KILOBYTES_A_FILE = 1.5
"""Most that a further file may add to the peak: it was 4.0 when files were held as objects, and
rows until they came to 96 MB. What is left is the packed list and the ledger, 0.2, and what a peak
differs from one run to the next, 24 MB at most."""

_INGEST = """
import sys, lakehouse
report = lakehouse.ingest(sys.argv[1], sys.argv[2], engine="local", show_progress=False)
assert report.n_files == report.rows["imaging_instances"] == int(sys.argv[3])
print(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1])
"""


def objects(folder: Path, count: int) -> Path:
    """Write that many small images of many patients, a thousand a folder."""
    for number in range(count):
        uid = f"1.2.826.0.1.{number + 1}"
        elements = {
            0x00080016: ("UI", CT),
            0x00080018: ("UI", uid),
            0x00080020: ("DA", "20240105"),
            0x00080060: ("CS", "CT"),
            0x00080070: ("LO", "SIEMENS"),
            0x00100020: ("LO", f"P{number // 50}"),
            0x00180050: ("DS", f"{number % 7}.5"),
            0x0020000D: ("UI", f"1.2.826.0.2.{number // 50}"),
            0x0020000E: ("UI", f"1.2.826.0.3.{number // 50}"),
            0x00200013: ("IS", f"{number % 50}"),
        }
        path = folder / f"{number // 1000:04d}" / f"{number:08d}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(part10(CT, uid, elements, "TEST"))
    return folder


def peak(folder: Path, warehouse: Warehouse, count: int) -> int:
    """Return the kilobytes that an ingest in a process of its own took at most.

    ``ru_maxrss`` would not do: a child begins with that of its parent.
    """
    command = [sys.executable, "-c", _INGEST, str(folder), warehouse.path, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the peak is read from /proc")
def test_a_further_file_adds_next_to_nothing_to_the_peak(
    tmp_path: Path, new_warehouse: Callable[..., Warehouse]
) -> None:
    pytest.importorskip("pydicom")
    few = peak(objects(tmp_path / "few", FEW), new_warehouse("one"), FEW)
    many = peak(objects(tmp_path / "many", MANY), new_warehouse("two"), MANY)
    assert (many - few) / (MANY - FEW) < KILOBYTES_A_FILE, (few, many)


def test_what_is_known_of_files_read_together_is_given_up_as_they_end(
    tmp_path: Path, secret: Secret, plugin: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "FILES_PER_RUN", 5)
    for number in range(12):
        card = f"CARD DOE-{number};2024-03-02;{number}.5\n"
        (tmp_path / f"{number:02}.card").write_bytes(card.encode().ljust(64))
    files = discover(tmp_path, secret).files
    taken: list[int] = []

    def told() -> None:
        taken.append(len(taken))

    plugin.on_record.append(told)
    ended = [
        (len(p.reports), len(taken))
        for p in read_files(files, ReadOptions("x"), secret)
        if p.reports
    ]
    assert ended == [(5, 5), (5, 10), (2, 12)]
