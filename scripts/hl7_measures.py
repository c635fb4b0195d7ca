"""What ``scripts/bench hl7`` measures, each figure in a process of its own; see there.

python scripts/hl7_measures.py MEASURE FOLDER    # prints one JSON object
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT.parent / "shared" / "data" / "hl7v2" / "microsoft+FHIR-Converter"
PYTHON_HL7, HL7APY = 5_000_000, 80_000
"""Bytes for the peers, whose cost per message does not hang on how many there are."""

BIG_BYTES = 2 * 10**9


def large_messages(samples: Path) -> list[bytes]:
    """Return the sample messages of 3 KB and more, line ends as CR, control id left open."""
    found = []
    for file in sorted(samples.rglob("*.hl7")):
        text = file.read_bytes().removeprefix(b"\xef\xbb\xbf")
        text = re.sub(rb"[\r\n]+", b"\r", text).strip(b"\r") + b"\r"
        head, _, rest = text.partition(b"\r")
        fields = head.split(b"|")
        if 3_000 < len(text) < 6_000 and len(fields) > 11 and text.count(b"MSH|") == 1:
            fields[9] = b"%(id)s"
            found.append(
                b"|".join(fields).replace(b"%", b"%%").replace(b"%%(id)s", b"%s")
                + b"\r"
                + rest.replace(b"%", b"%%")
                + b"\n\r\n"  # as the tutorial ends a message
            )
    if not found:
        raise SystemExit(f"No sample messages in {samples}: give --samples FOLDER.")
    return found


def make(kind: str, folder: Path, count: int, samples: Path) -> None:
    """Write ``count`` messages into 100 files."""
    if kind == "small":
        from lakehouse.synth import tutorial

        tutorial.write(folder, count, max(count // 100, 1))
        return
    shapes = large_messages(samples)
    folder.mkdir(parents=True)
    size = max(count // 100, 1)
    for number, start in enumerate(range(0, count, size)):
        texts = (
            shapes[i % len(shapes)] % (b"B%09d" % i) for i in range(start, min(start + size, count))
        )
        (folder / f"large-{number:04d}.hl7").write_bytes(b"".join(texts))


def some(folder: Path, limit: int) -> list[str]:
    """Return about ``limit`` bytes of messages as the peers want them: CR between segments."""
    found: list[str] = []
    size = 0
    for file in sorted(folder.glob("*.hl7")):
        for text in re.split(r"(?=MSH\|)", file.read_bytes().decode()):
            if text.strip():
                found.append(text.strip("\r\n").replace("\r\n", "\r") + "\r")
                size += len(text)
            if size > limit:
                return found
    return found


def python_hl7(folder: Path) -> dict[str, Any]:
    """The parse that users have today: a tree of Python objects."""
    import hl7

    return timed(lambda m: hl7.parse(m), some(folder, PYTHON_HL7))


def hl7apy(folder: Path) -> dict[str, Any]:
    """The other Python parser, which knows every version's segments."""
    from hl7apy.exceptions import HL7apyException
    from hl7apy.parser import parse_message

    def one(text: str) -> None:
        with suppress(HL7apyException):
            parse_message(text, find_groups=False)

    return timed(one, some(folder, HL7APY))


def timed(function: Callable[[str], Any], messages: list[str]) -> dict[str, Any]:
    begun = time.process_time()
    for message in messages:
        function(message)
    seconds = time.process_time() - begun
    return {"messages": len(messages), "bytes": sum(map(len, messages)), "seconds": seconds}


def parse(folder: Path) -> dict[str, Any]:
    """Ours, parse alone: every mapped column as Arrow, validated."""
    from lakehouse.batch import Source
    from lakehouse.formats.hl7v2 import FORMAT
    from lakehouse.pipeline.arrow_memory import ingest_allocator
    from lakehouse.quality import validate

    files = sorted(folder.glob("*.hl7"))
    messages = 0
    with ingest_allocator():  # as an ingest does
        # start-up apart: some files first, so that memory is there
        for batch in FORMAT.parse_many((f.open("rb"), Source("0" * 32)) for f in files[:20]):
            validate(batch, "hl7v2")
        begun = time.process_time()
        for batch in FORMAT.parse_many((f.open("rb"), Source("0" * 32)) for f in files):
            messages += validate(batch, "hl7v2").n_records
        seconds = time.process_time() - begun
    return {"messages": messages, "bytes": sum(f.stat().st_size for f in files), "seconds": seconds}


