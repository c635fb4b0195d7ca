"""For a person's own Ray program: medical files as a datasource, a warehouse as a datasink.

They stand by themselves: ``ray.data.read_datasource`` and ``Dataset.write_datasink`` take them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakehouse.batch import CleanBatch, make_clean_batch
from lakehouse.definitions.tables import add_site_tables, load_tables, read_site_tables
from lakehouse.engines.ray.datasink import PackedDatasink
from lakehouse.engines.ray.datasource import FilesDatasource
from lakehouse.errors import UserError, did_you_mean
from lakehouse.formats import Format, formats, public_name
from lakehouse.pipeline.blocks import BlockProvenance
from lakehouse.pipeline.create import PROFILE
from lakehouse.pipeline.engine import EngineResult, ProcessConfig
from lakehouse.pipeline.ingest import process
from lakehouse.pipeline.reading import ReadOptions
from lakehouse.pipeline.steps import (
    check_options,
    claim_new,
    commit_result,
    new_ingest_id,
    warehouse_secret,
)
from lakehouse.pipeline.tombstones import read_tombstones, without_erased
from lakehouse.privacy.keys.secret import KEY_FILE, Secret
from lakehouse.privacy.rules.policy import load_policy
from lakehouse.sources.discover import Paths, discover
from lakehouse.storage.maintenance.recovery import recover
from lakehouse.storage.metadata.settings import check_settings
from lakehouse.storage.transactions.ledger import known_files, known_unrecognised
from lakehouse.storage.transactions.transaction import IngestTransaction
from lakehouse.storage.warehouse import Warehouse


class FormatDatasource(FilesDatasource):
    """Medical files as de-identified rows, for ``ray.data.read_datasource``.

    Each format has one: ``HL7Datasource``, ``DICOMDatasource``, and one for every format that is
    found by its entry point. It takes the files itself, so ``read_datasource`` needs no ``paths``;
    what is wrong with an argument is said here, before a task starts.

    Examples:
        ::

            rows = ray.data.read_datasource(lakehouse.HL7Datasource("feeds", table="observations"))
            all_tables = ray.data.read_datasource(
                lakehouse.HL7Datasource("feeds", table=None, warehouse="./warehouse")
            )
            all_tables.write_datasink(lakehouse.LakehouseDatasink("./warehouse"))

    Args:
        paths: Files, folders, globs or URIs.
        table: Table whose rows are wanted (``rejects`` too); by default the format's main one,
            ``records`` unless a format says otherwise: as many rows as there are messages or
            objects. None yields packed blocks of every table, which ``LakehouseDatasink`` takes.
        warehouse: Take its profile, key and authority, and pass over what it holds already and
            the patients that were erased from it.
        profile: De-identification profile; by default the warehouse's, else ``safe_harbor``.
        key_file: The secret; the same path on every machine of the cluster.
        time_zone: IANA name in which times without an offset are read.
        authority: Assigning authority of record numbers that state none.
        mappings: Folders with a site's own mapping files.
        codes: Folders with a site's own code sets.

    Raises:
        UserError: A path, the key, the warehouse or an argument is at fault.
    """

    format: Format
    _DEFAULT = "(main)"

    def __init__(
        self,
        paths: Paths = (),
        table: str | None = _DEFAULT,
        *,
        warehouse: str | os.PathLike[str] | None = None,
        profile: str | None = None,
        key_file: str | Path | None = None,
        time_zone: str = "UTC",
        authority: str | None = None,
        mappings: Sequence[str] = (),
        codes: Sequence[str] = (),
    ) -> None:
        name = f"{public_name(self.format.name)}Datasource"
        if not isinstance(paths, (str, os.PathLike)) and not paths:
            raise UserError(
                f"{name} takes the files to read itself.",
                f"Write: ray.data.read_datasource({name}(paths))",
            )
        add_site_tables(read_site_tables(mappings))
        table = self.format.main_table if table == self._DEFAULT else table
        if table is not None and table not in load_tables():
            raise UserError(f"There is no table named {table}.", did_you_mean(table, load_tables()))
        check_options(format=self.format.name, time_zone=time_zone)
        load_policy(profile or PROFILE)
        erased: frozenset[str] = frozenset()
        if warehouse is None:
            named = os.fspath(key_file or os.environ.get(KEY_FILE, ""))
            secret, key_path = Secret.load(named or None), os.path.abspath(named)
            files = claim_new(discover(paths, secret).files, set)
        else:
            with Warehouse.open(warehouse) as opened:
                check_settings(opened.settings, profile=profile)
                secret, key_path = warehouse_secret(opened, key_file)
                profile = opened.settings.profile
                authority = opened.settings.authority if authority is None else authority
                found = discover(paths, secret, exclude=(opened.path,)).files
                known = known_files(opened, [f.file_id for f in found])
                unknown = [f.file_id for f in found if f.format is None]
                known |= known_unrecognised(opened, unknown, self.format.name)
                files = claim_new(found, lambda ids: ids - known)
                erased = read_tombstones(opened)
        options = ReadOptions(
            new_ingest_id(datetime.now(UTC)),
            time_zone,
            authority or "",
            tuple(mappings),
            self.format.name,
        )
        config = ProcessConfig(options, key_path, profile or PROFILE, tuple(codes), erased)
        if codes:
            list(process((), config))  # of nothing: a folder at fault is known before a task starts
        super().__init__(files, config, secret, table=table)

    def get_name(self) -> str:
        """Return the name of the read in Ray's own reports."""
        return f"Read{public_name(self.format.name)}"


