"""Steps that ingest, replay, erasure and the public Ray classes share.

They check options before any file is opened, find the secret of a warehouse, claim new files,
and commit an engine's data files together with the ledger.
"""

from __future__ import annotations

import os
import secrets
import zoneinfo
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from lakehouse.errors import UserError, did_you_mean
from lakehouse.formats import format_named
from lakehouse.pipeline.engine import AUTO, EngineResult, check_engine, defer_interrupt
from lakehouse.pipeline.reports import ledger_of_files, ledger_of_ingest
from lakehouse.privacy.keys import keyring
from lakehouse.privacy.keys.secret import Secret
from lakehouse.privacy.rules.policy import load_policy
from lakehouse.sources.input_file import InputFile
from lakehouse.sources.packed_list import PackedList
from lakehouse.storage.io.files import is_local
from lakehouse.storage.metadata.settings import check_settings
from lakehouse.storage.transactions.transaction import IngestTransaction
from lakehouse.storage.warehouse import Warehouse


def check_options(
    *, engine: str = AUTO, address: str | None = None, format: str | None, time_zone: str
) -> None:
    """Raise an error for options with which no ingest can run, before it touches any file.

    Raises:
        UserError: An engine, format or time zone does not exist, or two options contradict.
    """
    check_engine(engine, address)
    if format is not None:
        format_named(format)
    check_time_zone(time_zone)


def commit_result(
    result: EngineResult,
    transaction: IngestTransaction,
    warehouse: Warehouse,
    started_at: datetime,
    engine: str,
    time_zone: str,
) -> dict[str, int]:
    """Commit an engine's data files together with the ledger; return the rows by table."""
    now, settings = datetime.now(UTC), warehouse.settings
    rows: dict[str, int] = {}
    for file in result.files:
        rows[file.table] = rows.get(file.table, 0) + file.rows
    ledger = {
        "ingest_files": ledger_of_files(result.reports, transaction.ingest_id, now),
        "ingests": ledger_of_ingest(
            result.reports,
            rows,
            ingest_id=transaction.ingest_id,
            started_at=started_at,
            finished_at=now,
            engine=engine,
            profile=settings.profile,
            policy_sha256=settings.policy_sha256,
            key_id=settings.key_id,
            time_zone=time_zone,
            software=version("clinical-lakehouse"),
        ),
    }
    with defer_interrupt():
        transaction.commit(result.files, ledger)
    return dict(sorted(rows.items()))


def claim_new(
    files: Iterable[InputFile], claim: Callable[[set[str]], set[str]]
) -> PackedList[InputFile]:
    """Return the files whose claim is granted, each content once, at its first location."""
    granted = claim({f.file_id for f in files})
    new_files: PackedList[InputFile] = PackedList()
    for file in files:
        if file.file_id in granted:
            granted.remove(file.file_id)
            new_files.append(file)
    return new_files


def warehouse_secret(warehouse: Warehouse, key_file: str | Path | None) -> tuple[Secret, str]:
    """Return the secret of a warehouse and its absolute path, after checking that they match.

    Raises:
        KeyFileError: The key file is missing or weak, or lies inside the warehouse.
        WarehouseError: The warehouse was made with another key or policy.
    """
    key_path = os.fspath(key_file) if key_file is not None else None
    path = os.path.abspath(keyring.find_key(key_path, warehouse.settings.key_id))
    if is_local(warehouse.path):
        keyring.require_outside_warehouse(path, warehouse.path)
    secret = Secret.load(path)
    policy = load_policy(warehouse.settings.profile)
    check_settings(warehouse.settings, key_id=secret.key_id, policy_sha256=policy.sha256)
    return secret, path


def check_time_zone(name: str) -> str:
    """Return the name of a time zone if it exists.

    Raises:
        UserError: No time zone has that name.
    """
    if name not in zoneinfo.available_timezones():
        raise UserError(
            f"There is no time zone named {name}.",
            did_you_mean(name, zoneinfo.available_timezones()) or "Use an IANA name.",
        )
    return name


def new_ingest_id(now: datetime) -> str:
    """Return a new ingest id; ids sort by time."""
    return f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
