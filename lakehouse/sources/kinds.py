"""What kind of file a content looks like that no format recognises.

The first bytes decide, never the name. A kind is one label of a fixed list, so that it may be told
and counted in the open.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable

EMPTY, TEXT, OTHER = "empty files", "plain text", "no kind that is known"

SIGNATURES: tuple[tuple[str, int, tuple[bytes, ...]], ...] = (
    ("images", 0, (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF87a", b"GIF89a")),
    ("images", 0, (b"II*\0", b"MM\0*", b"8BPS\0")),
    ("images", 0, (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"\0\0\1\0")),
    ("images", 4, (b"ftypheic", b"ftypmif1", b"ftypavif")),
    ("images", 8, (b"WEBP",)),
    ("audio or video", 8, (b"WAVE", b"AVI ")),
    ("audio or video", 4, (b"ftyp",)),
    ("audio or video", 0, (b"ID3\3", b"ID3\4", b"OggS", b"fLaC", b"\x1aE\xdf\xa3", b"\0\0\1\xba")),
    ("Office documents", 0, (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"{\\rtf")),
    ("executables", 0, (b"\x7fELF", b"\xca\xfe\xba\xbe", b"#!")),
    ("executables", 0, (b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf")),
    ("executables", 0, (b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe")),
    ("archives", 0, (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\xfd7zXZ\0")),
    ("archives", 0, (b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"MSCF\0", b"\x1f\x9d")),
    ("archives", 0, (b"\x1f\x8b", b"PK\3\4", b"PK\5\6")),
    ("archives", 4, (b"1AY&SY",)),
    ("archives", 257, (b"ustar",)),
    ("databases", 0, (b"SQLite format 3\0", b"\0\1\0\0Standard ")),
    ("databases", 8, (b"DUCK",)),
    ("Parquet or Avro", 0, (b"PAR1\x15", b"Obj\1")),
    ("HDF5", 0, (b"\x89HDF\r\n",)),
    ("NIfTI", 344, (b"n+1\0", b"ni1\0")),
    ("sequencing data", 0, (b"BAM\1", b"CRAM\2", b"CRAM\3", b"BCF\2", b"@HD\t", b"@SQ\t")),
    ("VCF", 0, (b"##fileformat=VCF",)),
    ("ASTM", 0, (b"H|\\^&", b"\x021H|\\^&")),
    ("EDIFACT", 0, (b"UNA:+", b"UNB+")),
    ("encrypted files", 0, (b"-----BEGIN PGP", b"age-encryption.org")),
)
"""Kind, offset, and what stands there; the first that fits."""

_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b\x1c"))
_PROLOG = re.compile(
    r"\s*(?:<\?.*?\?>\s*|<!--.*?-->\s*|<!DOCTYPE[^>[]*(?:\[.*?\]\s*)?>\s*)*", re.S | re.I
)
_ROOT = re.compile(r"<(?:([\w.-]+):)?([A-Za-z_][\w.-]*)([^>]*)")
_SEGMENTS = re.compile(r"(?:^|[\r\n])\v?(?:MSH|BHS|FHS)[^\w\s]|^\v?(?:EVN|PID|PV1|OBR|OBX)\|")
_MAIL = re.compile(r"(?:From|Received|Return-Path|Delivered-To|MIME-Version|Message-ID): ", re.I)
_FASTA = re.compile(r">[^\r\n]*\r?\n[A-Za-z*-]+\s*(?:[\r\n]|$)")
_FASTQ = re.compile(r"@[^\r\n]*\r?\n[ACGTUNacgtun.]+\r?\n\+")
_JSON = re.compile(r"\s*(?:\{\s*[\"}]|\[\s*[\[{\"\]\d-])")
_RESOURCE = re.compile(r'"resourceType"\s*:\s*"[A-Z]|"fullUrl"\s*:\s*"')
_HEADINGS = re.compile(r'["\w.-]+(?:([,;\t|])["\w.-]+)(?:\1["\w.-]+)+\s*')


def kind_of(head: bytes) -> str:
    r"""Return what the beginning of a content looks like.

    Args:
        head: The first kilobytes of the unpacked content.

    Examples:
        >>> kind_of(b'{"resourceType": "Patient"}'), kind_of(b"id;sex\n1;F\n")
        ('FHIR', 'CSV')
    """
    if not head:
        return EMPTY
    if b"%PDF-" in head[:1024]:
        return "PDF"
    for kind, offset, marks in SIGNATURES:
        if head.startswith(marks, offset):
            return kind
    text = _decoded(head)
    if text is None:
        bitmap = head.startswith(b"BM") and head[6:10] == bytes(4)
        return "images" if bitmap else "executables" if head.startswith(b"MZ") else OTHER
    for kind, fits in _TEXTS:
        if fits(text):
            return kind
    return _markup(text) or TEXT


def _decoded(head: bytes) -> str | None:
    """Return the text, or None where it is none; its last character may have been cut."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", "ignore")
    if len(head) != len(head.translate(None, _CONTROLS)):
        return None
    try:
        return head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        cut = error.start > len(head) - 4
        return head.decode("utf-8-sig", "ignore") if cut else head.decode("latin-1")


def _markup(text: str) -> str | None:
    prolog = _PROLOG.match(text)
    root = _ROOT.match(text, prolog.end() if prolog else 0)
    if root is None:
        return None
    prefix, name, attributes = root.groups()
    space = re.search(rf"""xmlns{":" + prefix if prefix else ""}\s*=\s*["']([^"']*)""", attributes)
    spaces = {"http://hl7.org/fhir": "FHIR", "urn:hl7-org:v2xml": "HL7 in XML"}
    spaces |= {"urn:hl7-org:v3": "C-CDA" if name == "ClinicalDocument" else "HL7 in XML"}
    names = {"html": "HTML", "svg": "images"}
    return spaces.get(space[1] if space else "") or names.get(name.lower()) or "XML"


def _is_x12(text: str) -> bool:
    return text.startswith("ISA") and text[3:4] == text[6:7] and not text[3:4].isalnum()


def _is_delimited(text: str) -> bool:
    """Return whether the lines have the same number of fields, nine in ten of them."""
    if _HEADINGS.fullmatch(text):  # nothing but the names of three columns and more
        return True
    lines = text.splitlines(keepends=True)
    if len(lines) > 2 and not lines[-1].endswith(("\r", "\n")):
        lines.pop()  # the beginning of a content may end within a line
    for delimiter in ",;\t|":
        widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter) if row)
        width, n = max(widths.items(), key=lambda w: w[1], default=(0, 0))
        if width > 1 and n > 1 and n >= 0.9 * widths.total():
            return True
    return False


_TEXTS: tuple[tuple[str, Callable[[str], object]], ...] = (
    ("X12", _is_x12),
    ("FHIR", lambda text: _JSON.match(text) and _RESOURCE.search(text)),
    ("JSON", _JSON.match),
    ("HL7 v2 that does not begin as it should", _SEGMENTS.search),
    ("sequencing data", lambda text: _FASTA.match(text) or _FASTQ.match(text)),
    ("e-mail", _MAIL.match),
    ("CSV", lambda text: not text.lstrip().startswith("<") and _is_delimited(text)),
)
