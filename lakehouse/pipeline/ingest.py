"""The ingest from paths to tables: discover, parse, validate, de-identify, write, commit.

Identified data lives and ends within one call of ``process``; ``ingest`` is the whole way. An
engine decides where ``process`` runs and who writes the data files, and nothing else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lakehouse.definitions.tables import add_site_tables, read_site_tables
from lakehouse.pipeline.engine import (
    AUTO,
    EngineJob,
    ProcessConfig,
    ProcessedBatch,
    choose_engine,
    load_engine,
)
from lakehouse.pipeline.progress import progress_bar
from lakehouse.pipeline.reading import ReadOptions, read_files
from lakehouse.pipeline.rebatch import rebatch
from lakehouse.pipeline.reports import NOT_RECOGNISED, IngestReport, sum_reports
from lakehouse.pipeline.steps import (
    check_options,
    claim_new,
    commit_result,
    new_ingest_id,
    warehouse_secret,
)
from lakehouse.pipeline.tombstones import read_tombstones, without_erased
from lakehouse.pipeline.unknown_files import UnknownFiles, check_list
from lakehouse.privacy.deidentify import Deidentifier
from lakehouse.privacy.keys.secret import Secret
from lakehouse.privacy.rules.policy import load_policy
from lakehouse.sources.discover import Paths, discover
from lakehouse.sources.input_file import InputFile
from lakehouse.storage.io.failpoints import failpoint
from lakehouse.storage.maintenance.recovery import recover
from lakehouse.storage.transactions.ledger import known_unrecognised
from lakehouse.storage.transactions.transaction import IngestTransaction
from lakehouse.storage.warehouse import Warehouse


def process(files: Iterable[InputFile], config: ProcessConfig) -> Iterator[ProcessedBatch]:
    """Open, unpack, recognise, parse, validate and de-identify files in one call.

    Identified data never leaves this call; its results may be stored, sent and logged.

    Raises:
        InputError: A file changed or vanished after its listing.
        KeyFileError: The secret is missing or weak.
    """
    add_site_tables(read_site_tables(config.options.mappings))
    secret = Secret.load(config.key_path)
    deidentify = Deidentifier(
        load_policy(config.profile), secret, config.codes, config.options.time_zone
    )
    for parsed in rebatch(read_files(files, config.options, secret)):
        clean = without_erased(deidentify(parsed.batch), config.tombstones)
        failpoint("parsing")
        yield ProcessedBatch(clean, parsed.reports, parsed.tally)


def ingest(
    paths: Paths,
    warehouse: Warehouse | str | os.PathLike[str],
    *,
    engine: str = AUTO,
    format: str | None = None,
    time_zone: str = "UTC",
    authority: str | None = None,
    mappings: Sequence[str] = (),
    codes: Sequence[str] = (),
    key_file: str | Path | None = None,
    address: str | None = None,
    list_unknown: str | os.PathLike[str] | None = None,
    show_progress: bool | None = None,
) -> IngestReport:
    """Store the records of some files, de-identified, in the tables of a warehouse.

    An ingest passes over content that the warehouse has, so the same call again changes nothing.
    After a kill at any point the same call completes the work. An ingest reads an unrecognised
    file again once a format recognises it, or when the caller names a format.

    Args:
        paths: Files, folders, globs or URIs; gzip and zip are unpacked.
        warehouse: The warehouse, or its folder or URI.
        engine: ``local``, ``ray``, or ``auto``: Ray for large inputs or a named cluster.
        format: Read every file as this format; by default the content decides.
        time_zone: IANA name in which times without an offset are read.
        authority: Assigning authority of record numbers that state none.
        mappings: Folders with a site's own mapping files.
        codes: Folders with a site's own code sets.
        key_file: The secret; by default the file that ``LAKEHOUSE_KEY_FILE`` names, else the one
            that ``lakehouse init`` made for this warehouse.
        address: Address of a running Ray cluster.
        list_unknown: File, of mode 0600, to write the paths of files to that gave no record; a
            path may name a patient.
        show_progress: None shows a bar when standard error is a terminal.

    Returns:
        A report; its ``ingest_id`` is None when there was nothing new.

    Raises:
        UserError: A path, the key, the warehouse or an argument is wrong; nothing was written.
        CommitError: The storage failed; the same call again completes the work.
        EngineError: A worker failed; the same call again completes the work.

    Examples:
        ::

            report = lakehouse.ingest("data/hl7", "warehouse")
            print(report.n_records, report.n_rejects, report.rows)
    """
    start, started_at = time.monotonic(), datetime.now(UTC)
    check_options(engine=engine, address=address, format=format, time_zone=time_zone)
    add_site_tables(read_site_tables(mappings))
    with ExitStack() as stack:
        if not isinstance(warehouse, Warehouse):
            warehouse = stack.enter_context(Warehouse.open(warehouse))
        else:
            warehouse.upgrade()
        check_list(list_unknown, warehouse.path)
        secret, key_path = warehouse_secret(warehouse, key_file)
        recovered = tuple(recover(warehouse))
        progress = stack.enter_context(progress_bar(show_progress))
        discovery = discover(paths, secret, exclude=(warehouse.path,), advance=progress.file_hashed)
        transaction = stack.enter_context(IngestTransaction(warehouse, new_ingest_id(started_at)))
        unknown = UnknownFiles(discovery.files)
        unrecognised = known_unrecognised(warehouse, unknown.file_ids, format)
        new = claim_new(discovery.files, lambda ids: transaction.claim(ids - unrecognised))
        facts: dict[str, Any] = {
            "n_known": len(discovery.files) - len(new) - len(unrecognised),
            "n_hidden": discovery.n_hidden,
            "n_dangling": discovery.n_dangling,
            "recovered": recovered,
            **unknown.facts(unrecognised),
        }
        del discovery  # `new` lists the same files again: free the memory for the long part
        if not new:
            unknown.write_list(list_unknown, unrecognised)
            return IngestReport(None, seconds=time.monotonic() - start, **facts)
        options = ReadOptions(
            transaction.ingest_id,
            time_zone,
            warehouse.settings.authority if authority is None else authority,
            tuple(mappings),
            format,
        )
        config = ProcessConfig(
            options,
            key_path,
            warehouse.settings.profile,
            tuple(codes),
            read_tombstones(warehouse),
        )
        name = choose_engine(engine, new, address)
        job = EngineJob(new, config, warehouse.write_spec(), transaction.attempt, address)
        progress.begin(len(new), sum(f.content_size for f in new))
        result = load_engine(name).run(job, progress)
        unrecognised.update(r.file_id for r in result.reports if r.status == NOT_RECOGNISED)
        facts |= unknown.facts(unrecognised)
        facts["rows"] = commit_result(
            result, transaction, warehouse, started_at, name, options.time_zone
        )
        unknown.write_list(list_unknown, unrecognised)
        facts["seconds"] = time.monotonic() - start
        return IngestReport(transaction.ingest_id, name, **facts, **sum_reports(result.reports))