@cache
def datasource(name: str) -> type[FormatDatasource]:
    """Return the datasource class of a format by its public name.

    Raises:
        AttributeError: No format has that name.
    """
    classes = {f"{public_name(known.name)}Datasource": known for known in formats().values()}
    if name not in classes:
        near = did_you_mean(name, classes) or f"There are: {', '.join(classes)}."
        raise AttributeError(f"There is no {name}. {near}", name=name)
    known, (_, *rest) = classes[name], (FormatDatasource.__doc__ or "").splitlines()
    first = f"{known.doc.rstrip('.')}: de-identified rows for ``ray.data.read_datasource``."
    members = {"format": known, "__doc__": "\n".join([first, *rest])}
    return type(name, (FormatDatasource,), members)


if TYPE_CHECKING:

    class HL7Datasource(FormatDatasource):
        """HL7 v2 messages as de-identified rows: ``HL7Datasource(paths, table="records")``.

        The arguments are those of ``FormatDatasource``.
        """

    class DICOMDatasource(FormatDatasource):
        """DICOM objects as de-identified rows: ``DICOMDatasource(paths, table="records")``.

        The arguments are those of ``FormatDatasource``.
        """


class LakehouseDatasink(PackedDatasink):
    """A warehouse as the sink of a dataset of packed blocks, for ``Dataset.write_datasink``.

    1. ``on_write_start`` (driver) leases an attempt
    2. ``write`` (workers) unpacks, joins, sorts and writes Parquet files of every table
    3. ``on_write_complete`` (driver) commits all tables, the ledger last; or, should anything
       have failed, ``on_write_failed`` removes the files

    Examples:
        ::

            dataset = ray.data.read_datasource(lakehouse.HL7Datasource("feeds", table=None))
            dataset.write_datasink(lakehouse.LakehouseDatasink("./warehouse"))

    Args:
        warehouse: Folder or URI of the warehouse.

    Raises:
        WarehouseError: There is none.
    """

    def __init__(self, warehouse: str | os.PathLike[str]) -> None:
        with Warehouse.open(warehouse) as opened:
            super().__init__(opened.write_spec())
            self._path, self._settings = opened.path, opened.settings
        self._ingest_id = ""
        self._tombstones: frozenset[str] = frozenset()
        self._warehouse: Warehouse | None = None
        self._transaction: IngestTransaction | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_warehouse": None, "_transaction": None}

    def on_write_start(self, schema: pa.Schema | None = None) -> None:
        """Run on the driver before the first write: lease an attempt."""
        self._started_at = datetime.now(UTC)
        self._warehouse = Warehouse.open(self._path)
        recover(self._warehouse)
        self._ingest_id = new_ingest_id(self._started_at)
        self._transaction = IngestTransaction(self._warehouse, self._ingest_id)
        self.attempt = self._transaction.attempt
        # Read when the lease is there: an erasure waits for it to end, or has set its own by now.
        self._tombstones = read_tombstones(self._warehouse)

    def _fitting(self, batch: CleanBatch, made: BlockProvenance) -> CleanBatch:
        check_settings(self._settings, key_id=made.key_id, policy_sha256=made.policy_sha256)
        if "rejects" not in batch.tables:
            return without_erased(batch, self._tombstones)
        rejects = batch.tables["rejects"]
        place = rejects.schema.get_field_index("ingest_id")
        own = pa.repeat(self._ingest_id, len(rejects))
        return make_clean_batch({"rejects": rejects.set_column(place, "ingest_id", own)})

    def on_write_complete(self, write_result: Any) -> None:
        """Run on the driver when all is written: commit."""
        super().on_write_complete(write_result)
        if self._warehouse is None or self._transaction is None:
            return
        ids = [r.file_id for r in self.reports]
        twice = len(ids) - len(set(ids)) + len(known_files(self._warehouse, ids))
        if twice:
            raise UserError(
                f"{twice} of the files are in this warehouse already.",
                "Name it when reading, HL7Datasource(..., warehouse=...), to pass over them.",
            )
        zone = ", ".join(sorted({m.time_zone for m in self.made}))
        outcome = EngineResult(self.files, self.reports)
        commit_result(outcome, self._transaction, self._warehouse, self._started_at, "ray", zone)
        self._warehouse.close()

    def on_write_failed(self, error: Exception) -> None:
        """Run on the driver when anything failed: nothing of it stays."""
        if self._transaction is not None and self._warehouse is not None:
            self._transaction.abort()
            self._warehouse.close()
