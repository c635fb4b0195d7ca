"""What a person is told when the disk, the store or the catalog fails."""

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

    The original text is dropped: it holds paths, and for some catalogs the address with its
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
            "Nothing is lost: mend it and run the same command again.",
        ) from None
    except Exception as error:
        if not type(error).__module__.startswith("sqlalchemy."):  # not imported: workers lack it
            raise
        raise CommitError(
            f"The warehouse's catalog failed ({type(error).__name__}).",
            "Nothing is lost: check that it can be reached and written, and run it again.",
        ) from None


def _reason(error: OSError) -> str:
    # pyarrow puts the number of the error into the text.
    if error.errno in _FULL or "No space left" in str(error) or "too large" in str(error):
        return "is full"
    if error.errno in _READ_ONLY:
        return "cannot be written"
    return f"failed ({type(error).__name__})"
