"""Character sets: every message becomes UTF-8 before it is tokenised.

MSH-18 declares the set (HL7 table 0211), but senders declare one and send another, so content
decides first: what is valid UTF-8 is UTF-8 (other sets' letters rarely form valid sequences).
"""

from __future__ import annotations

import codecs
import re

# HL7 table 0211 and what senders write instead -> Python codec
_CODECS = {
    "ASCII": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-8 UNICODE": "utf-8",
    "ISO IR14": "iso2022_jp",
    "ISO IR87": "iso2022_jp",
    "ISO IR159": "iso2022_jp_1",
    "GB 18030-2000": "gb18030",
    "GB18030": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
    "WINDOWS-1252": "cp1252",
    "CP1252": "cp1252",
    "ANSI": "cp1252",
}
for _part in (*range(1, 12), 13, 14, 15, 16):
    for _form in ("8859/{}", "ISO-8859-{}", "ISO8859-{}", "ISO_8859-{}"):
        _CODECS[_form.format(_part)] = f"iso8859_{_part}"


def codec_of(declared: str) -> str | None:
    """Return the Python codec of an MSH-18 value, or None when it names none we know.

    Examples:
        >>> codec_of("8859/1"), codec_of("UNICODE UTF-8~ASCII"), codec_of("")
        ('iso8859_1', 'utf-8', None)
    """
    first = re.split(r"[~^]", declared.strip())[0].strip().upper()
    return _CODECS.get(first)


def declared_set(message: bytes) -> str:
    """Return MSH-18 of one message as ASCII text, with odd bytes left out."""
    header = re.split(rb"[\r\n]", message, maxsplit=1)[0]
    fields = header.split(header[3:4]) if len(header) > 3 else []
    return fields[17].decode("ascii", "ignore") if len(fields) > 17 else ""


def to_utf8(message: bytes) -> tuple[bytes, str] | None:
    r"""Return one message in UTF-8 with the name of its character set; None if undecodable.

    Examples:
        >>> to_utf8("MSH|^~\\&|é".encode("latin-1"))[1]
        'cp1252'
    """
    codec = codec_of(declared_set(message))
    if codec is not None and codec.startswith("iso2022"):
        return _decoded(message, codec)
    try:
        message.decode("utf-8")
    except UnicodeDecodeError:
        # undeclared, or declared as ASCII or UTF-8 and not so: what Windows senders send
        return _decoded(
            message,
            codec if codec not in (None, "utf-8") else "cp1252",
            strict=codec == "utf-8" and "8" in declared_set(message),
        )
    return message, "utf-8"


def _decoded(message: bytes, codec: str, *, strict: bool = False) -> tuple[bytes, str] | None:
    if strict:
        return None
    try:
        return message.decode(codec).encode("utf-8"), codecs.lookup(codec).name
    except UnicodeDecodeError:
        if codec != "cp1252":
            return None
    # five bytes have no letter in Windows-1252; ISO 8859-1 has control characters there
    return message.decode("latin-1").encode("utf-8"), "iso8859-1"
