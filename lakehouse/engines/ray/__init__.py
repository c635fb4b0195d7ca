"""The Ray engine: reads and writes on all machines of a cluster; the only room that knows Ray.

- ``datasource`` turns encrypted lists of files into read tasks; each calls ``ingest.process`` and
  yields clean rows: packed, so that one dataset carries every table, or typed, of one table
- ``datasink`` unpacks, joins and writes data files in workers
- ``cluster`` joins or starts a cluster and follows what its workers do
- ``public`` is what a person's own Ray program uses

Only de-identified rows, counts and encrypted lists of files ever lie in Ray's object store.
"""

from __future__ import annotations

from ray.data import read_datasource

from lakehouse.engines.ray.cluster import connected, watched
from lakehouse.engines.ray.datasink import PackedDatasink
from lakehouse.engines.ray.datasource import FilesDatasource
from lakehouse.errors import EngineError, LakehouseError
from lakehouse.pipeline.engine import EngineJob, EngineResult
from lakehouse.pipeline.progress import Progress
from lakehouse.privacy.keys.secret import Secret


def run(job: EngineJob, progress: Progress) -> EngineResult:
    """Read and write on the cluster; the driver only collects what was written."""
    with connected(job.address), watched(progress) as counter:
        secret = Secret.load(job.config.key_path)
        source = FilesDatasource(job.files, job.config, secret, counter)
        sink = PackedDatasink(job.spec, job.attempt)
        _drive(source, sink)
    return EngineResult(sink.files, sink.reports)


def _drive(source: FilesDatasource, sink: PackedDatasink) -> None:
    try:
        dataset = read_datasource(source, override_num_blocks=source.n_tasks)
        dataset.write_datasink(sink)
    except Exception as error:
        raise _first_of_ours(error) from None


def _first_of_ours(error: BaseException) -> LakehouseError:
    """Return the one error that a person should see; the text of a foreign one may hold data."""
    seen: BaseException | None = error
    while seen is not None:
        cause = getattr(seen, "cause", None)
        for candidate in (seen, cause):
            if isinstance(candidate, LakehouseError):
                return type(candidate)(*candidate.args)
        seen = cause if isinstance(cause, BaseException) else seen.__cause__ or seen.__context__
    return EngineError(
        f"Ray could not finish the work ({type(error).__name__}).",
        "Nothing was stored; run the same command again, or with --engine local.",
    )
