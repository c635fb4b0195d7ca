"""Checks of the warehouse as a whole: it is complete, and there is nothing besides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from lakehouse.definitions.tables import load_tables
from lakehouse.privacy.keys.secret import MAX_FILE_BYTES, key_id_of
from lakehouse.storage.maintenance.inspection import (
    TableState,
    is_own_name,
    relative_path,
    unfinished_work,
    unknown_files,
)
from lakehouse.storage.transactions.stored_rows import ledger_rows
from lakehouse.storage.warehouse import Warehouse
from lakehouse.verification.report import Check
from lakehouse.verification.stored_values import Reading

States = Sequence[TableState]

CHECKS: list[Callable[[Warehouse, States, Reading], Check]] = []
"""All of them, in the order of the report."""


def checks(warehouse: Warehouse, states: States, reading: Reading) -> list[Check]:
    """Return the outcome of every check."""
    return [check(warehouse, states, reading) for check in CHECKS]


def _check(function: Callable[..., Check]) -> Callable[..., Check]:
    CHECKS.append(function)
    return function


def _counted(number: int, what: str) -> str:
    ending = "" if number == 1 else "es" if what.endswith("s") else "s"
    return f"{number:,} {what}{ending}"


def _shown(warehouse: Warehouse, table: str, locations: Iterable[str]) -> list[str]:
    """Return the paths of files; one whose name somebody else chose is not named."""
    paths = [relative_path(warehouse, location) for location in locations]
    return [p if is_own_name(p) else f"a file of {table}" for p in paths]


@_check
def _readable(warehouse: Warehouse, states: States, _: Reading) -> Check:
    found = [
        f"{s.name}: its metadata cannot be read"
        if location.endswith("/metadata")
        else f"{_shown(warehouse, s.name, [location])[0]} cannot be read"
        for s in states
        for location in s.damaged_files
    ]
    says = "Every table can be read, from its metadata to its manifests."
    return Check("tables-readable", "integrity", says, len(states), tuple(found))


@_check
def _present(warehouse: Warehouse, states: States, _: Reading) -> Check:
    found = [f"{p} is missing" for s in states for p in _shown(warehouse, s.name, s.missing_files)]
    says = "Every file that a table refers to is there."
    n_files = sum(len(s.data_files) for s in states)
    return Check("files-present", "integrity", says, n_files, tuple(found))


@_check
def _whole(_: Warehouse, __: States, reading: Reading) -> Check:
    says = "Every data file can be read and has the rows and bytes that its manifest says."
    return Check("files-whole", "integrity", says, reading.n_files, tuple(reading.unlike))


@_check
def _filters(_: Warehouse, __: States, reading: Reading) -> Check:
    says = "No file holds a Bloom filter, which would tell of values by asking."
    found = tuple(reading.filtered)
    return Check("no-bloom-filters", "164.514(b)(2)(i)", says, reading.n_files, found)


@_check
def _unreferred(_: Warehouse, states: States, __: Reading) -> Check:
    found = [
        f"{s.name}: {_counted(len(s.orphans), 'file')}; `lakehouse maintain` removes them"
        for s in states
        if s.orphans
    ]
    says = "No file lies in the folder of a table that nothing refers to."
    n_files = sum(len(s.data_files) for s in states)
    return Check("no-orphans", "integrity", says, n_files, tuple(found))


@_check
def _strangers(warehouse: Warehouse, states: States, _: Reading) -> Check:
    found = [
        f"{folder or 'the root'}: {_counted(count, 'file')}; look, and move them elsewhere"
        for folder, count in sorted(unknown_files(warehouse).items())
    ]
    says = "No file lies in the warehouse that is not its own."
    return Check("no-strangers", "integrity", says, len(states), tuple(found))


@_check
def _key(warehouse: Warehouse, _: States, __: Reading) -> Check:
    small = [e for e in warehouse.files.list(warehouse.path) if e.size <= MAX_FILE_BYTES]
    held = sum(
        key_id_of(warehouse.files.read(e.location) or b"") == warehouse.settings.key_id
        for e in small
    )
    found = (f"{_counted(held, 'file')} with the key itself: move it out; ask who has copies",)
    says = "The key lies elsewhere: with it, whoever has the warehouse can trace its patients."
    return Check("no-key-inside", "164.514(c)(2)", says, len(small), found if held else ())


@_check
def _hints(_: Warehouse, states: States, __: Reading) -> Check:
    stale = [f"{s.name}: the version hint is stale" for s in states if not s.hint_current]
    says = "Queries see the newest snapshot."
    return Check("hints-current", "integrity", says, len(states), tuple(stale))


@_check
def _marks(warehouse: Warehouse, states: States, _: Reading) -> Check:
    wanted = {
        "lakehouse.profile": warehouse.settings.profile,
        "lakehouse.key-id": warehouse.settings.key_id,
    }
    wrong = [
        f"{s.name}: {key} is not the warehouse's"
        for s in states
        for key, value in wanted.items()
        if s.properties and s.properties.get(key) != value
    ]
    says = "Every table is of one profile and key."
    return Check("one-profile-one-key", "164.514(c)", says, len(states), tuple(wrong))


@_check
def _ledger(warehouse: Warehouse, states: States, reading: Reading) -> Check:
    """Compare what each table holds with what the ledger says was added and erased."""
    promised: Counter[str] = Counter()
    rows = {s.name: s.rows + reading.astray[s.name] for s in states}
    says = "Each table has the rows the ledger counts."
    try:
        for row in ledger_rows(warehouse):
            promised.update(row)
    except Exception:  # pyiceberg fails in many ways on damaged files
        wrong = ["the ledger (table ingests) cannot be read"]
    else:
        wrong = [
            f"{name}: {count:,} rows, {promised[name]:,} in the ledger"
            for name, count in rows.items()
            if name in load_tables()
            and not load_tables()[name].bookkeeping
            and count != promised[name]
        ]
    return Check("rows-equal-ledger", "integrity", says, sum(rows.values()), tuple(wrong))


@_check
def _finished(warehouse: Warehouse, _: States, __: Reading) -> Check:
    left = unfinished_work(warehouse)
    found = []
    if left.interrupted:
        found.append(
            f"{_counted(left.interrupted, 'process')} died at work; run the same command again, "
            "or `lakehouse maintain`"
        )
    if left.erasing and not left.running:
        found.append("the erasure of a patient was interrupted; run `lakehouse forget` again")
    notes = [f"{left.running} at work now: figures may lie between two tables"]
    return Check(
        "nothing-interrupted",
        "integrity",
        "No ingest and no erasure was left half done.",
        left.running + left.interrupted + left.erasing,
        tuple(found),
        tuple(notes) if left.running else (),
    )


@_check
def _erased(_: Warehouse, __: States, reading: Reading) -> Check:
    says = "No row of an erased patient has come back."
    if reading.back is None:
        found = ["the tombstones cannot be read"]
    else:
        found = [f"{t}: {n:,} rows; erase the patient again" for t, n in reading.back.items() if n]
    return Check("erased-stay-erased", "erasure", says, reading.n_files, tuple(found))