def ingest(
    folder: Path,
    engine: str = "local",
    before: Callable[[Path], None] | None = None,
    after: Callable[[Path], None] | None = None,
) -> dict[str, Any]:
    """Ours, whole: read, parse, validate, de-identify, write and commit Iceberg tables.

    ``before`` and ``after`` are called with the warehouse, around what is timed.
    """
    import lakehouse
    from lakehouse.privacy.keys.secret import Secret
    from lakehouse.synth import tutorial

    with tempfile.TemporaryDirectory() as place, workers_watched() as workers:
        os.environ["LAKEHOUSE_KEY_FILE"] = f"{place}/key"
        os.environ["XDG_CONFIG_HOME"] = place
        Secret.create(Path(place, "key"))
        warehouse = Path(place, "warehouse")
        lakehouse.init(warehouse)
        # start-up apart: a small ingest first, of other files, that every worker has a part in
        first = Path(place, "first")
        tutorial.write(first, 20_000, 333)
        lakehouse.ingest(first, warehouse, engine=engine, show_progress=False)
        if before is not None:
            before(warehouse)
        clock = time.perf_counter if engine == "ray" else time.process_time
        begun = clock()
        report = lakehouse.ingest(folder, warehouse, engine=engine, show_progress=False)
        seconds = clock() - begun
        if after is not None:
            after(warehouse)
    return {
        "messages": report.n_records,
        "bytes": report.bytes,
        "seconds": seconds,
        "rows": {k: v for k, v in report.rows.items() if v},
        "rejects": report.n_rejects,
        "worker_mb": max(workers, default=0) // 1024,
    }


def ingest_ray(folder: Path) -> dict[str, Any]:
    """The same on Ray, by the clock."""
    return ingest(folder, "ray")


@contextmanager
def workers_watched() -> Iterator[list[int]]:
    """Gather the memory of each Ray worker below this process, in KiB, shared memory left out."""
    found: list[int] = []
    done = threading.Event()

    def status(pid: str) -> dict[str, str]:
        lines = Path("/proc", pid, "status").read_text().splitlines()
        return dict(line.split(":\t", 1) for line in lines if ":\t" in line)

    def ours(pid: str) -> bool:
        while pid not in ("0", "1"):
            if pid == str(os.getpid()):
                return True
            pid = status(pid)["PPid"].strip()
        return False

    def watch() -> None:
        while not done.wait(0.1):
            for folder in Path("/proc").glob("[0-9]*"):
                with suppress(OSError, KeyError):
                    if (folder / "cmdline").read_bytes().startswith(b"ray::") and ours(folder.name):
                        found.append(int(status(folder.name)["RssAnon"].split()[0]))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()


def stages(folder: Path) -> dict[str, Any]:
    """Where the processor time of a whole ingest goes, stage by stage."""
    import lakehouse.pipeline.writing as writing
    from lakehouse.formats.hl7v2 import HL7v2
    from lakehouse.privacy.deidentify import Deidentifier
    from lakehouse.storage.transactions.transaction import IngestTransaction

    spent: dict[str, float] = {}

    def told(owner: Any, name: str, stage: str) -> None:
        function = getattr(owner, name)

        def timed(*args: Any, **options: Any) -> Any:
            begun = time.thread_time()
            try:
                return function(*args, **options)
            finally:
                spent[stage] = spent.get(stage, 0) + time.thread_time() - begun

        setattr(owner, name, timed)

    def told_each(owner: Any, name: str, stage: str) -> None:
        function = getattr(owner, name)

        def timed(*args: Any, **options: Any) -> Any:
            pieces = function(*args, **options)
            while True:
                begun = time.thread_time()
                piece = next(pieces, None)
                spent[stage] = spent.get(stage, 0) + time.thread_time() - begun
                if piece is None:
                    return
                yield piece

        setattr(owner, name, timed)

    told_each(HL7v2, "parse_many", "read and parse")
    told(Deidentifier, "__call__", "de-identify")
    told(writing, "write_tables", "sort and write Parquet")
    told(IngestTransaction, "commit", "commit")
    return ingest(folder, before=lambda _: spent.clear()) | {"stages": spent}


