"""Checks of the whole warehouse: files, ledger, key, erasures and unfinished work."""

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
from lakehouse.verification.stored_values import StoredValues

States = Sequence[TableState]

CHECKS: list[Callable[[Warehouse, States, StoredValues], Check]] = []
"""All checks, in the order of the report."""


def run_checks(warehouse: Warehouse, states: States, reading: StoredValues) -> list[Check]:
    """Run every check and return the outcomes."""
    return [check(warehouse, states, reading) for check in CHECKS]


def _check(function: Callable[..., Check]) -> Callable[..., Check]:
    CHECKS.append(function)
    return function


def _number_of(number: int, what: str) -> str:
    ending = "" if number == 1 else "es" if what.endswith("s") else "s"
    return f"{number:,} {what}{ending}"


def _paths(warehouse: Warehouse, table: str, locations: Iterable[str]) -> list[str]:
    """Return the paths of files; hide a name that this software did not choose."""
    paths = [relative_path(warehouse, location) for location in locations]
    return [p if is_own_name(p) else f"a file of {table}" for p in paths]


@_check
def _tables_are_readable(warehouse: Warehouse, states: States, _: StoredValues) -> Check:
    findings = [
        f"{s.name}: its metadata cannot be read"
        if location.endswith("/metadata")
        else f"{_paths(warehouse, s.name, [location])[0]} cannot be read"
        for s in states
        for location in s.damaged_files
    ]
    says = "Every table can be read, from its metadata to its manifests."
    return Check("tables-readable", "integrity", says, len(states), tuple(findings))


@_check
def _files_are_present(warehouse: Warehouse, states: States, _: StoredValues) -> Check:
    findings = [
        f"{p} is missing" for s in states for p in _paths(warehouse, s.name, s.missing_files)
    ]
    says = "Every file that a table refers to is there."
    n_files = sum(len(s.data_files) for s in states)
    return Check("files-present", "integrity", says, n_files, tuple(findings))


@_check
def _files_are_whole(_: Warehouse, __: States, reading: StoredValues) -> Check:
    says = "Every data file can be read and has the rows and bytes that its manifest says."
    return Check("files-whole", "integrity", says, reading.n_files, tuple(reading.mismatches))


@_check
def _no_bloom_filters(_: Warehouse, __: States, reading: StoredValues) -> Check:
    says = "No file holds a Bloom filter, which would tell of values by asking."
    findings = tuple(reading.bloom_filters)
    return Check("no-bloom-filters", "164.514(b)(2)(i)", says, reading.n_files, findings)


@_check
def _no_orphans(_: Warehouse, states: States, __: StoredValues) -> Check:
    findings = [
        f"{s.name}: {_number_of(len(s.orphans), 'file')}; `lakehouse maintain` removes them"
        for s in states
        if s.orphans
    ]
    says = "No file lies in the folder of a table that nothing refers to."
    n_files = sum(len(s.data_files) for s in states)
    return Check("no-orphans", "integrity", says, n_files, tuple(findings))


@_check
def _no_unknown_files(warehouse: Warehouse, states: States, _: StoredValues) -> Check:
    findings = [
        f"{folder or 'the root'}: {_number_of(count, 'file')}; look, and move them elsewhere"
        for folder, count in sorted(unknown_files(warehouse).items())
    ]
    says = "No file lies in the warehouse that is not its own."
    return Check("no-strangers", "integrity", says, len(states), tuple(findings))


@_check
def _no_key_inside(warehouse: Warehouse, _: States, __: StoredValues) -> Check:
    small = [e for e in warehouse.files.list(warehouse.path) if e.size <= MAX_FILE_BYTES]
    copies = sum(
        key_id_of(warehouse.files.read(e.location) or b"") == warehouse.settings.key_id
        for e in small
    )
    findings = (
        f"{_number_of(copies, 'file')} with the key itself: move it out; ask who has copies",
    )
    says = "The key lies elsewhere: with it, whoever has the warehouse can trace its patients."
    return Check("no-key-inside", "164.514(c)(2)", says, len(small), findings if copies else ())


@_check
def _hints_are_current(_: Warehouse, states: States, __: StoredValues) -> Check:
    stale = [f"{s.name}: the version hint is stale" for s in states if not s.hint_current]
    says = "Queries see the newest snapshot."
    return Check("hints-current", "integrity", says, len(states), tuple(stale))


@_check
def _one_profile_and_key(warehouse: Warehouse, states: States, _: StoredValues) -> Check:
    expected = {
        "lakehouse.profile": warehouse.settings.profile,
        "lakehouse.key-id": warehouse.settings.key_id,
    }
    wrong = [
        f"{s.name}: {key} is not the warehouse's"
        for s in states
        for key, value in expected.items()
        if s.properties and s.properties.get(key) != value
    ]
    says = "Every table is of one profile and key."
    return Check("one-profile-one-key", "164.514(c)", says, len(states), tuple(wrong))


@_check
def _rows_equal_ledger(warehouse: Warehouse, states: States, reading: StoredValues) -> Check:
    """Compare the rows of each table with those that the ledger adds and erases."""
    promised: Counter[str] = Counter()
    rows = {s.name: s.rows + reading.row_differences[s.name] for s in states}
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
def _nothing_is_interrupted(warehouse: Warehouse, _: States, __: StoredValues) -> Check:
    work = unfinished_work(warehouse)
    findings = []
    if work.interrupted:
        findings.append(
            f"{_number_of(work.interrupted, 'process')} died at work; run the same command again, "
            "or `lakehouse maintain`"
        )
    if work.erasing and not work.running:
        findings.append("the erasure of a patient was interrupted; run `lakehouse forget` again")
    notes = [f"{work.running} at work now: figures may lie between two tables"]
    return Check(
        "nothing-interrupted",
        "integrity",
        "No ingest and no erasure was left half done.",
        work.running + work.interrupted + work.erasing,
        tuple(findings),
        tuple(notes) if work.running else (),
    )


@_check
def _erased_stay_erased(_: Warehouse, __: States, reading: StoredValues) -> Check:
    says = "No row of an erased patient has come back."
    if reading.erased_rows is None:
        findings = ["the tombstones cannot be read"]
    else:
        findings = [
            f"{t}: {n:,} rows; erase the patient again" for t, n in reading.erased_rows.items() if n
        ]
    return Check("erased-stay-erased", "erasure", says, reading.n_files, tuple(findings))
