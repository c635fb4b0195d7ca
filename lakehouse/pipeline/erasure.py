"""Erasure of a patient: from every table, every snapshot and every file, for good.

The steps are such that a kill between any two leaves work that the next erasure completes before
it begins its own: the tombstone is set (from here on nothing of the patient comes in again); when
no ingest is running any more, what there is of the patient is counted and the plan made durable;
files are rewritten and the old ones deleted; the ledger notes how many rows went; the plan is
removed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa

from lakehouse.definitions.tables import load_tables
from lakehouse.errors import CommitError, UserError
from lakehouse.pipeline.reports import ledger_of_ingest
from lakehouse.pipeline.steps import new_ingest_id, warehouse_secret
from lakehouse.pipeline.tombstones import read_tombstones, tombstone
from lakehouse.privacy.identity.pseudonyms import pseudonym
from lakehouse.storage.io.failpoints import failpoint
from lakehouse.storage.maintenance.recovery import recover
from lakehouse.storage.maintenance.row_erasure import (
    RowsToErase,
    TableErasure,
    erase_rows,
    plan_location,
    require_idle,
)
from lakehouse.storage.metadata.settings import Catalog
from lakehouse.storage.transactions.ledger import completed_ingests
from lakehouse.storage.transactions.stored_rows import rows_of_patients
from lakehouse.storage.transactions.transaction import IngestTransaction
from lakehouse.storage.warehouse import Warehouse

PATIENT_COLUMNS = ("patient_id", "old_patient_id")


@dataclass(frozen=True)
class ForgetReport:
    """What an erasure removed.

    Attributes:
        n_identities: Identities of the patient: the one named and those merged with it.
        rows: Rows removed, by table.
        n_rewritten: Data files written anew without the patient.
        n_deleted: Files deleted.
        resumed: An erasure that had been left unfinished was completed first.
    """

    n_identities: int
    rows: dict[str, int]
    n_rewritten: int
    n_deleted: int
    resumed: bool = False


@dataclass(frozen=True)
class _Plan:
    """What an erasure is about to remove; kept until it is done."""

    ingest_id: str
    patients: tuple[str, ...]
    records: tuple[tuple[str, int], ...]
    rows: dict[str, int]

    def unwanted(self) -> RowsToErase:
        """Return the rows to remove."""
        return {
            **{c: set(self.patients) for c in PATIENT_COLUMNS},
            ("file_id", "record_ordinal"): set(self.records),
        }


def forget(
    warehouse: str | os.PathLike[str],
    *,
    patient_id: str | None = None,
    record_number: str | None = None,
    authority: str = "",
    key_file: str | Path | None = None,
    catalog: Catalog | None = None,
) -> ForgetReport:
    """Remove a patient and every identity merged with it, and keep it from coming back.

    An erasure that was killed before is completed first, whoever it was about.

    Args:
        warehouse: The warehouse; no ingest may be running.
        patient_id: Pseudonym of the patient.
        record_number: Instead of it, the true record number; never stored or printed.
        authority: Its assigning authority.
        key_file: The secret; by default the warehouse's own.
        catalog: A pyiceberg catalog by name or properties; None for the warehouse's own.

    Raises:
        UserError: No patient is named, or the warehouse has no such patient.
        KeyFileError: There is no key, or not the warehouse's.
        CommitError: An ingest is running, or the storage failed; run the same command again.

    Examples:
        ::

            lakehouse.forget("warehouse", record_number="100042", authority="GENERAL")
    """
    if (patient_id is None) == (record_number is None):
        raise UserError("Name the patient once.", "Give --patient-id or --record-number.")
    with Warehouse.open(warehouse, catalog) as opened:
        secret, _ = warehouse_secret(opened, key_file)
        if record_number is not None:
            patient_id = pseudonym(secret, "patient", authority, record_number)
        recover(opened)
        left = _unfinished(opened)
        if left is not None:
            report = _concluded(opened, left, erase_rows(opened, left.unwanted()))
            if patient_id in left.patients:
                return replace(report, resumed=True)
        return replace(_erased(opened, str(patient_id)), resumed=left is not None)


def _erased(warehouse: Warehouse, patient_id: str) -> ForgetReport:
    """Erase a patient of whom nothing is erased yet."""
    require_idle(warehouse)  # before anything is written
    patients = _identities(warehouse, patient_id)
    if not any(_rows(warehouse, patients).values()):
        raise UserError(
            "The warehouse holds no such patient.",
            "Check the number and its assigning authority as the source states them.",
        )
    _write_tombstones(warehouse, patients)
    failpoint("forget-tombstone")
    plans: list[_Plan] = []

    def planned() -> RowsToErase:
        # An ingest that read the tombstones too early has ended by now, and what it stored counts.
        plans.append(_planned(warehouse, patients))
        failpoint("forget-planned")
        return plans[0].unwanted()

    done = erase_rows(warehouse, planned)
    return _concluded(warehouse, plans[0], done)


def _concluded(warehouse: Warehouse, plan: _Plan, done: Sequence[TableErasure]) -> ForgetReport:
    """Note in the ledger what went, and let go of the plan."""
    failpoint("forget-erased")
    if not completed_ingests(warehouse, [plan.ingest_id]):
        with IngestTransaction(warehouse, plan.ingest_id) as transaction:
            transaction.commit((), {"ingests": _entry(warehouse, plan)})
    failpoint("forget-noted")
    left = _unfinished(warehouse)
    if left is not None and left.ingest_id == plan.ingest_id:  # not one that another has begun
        warehouse.files.delete(plan_location(warehouse))
    return ForgetReport(
        len(plan.patients),
        {n: c for n, c in plan.rows.items() if c},
        sum(e.n_rewritten for e in done),
        sum(e.n_deleted for e in done),
    )


def _unfinished(warehouse: Warehouse) -> _Plan | None:
    """Return the plan of an erasure that was killed: it is completed before any other."""
    content = warehouse.files.read(plan_location(warehouse))
    if content is None:
        return None
    plan = json.loads(content)
    return _Plan(
        plan["ingest_id"],
        tuple(plan["patients"]),
        tuple((f, int(o)) for f, o in plan["records"]),
        plan["rows"],
    )


def _planned(warehouse: Warehouse, patients: set[str]) -> _Plan:
    """Find what there is of a patient, and write it down.

    Raises:
        CommitError: An ingest meanwhile merged the patient with another.
    """
    if _identities(warehouse, min(patients)) != patients:
        raise CommitError(
            "An ingest merged this patient with another meanwhile.", "Run the same command again."
        )
    place = ("file_id", "ordinal")
    found = rows_of_patients(warehouse, "records", ["patient_id"], patients, place)
    records = set(zip(*(found[c].to_pylist() for c in place), strict=True))
    plan = _Plan(
        f"forget-{new_ingest_id(datetime.now(UTC))}",
        tuple(sorted(patients)),
        tuple(sorted(records)),
        _rows(warehouse, patients),
    )
    warehouse.files.replace(plan_location(warehouse), json.dumps(asdict(plan)).encode())
    return plan


def _rows(warehouse: Warehouse, patients: set[str]) -> dict[str, int]:
    """Return how many rows name one of these patients, by table."""
    present = set(warehouse.tables())
    rows = {}
    for table in load_tables().values():
        columns = [c for c in PATIENT_COLUMNS if c in table.columns]
        if columns and table.name in present:
            rows[table.name] = len(rows_of_patients(warehouse, table.name, columns, patients, ()))
    return rows


def _identities(warehouse: Warehouse, patient_id: str) -> set[str]:
    """Return the identity and all that were merged with it, in either direction."""
    links = (
        warehouse.iceberg("patient_links")
        .scan(selected_fields=("patient_id", "old_patient_id", "kind"))
        .to_arrow()
        .to_pylist()
    )
    pairs = [(r["patient_id"], r["old_patient_id"]) for r in links if r["kind"] == "merge"]
    found, size = {patient_id}, 0
    while len(found) > size:
        size = len(found)
        for one, other in pairs:
            if one in found or other in found:
                found |= {one, other} - {None}
    return found


def _write_tombstones(warehouse: Warehouse, patients: set[str]) -> None:
    """Set the tombstones that are not there yet."""
    now = datetime.now(UTC)
    missing = sorted({tombstone(p) for p in patients} - read_tombstones(warehouse))
    if missing:
        rows = [{"tombstone": t, "erased_at": now} for t in missing]
        table = pa.Table.from_pylist(rows, load_tables()["tombstones"].schema)
        with IngestTransaction(warehouse, f"tombstones-{new_ingest_id(now)}") as transaction:
            transaction.commit((), {"tombstones": table})


def _entry(warehouse: Warehouse, plan: _Plan) -> pa.Table:
    """Return the ledger's row: an erasure is an ingest that takes rows away."""
    settings, now = warehouse.settings, datetime.now(UTC)
    return ledger_of_ingest(
        (),
        {name: -count for name, count in plan.rows.items() if count},
        ingest_id=plan.ingest_id,
        started_at=now,
        finished_at=now,
        engine="forget",
        profile=settings.profile,
        policy_sha256=settings.policy_sha256,
        key_id=settings.key_id,
        time_zone="UTC",
        software=version("clinical-lakehouse"),
    )
