"""Proof that nothing identifying is stored, and that what is stored is whole."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from lakehouse.errors import InputError
from lakehouse.privacy.policy import load_policy
from lakehouse.storage.inspection import TableState, contents, inspect_table
from lakehouse.storage.settings import check as same_policy
from lakehouse.storage.stored import ledger_rows
from lakehouse.storage.warehouse import Warehouse
from lakehouse.tables import load_tables
from lakehouse.verify.decode import Undecodable, decoded
from lakehouse.verify.report import Check, VerifyReport
from lakehouse.verify.rules import Checker
from lakehouse.verify.tokens import Hit, Scanner, read_tokens

__all__ = ["Check", "VerifyReport", "verify"]

Progress = Callable[[str], None]


def verify(
    warehouse: str | os.PathLike[str],
    *,
    tokens: str | os.PathLike[str] | None = None,
    control: Sequence[str | os.PathLike[str]] = (),
    also: Sequence[str | os.PathLike[str]] = (),
    progress: Progress = lambda _: None,
) -> VerifyReport:
    """Prove what can be proved of a warehouse.

    Without tokens: every table can be read, row counts equal the ledger, every file is there and
    none besides, version hints are current, and the profile's rules hold in every stored value of
    every snapshot. With tokens, every byte of the warehouse is decoded as well and each identifier
    searched in it, in several forms.

    Args:
        warehouse: The warehouse.
        tokens: A file of identifiers that must not be found, one a line.
        control: Files or folders of the source data: the search counts only when it finds every
            token there.
        also: Other folders to search (logs, Ray's session folder).
        progress: Told what is being looked at.

    Raises:
        WarehouseError: There is none, or its policy file is not the one at hand.
        InputError: The token file cannot be read, or a control folder is missing.

    Examples:
        ::

            report = lakehouse.verify("warehouse")
            Path("report.html").write_text(report.to_html())
    """
    with Warehouse.open(warehouse) as opened:
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
        report.checks += [
            _files(states),
            _unreferred(states),
            _hints(states),
            _marks(states, opened),
        ]
        checker = Checker(policy)
        for state in states:
            progress(f"rules of {state.name}")
            if state.name in load_tables():
                checker.check(load_tables()[state.name], _data(opened, state))
        report.columns = list(checker.checked.values())
        report.checks.append(_ledger(states, opened))
        if tokens is not None:
            report.checks += _search(opened, Path(tokens), control, also, progress)
    return report


def _data(warehouse: Warehouse, state: TableState) -> Iterator[bytes]:
    for location in state.data_files:
        data = warehouse.files.read(location)
        if data is not None and location.endswith(".parquet"):
            yield data


def _files(states: list[TableState]) -> Check:
    missing = [f"{s.name}: {len(s.missing)} files are missing" for s in states if s.missing]
    return Check(
        "files-present",
        "integrity",
        "Every file that a table refers to is there.",
        sum(len(s.data_files) for s in states),
        tuple(missing),
    )


def _unreferred(states: list[TableState]) -> Check:
    orphans = [
        f"{s.name}: {len(s.orphans)} files; `lakehouse maintain` removes them"
        for s in states
        if s.orphans
    ]
    return Check(
        "no-orphans",
        "integrity",
        "No file lies there that nothing refers to.",
        sum(len(s.data_files) for s in states),
        tuple(orphans),
    )


def _hints(states: list[TableState]) -> Check:
    stale = [f"{s.name}: the version hint is stale" for s in states if not s.hint_current]
    return Check(
        "hints-current", "integrity", "Queries see the newest snapshot.", len(states), tuple(stale)
    )


def _marks(states: list[TableState], warehouse: Warehouse) -> Check:
    wanted = {
        "lakehouse.profile": warehouse.settings.profile,
        "lakehouse.key-id": warehouse.settings.key_id,
    }
    wrong = [
        f"{s.name}: {key} is not the warehouse's"
        for s in states
        for key, value in wanted.items()
        if s.properties.get(key) != value
    ]
    return Check(
        "one-profile-one-key",
        "164.514(c)",
        "Every table is of one profile and key.",
        len(states),
        tuple(wrong),
    )


def _ledger(states: list[TableState], warehouse: Warehouse) -> Check:
    """Compare what each table holds with what the ledger says was added and erased."""
    promised: Counter[str] = Counter()
    for row in ledger_rows(warehouse):
        promised.update(row)
    wrong = [
        f"{s.name}: {s.rows:,} rows, {promised[s.name]:,} in the ledger"
        for s in states
        if not load_tables()[s.name].bookkeeping and s.rows != promised[s.name]
    ]
    return Check(
        "rows-equal-ledger",
        "integrity",
        "Each table has the rows the ledger counts.",
        sum(s.rows for s in states),
        tuple(wrong),
    )


def _search(
    warehouse: Warehouse,
    tokens: Path,
    control: Sequence[str | os.PathLike[str]],
    also: Sequence[str | os.PathLike[str]],
    progress: Progress,
) -> list[Check]:
    """Search every decoded byte for tokens, after proving on the control that it can see."""
    try:
        scanner = Scanner(read_tokens(tokens.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError):
        raise InputError(f"The token file {tokens} cannot be read.", "Give UTF-8 text.") from None
    checks = []
    if control:
        progress("control data")
        seen = {h.number for place in control for h in _scan(scanner, _below(place), [])}
        blind = sorted(scanner.tokens.keys() - seen - set(scanner.too_short))
        checks.append(
            Check(
                "search-can-see",
                "method",
                "Every token is found in the source data.",
                len(scanner.tokens),
                tuple(f"token {n} is not in the control data" for n in blind),
            )
        )
    scanner.n_bytes = 0
    undecodable: list[str] = []
    progress("every byte of the warehouse")
    hits = set(_scan(scanner, contents(warehouse), undecodable))
    for place in also:
        hits |= set(_scan(scanner, _below(place), undecodable))
    lines = sorted({f"token {h.number} ({h.form}) in {h.place}" for h in hits})
    lines += [f"token {n} is shorter than 5 characters: not searched" for n in scanner.too_short]
    lines += [f"{place} cannot be decoded" for place in undecodable]
    checks.append(
        Check(
            "no-token",
            "164.514(b)(2)(i)",
            "No identifier of the list is found.",
            scanner.n_bytes,
            tuple(lines),
        )
    )
    return checks


def _below(place: str | os.PathLike[str]) -> Iterator[tuple[str, bytes]]:
    root = Path(place)
    if not root.exists():
        raise InputError(f"{place} does not exist.", "Check the path.")
    for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
        if path.is_file() and not path.is_symlink():
            yield path.relative_to(root.parent).as_posix(), path.read_bytes()


def _scan(
    scanner: Scanner, files: Iterable[tuple[str, bytes]], undecodable: list[str]
) -> Iterator[Hit]:
    for number, (name, data) in enumerate(files, 1):
        yield from scanner.hits(name.encode(), f"the name of file {number}")
        try:
            for part, piece in decoded(data):
                yield from scanner.hits(piece, f"file {number}, {part}", text=_is_text(piece))
        except Undecodable:
            undecodable.append(f"file {number}")


def _is_text(piece: bytes) -> bool:
    """Return whether some bytes are text, as packed ones are not."""
    try:
        piece.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in piece
