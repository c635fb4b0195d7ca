"""Proof that nothing identifying is stored, and that what is stored is whole."""

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
from lakehouse.verification.integrity import checks
from lakehouse.verification.report import Check, VerifyReport
from lakehouse.verification.rules import Checker
from lakehouse.verification.search import search
from lakehouse.verification.stored_values import Reading

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
    """Prove what can be proved of a warehouse.

    Without tokens: every table can be read, row counts equal the ledger, every file is there, is
    what its manifest says, and none lies besides, version hints are current, no erased patient is
    back, and the profile's rules hold in every stored value of every snapshot. With tokens, every
    byte of the warehouse is decoded as well and each identifier searched in it, in several forms.

    A number of fewer than ten digits that equals a token and stands in a numeric column, or among
    the storage's own counts, is noted for a person to judge and is no finding: 100001 may be a
    record number, or a result.

    Args:
        warehouse: The warehouse.
        tokens: A file of identifiers that must not be found, one a line, of five characters and
            more.
        control: Files or folders of the source data, needed with tokens: the search counts only
            when it finds every token there.
        also: Other folders to search (logs, Ray's session folder).
        catalog: A pyiceberg catalog by name or properties; None for the warehouse's own.
        progress: Told what is being looked at.

    Raises:
        WarehouseError: There is none, or its policy file is not the one at hand.
        InputError: The token file cannot be read or proves nothing, or a folder is missing.
        UserError: Tokens without control data, or these without tokens.

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
        reading = Reading(opened, Checker(policy))
        for state in states:
            progress(f"rules of {state.name}")
            reading.table(state)
        report.columns = list(reading.checker.checked.values())
        report.checks += checks(opened, states, reading)
        if tokens is not None:
            report.checks += search(opened, Path(tokens), control, also, progress)
    return report
