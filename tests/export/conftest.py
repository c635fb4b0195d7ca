"""The secret of copies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse.privacy.keys.secret import Secret


@pytest.fixture(scope="module")
def secret(key_file: Path) -> Iterator[Secret]:
    """The secret of the session's key file, which the environment names as well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKEHOUSE_KEY_FILE", str(key_file))
        yield Secret.load(key_file)
