"""Encrypts lists of files on their way to workers, since a file's name may identify a person.

Ray keeps its arguments in an object store that may spill to a temporary folder. A worker has the
secret anyway, so the list travels under a sub-key of it. AES-256-GCM with a random 96-bit nonce
(NIST SP 800-38D, 8.2.2) hides the list and reveals any change to it.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lakehouse.errors import EngineError
from lakehouse.privacy.keys.secret import Secret
from lakehouse.sources.input_file import InputFile

_NONCE_BYTES = 12
_PURPOSE = "sealed-list"


def encrypt_files(files: Sequence[InputFile], secret: Secret) -> bytes:
    """Return a list of files as bytes that tell nothing without the secret.

    Examples:
        >>> secret = Secret(os.urandom(32))
        >>> file = InputFile("/feeds/DOE_JOHN.hl7", "/feeds")
        >>> encrypted = encrypt_files([file], secret)
        >>> b"DOE" in encrypted, decrypt_files(encrypted, secret) == [file]
        (False, True)
    """
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _cipher(secret).encrypt(nonce, pickle.dumps(list(files)), None)


def decrypt_files(encrypted: bytes, secret: Secret) -> list[InputFile]:
    """Return the files of an encrypted list.

    Raises:
        EngineError: The list was encrypted under another secret, or changed on its way.
    """
    nonce, rest = encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:]
    try:
        content = _cipher(secret).decrypt(nonce, rest, None)
    except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
        raise EngineError(
            "A worker has another key than the driver.",
            "Put the same key file at the same path on every machine of the cluster.",
        ) from None
    files: list[InputFile] = pickle.loads(content)  # noqa: S301 - authenticated, our own
    return files


def _cipher(secret: Secret) -> AESGCM:
    return AESGCM(secret.subkey(_PURPOSE))
