"""Verifies that a warehouse holds no identifiers, and that its files are complete."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from lakehouse.errors import UserError
from lakehouse.privacy.rules.policy import load_policy
from lakehouse.storage.maintenance.inspection import inspect_table
from lakehouse.storage.metadata.settings import Catalog
from lakehouse.storage.metadata.settings import check_settings as same_policy
from lakehouse.storage.warehouse import Warehouse
from lakehouse.verification.integrity import run_checks
from lakehouse.verification.report import Check, VerifyReport
from lakehouse.verification.rules import Checker
from lakehouse.verification.search import search
from lakehouse.verification.stored_values import StoredValues

__all__ = ["Check", "VerifyReport", "verify"]

Progress = Callable[[str], None]


def verify(
    warehouse: str | os.PathLike[str],
    *,
    tokens: str | os.PathLike[str] | None = None,
    control: Sequence[str | os.PathLike[str]] = (),
    also: Sequence[str | os.PathLike[str]] = (),
    catalog: Catalog | None = None,
    progress: Progress = lambda _: None,
) -> VerifyReport:
    """Verify the integrity of a warehouse and the rules of its profile; search it for identifiers.

    Always: every table is readable and has the rows of the ledger, every file is present and as its
    manifest says, and no other file lies there. Version hints are current, no erased patient is
    back, and the profile's rules hold for every stored value of every snapshot. With tokens, every
    byte of the warehouse is decoded too and searched for each identifier in several forms.

    A number of fewer than ten digits in a numeric column, or among the storage's own counts, may
    equal a token by chance: 100001 is a record number or a result. It is a note for a person to
    judge, not a finding.

    Args:
        warehouse: The warehouse.
        tokens: A file of identifiers that must not occur, one a line, of five characters or more.
        control: Files or folders of the source data, needed with tokens: only a search that
            finds every token there proves anything.
        also: Other folders to search (logs, Ray's session folder).
        catalog: A pyiceberg catalog by name or properties; None for the warehouse's own.
        progress: Called with the name of each step.

    Raises:
        WarehouseError: No warehouse is there, or it was made under another policy file.
        InputError: The token file cannot be read or has no usable token, or a folder is missing.
        UserError: Tokens come without control data, or control data without tokens.

    Examples:
        ::

            report = lakehouse.verify("warehouse")
            Path("report.html").write_text(report.to_html())
    """
    if tokens is not None and not control:
        raise UserError(
            "A search that was never seen to find anything proves nothing.",
            "Name the source data in which every token stands: --control DIR.",
        )
    if tokens is None and (control or also):
        raise UserError("There is nothing to search for.", "Name the identifiers: --tokens FILE.")
    with Warehouse.open(warehouse, catalog) as opened:
        policy = load_policy(opened.settings.profile)
        same_policy(opened.settings, policy_sha256=policy.sha256)
        report = VerifyReport(
            opened.path,
            policy.name,
            policy.sha256,
            opened.settings.key_id,
            opened.settings.data_use_agreement,
            version("clinical-lakehouse"),
            datetime.now(UTC).isoformat(timespec="seconds"),
        )
        states = []
        for name in opened.tables():
            progress(f"table {name}")
            states.append(inspect_table(opened, name))
        reading = StoredValues(opened, Checker(policy))
        for state in states:
            progress(f"rules of {state.name}")
            reading.read_table(state)
        report.columns = list(reading.checker.column_checks.values())
        report.checks += run_checks(opened, states, reading)
        if tokens is not None:
            report.checks += search(opened, Path(tokens), control, also, progress)
    return report
