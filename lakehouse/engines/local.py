"""The local engine: everything in this process, in bounded memory, without Ray."""

from __future__ import annotations

from lakehouse.pipeline.arrow_memory import ingest_allocator
from lakehouse.pipeline.engine import EngineJob, EngineResult
from lakehouse.pipeline.ingest import process
from lakehouse.pipeline.progress import Progress
from lakehouse.pipeline.reports import FileReport
from lakehouse.pipeline.writing import Writer
from lakehouse.sources.packed_list import PackedList


def run(job: EngineJob, progress: Progress) -> EngineResult:
    """Read one file after the other and write data files as rows come together."""
    reports: PackedList[FileReport] = PackedList()
    with ingest_allocator(), Writer(job.spec, job.attempt) as writer:
        for piece in process(job.files, job.config):
            writer.add(piece.batch)
            reports.extend(piece.reports)
            progress.advance(piece.tally)
        return EngineResult(writer.finish(), reports)
