r"""Who is who: one normal form of identifiers, and the pseudonyms and offsets that come from it.

The same functions exist twice: for a whole column of distinct values, and for one value (the
scalar doors). Both go through the same normal form, so that a number typed by a person, one read
from a DICOM object and one cut from an HL7 message give the same pseudonym. The
forms are those of ``lakehouse.identifiers``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.errors import InputError
from lakehouse.identifiers import SEPARATOR, Identities, normal_identity
from lakehouse.privacy.keys.hmac_batch import Digests, digests
from lakehouse.privacy.keys.secret import DIGEST_BYTES, Secret

OFFSET_MIN = 36_525
"""Days of the least shift: 100 years."""

OFFSET_SPAN = 36_525
"""The shift is one of as many whole numbers of days: 100 to 200 years."""

STANDARD_UIDS = "1.2.840.10008."
"""Root of the UIDs that the DICOM standard itself assigns (SOP classes, transfer syntaxes)."""


def pseudonyms(secret: Secret, domain: str, found: Identities) -> pa.Array:
    """Return the pseudonyms of identifiers of a domain, null for blank ones."""
    return _as_text(_keyed(secret, domain, found), found)


def patients(secret: Secret, found: Identities) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """Return the pseudonyms of patients and their date offsets in days; null and 0 for blank ones.

    The pseudonym is the first half of an HMAC, the offset comes from the third quarter. Disjoint
    parts of what a keyed pseudo-random function gives say nothing about each other (HKDF-Expand,
    RFC 5869, cuts its keys in the same way), and one HMAC costs half of two. Under a key of
    derivation 1 the offset has an HMAC of its own.
    """
    keyed = _keyed(secret, "patient", found)
    if secret.derivation == 1:
        eight = digests(secret.subkey("offset"), found.normal)[:, :8]
    else:
        eight = keyed[:, DIGEST_BYTES : DIGEST_BYTES + 8]
    number = np.ascontiguousarray(eight).view(">u8").reshape(-1)
    days = OFFSET_MIN + (number % OFFSET_SPAN).astype(np.int64)
    return _as_text(keyed, found), np.where(found.named, days, 0)


def _keyed(secret: Secret, domain: str, found: Identities) -> Digests:
    return digests(secret.subkey("pseudonym"), found.normal, f"{domain}{SEPARATOR}".encode())


def _as_text(keyed: Digests, found: Identities) -> pa.Array:
    """Return digests cut to the length of pseudonyms as hex digits, null for blank identifiers."""
    raw = keyed[:, :DIGEST_BYTES].tobytes().hex().encode("ascii")
    ends = np.arange(0, len(raw) + 1, 2 * DIGEST_BYTES, dtype=np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(raw)]
    text = pa.Array.from_buffers(pa.string(), len(keyed), buffers)
    if found.named.all():
        return text
    return pc.if_else(pa.array(found.named), text, pa.scalar(None, pa.string()))


def new_uids(secret: Secret, uids: list[str | None]) -> list[str | None]:
    """Return the new UIDs of a list of distinct ones."""
    bare = [None if u is None else u.strip("\x00 \t\r\n") for u in uids]
    moved = [i for i, u in enumerate(bare) if u and not u.startswith(STANDARD_UIDS)]
    messages = ((bare[i] or "").encode("utf-8", "surrogateescape") for i in moved)
    found = digests(secret.subkey("uid"), messages)[:, :DIGEST_BYTES].copy()
    found[:, 6] = found[:, 6] & 0x0F | 0x80  # a custom UUID (RFC 9562, version 8), as PS3.5 B.2
    found[:, 8] = found[:, 8] & 0x3F | 0x80  # demands below the root 2.25
    result: list[str | None] = [u or None for u in bare]
    for i, row in zip(moved, found, strict=True):
        result[i] = f"2.25.{int.from_bytes(row.tobytes(), 'big')}"
    return result


def _one(authority: str, number: str) -> Identities:
    normal = normal_identity(authority, number)
    if normal is None:
        raise InputError("An identifier is blank.", "State the number as the source has it.")
    return Identities([normal.encode("utf-8", "surrogateescape")], np.ones(1, dtype=bool))


def pseudonym(secret: Secret, domain: str, authority: str, number: str) -> str:
    """Return the pseudonym of one identifier: the same value as in the tables.

    Args:
        secret: The warehouse's secret.
        domain: The column's PHI class: ``patient``, ``identifier.order``, ``provider``, ...
        authority: Assigning authority; may be empty.
        number: The number itself.

    Raises:
        InputError: The number is blank.
    """
    return str(pseudonyms(secret, domain, _one(authority, number))[0].as_py())


def offset_days(secret: Secret, authority: str, number: str) -> int:
    """Return the days by which every time of a patient moves: 36,525 to 73,049.

    Raises:
        InputError: The number is blank.
    """
    return int(patients(secret, _one(authority, number))[1][0])


def new_uid(secret: Secret, uid: str) -> str:
    """Return the UID that stands for another; those of the DICOM standard stay as they are.

    Raises:
        InputError: The UID is blank.
    """
    made = new_uids(secret, [uid])[0]
    if made is None:
        raise InputError("A UID is blank.", "State the UID as the object has it.")
    return made
