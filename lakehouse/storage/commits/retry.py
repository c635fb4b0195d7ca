"""A commit to one table, tried until it has happened once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.table import Table as IcebergTable

from lakehouse.errors import CommitError, LakehouseError
from lakehouse.storage.commits.cleanup import sweep_metadata
from lakehouse.storage.warehouse import Warehouse

RACES = 12
"""How often other writers may be faster before a commit is given up."""

FAILURES = 3
"""How often the catalog or the storage may fail."""


def commit(
    warehouse: Warehouse,
    name: str,
    attempt: str,
    change: Callable[[IcebergTable], None],
    done: Callable[[IcebergTable], bool],
) -> IcebergTable:
    """Commit to a table once, whatever happens to the answer of the catalog.

    Every turn loads the table and asks it whether the change is in; only then it tries. The try
    is a compare-and-swap against the state that was asked, so that nothing lands twice, whether
    another writer was faster, the answer was lost, or another process does the same work.

    Args:
        warehouse: The warehouse; on a disk its commit lock is held.
        name: The table.
        attempt: The attempt that commits.
        change: Commits to the table as loaded, once, without retrying.
        done: Whether a table has the change.

    Returns:
        The table, with the change.

    Raises:
        CommitError: Other writers were faster every time, or the catalog failed.
    """
    races = failures = 0
    while True:
        trouble: Exception
        try:
            table = warehouse.iceberg(name)
            if not done(table):
                change(table)
            break
        except LakehouseError:
            raise
        except (CommitFailedException, ValidationException) as error:
            races += 1  # surely not landed: another writer was faster
            trouble = error
        except Exception as error:
            failures += 1  # unknown outcome: it may have landed and only the answer is lost
            trouble = error
        if races > RACES or failures > FAILURES:
            raise CommitError(
                f"Table {name} could not be committed ({type(trouble).__name__}).",
                "Nothing is lost: run the same command again.",
            ) from trouble
        pause = min(0.05 * 2 ** (races + failures), 5.0)
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
    if races or failures:
        sweep_metadata(warehouse, name, attempt)
    return table
