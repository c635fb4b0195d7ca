"""What real files hold: line ends, framing, encodings, delimiters, batches, cut-off ends."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tracemalloc
from collections import Counter

import pytest

from lakehouse.batch import RawBatch, Source
from lakehouse.formats.hl7v2 import FORMAT
from lakehouse.formats.hl7v2.encoding.framing import chunks, looks_like_hl7
from lakehouse.formats.hl7v2.encoding.tokens import Tokens
from lakehouse.quality import validate
from tests.formats.hl7v2.reading import MSH, PID, batches, message, rejects, rows

TWO = message(PID) + message(PID).replace("C1", "C2")


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\r\r", "\n\n\n"])
def test_segment_ends(end: str) -> None:
    data = TWO.replace("\r", end)
    assert [r["control_id"] for r in rows(data, "records")] == ["\x1fC1", "\x1fC2"]
    assert [r["patient_id"] for r in rows(data, "patients")] == ["HOSP\x1f42"] * 2


def test_blank_lines_between_messages_as_the_tutorial_has_them() -> None:
    data = TWO.replace("\rMSH", "\r\n\r\nMSH")
    assert len(rows(data, "records")) == 2 and not rejects(data)


def test_mixed_line_ends_in_one_file() -> None:
    data = message(PID, end="\n") + message(PID, end="\r\n") + message(PID)
    assert len(rows(data, "patients")) == 3


def test_mllp_framing() -> None:
    data = "".join(f"\x0b{m}\x1c\r" for m in (message(PID), message(PID)))
    assert len(rows(data, "patients")) == 2 and not rejects(data)


def test_line_break_inside_a_field_stays_in_its_segment() -> None:
    data = message(PID, "OBX|1|TX|A^B^LN||first line\nsecond|line||||||F|||20240101")
    (row,) = rows(data, "observations")
    # the field separator in the continued line counts: OBX-6 is what follows it
    assert row["code"] == "A" and len(rows(data, "patients")) == 1
    assert (0, "hl7v2.segment.continued", "warning") in rejects(data)


STRAY = ("MSH", "MS", "M", "\x1a", "\x00\x00", "--end--", "2024-01-01 in|x|y|z|w", "# note", "\x0c")


@pytest.mark.parametrize("line", [*STRAY, "BTS$1", "FTS!1!"])
@pytest.mark.parametrize("segment", ["PID|1||42", "PID|1||42|", PID + "|||||||ACC^^^HOSP"])
def test_a_line_that_is_no_segment_changes_no_value(segment: str, line: str) -> None:
    plain = message(segment)
    alone = rows(plain, "patients"), rows(plain, "records")
    for data in (plain + line, plain + line + "\r" + message(PID)):
        assert (rows(data, "patients")[:1], rows(data, "records")[:1]) == alone


@pytest.mark.parametrize("end", ["\x1a", "\x00" * 9, "\x1a\r", "\r\x1a"])
def test_the_end_mark_of_a_file_is_no_value(end: str) -> None:
    assert rows(MSH + "\rPID|1||42" + end, "patients")[0]["patient_id"] == "\x1f42"
    two = MSH + "\rPID|1||42" + end + message(PID)
    assert [r["patient_id"] for r in rows(two, "patients")] == ["\x1f42", "HOSP\x1f42"]


def test_such_lines_are_noted_unless_they_only_fill() -> None:
    for line in STRAY:
        noted = [(0, "hl7v2.segment.stray", "warning")] * (line[0] not in "\x1a\x00")
        assert rejects(message(PID, "OBX|1|NM|A^B^LN||5||||||F") + line) == noted


def test_a_value_ends_with_its_line() -> None:
    """An address of two lines, and a text of several: what is read holds no line end."""
    data = message(PID.replace("1 MAIN ST", "1 MAIN ST\nAPT 2").replace("^USA", "^USA\nlog"))
    (row,) = rows(data, "patients")
    assert (row["city"], row["state"], row["country"]) == ("BOSTON", "MA", "USA")
    assert rejects(data) == [(0, "hl7v2.segment.continued", "warning")]
    number = message(PID, "OBX|1|NM|A^B^LN||5\nlog|of|the|sender||||F", "OBX|2|NM|A^B^LN||6")
    assert [r["value_number"] for r in rows(number, "observations")] == [5, 6]
    assert "unit" not in rows(number, "observations")[0]


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_wide_and_marked_encodings(codec: str) -> None:
    data = message(PID.replace("BOSTON", "MÜNCHEN")).encode(codec)
    assert looks_like_hl7(data[:100])
    assert rows(data, "patients")[0]["city"] == "MÜNCHEN"


@pytest.mark.parametrize(
    ("declared", "codec", "city", "noted"),
    [
        ("8859/1", "latin-1", "MÜNCHEN", "iso8859-1"),
        ("8859/2", "iso8859-2", "ŁÓDŹ", "iso8859-2"),
        ("8859/5", "iso8859-5", "МОСКВА", "iso8859-5"),
        ("8859/1", "utf-8", "MÜNCHEN", "utf-8"),  # declared one, sent the other
        ("", "cp1252", "MÜNCHEN", "cp1252"),
        ("UNICODE UTF-8", "utf-8", "東京", "utf-8"),
        ("UTF-8~UNICODE", "utf-8", "東京", "utf-8"),
        ("ISO IR87", "iso2022_jp", "東京", "iso2022_jp"),
        ("GB 18030-2000", "gb18030", "北京", "gb18030"),
        ("WINDOWS-1251", "cp1251", "МОСКВА", "cp1251"),
        ("CP1250", "cp1250", "ŁÓDŹ", "cp1250"),
        ("KOI8-R", "koi8-r", "МОСКВА", "koi8-r"),
        ("ISO IR144", "iso8859-5", "МОСКВА", "iso8859-5"),
        ("8859/1", "cp1252", "“K”", "cp1252"),  # bytes that are control characters in 8859/1
        ("~ISO IR87", "iso2022_jp", "東京", "iso2022_jp"),  # ASCII, and by escape JIS X 0208
        ("ISO IR14~ISO IR87", "iso2022_jp", "東京", "iso2022_jp"),
        ("ISO IR14", "shift_jis", "ﾄｳｷｮｳ", "shift_jis"),
        ("UNICODE UTF-16", "utf-8", "東京", "utf-8"),
    ],
)
def test_character_sets(declared: str, codec: str, city: str, noted: str) -> None:
    header = MSH + "||||||" + declared
    data = "\r".join([header, PID.replace("BOSTON", city), ""]).encode(codec)
    assert rows(data, "patients")[0]["city"] == city
    assert rows(data, "records")[0]["character_set"] == noted


def test_a_character_set_that_is_not_known_is_noted_where_it_matters() -> None:
    for name, noted in (("CNS 11643-1992", True), ("rot13", True), ("8859/1", False), ("", False)):
        data = (MSH + "||||||" + name + "\r" + PID.replace("BOSTON", "MÜNCHEN")).encode("cp1252")
        assert rows(data, "patients")[0]["city"] == "MÜNCHEN"
        assert rejects(data) == [(0, "hl7v2.charset.unknown", "warning")] * noted
    assert not rejects(MSH + "||||||CNS 11643-1992\r" + PID)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("before", ["\x0b", "\r\n", "\ufeff"])
def test_wide_files_without_a_mark_or_behind_framing(before: str, codec: str) -> None:
    data = (before + message(PID.replace("BOSTON", "MÜNCHEN"))).encode(codec)
    assert looks_like_hl7(data[:100])
    assert rows(data, "patients")[0]["city"] == "MÜNCHEN"
    assert [r["ordinal"] for r in rows(data + data[-1:], "records")] == [0]  # half a character


def test_half_a_character_of_a_wide_file_rejects_its_message_alone() -> None:
    wide = (message(PID) + message(PID.replace("BOSTON", "B\ud800N")) + message(PID)).encode(
        "utf-16-le", "surrogatepass"
    )
    assert rejects(wide) == [(1, "hl7v2.charset.undecodable", "record")]
    assert [r["ordinal"] for r in rows(wide, "records")] == [0, 2]


def test_undecodable_message_is_rejected_alone() -> None:
    bad = (MSH + "||||||UNICODE UTF-8\r" + PID + "\r").encode().replace(b"BOSTON", b"B\xff\xfe")
    data = message(PID).encode() + bad + message(PID).encode()
    assert rejects(data) == [(1, "hl7v2.charset.undecodable", "record")]
    assert [r["ordinal"] for r in rows(data, "records")] == [0, 2]


@pytest.mark.parametrize(
    "header",
    [
        r"MSH|^~\&|",
        r"MSH|^~\&#|",
        r"MSH|^~\\&|",
        "MSH|^~&|",
        "MSH$%#*!$",
        "MSH:^~\\&:",
        "MSH|*~\\&|",
    ],
)
def test_any_delimiters(header: str) -> None:
    field, component = header[3], header[4]
    text = message("PID|1||7^^^X&1.2&ISO^MR~8^^^Y^SS||A^B")
    subcomponent = "&" if "!" not in header else "!"
    text = (
        text.replace(MSH[:9], "HEAD")
        .replace("|", field)
        .replace("^", component)
        .replace("~", header[5] if len(header) > 6 else "~")
        .replace("&", subcomponent)
        .replace("HEAD", header)
    )
    (row,) = rows(text, "patients")
    assert row["patient_id"] == "X\x1f7"


def test_two_delimiter_sets_in_one_file_keep_their_places() -> None:
    other = message(PID).replace("|", "$").replace("C1", "C2")
    data = message(PID) + other + message(PID).replace("C1", "C3")
    found = {r["ordinal"]: r["control_id"] for r in rows(data, "records")}
    assert found == {0: "\x1fC1", 1: "\x1fC2", 2: "\x1fC3"}


@pytest.mark.parametrize("header", ["MSH|0000|A", "MSH|^^^^|A", "MSH|^~\\ |A", "MSH||A"])
def test_unusable_delimiters_are_a_reject(header: str) -> None:
    data = message(PID) + header + "|B\rPID|1||1\r"
    assert rejects(data) == [(1, "hl7v2.msh.delimiters", "record")]
    assert len(rows(data, "records")) == 1


def test_batches_are_counted() -> None:
    good = f"FHS|^~\\&|A\rBHS|^~\\&|A\r{TWO}BTS|2\rFTS|1\r"
    assert len(rows(good, "records")) == 2 and not rejects(good)
    wrong = good.replace("BTS|2", "BTS|3").replace("FTS|1", "FTS|2")
    assert rejects(wrong) == [(-1, "hl7v2.batch.count", "warning")] * 2
    cut = good[: good.index("BTS")]
    assert rejects(cut) == [(-1, "hl7v2.batch.unfinished", "warning")] * 2
    assert rejects(good[: good.index("FTS")]) == [(-1, "hl7v2.batch.unfinished", "warning")]
    assert not rejects(good.replace("BTS|2", "BTS|002").replace("FTS|1", "FTS|"))


@pytest.mark.parametrize("count", ["two", "+2", "2.0", "-2"])
def test_a_count_that_is_none_is_noted(count: str) -> None:
    data = f"BHS|^~\\&|A\r{TWO}BTS|{count}\r"
    assert rejects(data) == [(-1, "hl7v2.batch.count-invalid", "warning")]
    assert rejects(data.replace(count, "9" * 5000)) == [(-1, "hl7v2.batch.count", "warning")]


def test_a_last_message_cut_off_keeps_its_neighbours() -> None:
    data = TWO + "MSH|^~\\&|LAB|HO"
    assert [r["ordinal"] for r in rows(data, "records")] == [0, 1]
    assert (2, "hl7v2.msh.type-required", "record") in rejects(data)


def test_of_a_file_known_to_be_cut_the_last_message_is_a_reject() -> None:
    """Half an identifier would name another patient."""
    data = TWO + MSH + "\rPID|1||4"
    assert rejects(data, truncated=True) == [(2, "hl7v2.message.cut-off", "record")]
    assert [r["ordinal"] for r in rows(data, "records", truncated=True)] == [0, 1]
    (last,) = [r for b in batches(data, truncated=True) for r in b.rejects]
    assert last.byte_offset == len(TWO)
    assert rejects(MSH, truncated=True) == [(0, "hl7v2.message.cut-off", "record")]


def test_a_header_in_full_form_is_one_wherever_it_stands() -> None:
    """Senders' own marks, and messages run together without a line end."""
    data = "[SOM]" + message(PID) + "[EOM][SOM]" + message(PID).rstrip() + message(PID)
    assert looks_like_hl7(data.encode())
    assert [len(m["patient_id"]) for m in rows(data, "patients")] == [7, 7, 7]


