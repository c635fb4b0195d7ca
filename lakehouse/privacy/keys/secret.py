"""The secret key from which pseudonyms, date offsets and keyed file ids are derived.

Its file lies outside the warehouse and only its owner can read it. HKDF-SHA256 (RFC 5869) derives
one sub-key for each purpose, so that a value of one purpose reveals nothing about another. A secret
is never pickled: a worker loads it from its path.

A key belongs to one derivation, the scheme that derives values from it. The file states the
derivation and the key id depends on it, so that a warehouse never gets values of two schemes:

- derivation 1: a bare key, as ``openssl rand -hex 32`` makes it; date offsets have a sub-key
- derivation 2: a key that ``init`` creates; a patient's pseudonym and offset are disjoint parts of
  one HMAC (``privacy.identity``)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import itertools
import os
import re
import secrets
import stat
from pathlib import Path
from typing import NoReturn

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from lakehouse.errors import KeyFileError

KEY_FILE = "LAKEHOUSE_KEY_FILE"
"""Environment variable that names the key file."""

KEY_BYTES = 32
"""Fewest random bytes of a key."""

MAX_FILE_BYTES = 4096
"""Largest size of a key file; a larger file is no key."""

DIGEST_BYTES = 16
"""Keyed digests are cut to 128 bits: 32 hex digits."""

DERIVATION = 2
"""The derivation of a new key."""

_SALT = b"clinical-lakehouse/1"
_WITH_DERIVATION = re.compile(rb"clinical-lakehouse/([0-9]{1,4}) +(.*)", re.DOTALL)
_NEW_KEY = "Make a new one with `lakehouse init`, or `openssl rand -hex 32`."


class KeyedHash:
    """An incremental keyed digest, for contents larger than memory.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     secret = Secret.create(Path(folder) / "key")
        >>> hasher = secret.hasher("file")
        >>> hasher.update(b"MSH|^")
        >>> hasher.hexdigest() == secret.digest("file", b"MSH|^")
        True
    """

    __slots__ = ("_hash",)

    def __init__(self, key: bytes) -> None:
        self._hash = hmac.new(key, digestmod=hashlib.sha256)

    def update(self, data: bytes | memoryview, /) -> None:
        """Add bytes."""
        self._hash.update(data)

    def hexdigest(self) -> str:
        """Return the digest of the bytes so far, 32 hex digits."""
        return self._hash.digest()[:DIGEST_BYTES].hex()

    def __reduce__(self) -> NoReturn:
        raise TypeError("A keyed hash holds key material and is never pickled.")


class Secret:
    """A loaded secret key; its text form shows the key id only, and it cannot be pickled or copied.

    Attributes:
        derivation: Number of the scheme that derives values from the key.
        key_id: 16 hex digits that identify the key and its derivation but reveal nothing of it.
    """

    __slots__ = ("_key", "_subkeys", "derivation", "key_id")

    def __init__(self, key: bytes, derivation: int = 1) -> None:
        """Take the key itself; ``load`` and ``create`` are the usual constructors.

        Raises:
            KeyFileError: The key is short or visibly not random.
        """
        if fault := weakness(key):
            raise KeyFileError(f"The key {fault}.", _NEW_KEY)
        self._key = key
        self._subkeys: dict[str, bytes] = {}
        self.derivation = derivation
        purpose = "key-id" if derivation == 1 else f"key-id/{derivation}"
        self.key_id: str = self.subkey(purpose)[:8].hex()

    @classmethod
    def load(cls, path: Path | str | None = None) -> Secret:
        """Load the secret from a file.

        Args:
            path: The key file; None takes the one that ``LAKEHOUSE_KEY_FILE`` names.

        Raises:
            KeyFileError: The file is missing, readable by others, short, visibly not random, or
                was made by a later version of this software.
        """
        file = path or os.environ.get(KEY_FILE)
        if not file:
            raise KeyFileError(
                "No key file is named.", f"Set {KEY_FILE}, or make a key with `lakehouse init`."
            )
        derivation, encoded = _split_derivation(_read_private_file(Path(file)))
        if not 1 <= derivation <= DERIVATION:
            raise KeyFileError(
                f"The key in {file} was made by a later version.",
                "Upgrade: pip install --upgrade clinical-lakehouse",
            )
        if fault := weakness(key := _decode_key(encoded)):
            raise KeyFileError(f"The key in {file} {fault}.", _NEW_KEY)
        return cls(key, derivation)

    @classmethod
    def create(cls, path: Path | str) -> Secret:
        """Create a new secret and write it to a file that only its owner can read.

        Raises:
            KeyFileError: The file exists, or cannot be written.
        """
        key = secrets.token_bytes(KEY_BYTES)
        while weakness(key):  # happens about once in 10**14 keys
            key = secrets.token_bytes(KEY_BYTES)
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise KeyFileError(
                f"The key file {path} exists already.",
                "Use it, or name another; replacing a key would orphan every pseudonym made by it.",
            ) from None
        except OSError as error:
            raise KeyFileError(
                f"The key file {path} cannot be written ({_reason(error)}).",
                f"Name another place in {KEY_FILE}.",
            ) from None
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"clinical-lakehouse/{DERIVATION} {key.hex()}\n")
            file.flush()
            os.fsync(file.fileno())
        return cls(key, DERIVATION)

    def subkey(self, purpose: str) -> bytes:
        """Return the 32-byte sub-key for a purpose."""
        if purpose not in self._subkeys:
            derivation = HKDF(SHA256(), length=32, salt=_SALT, info=purpose.encode())
            self._subkeys[purpose] = derivation.derive(self._key)
        return self._subkeys[purpose]

    def digest(self, purpose: str, data: bytes) -> str:
        """Return the keyed digest of some bytes, 32 hex digits."""
        return hmac.digest(self.subkey(purpose), data, "sha256")[:DIGEST_BYTES].hex()

    def hasher(self, purpose: str) -> KeyedHash:
        """Return an incremental keyed digest; its result equals ``digest`` of the whole."""
        return KeyedHash(self.subkey(purpose))

    def __repr__(self) -> str:
        return f"Secret(key_id={self.key_id!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A Secret is never pickled; load it from its path where it is needed.")


def key_id_of(content: bytes) -> str | None:
    """Return the key id of the content of a key file, or None for any other bytes."""
    derivation, written = _split_derivation(content)
    if len(content) > MAX_FILE_BYTES or weakness(key := _decode_key(written)):
        return None
    return Secret(key, derivation).key_id


def weakness(key: bytes) -> str | None:
    """Return the weakness of a key as the end of a sentence, or None for a good key.

    Random bytes pass except one key in 10**12; constants, repetitions, runs and words fail.

    Examples:
        >>> weakness(b"secret")
        'is shorter than 32 bytes'
        >>> weakness(bytes(range(32)))
        'is not random'
    """
    if len(key) < KEY_BYTES:
        return f"is shorter than {KEY_BYTES} bytes"
    steps = {(b - a) % 256 for a, b in itertools.pairwise(key)}
    # 32 random bytes hold 30 distinct values on average, and 17 or fewer once in 10**15 times
    if len(set(key)) < 18 or len(steps) < 16:
        return "is not random"
    if all(32 <= b < 127 for b in key):
        return "is a passphrase, not random bytes"
    return None


def _read_private_file(path: Path) -> bytes:
    """Return the bytes of a key file; refuse a file that others than its owner can read."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if os.name == "posix" and stat.S_IMODE(status.st_mode) & 0o077:
                raise KeyFileError(
                    f"The key file {path} can be read or written by others.",
                    f"Run: chmod 600 {path}",
                )
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise KeyFileError(
            f"The key file {path} does not exist.",
            f"Set {KEY_FILE} to the one this warehouse was made with; "
            "for a new warehouse, `lakehouse init` makes one.",
        ) from None
    except OSError as error:
        raise KeyFileError(
            f"The key file {path} cannot be read ({_reason(error)}).",
            "Let this user read it, and nobody else.",
        ) from None
    if len(content) > MAX_FILE_BYTES:
        raise KeyFileError(f"The file {path} is too large to be a key.", _NEW_KEY)
    return content


def _reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else type(error).__name__


def _split_derivation(content: bytes) -> tuple[int, bytes]:
    """Return the derivation that a key file states (1 for a bare key), and the encoded key."""
    match = _WITH_DERIVATION.fullmatch(content.strip())
    return (int(match[1]), match[2]) if match else (1, content)


def _decode_key(content: bytes) -> bytes:
    """Return the key from hex or base64 with any white space around it, else the raw bytes."""
    text = content.strip()
    if re.fullmatch(rb"(?:[0-9a-fA-F]{2})+", text):
        return binascii.unhexlify(text)
    if re.fullmatch(rb"[A-Za-z0-9+/_-]+={0,2}", text) and len(text) % 4 == 0:
        return base64.b64decode(text, altchars=b"-_" if set(text) & set(b"-_") else None)
    return content
