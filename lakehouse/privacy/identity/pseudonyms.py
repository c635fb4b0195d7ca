"""Pseudonyms, date offsets and new UIDs, derived from identifiers with the warehouse's secret.

Each function exists for a whole column of distinct values and for one value. Both use the normal
form of ``lakehouse.identifiers``, so that a number typed by a person, one read from a DICOM object
and one from an HL7 message give the same pseudonym.
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
"""The smallest date offset in days: 100 years."""

OFFSET_SPAN = 36_525
"""Number of possible date offsets: every whole day from 100 to 200 years."""

STANDARD_UIDS = "1.2.840.10008."
"""Root of the UIDs that the DICOM standard itself assigns (SOP classes, transfer syntaxes)."""


def pseudonyms(secret: Secret, domain: str, identities: Identities) -> pa.Array:
    """Return the pseudonyms of identifiers within a domain; null for blank ones."""
    return _as_hex(_identity_digests(secret, domain, identities), identities)


def pseudonyms_and_offsets(
    secret: Secret, identities: Identities
) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """Return the pseudonyms of patients and their date offsets in days; null and 0 for blank ones.

    The pseudonym is the first half of an HMAC, the offset comes from the third quarter. Disjoint
    parts of the output of a keyed pseudo-random function are independent (HKDF-Expand, RFC 5869,
    cuts its keys in the same way), and one HMAC costs half of two. Under a key of
    derivation 1 the offset has an HMAC of its own.
    """
    hmacs = _identity_digests(secret, "patient", identities)
    if secret.derivation == 1:
        eight = digests(secret.subkey("offset"), identities.normal)[:, :8]
    else:
        eight = hmacs[:, DIGEST_BYTES : DIGEST_BYTES + 8]
    number = np.ascontiguousarray(eight).view(">u8").reshape(-1)
    days = OFFSET_MIN + (number % OFFSET_SPAN).astype(np.int64)
    return _as_hex(hmacs, identities), np.where(identities.named, days, 0)


def _identity_digests(secret: Secret, domain: str, identities: Identities) -> Digests:
    return digests(secret.subkey("pseudonym"), identities.normal, f"{domain}{SEPARATOR}".encode())


def _as_hex(hmacs: Digests, identities: Identities) -> pa.Array:
    """Return digests cut to the length of pseudonyms as hex digits, null for blank identifiers."""
    raw = hmacs[:, :DIGEST_BYTES].tobytes().hex().encode("ascii")
    ends = np.arange(0, len(raw) + 1, 2 * DIGEST_BYTES, dtype=np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(raw)]
    text = pa.Array.from_buffers(pa.string(), len(hmacs), buffers)
    if identities.named.all():
        return text
    return pc.if_else(pa.array(identities.named), text, pa.scalar(None, pa.string()))


def new_uids(secret: Secret, uids: list[str | None]) -> list[str | None]:
    """Return the replacement of each UID in a list of distinct ones; null for a blank one."""
    bare = [None if u is None else u.strip("\x00 \t\r\n") for u in uids]
    replaceable = [i for i, u in enumerate(bare) if u and not u.startswith(STANDARD_UIDS)]
    messages = ((bare[i] or "").encode("utf-8", "surrogateescape") for i in replaceable)
    uuids = digests(secret.subkey("uid"), messages)[:, :DIGEST_BYTES].copy()
    uuids[:, 6] = uuids[:, 6] & 0x0F | 0x80  # a custom UUID (RFC 9562, version 8)
    uuids[:, 8] = uuids[:, 8] & 0x3F | 0x80  # below the root 2.25 (PS3.5 B.2)
    result: list[str | None] = [u or None for u in bare]
    for i, row in zip(replaceable, uuids, strict=True):
        result[i] = f"2.25.{int.from_bytes(row.tobytes(), 'big')}"
    return result


def _single_identity(authority: str, number: str) -> Identities:
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
    return str(pseudonyms(secret, domain, _single_identity(authority, number))[0].as_py())


def offset_days(secret: Secret, authority: str, number: str) -> int:
    """Return the date offset of a patient in days: 36,525 to 73,049.

    Raises:
        InputError: The number is blank.
    """
    return int(pseudonyms_and_offsets(secret, _single_identity(authority, number))[1][0])


def new_uid(secret: Secret, uid: str) -> str:
    """Return the replacement of a UID; the UIDs that the DICOM standard assigns stay.

    Raises:
        InputError: The UID is blank.
    """
    replacement = new_uids(secret, [uid])[0]
    if replacement is None:
        raise InputError("A UID is blank.", "State the UID as the object has it.")
    return replacement