def test_small_reads_give_the_same_rows() -> None:
    data = (TWO * 40).encode()
    whole = next(iter(chunks(io.BytesIO(data))))
    parts = list(chunks(io.BytesIO(data), size=700))
    assert len(parts) > 10
    assert [o for p in parts for o in p.offsets.tolist()] == whole.offsets.tolist()
    assert b"".join(p.data for p in parts) == whole.data


def test_embedded_documents_of_any_size_take_bounded_memory() -> None:
    """A 200 MB base64 field costs no more than a few chunks."""

    class Endless(io.RawIOBase):
        def __init__(self) -> None:
            tail = "||||||F\rOBX|2|NM|A^B^LN||7|mg\r" + TWO
            head = message(PID) + "OBX|1|ED|D^^L||^^PDF^Base64^"
            self.parts = [head.encode(), *([b"QUJD" * 2**18] * 200), tail.encode()]

        def read(self, size: int = -1) -> bytes:
            return self.parts.pop(0) if self.parts else b""

    tracemalloc.start()
    found = list(FORMAT.parse(Endless(), Source("a" * 32)))  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(b.n_records for b in found) == 3
    observations = [b.tables["observations"] for b in found if "observations" in b.tables]
    values = [v for t in observations for v in t.column("value_number").to_pylist()]
    assert values == [None, 7.0]
    assert peak < 150 * 2**20


