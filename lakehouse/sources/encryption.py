"""Lists of files on their way to workers: sealed, for the names of files may identify someone.

What is handed to Ray lies in its object store and may spill to its temporary folder. A worker has
the secret anyway, so the list travels under it: encrypted with a keyed SHAKE-256 stream under a
fresh nonce, and authenticated by HMAC-SHA256.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import pickle
from collections.abc import Sequence

import numpy as np

from lakehouse.errors import EngineError
from lakehouse.privacy.keys.secret import Secret
from lakehouse.sources.input_file import InputFile

_NONCE = 16
_TAG = 32


def encrypt_files(files: Sequence[InputFile], secret: Secret) -> bytes:
    """Return the files as bytes that say nothing without the secret.

    Examples:
        >>> secret = Secret(os.urandom(32))
        >>> file = InputFile("/feeds/DOE_JOHN.hl7", "/feeds")
        >>> sealed = seal_files([file], secret)
        >>> b"DOE" in sealed, open_files(sealed, secret) == [file]
        (False, True)
    """
    nonce = os.urandom(_NONCE)
    hidden = _crossed(pickle.dumps(list(files)), nonce, secret)
    return nonce + _tag(nonce + hidden, secret) + hidden


def decrypt_files(sealed: bytes, secret: Secret) -> list[InputFile]:
    """Return the files of a sealed list.

    Raises:
        EngineError: It was sealed with another secret, or changed on its way.
    """
    nonce, tag, hidden = sealed[:_NONCE], sealed[_NONCE : _NONCE + _TAG], sealed[_NONCE + _TAG :]
    if not hmac.compare_digest(tag, _tag(nonce + hidden, secret)):
        raise EngineError(
            "A worker has another key than the driver.",
            "Put the same key file at the same path on every machine of the cluster.",
        )
    files: list[InputFile] = pickle.loads(_crossed(hidden, nonce, secret))  # noqa: S301 - our own
    return files


def _tag(data: bytes, secret: Secret) -> bytes:
    return hmac.digest(secret.subkey("sealed-list-tag"), data, "sha256")


def _crossed(data: bytes, nonce: bytes, secret: Secret) -> bytes:
    stream = hashlib.shake_256(secret.subkey("sealed-list") + nonce).digest(len(data))
    return (np.frombuffer(data, np.uint8) ^ np.frombuffer(stream, np.uint8)).tobytes()
