from __future__ import annotations

from collections import Counter

import hl7

from lakehouse.synth import tutorial


def places(message: str) -> list[tuple[str, int]]:
    """Which fields of which segments are filled."""
    return [
        (segment[:3], number)
        for segment in message.strip().split("\r")
        for number, field in enumerate(segment.split("|"))
        if field
    ]


def test_ten_thousand_messages_in_a_hundred_files(tmp_path):
    assert tutorial.write(tmp_path) == 100
    files = sorted(tmp_path.glob("*.hl7"))
    texts = [t for f in files for t in f.read_bytes().decode("ascii").split("\r\n\r\n") if t]
    assert len(files) == 100
    kinds = Counter(t.split("|")[8] for t in texts)
    assert kinds == {"ADT^A01": 3_334, "ORU^R01": 3_333, "RDE^O11": 3_333}
    assert len({t.split("|")[9] for t in texts}) == 10_000
    assert len({t.split("\r")[1].split("|")[3] for t in texts}) == 10_000


def test_messages_have_the_shape_of_the_tutorials(shared_data):
    sample = (shared_data / "hl7v2/tutorial/hl7_batch_000000.hl7").read_bytes().decode()
    theirs = sample.split("\r\n\r\n")[:3]
    for number, their in enumerate(theirs):
        mine = tutorial.message(number)
        assert places(mine) == places(their)
        assert mine.endswith("\r\n\r\n")


def test_python_hl7_reads_them():
    parsed = hl7.parse(tutorial.message(1).strip())
    assert str(parsed["OBX.F3.R1.C1"]) == "GLU"
    assert float(str(parsed["OBX.F5"])) >= 70