@pytest.mark.parametrize("before", ["", "x", "xy"])
@pytest.mark.parametrize(
    ("declared", "codec", "letter"),
    [("UNICODE UTF-8", "utf-8", "€"), ("GB 18030-2000", "gb18030", "京"), ("", "cp1252", "é")],
)
def test_a_long_text_is_cut_between_characters(
    declared: str, codec: str, letter: str, before: str
) -> None:
    """Whatever its letters, and the messages behind it lie where they lay in the file."""
    header = MSH + "||||||" + declared
    long = "NTE|1||" + before + letter * (17 * 2**20 // len(letter.encode(codec))) + "|y"
    data = "\r".join([header, long, PID, "OBX|1|NM|A^B^LN||7|mg", ""]).encode(codec)
    data += message(PID).encode() + message(PID).encode()[:-1] + message(PID).encode()
    (batch,) = batches(data)
    assert batch.tables["records"]["ordinal"].to_pylist() == [0, 1, 2, 3]
    assert batch.tables["observations"]["value_number"].to_pylist() == [7]
    assert len(batch.tables["patients"]) == 4 and "rejects" not in batch.tables
    starts = [m.start() for m in re.finditer(rb"MSH\|", data)]
    assert [o for c in chunks(io.BytesIO(data)) for o in c.offsets.tolist()] == starts


LINE = "OBX|1|NM|2345-7^Glucose^LN||5|mg/dL|70-110|N|||F|||20240102\r"


def test_a_message_of_too_many_segments_is_rejected_alone_in_bounded_memory() -> None:
    """40 MiB of results in one message; its neighbours are stored, with their places."""

    class Large(io.RawIOBase):
        def __init__(self) -> None:
            lines = (LINE * (2**20 // len(LINE))).encode()
            self.parts = [message(PID).encode() * 2, *([lines] * 40), TWO.encode()]

        def read(self, size: int = -1) -> bytes:
            return self.parts.pop(0) if self.parts else b""

    tracemalloc.start()
    parsed = [validate(b, "hl7v2") for b in FORMAT.parse(Large(), Source("a" * 32))]  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(r.record_ordinal, r.rule, r.level) for b in parsed for r in b.rejects] == [
        (1, "hl7v2.message.too-large", "record")
    ]
    kept = [o for b in parsed if b.tables for o in b.tables["records"]["ordinal"].to_pylist()]
    assert sorted(kept) == [0, 2, 3] and sum(b.n_records for b in parsed) == 4
    assert peak < 200 * 2**20


PARSE_LARGEST = """
import io, sys
from pathlib import Path
from lakehouse.batch import Source
from lakehouse.formats.hl7v2 import FORMAT
from lakehouse.quality import validate
head, line = sys.argv[1].encode(), sys.argv[2].encode()
data = io.BytesIO(head + line * (15 * 2**20 // len(line)))
print(sum(validate(b, "hl7v2").n_records for b in FORMAT.parse(data, Source("a" * 32))))
# not ru_maxrss, which a process takes over from the one that started it
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("line", [LINE, "OBX|\r", "MSH|^~\\&|||||||A\r"])
def test_whatever_a_file_holds_its_parsing_stays_below_a_gibibyte(line: str) -> None:
    """The largest message there may be, of results or of nothing, and the smallest messages."""
    done = subprocess.run(
        [sys.executable, "-c", PARSE_LARGEST, message(PID), line],
        capture_output=True,
        check=True,
        text=True,
    )
    n, kib = map(int, done.stdout.split())
    assert n == 1 + ("MSH" in line) * (15 * 2**20 // len(line))
    assert kib < 700 * 2**10


@pytest.mark.parametrize("n", [3, 7])
def test_limits_on_what_is_parsed_together_change_no_row(
    monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    from lakehouse.formats import hl7v2
    from lakehouse.formats.hl7v2 import parse
    from lakehouse.formats.hl7v2.encoding import framing

    data = "[SOM]".join([message(PID, LINE.strip()), message(PID).rstrip(), TWO * 4, TWO])
    whole = _facts(batches(data))
    monkeypatch.setattr(parse, "MOST_SEGMENTS", n)
    assert _facts(batches(data)) == whole and len(batches(data)) > 2
    monkeypatch.setattr(framing, "MOST_MESSAGES", n)
    monkeypatch.setattr(hl7v2, "MOST_MESSAGES", n)
    monkeypatch.setattr(parse, "MOST_SEGMENTS", 1000)
    assert _facts(batches(data)) == whole and len(batches(data)) > 1


def test_a_message_of_more_segments_than_are_parsed_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from lakehouse.formats.hl7v2 import parse

    monkeypatch.setattr(parse, "MOST_SEGMENTS", 5)
    data = TWO + message(PID, LINE * 4) + TWO
    assert rejects(data) == [(2, "hl7v2.message.too-large", "record")]
    assert [r["ordinal"] for r in rows(data, "records")] == [0, 1, 3, 4]


def test_unmapped_segments_are_counted_and_named_where_the_name_is_no_data() -> None:
    """Of the standard, or a site's own of Z and two capitals or digits; any other may be a name."""
    data = message(PID, "ZPD|secret", "ZB1|secret", "Zoe|secret", "DOE|secret", "NTE|1||text")
    (batch,) = batches(data)
    assert batch.dropped_by_file["a" * 32] == {
        "ZPD": 1,
        "ZB1": 1,
        "unknown segment": 1,
        "NTE": 1,
    }
    assert rows(data, "records")[0]["n_unmapped"] == 4


@pytest.mark.parametrize("head", [b"", b"MSH", b"MSHX|", b"<MSH|", b"PID|1", b"\x00MSH|", b"MSH A"])
def test_what_is_not_hl7(head: bytes) -> None:
    assert not FORMAT.sniff(head)


def test_a_file_without_message_says_so() -> None:
    assert rejects("BHS|^~\\&|A\rBTS|0\r") == [(-1, "hl7v2.file.no-message", "warning")]


def test_many_files_read_together_give_the_rows_of_each_alone() -> None:
    """Junk before a file's first message must not reach the last message of the file before."""
    files = {
        "a": message(PID, "ZZ1|x"),
        "b": "junk line|x\rFHS|^~\\&\rBHS|^~\\&\r" + TWO + "BTS|9\r",
        "c": "",
        "d": message(PID).replace("|", "$") + "MSH|0000|\r",
        "e": message("PID|1||||DOE") + message(PID, "NTE|1"),
    }
    told = {k: Source(k * 32) for k in files}
    together = [
        validate(b, "hl7v2")
        for b in FORMAT.parse_many(
            (io.BytesIO(text.encode()), told[k]) for k, text in files.items()
        )
    ]
    alone = [
        validate(b, "hl7v2")
        for k, text in files.items()
        for b in FORMAT.parse(io.BytesIO(text.encode()), told[k])
    ]

    assert _facts(together) == _facts(alone)
    assert len(_facts(together)) == 19
    dropped = {k: c for b in together for k, c in b.dropped_by_file.items()}
    assert dropped["a" * 32] == {"ZZ1": 1} and dropped["e" * 32] == {"NTE": 1}


def _facts(found: list[RawBatch]) -> list[str]:
    """Rows (nulls left out), rejects and counts of some batches, in one order."""
    facts: list[object] = []
    counts: Counter[str] = Counter()
    for batch in found:
        for name, table in batch.tables.items():
            for row in table.to_pylist():
                full = {k: v for k, v in row.items() if v is not None}
                facts.append((name, sorted(full.items())))
        facts += [(r.file_id, r.record_ordinal, r.rule) for r in batch.rejects]
        counts.update(batch.by_file)
    return sorted(map(str, [*facts, *counts.items()]))


def test_a_parser_failure_is_a_reject_of_the_messages_around_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from lakehouse.formats.hl7v2 import parse

    real = parse._batch_of

    def failing(tokens: Tokens, *rest: object) -> RawBatch:
        if b"C2" in tokens.buffer.tobytes():
            raise IndexError("a value that must not be seen")
        return real(tokens, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(parse, "_batch_of", failing)
    files = [
        (io.BytesIO(message(PID).replace("C1", c).encode()), Source(c * 16))
        for c in ("C1", "C2", "C3")
    ]
    found = list(FORMAT.parse_many(files))
    assert sum(b.n_records for b in found) == 3
    (lost,) = [r for b in found for r in b.rejects]
    assert (lost.rule, lost.file_id, lost.record_ordinal) == ("hl7v2.unreadable", "C2" * 16, 0)
    assert "value" not in lost.message
