"""Many HMACs at once are the HMACs of the standard library."""

from __future__ import annotations

import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from lakehouse.privacy.keys.hmac_batch import digests


@given(
    st.binary(min_size=1, max_size=64),
    st.lists(st.binary(max_size=200), max_size=20),
    st.binary(max_size=80),
)
def test_they_agree(key: bytes, messages: list[bytes], prefix: bytes) -> None:
    found = digests(key, messages, prefix)
    assert found.shape == (len(messages), 32)
    for row, message in zip(found, messages, strict=True):
        assert row.tobytes() == hmac.digest(key, prefix + message, hashlib.sha256)
