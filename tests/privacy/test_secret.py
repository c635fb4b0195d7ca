"""The secret: what is taken, what is refused, and that it never gets out."""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import os
import pickle
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.errors import KeyFileError
from lakehouse.privacy.keys.secret import KEY_FILE, Secret, key_id_of, weakness

GOOD = hashlib.sha256(b"a test key").digest()


def key_file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_create_then_load_gives_the_same_secret(tmp_path: Path) -> None:
    made = Secret.create(tmp_path / "deep" / "key")
    loaded = Secret.load(tmp_path / "deep" / "key")
    assert stat.S_IMODE((tmp_path / "deep" / "key").stat().st_mode) == 0o600
    assert (made.key_id, made.subkey("x")) == (loaded.key_id, loaded.subkey("x"))
    assert Secret.create(tmp_path / "other").key_id != made.key_id


def test_a_new_key_states_its_derivation_and_a_bare_one_is_of_the_first(tmp_path: Path) -> None:
    made = Secret.create(tmp_path / "made")
    stated, key = (tmp_path / "made").read_text().split()
    bare = Secret.load(key_file(tmp_path, key.encode()))
    assert (stated, made.derivation, bare.derivation) == ("clinical-lakehouse/2", 2, 1)
    assert bare.subkey("pseudonym") == made.subkey("pseudonym")
    assert bare.key_id != made.key_id  # so neither is taken for the other's warehouse
    assert key_id_of((tmp_path / "made").read_bytes()) == made.key_id
    assert key_id_of(key.encode()) == bare.key_id


@pytest.mark.parametrize("number", [b"0", b"3", b"9999"])
def test_a_key_of_another_derivation_is_refused(tmp_path: Path, number: bytes) -> None:
    content = b"clinical-lakehouse/" + number + b" " + GOOD.hex().encode()
    with pytest.raises(KeyFileError, match="later version"):
        Secret.load(key_file(tmp_path, content))


def test_create_never_overwrites(tmp_path: Path) -> None:
    path = key_file(tmp_path, b"precious")
    with pytest.raises(KeyFileError, match="exists already"):
        Secret.create(path)
    assert path.read_bytes() == b"precious"


def test_load_takes_the_environments_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Secret.create(tmp_path / "key")
    monkeypatch.setenv(KEY_FILE, str(tmp_path / "key"))
    assert Secret.load().key_id == made.key_id
    monkeypatch.delenv(KEY_FILE)
    with pytest.raises(KeyFileError, match=KEY_FILE):
        Secret.load()


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        GOOD.hex().encode(),
        GOOD.hex().upper().encode() + b"\n",
        base64.b64encode(GOOD),
        base64.urlsafe_b64encode(GOOD) + b"\r\n",
    ],
    ids=["raw", "hex", "HEX", "base64", "urlsafe"],
)
def test_a_key_may_be_raw_hex_or_base64(tmp_path: Path, content: bytes) -> None:
    assert Secret.load(key_file(tmp_path, content)).key_id == Secret(GOOD).key_id


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "shorter than 32"),
        (b"tiny", "shorter than 32"),
        (GOOD[:31], "shorter than 32"),
        (GOOD[:16].hex().encode(), "shorter than 32"),  # 32 characters, but 16 bytes
        (base64.b64encode(GOOD[:24]), "shorter than 32"),
        (b"\0" * 32, "not random"),
        (b"\xff" * 64, "not random"),
        (b"0" * 64, "not random"),
        (bytes(range(32)), "not random"),
        (bytes(range(250, 0, -2)), "not random"),
        (GOOD[:16] * 4, "not random"),
        (b"password" * 8, "not random"),
        (b"correct horse battery staple, and then some more words", "passphrase"),
        (os.urandom(5000), "too large"),
    ],
)
def test_weak_keys_are_refused_with_a_way_out(tmp_path: Path, content: bytes, why: str) -> None:
    path = key_file(tmp_path, content)
    with pytest.raises(KeyFileError, match=why) as caught:
        Secret.load(path)
    assert "lakehouse init" in caught.value.remedy
    for part in (content.hex(), repr(content)[2:-1]):
        assert not part or part not in str(caught.value)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o666, 0o601])
def test_a_key_that_others_can_touch_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(KeyFileError, match="chmod 600"):
        Secret.load(key_file(tmp_path, GOOD, mode))


def test_a_read_only_key_is_taken(tmp_path: Path) -> None:
    assert Secret.load(key_file(tmp_path, GOOD, 0o400)).key_id == Secret(GOOD).key_id


def test_a_missing_key_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="does not exist"):
        Secret.load(tmp_path / "nowhere")
    with pytest.raises(KeyFileError, match="cannot be read"):
        Secret.load(tmp_path)


@given(st.binary(min_size=1, max_size=24), st.integers(2, 40))
def test_repetitions_are_never_taken(part: bytes, times: int) -> None:
    key = part[:17] * times
    assert weakness(key) is not None


def test_random_bytes_are_taken() -> None:
    assert not any(weakness(os.urandom(32)) for _ in range(2000))


def test_subkeys_are_hkdf_sha256() -> None:
    """RFC 5869 with salt ``clinical-lakehouse/1``, written out anew."""
    extracted = hmac.new(b"clinical-lakehouse/1", GOOD, hashlib.sha256).digest()
    expanded = hmac.new(extracted, b"pseudonym\x01", hashlib.sha256).digest()
    assert Secret(GOOD).subkey("pseudonym") == expanded


@given(st.lists(st.binary(max_size=300), max_size=5), st.text(max_size=9), st.text(max_size=9))
def test_streamed_and_whole_digests_agree_and_purposes_differ(
    parts: list[bytes], one: str, other: str
) -> None:
    secret = Secret(GOOD)
    hasher = secret.hasher(one)
    for part in parts:
        hasher.update(part)
    whole = b"".join(parts)
    assert hasher.hexdigest() == secret.digest(one, whole)
    expected = hmac.new(secret.subkey(one), whole, hashlib.sha256).hexdigest()[:32]
    assert hasher.hexdigest() == expected
    assert (secret.digest(other, whole) == hasher.hexdigest()) == (one == other)


def test_the_key_is_in_no_text_form() -> None:
    secret = Secret(GOOD)
    for text in (repr(secret), str(secret), f"{secret}", repr([secret]), repr({"s": secret})):
        assert secret.key_id in text
        assert GOOD.hex() not in text
        assert secret.subkey("pseudonym").hex() not in text
    assert not hasattr(secret, "__dict__")
    assert len(secret.key_id) == 16
    assert not GOOD.hex().startswith(secret.key_id)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_refuses_to_travel(protocol: int) -> None:
    for thing in (Secret(GOOD), Secret(GOOD).hasher("file"), {"nested": [Secret(GOOD)]}):
        with pytest.raises(TypeError, match="never pickled"):
            pickle.dumps(thing, protocol)
    for duplicate in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="never pickled"):
            duplicate(Secret(GOOD))
