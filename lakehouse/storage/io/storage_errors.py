"""Turns storage and catalog exceptions into a ``CommitError`` without paths or passwords."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from lakehouse.errors import CommitError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn failures of the storage and of the catalog into a ``CommitError`` that says what to do.

    The original text is left out: it holds paths, and for some catalogs the address with its
    password.

    Examples:
        >>> with storage_errors():
        ...     pass
    """
    try:
        yield
    except OSError as error:
        raise CommitError(
            f"The warehouse's storage {_reason(error)}.",
            "Free space on it or restore access, then run the same command again: nothing is lost.",
        ) from None
    except Exception as error:
        if not type(error).__module__.startswith("sqlalchemy."):  # not imported: workers lack it
            raise
        raise CommitError(
            f"The warehouse's catalog failed ({type(error).__name__}).",
            "Check that it can be reached and written, then run it again: nothing is lost.",
        ) from None


def _reason(error: OSError) -> str:
    # pyarrow may state the number of the error in its text alone.
    if error.errno in _FULL or "No space left" in str(error) or "too large" in str(error):
        return "is full"
    if error.errno in _READ_ONLY:
        return "cannot be written"
    return f"failed ({type(error).__name__})"
