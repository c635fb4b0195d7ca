"""Erasure of a patient: from every table, every snapshot and every file, for good.

The steps are such that a kill between any two leaves work that the same command completes: the
plan is made durable, the tombstone is set (from here on nothing of the patient comes in again),
files are rewritten and the old ones deleted, the ledger notes how many rows went, the plan is
removed.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa

from lakehouse.errors import UserError
from lakehouse.ingest import fitting_secret, new_ingest_id
from lakehouse.privacy.identity import pseudonym
from lakehouse.reports import ledger_of_ingest
from lakehouse.storage.commit import IngestTransaction, recover
from lakehouse.storage.crashpoints import reached
from lakehouse.storage.erasure import erase
from lakehouse.storage.files import join
from lakehouse.storage.ledger import completed
from lakehouse.storage.stored import rows_of_patients
from lakehouse.storage.warehouse import Warehouse
from lakehouse.tables import load_tables
from lakehouse.tombstones import tombstone

PATIENT_COLUMNS = ("patient_id", "old_patient_id")


@dataclass(frozen=True)
class ForgetReport:
    """What an erasure removed.

    Attributes:
        n_identities: Identities of the patient: the one named and those merged with it.
        rows: Rows removed, by table.
        n_rewritten: Data files written anew without the patient.
        n_deleted: Files deleted.
    """

    n_identities: int
    rows: dict[str, int]
    n_rewritten: int
    n_deleted: int


@dataclass(frozen=True)
class _Plan:
    """What an erasure is about to remove; kept until it is done."""

    ingest_id: str
    patients: tuple[str, ...]
    records: tuple[tuple[str, int], ...]
    rows: dict[str, int]


def forget(
    warehouse: str | os.PathLike[str],
    *,
    patient_id: str | None = None,
    record_number: str | None = None,
    authority: str = "",
    key_file: str | Path | None = None,
) -> ForgetReport:
    """Remove a patient and every identity merged with it, and keep it from coming back.

    Args:
        warehouse: The warehouse; no ingest may be running.
        patient_id: Pseudonym of the patient.
        record_number: Instead of it, the true record number; never stored or printed.
        authority: Its assigning authority.
        key_file: The secret; by default the warehouse's own.

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
    with Warehouse.open(warehouse) as opened:
        secret, _ = fitting_secret(opened, key_file)
        if record_number is not None:
            patient_id = pseudonym(secret, "patient", authority, record_number)
        recover(opened)
        plan = _unfinished(opened) or _planned(opened, str(patient_id))
        reached("forget-planned")
        if not completed(opened, [plan.ingest_id]):
            with IngestTransaction(opened, plan.ingest_id) as transaction:
                ledger = {"tombstones": _tombstones(plan), "ingests": _entry(opened, plan)}
                transaction.commit((), ledger)
        reached("forget-tombstone")
        done = erase(
            opened,
            {
                **{c: set(plan.patients) for c in PATIENT_COLUMNS},
                ("file_id", "record_ordinal"): set(plan.records),
            },
        )
        reached("forget-erased")
        opened.files.delete(_place(opened))
    return ForgetReport(
        len(plan.patients),
        {n: c for n, c in plan.rows.items() if c},
        sum(e.rewritten for e in done),
        sum(e.deleted for e in done),
    )


def _place(warehouse: Warehouse) -> str:
    return join(warehouse.state, "forget.json")


def _unfinished(warehouse: Warehouse) -> _Plan | None:
    """Return the plan of an erasure that was killed: it is completed before any other."""
    content = warehouse.files.read(_place(warehouse))
    if content is None:
        return None
    plan = json.loads(content)
    return _Plan(
        plan["ingest_id"],
        tuple(plan["patients"]),
        tuple((f, int(o)) for f, o in plan["records"]),
        plan["rows"],
    )


def _planned(warehouse: Warehouse, patient_id: str) -> _Plan:
    """Find what there is of the patient, and write it down."""
    patients = _identities(warehouse, patient_id)
    rows: dict[str, int] = {}
    records: set[tuple[str, int]] = set()
    for table in load_tables().values():
        columns = [c for c in PATIENT_COLUMNS if c in table.columns]
        if columns and table.name in warehouse.tables():
            wanted = ("file_id", "ordinal") if table.name == "records" else ()
            found = rows_of_patients(warehouse, table.name, columns, patients, wanted)
            rows[table.name] = len(found)
            if wanted:
                records = set(zip(*(found[c].to_pylist() for c in wanted), strict=True))
    if not any(rows.values()):
        raise UserError(
            "The warehouse holds no such patient.",
            "Check the number and its assigning authority as the source states them.",
        )
    now = datetime.now(UTC)
    plan = _Plan(
        f"forget-{new_ingest_id(now)}", tuple(sorted(patients)), tuple(sorted(records)), rows
    )
    warehouse.files.replace(_place(warehouse), json.dumps(asdict(plan)).encode())
    return plan


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


def _tombstones(plan: _Plan) -> pa.Table:
    now = datetime.now(UTC)
    rows = [{"tombstone": tombstone(p), "erased_at": now} for p in plan.patients]
    return pa.Table.from_pylist(rows, load_tables()["tombstones"].schema)


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
