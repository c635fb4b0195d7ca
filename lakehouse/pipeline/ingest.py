"""The table of contents: discover, parse, validate, de-identify, write, commit.

``process`` is one call in which identified data lives and ends; ``ingest`` is the whole way from
paths to committed tables. An engine decides where ``process`` runs and who writes the files, and
nothing else.
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
    Processed,
    choose_engine,
    load_engine,
)
from lakehouse.pipeline.progress import bar
from lakehouse.pipeline.reading import ReadOptions, read
from lakehouse.pipeline.rebatch import rebatch
from lakehouse.pipeline.reports import NOT_RECOGNISED, IngestReport, summed
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


def process(files: Iterable[InputFile], config: ProcessConfig) -> Iterator[Processed]:
    """Open, unpack, recognise, parse, validate and de-identify, in one call.

    Everything identified lives in here; what comes out may be stored, sent and logged.

    Raises:
        InputError: A file changed or vanished after it was listed.
        KeyFileError: The secret is not there, or not fit.
    """
    add_site_tables(read_site_tables(config.options.mappings))
    secret = Secret.load(config.key_path)
    deidentify = Deidentifier(
        load_policy(config.profile), secret, config.codes, config.options.time_zone
    )
    for parsed in rebatch(read(files, config.options, secret)):
        clean = without_erased(deidentify(parsed.batch), config.tombstones)
        failpoint("parsing")
        yield Processed(clean, parsed.reports, parsed.tally)


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

    Content that is in the warehouse already is passed over, so the same call again changes
    nothing; after a kill at any point the same call completes the work. A file of no known format
    is read again once it is known, or when a format is named.

    Args:
        paths: Files, folders, globs or URIs; gzip and zip are unpacked.
        warehouse: The warehouse, or where it is.
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
        What was done; ``ingest_id`` is None when there was nothing new.

    Raises:
        UserError: A path, the key, the warehouse or an argument is at fault; nothing was written.
        CommitError: The storage failed; the same call again completes the work.
        EngineError: A worker failed; the same call again completes the work.

    Examples:
        ::

            report = lakehouse.ingest("data/hl7", "warehouse")
            print(report.n_records, report.n_rejects, report.rows)
    """
    begun, started_at = time.monotonic(), datetime.now(UTC)
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
        progress = stack.enter_context(bar(show_progress))
        found = discover(paths, secret, exclude=(warehouse.path,), advance=progress.file_hashed)
        transaction = stack.enter_context(IngestTransaction(warehouse, new_ingest_id(started_at)))
        unknown = UnknownFiles(found.files)
        unrecognised = known_unrecognised(warehouse, unknown.file_ids, format)
        new = claim_new(found.files, lambda ids: transaction.claim(ids - unrecognised))
        facts: dict[str, Any] = {
            "n_known": len(found.files) - len(new) - len(unrecognised),
            "n_hidden": found.n_hidden,
            "n_dangling": found.n_dangling,
            "recovered": recovered,
            **unknown.facts(unrecognised),
        }
        del found  # the files that are new are listed once more, and the work is long
        if not new:
            unknown.write_list(list_unknown, unrecognised)
            return IngestReport(None, seconds=time.monotonic() - begun, **facts)
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
        facts["seconds"] = time.monotonic() - begun
        return IngestReport(transaction.ingest_id, name, **facts, **summed(result.reports))
