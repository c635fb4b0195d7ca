from __future__ import annotations

import gzip
import hashlib
import itertools
from collections import Counter
from pathlib import Path

import hl7
import pytest

from lakehouse import synth
from lakehouse.errors import InputError
from lakehouse.synth.writers.hl7v2 import messages as messages_of
from lakehouse.synth.writers.hl7v2.faults import DAMAGES
from lakehouse.synth.writers.hl7v2.feeds import FEEDS, Feed, escape

EVENTS = {
    "A01", "A02", "A03", "A04", "A05", "A06", "A08", "A11", "A13", "A24", "A28", "A31", "A40",
    "A45", "O01", "O11", "O13", "O17", "O21", "P03", "R01", "S12", "S13", "S14", "S15", "S26",
    "T02", "T06", "V04",
}  # fmt: skip


def digest(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def header(message: str) -> list[str]:
    return message.split("\r", 1)[0].split("|")


def test_the_same_arguments_give_the_same_bytes(tmp_path):
    first = synth.write(tmp_path / "a", 6, years=1, formats=["hl7v2"])
    second = synth.write(tmp_path / "b", 6, years=1, formats=["hl7v2"])
    assert first == second
    assert digest(tmp_path / "a") == digest(tmp_path / "b")


def test_messages_of_a_patient_do_not_depend_on_the_others(hospital, messages):
    alone = [m.text.rstrip("\r") for m in messages_of(synth.patient(8), synth.Options())]
    number = synth.patient(8).person.identities[0].number
    there = {m for pile in messages.values() for m in pile if f"|{number}^^^" in m}
    clean = [m for m in alone if f"|{number}^^^" in m and m.isascii()]
    assert len(clean) > 50
    assert set(clean) <= there


def test_counts_are_those_of_the_files(hospital, messages):
    folder, counts = hospital
    files = list((folder / "hl7v2").rglob("*.hl7*"))
    assert counts["hl7v2.files"] == len(files)
    assert counts["hl7v2.messages"] == sum(map(len, messages.values()))
    assert set(messages) == set(FEEDS)
    assert any(p.suffix == ".gz" for p in files)


def test_every_trigger_event_and_version_occurs(messages):
    headers = [header(m) for pile in messages.values() for m in pile]
    events = {h[8].split("^")[1] for h in headers if len(h) > 8 and "^" in h[8]}
    assert events == EVENTS
    versions = {h[11] for h in headers if len(h) > 11}
    assert versions >= {"2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8"}


def test_python_hl7_reads_all_but_the_damaged(hospital, messages):
    unreadable = 0
    for pile in messages.values():
        for message in pile[::40]:  # python-hl7 reads a few hundred of them a second
            try:
                parsed = hl7.parse(message)
                head, patient = parsed.segment("MSH"), parsed.segment("PID")
                good = bool(str(head(10)) and str(patient(3))) and "^" in str(head(9))
            except (hl7.HL7Exception, KeyError, IndexError):
                good = False
            unreadable += not good
    assert unreadable <= hospital[1]["hl7v2.malformed"] / 10


def test_control_ids_repeat_for_duplicates_alone(hospital, messages):
    seen: dict[tuple[str, str], set[str]] = {}
    repeats = 0
    for pile in messages.values():
        for message in pile:
            fields = header(message)
            if len(fields) > 9 and fields[9]:
                bodies = seen.setdefault((fields[2], fields[9]), set())
                repeats += message in bodies
                bodies.add(message)
    assert all(len(bodies) == 1 for bodies in seen.values())
    assert 0 < repeats <= hospital[1]["hl7v2.duplicate"]


def test_some_messages_arrive_out_of_order(messages):
    times = [header(m)[6][:14] for m in messages["vitals"] if len(header(m)) > 6]
    assert any(a > b for a, b in itertools.pairwise(times))


def test_batches_state_their_counts(hospital, split):
    for path in (hospital[0] / "hl7v2" / "immunizations").rglob("*.hl7*"):
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
        assert text.startswith("FHS|")
        assert f"BTS|{len(split(path))}\rFTS|1\r" in text


def test_merge_names_the_identity_that_was_in_use(messages):
    merges = [m for m in messages["adt"] + messages["adt-lakeside"] if "^A40" in header(m)[8]]
    assert merges
    everything = "\r".join(m for pile in messages.values() for m in pile)
    for merge in merges:
        old = str(hl7.parse(merge)["MRG.F1.R1.C1"])
        assert everything.count(f"|{old}^^^") > 5


def test_results_hold_what_views_need(messages):
    text = "\r".join(messages["lab"] + messages["lab-lakeside"])
    for wanted in ("|NM|", "|SN|", "|CWE|", "|TX|", "|HH|", "|LL|", "umol/L", "mg/dL", "^99LAB",
                   "|L|Specimen clotted"):  # fmt: skip
        assert wanted in text
    statuses = Counter(line.split("|")[11] for line in text.split("\r") if line.startswith("OBX|"))
    assert set(statuses) >= {"F", "P", "C", "X", "W"}
    vitals = "\r".join(messages["vitals"])
    for wanted in ("[degF]", "|Cel^", "[lb_av]", "^Confused^", "9269-2^", "3151-8^"):
        assert wanted in vitals


def test_identifying_content_is_there_to_be_removed(messages):
    text = "\r".join(m for pile in messages.values() for m in pile)
    for wanted in ("\rNK1|", "\rGT1|", "\rIN1|", "\rNTE|", "\rZPD|", "|(617)555-01", "@example.org",
                   "Lives at ", '|""|""|'):  # fmt: skip
        assert wanted in text


def test_present_on_admission_is_field_26(messages):
    seen = Counter(
        line.split("|")[26]
        for m in messages["coding"]
        for line in m.split("\r")
        if line.startswith("DG1|")
    )
    assert seen["Y"] > seen["N"] > 0


def test_names_survive_every_character_set():
    latin = Feed("x", "X", "X", 0, "2.5", "8859/1", "latin-1")
    ascii_only = Feed("x", "X", "X", 0, "2.5", "", "ascii")
    assert latin.encode("Müller").decode("latin-1") == "Müller"
    assert latin.encode("Łukasz Nguyễn") == b"Lukasz Nguyen"
    assert ascii_only.encode("Núñez") == b"Nunez"


def test_escape():
    assert escape("a|b^c&d~e\\f") == "a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f"


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_changes_a_message(damage):
    rng = __import__("random").Random(1)
    lab = next(m.text for m in messages_of(synth.patient(1)) if "|NM|2951-2" in m.text)
    assert damage(lab, rng) != lab


def test_without_faults_nothing_is_damaged_or_doubled(tmp_path):
    clean = synth.Options(malformed=0, duplicates=0, late=0)
    counts = synth.write(tmp_path, 3, years=1, formats=["hl7v2"], options=clean)
    faults = (counts["hl7v2.malformed"], counts["hl7v2.duplicate"], counts["hl7v2.late"])
    assert faults == (0, 0, 0)


def test_progress_counts_to_the_total(tmp_path):
    calls: list[tuple[int, int]] = []
    synth.write(tmp_path, 3, years=0.5, formats=["hl7v2"],
                progress=lambda done, total: calls.append((done, total)))  # fmt: skip
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_no_patients_is_an_empty_hospital(tmp_path):
    assert synth.write(tmp_path, 0)["patients"] == 0


def test_two_hospitals_are_never_mixed(tmp_path):
    synth.write(tmp_path, 1, years=1, formats=["hl7v2"])
    before = digest(tmp_path)
    with pytest.raises(InputError, match="is not empty"):
        synth.write(tmp_path, 2, years=1, seed=2, formats=["hl7v2"])
    assert digest(tmp_path) == before


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/hospital"])
def test_a_place_that_cannot_be_written_is_told(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        synth.write(tmp_path / place, 1)


def test_an_unknown_format_is_refused_with_its_neighbour(tmp_path):
    with pytest.raises(InputError, match="Did you mean hl7v2"):
        synth.write(tmp_path, 1, formats=["hl7"])


@pytest.mark.parametrize(("patients", "years"), [(-1, 3), (1, 0.01), (1, 99)])
def test_impossible_sizes_are_refused(tmp_path, patients, years):
    with pytest.raises(InputError, match="out of range"):
        synth.write(tmp_path, patients, years)
