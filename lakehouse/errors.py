"""The exceptions that this software raises on purpose.

- LakehouseError
    - UserError (ValueError)         the person can fix it: the CLI exits with 2
        - InputError                 a path, file or record
        - KeyFileError               the secret
        - WarehouseError             not a warehouse, another profile, another key
        - QueryError                 SQL that is not a read, or names what does not exist
        - DefinitionError            a TOML or SQL definition in catalog/, sql/ or a site's folder
        - MissingExtraError          an optional dependency
    - CommitError                    a table could not be committed: exit 1, run again
    - EngineError                    a worker or Ray itself failed: exit 1, run again

A message says what is wrong, where, and what to do. It never holds a value from the data, nor a
name of a file below the path that the person typed (file names hold identifiers): a file is
named by its keyed id, a record by its position, a place in it by its HL7 path or DICOM tag.
Arguments stay in ``args`` so that an error survives pickling through Ray.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LakehouseError(Exception):
    """Base class of the errors that this software raises on purpose.

    Args:
        problem: What is wrong and where, one sentence without a value from the data.
        remedy: What to do about it, one sentence; may be empty.

    Examples:
        >>> str(LakehouseError("The key file is missing.", "Run `lakehouse init`."))
        'The key file is missing. Run `lakehouse init`.'
    """

    exit_code = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)

    @property
    def problem(self) -> str:
        """What is wrong and where."""
        return str(self.args[0])

    @property
    def remedy(self) -> str:
        """What to do about it; may be empty."""
        return str(self.args[1])

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}".rstrip()


class UserError(LakehouseError, ValueError):
    """A fault that the person can fix."""

    exit_code = 2


class InputError(UserError):
    """A path, a file or a record cannot be read."""


class KeyFileError(UserError):
    """The secret is missing, weak, readable by others or not the warehouse's."""


class WarehouseError(UserError):
    """The warehouse does not exist, or its settings contradict what was asked."""


class QueryError(UserError):
    """A statement is not a read, or names what does not exist."""


class DefinitionError(UserError):
    """A definition (table, policy, mapping, code set, view) is wrong."""


class MissingExtraError(UserError):
    """An optional dependency is not installed."""

    @classmethod
    def for_extra(cls, what: str, extra: str) -> MissingExtraError:
        """Return the error that names the extra to install."""
        return cls(
            f"{what} needs a package that is not installed.",
            f'Run: pip install "clinical-lakehouse[{extra}]"',
        )


class CommitError(LakehouseError):
    """A table could not be committed; running the same command again completes it."""


class EngineError(LakehouseError):
    """A worker or Ray itself failed; running the same command again completes the work."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint with the nearest known names, or an empty string.

    Examples:
        >>> did_you_mean("observation", ["observations", "orders"])
        'Did you mean observations?'
    """
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"Did you mean {', '.join(near)}?" if near else ""
