"""Erases a patient from every table, every snapshot and every file, for good.

An erasure takes five steps. After a kill between any two the next erasure completes them first:

1. It writes the tombstones; from here on no ingest stores the patient again.
2. Once no ingest is running it counts the patient's rows and makes its plan durable.
3. It rewrites the data files that hold such rows and deletes the old ones.
4. It notes in the ledger how many rows went.
5. It removes the plan.
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
    """What the erasure of a patient removed.

    Attributes:
        n_identities: Identities of the patient: the one named and those merged with it.
        rows: Rows removed, by table.
        n_rewritten: Data files rewritten without the patient.
        n_deleted: Files deleted.
        resumed: Whether it first completed an interrupted erasure.
    """

    n_identities: int
    rows: dict[str, int]
    n_rewritten: int
    n_deleted: int
    resumed: bool = False


@dataclass(frozen=True)
class _Plan:
    """What an erasure is about to remove; stored until the erasure is complete."""

    ingest_id: str
    patients: tuple[str, ...]
    records: tuple[tuple[str, int], ...]
    rows: dict[str, int]

    def unwanted(self) -> RowsToErase:
        """Return the rows to erase, by the columns that name them."""
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
    """Erase a patient and every identity merged with it, and keep it from coming back.

    An interrupted erasure of any patient is completed first.

    Args:
        warehouse: The warehouse; no ingest may be running.
        patient_id: Pseudonym of the patient.
        record_number: Instead of it, the true record number; never stored or printed.
        authority: Its assigning authority.
        key_file: The secret; by default the warehouse's own.
        catalog: A pyiceberg catalog by name or properties; None for the warehouse's own.

    Raises:
        UserError: The arguments name no patient or name one twice, or the warehouse has no such
            patient.
        KeyFileError: The secret is missing, or is not the warehouse's.
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
        plan_left = _read_plan(opened)
        if plan_left is not None:
            report = _conclude(opened, plan_left, erase_rows(opened, plan_left.unwanted()))
            if patient_id in plan_left.patients:
                return replace(report, resumed=True)
        return replace(_erase_patient(opened, str(patient_id)), resumed=plan_left is not None)


def _erase_patient(warehouse: Warehouse, patient_id: str) -> ForgetReport:
    """Erase a patient for whom no plan exists yet."""
    require_idle(warehouse)  # before anything is written
    patients = _merged_identities(warehouse, patient_id)
    if not any(_count_rows(warehouse, patients).values()):
        raise UserError(
            "The warehouse holds no such patient.",
            "Check the number and its assigning authority as the source states them.",
        )
    _write_tombstones(warehouse, patients)
    failpoint("forget-tombstone")
    plans: list[_Plan] = []

    def plan_erasure() -> RowsToErase:
        # An ingest that read the tombstones too early has ended by now, so the plan has its rows.
        plans.append(_make_plan(warehouse, patients))
        failpoint("forget-planned")
        return plans[0].unwanted()

    erasures = erase_rows(warehouse, plan_erasure)
    return _conclude(warehouse, plans[0], erasures)


def _conclude(warehouse: Warehouse, plan: _Plan, erasures: Sequence[TableErasure]) -> ForgetReport:
    """Note in the ledger how many rows went, then remove the plan."""
    failpoint("forget-erased")
    if not completed_ingests(warehouse, [plan.ingest_id]):
        with IngestTransaction(warehouse, plan.ingest_id) as transaction:
            transaction.commit((), {"ingests": _ledger_row(warehouse, plan)})
    failpoint("forget-noted")
    plan_left = _read_plan(warehouse)
    if (
        plan_left is not None and plan_left.ingest_id == plan.ingest_id
    ):  # another process may have begun one
        warehouse.files.delete(plan_location(warehouse))
    return ForgetReport(
        len(plan.patients),
        {n: c for n, c in plan.rows.items() if c},
        sum(e.n_rewritten for e in erasures),
        sum(e.n_deleted for e in erasures),
    )


def _read_plan(warehouse: Warehouse) -> _Plan | None:
    """Return the stored plan of an interrupted erasure, or None."""
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


def _make_plan(warehouse: Warehouse, patients: set[str]) -> _Plan:
    """Find the rows of a patient and store a plan of their erasure.

    Raises:
        CommitError: An ingest meanwhile merged the patient with another.
    """
    if _merged_identities(warehouse, min(patients)) != patients:
        raise CommitError(
            "An ingest merged this patient with another meanwhile.", "Run the same command again."
        )
    columns = ("file_id", "ordinal")
    places = rows_of_patients(warehouse, "records", ["patient_id"], patients, columns)
    records = set(zip(*(places[c].to_pylist() for c in columns), strict=True))
    plan = _Plan(
        f"forget-{new_ingest_id(datetime.now(UTC))}",
        tuple(sorted(patients)),
        tuple(sorted(records)),
        _count_rows(warehouse, patients),
    )
    warehouse.files.replace(plan_location(warehouse), json.dumps(asdict(plan)).encode())
    return plan


def _count_rows(warehouse: Warehouse, patients: set[str]) -> dict[str, int]:
    """Return how many rows name one of these patients, by table."""
    present = set(warehouse.tables())
    rows = {}
    for table in load_tables().values():
        columns = [c for c in PATIENT_COLUMNS if c in table.columns]
        if columns and table.name in present:
            rows[table.name] = len(rows_of_patients(warehouse, table.name, columns, patients, ()))
    return rows


def _merged_identities(warehouse: Warehouse, patient_id: str) -> set[str]:
    """Return the identity and all that were merged with it, in either direction."""
    links = (
        warehouse.iceberg("patient_links")
        .scan(selected_fields=("patient_id", "old_patient_id", "kind"))
        .to_arrow()
        .to_pylist()
    )
    pairs = [(r["patient_id"], r["old_patient_id"]) for r in links if r["kind"] == "merge"]
    identities, size = {patient_id}, 0
    while len(identities) > size:
        size = len(identities)
        for one, other in pairs:
            if one in identities or other in identities:
                identities |= {one, other} - {None}
    return identities


def _write_tombstones(warehouse: Warehouse, patients: set[str]) -> None:
    """Store the tombstones that the warehouse does not have yet."""
    now = datetime.now(UTC)
    new_tombstones = sorted({tombstone(p) for p in patients} - read_tombstones(warehouse))
    if new_tombstones:
        rows = [{"tombstone": t, "erased_at": now} for t in new_tombstones]
        table = pa.Table.from_pylist(rows, load_tables()["tombstones"].schema)
        with IngestTransaction(warehouse, f"tombstones-{new_ingest_id(now)}") as transaction:
            transaction.commit((), {"tombstones": table})


def _ledger_row(warehouse: Warehouse, plan: _Plan) -> pa.Table:
    """Return the ledger's row of an erasure, an ingest with negative numbers of rows."""
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
