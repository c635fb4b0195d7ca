"""Commits to one table with retries so that the change lands exactly once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.table import Table as IcebergTable

from lakehouse.errors import CommitError, LakehouseError
from lakehouse.storage.commits.cleanup import sweep_metadata
from lakehouse.storage.warehouse import Warehouse

MAX_RACES = 12
"""How often other writers may be faster before a commit fails."""

MAX_FAILURES = 3
"""How often the catalog or the storage may fail before a commit fails."""


def commit_once(
    warehouse: Warehouse,
    name: str,
    attempt: str,
    change: Callable[[IcebergTable], None],
    is_committed: Callable[[IcebergTable], bool],
) -> IcebergTable:
    """Commit a change to a table exactly once, even when the catalog's answer is lost.

    Every turn loads the table, and tries only if the table lacks the change. The try is a
    compare-and-swap against that loaded state. So nothing lands twice when another writer was
    faster, the answer was lost or another process does the same work.

    Args:
        warehouse: The warehouse; on a disk the caller holds its commit lock.
        name: Name of the table.
        attempt: Id of the attempt that commits.
        change: Commits to the table as loaded, without a retry.
        is_committed: Returns whether a table has the change.

    Returns:
        The table with the change.

    Raises:
        CommitError: Other writers were faster every time, or the catalog failed.
    """
    races = failures = 0
    while True:
        last_error: Exception
        try:
            table = warehouse.iceberg(name)
            if not is_committed(table):
                change(table)
            break
        except LakehouseError:
            raise
        except (CommitFailedException, ValidationException) as error:
            races += 1  # surely not landed: another writer was faster
            last_error = error
        except Exception as error:
            failures += 1  # unknown outcome: it may have landed and only the answer is lost
            last_error = error
        if races > MAX_RACES or failures > MAX_FAILURES:
            raise CommitError(
                f"Table {name} could not be committed ({type(last_error).__name__}).",
                "Run the same command again: nothing is lost.",
            ) from last_error
        pause = min(0.05 * 2 ** (races + failures), 5.0)
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
    if races or failures:
        sweep_metadata(warehouse, name, attempt)
    return table
