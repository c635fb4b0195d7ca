"""What a content looks like that no format recognises."""

from __future__ import annotations

import io
import sqlite3
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.sources import kinds
from lakehouse.sources.kinds import EMPTY, OTHER, TEXT, kind_of

LABELS = {kind for kind, _, _ in kinds.SIGNATURES} | {
    *(EMPTY, OTHER, TEXT, "PDF", "C-CDA", "FHIR", "HL7 in XML", "HTML", "XML"),
    *("X12", "JSON", "HL7 v2 that does not begin as it should", "e-mail", "CSV"),
}

CDA = '<ClinicalDocument xmlns="urn:hl7-org:v3"><id root="1"/>'
TEXTS = [
    ('{"resourceType":"Patient","id":"1"}', "FHIR"),
    ('[\n  {"meta": {}, "resourceType" : "Bundle"}', "FHIR"),
    ('{"id":"1","resourceType":"Observation"}\n{"resourceType":"Observation"}\n', "FHIR"),
    ('{"entry": [{"fullUrl": "urn:uuid:1", "resource": {"id": "1"}}]}', "FHIR"),
    ('<?xml version="1.0"?><Patient xmlns="http://hl7.org/fhir"><id value="1"/>', "FHIR"),
    (CDA, "C-CDA"),
    (f'<?xml version="1.0"?>\n<?xml-stylesheet href="a>b"?>\n<!-- <a> -->\n{CDA}', "C-CDA"),
    ("<n1:ClinicalDocument\n xmlns:x='y' xmlns:n1='urn:hl7-org:v3'>", "C-CDA"),
    ('<ADT_A01 xmlns="urn:hl7-org:v2xml"><MSH/>', "HL7 in XML"),
    ('<PRPA_IN201305UV02 xmlns="urn:hl7-org:v3">', "HL7 in XML"),
    ("<!DOCTYPE note [<!ENTITY a 'b'>]>\n<note>", "XML"),
    ("<ClinicalDocument>", "XML"),
    ("<!doctype html>\n<html lang='en'>", "HTML"),
    ('<svg xmlns="http://www.w3.org/2000/svg">', "images"),
    ('{"a": 1}', "JSON"),
    ("[1, 2]", "JSON"),
    ("[Section]\nkey=value\n", TEXT),
    ("id,sex\n1,F\n2,M\n", "CSV"),
    ('id;words\n1;"two\nlines; and more"\n2;x\n', "CSV"),
    ("id\tsex\r\n1\tF\r\n2\tM", "CSV"),
    ("SUBJECT_ID|SEX\n1|F\n", "CSV"),
    ("Dear all, hello.\nThis is a letter, of words, and more\nto read.\n", TEXT),
    ("one line, with a comma, or two", TEXT),
    ("hyphen-ated,words", TEXT),
    ('lab;state;"test_time"\n', "CSV"),
    ("2024-01-15 sent\nMSH|^~\\&|ADT|MERCY\rPID|1\r", "HL7 v2 that does not begin as it should"),
    ("PID|1||100^^^MERCY^MR\rPV1|1|I\r", "HL7 v2 that does not begin as it should"),
    ("ISA*00*          *00*          *ZZ*SENDER", "X12"),
    ("UNA:+.? 'UNB+UNOC:3", "EDIFACT"),
    ("H|\\^&|||LAB\rP|1\r", "ASTM"),
    ("From: a@b.c\nTo: d@e.f\nSubject: x, y\n", "e-mail"),
    ("{\\rtf1\\ansi", "Office documents"),
    ("##fileformat=VCFv4.2\n", "VCF"),
    (">chr1 description\nACGTACGT\n", "sequencing data"),
    ("@read1\nACGTN\n+\nIIIII\n", "sequencing data"),
    ("#!/bin/sh\necho\n", "executables"),
    ("-----BEGIN PGP MESSAGE-----\n", "encrypted files"),
]


@pytest.mark.parametrize(("text", "kind"), TEXTS)
def test_text_is_told_by_what_it_says_in_any_encoding(text: str, kind: str) -> None:
    assert kind_of(text.encode()) == kind
    decided_by_bytes = kind in {k for k, _, _ in kinds.SIGNATURES} and kind not in (
        "images",
        "sequencing data",
    )
    if not decided_by_bytes:
        assert kind_of(b"\xef\xbb\xbf" + text.encode()) == kind
        assert kind_of(text.encode("utf-16")) == kind


def _png() -> bytes:
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + crc


def _parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"n": [1]}), file)
    return file.getvalue()


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", "b")
    return file.getvalue()


def _sqlite(tmp_path: Path) -> bytes:
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute("CREATE TABLE t (n)")
    database.close()
    return (tmp_path / "a.db").read_bytes()


def test_binary_files_are_told_by_their_first_bytes(tmp_path: Path) -> None:
    written = {
        "images": _png(),
        "Parquet or Avro": _parquet(),
        "archives": _zip(),
        "databases": _sqlite(tmp_path),
        "executables": Path(sys.executable).resolve().read_bytes()[:4096],
        "PDF": b"\n%PDF-1.7\n%\xe2\xe3\xcf\xd3",
        EMPTY: b"",
        OTHER: bytes(range(256)),
        "Office documents": bytes.fromhex("d0cf11e0a1b11ae1") + bytes(500),
    }
    assert {kind: kind_of(data) for kind, data in written.items()} == {k: k for k in written}
    assert kind_of(b"MZ\x90\0\3\0\0\0") == "executables"
    assert kind_of(b"MZ is a text\n") == TEXT
    assert kind_of(b"BM\x36\0\0\0\0\0\0\0\x36") == "images"


def test_a_beginning_that_ends_within_a_character_or_a_line_is_told_as_the_whole() -> None:
    head = "name,town\n1,Zürich\n2,Genève\n3,Züri".encode()
    assert {kind_of(head[:n]) for n in range(25, len(head))} == {"CSV"}
    assert kind_of("naïve words".encode("latin-1")) == TEXT


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_content_is_of_a_kind_of_the_list(head: bytes) -> None:
    """A label is told in the open, so no piece of the content may come to stand in it."""
    assert kind_of(head) in LABELS


@given(
    st.lists(
        st.sampled_from(
            [
                "<",
                "<?",
                "?>",
                "<!--",
                "-->",
                "<!DOCTYPE ",
                "[",
                "]",
                ">",
                "xmlns='",
                '"',
                "a,",
                "\n",
            ]
        ),
        max_size=400,
    )
)
def test_broken_markup_is_of_a_kind_too(pieces: list[str]) -> None:
    assert kind_of("".join(pieces).encode()) in LABELS
