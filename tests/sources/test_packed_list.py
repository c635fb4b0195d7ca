"""Long lists come out as they went in, and take little memory."""

from __future__ import annotations

import os
import pickle
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from lakehouse.pipeline.reports import FileReport
from lakehouse.sources.input_file import InputFile
from lakehouse.sources.packed_list import RUN, PackedList


@pytest.mark.parametrize("n", [0, 1, RUN - 1, RUN, RUN + 1, 3 * RUN])
def test_items_come_out_in_their_order(n: int) -> None:
    items = PackedList(range(n))
    assert list(items) == list(range(n)) == list(items)
    assert len(items) == n
    assert (n - 1 in items) == (n > 0)
    assert n not in items
    items.append(-1)
    assert list(items)[-1] == -1
    assert list(pickle.loads(pickle.dumps(items))) == list(items)


def files(n: int) -> list[InputFile]:
    return [
        InputFile(
            f"/archive/2024/{i // 100:05d}/{i:08d}.dcm",
            "/archive",
            extension=".dcm",
            members=(i,) if i % 7 == 0 else (),
            size=500_000 + 7 * i,
            stored_size=500_000 + 7 * i,
            content_size=500_000 + 7 * i,
            modified=1_700_000_000_000_000_000 + 1_234_567 * i,
            listed_at=1_710_000_000_000_000_000 + 1_234 * i,
            file_id=os.urandom(16).hex(),
            path_id=os.urandom(16).hex(),
            format="dicom",
            has_fingerprint=True,
        )
        for i in range(n)
    ]


def test_a_name_that_is_no_text_survives() -> None:
    odd = InputFile(os.fsdecode(b"/feeds/\xff\xfe"), "/feeds")
    (found, *_) = PackedList([odd] * RUN)
    assert found == odd
    assert os.fsencode(found.location) == b"/feeds/\xff\xfe"


def test_a_file_and_its_report_take_a_fraction_of_their_objects() -> None:
    n = 20 * RUN
    tracemalloc.start()
    known, reports = PackedList(files(n)), PackedList[FileReport]()
    for file in known:
        counts = Counter({"dicom.elements": 40})
        reports.append(FileReport(file.file_id, file.path_id, "dicom", dropped=counts))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / n < 150  # bytes; as objects it would be 1,300


def test_a_files_pickle_is_the_file(tmp_path: Path) -> None:
    for file in files(8):
        assert pickle.loads(pickle.dumps(file)) == file