def parquet_again(folder: Path) -> dict[str, Any]:
    """Write the rows of the ingest once more with PyArrow alone: the least that storing costs."""
    import pyarrow.parquet as pq

    seconds = 0.0
    known: set[Path] = set()

    def after(warehouse: Path) -> None:
        nonlocal seconds
        for file in set(warehouse.rglob("*.parquet")) - known:
            rows = pq.read_table(file)
            begun = time.process_time()
            pq.write_table(rows, warehouse / "again.parquet", compression="zstd")
            seconds += time.process_time() - begun

    found = ingest(folder, before=lambda w: known.update(w.rglob("*.parquet")), after=after)
    return found | {"seconds": seconds}


def plain_ray(folder: Path) -> dict[str, Any]:
    """The usual tutorial: a file source that splits, a Python map, Parquet; four fields."""
    import ray
    from ray.data.datasource import FileBasedDatasource

    class Messages(FileBasedDatasource):
        def _read_stream(self, f: Any, path: str) -> Any:
            import pandas as pd

            rows = []
            for text in f.readall().decode().split("\r\n\r\n"):
                if not text.strip():
                    continue
                row = {"id": "", "type": "", "patient": "", "value": ""}
                for line in re.split("[\r\n]+", text):
                    field = line.split("|")
                    if field[0] == "MSH":
                        row["id"], row["type"] = field[9], field[8]
                    elif field[0] == "PID":
                        row["patient"] = field[3]
                    elif field[0] == "OBX":
                        row["value"] = field[5]
                rows.append(row)
            yield pd.DataFrame(rows)

    os.environ["RAY_DATA_DISABLE_PROGRESS_BARS"] = "1"
    ray.init(
        address="local",
        num_cpus=len(os.sched_getaffinity(0)),
        include_dashboard=False,
        log_to_driver=False,
    )
    files = sorted(folder.glob("*.hl7"))
    with tempfile.TemporaryDirectory() as place:
        ray.data.range(10).map(lambda r: r).write_parquet(f"{place}/warm")
        begun = time.perf_counter()
        source = Messages([str(f) for f in files])
        ray.data.read_datasource(source).map(
            lambda r: {**r, "masked": "***" + r["patient"][-4:]}
        ).write_parquet(f"{place}/out")
        seconds = time.perf_counter() - begun
        rows = ray.data.read_parquet(f"{place}/out").count()
    return {"messages": rows, "bytes": sum(f.stat().st_size for f in files), "seconds": seconds}


def one_file(folder: Path, engine: str = "local") -> dict[str, Any]:
    """A single file of 2 GB: what counts is the memory."""
    parts = sorted(folder.glob("*.hl7"))
    with tempfile.TemporaryDirectory() as place:
        big = Path(place, "feed", "big.hl7")
        big.parent.mkdir()
        with big.open("wb") as out:
            while out.tell() < BIG_BYTES:
                for part in parts:
                    out.write(part.read_bytes())
                    if out.tell() >= BIG_BYTES:
                        break
        return ingest(big.parent, engine)


def one_file_ray(folder: Path) -> dict[str, Any]:
    """The same on Ray."""
    return one_file(folder, "ray")


MEASURES: dict[str, Callable[[Path], dict[str, Any]]] = {
    f.__name__: f
    for f in (
        python_hl7,
        hl7apy,
        parse,
        ingest,
        ingest_ray,
        plain_ray,
        stages,
        parquet_again,
        one_file,
        one_file_ray,
    )
}


if __name__ == "__main__":
    measured = MEASURES[sys.argv[1]](Path(sys.argv[2]))
    measured["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(measured))
