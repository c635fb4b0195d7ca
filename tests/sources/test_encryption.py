"""Lists of files on their way to workers: nobody reads or changes them without the key."""

from __future__ import annotations

import os

import pytest

from lakehouse.errors import EngineError
from lakehouse.privacy.keys.secret import Secret
from lakehouse.sources.encryption import decrypt_files, encrypt_files
from lakehouse.sources.input_file import InputFile

FILES = [InputFile(f"/feeds/DOE_JOHN_{i}.hl7", "/feeds") for i in range(3)]


def test_a_list_opens_with_its_own_key_only() -> None:
    secret, other = Secret(os.urandom(32)), Secret(os.urandom(32))
    encrypted = encrypt_files(FILES, secret)
    assert b"DOE" not in encrypted and b"feeds" not in encrypted
    assert decrypt_files(encrypted, secret) == FILES
    with pytest.raises(EngineError, match="another key"):
        decrypt_files(encrypted, other)


def test_no_nonce_is_used_twice() -> None:
    secret = Secret(os.urandom(32))
    assert len({encrypt_files(FILES, secret)[:12] for _ in range(1_000)}) == 1_000


def test_a_list_changed_anywhere_does_not_open() -> None:
    secret = Secret(os.urandom(32))
    encrypted = encrypt_files(FILES, secret)
    for place in range(len(encrypted)):
        changed = bytearray(encrypted)
        changed[place] ^= 1
        with pytest.raises(EngineError):
            decrypt_files(bytes(changed), secret)


def test_a_list_cut_short_does_not_open() -> None:
    secret = Secret(os.urandom(32))
    encrypted = encrypt_files(FILES, secret)
    for length in (0, 1, 11, 12, 27, 28, len(encrypted) - 1):
        with pytest.raises(EngineError):
            decrypt_files(encrypted[:length], secret)
