"""HL7 v2 beside its peers, in one run: python-hl7, hl7apy and the plain Ray pipeline.

Every figure is taken in a process of its own, pinned to its cores. What runs in one process is
timed by the processor time it took, so that a busy machine does not bend the ratios; what runs on
Ray by the clock. Ratios come first, for absolute times are those of one machine on one day.

    scripts/bench hl7                             # 1,000,000 small messages, 100,000 of 3.9 KB
    scripts/bench hl7 --messages 100000           # a quicker look
    scripts/bench hl7 --samples FOLDER            # where the 3.9 KB sample messages lie
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT.parent / "shared" / "data" / "hl7v2" / "microsoft+FHIR-Converter"
PYTHON_HL7, HL7APY = 20_000, 300
"""Messages for the peers, whose cost per message does not hang on how many there are."""


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
        (folder / f"large-{number:04d}.hl7").write_bytes(b"\r\n".join(texts))


def texts(folder: Path, limit: int) -> list[str]:
    """Return some messages as the peers want them: one text each, CR between segments."""
    found: list[str] = []
    for file in sorted(folder.glob("*.hl7")):
        found += [
            m.strip("\r\n") + "\r"
            for m in re.split(r"(?=MSH\|)", file.read_bytes().decode())
            if m.strip()
        ]
        if len(found) >= limit:
            break
    return found[:limit]


def python_hl7(folder: Path) -> dict[str, Any]:
    import hl7

    return timed(lambda m: hl7.parse(m), texts(folder, PYTHON_HL7))


def hl7apy(folder: Path) -> dict[str, Any]:
    from hl7apy.exceptions import HL7apyException
    from hl7apy.parser import parse_message

    def one(text: str) -> None:
        with suppress(HL7apyException):
            parse_message(text, find_groups=False)

    return timed(one, texts(folder, HL7APY))


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
    from lakehouse.quality import validate

    files = sorted(folder.glob("*.hl7"))
    warm = [(files[0].open("rb"), Source("0" * 32))]
    for batch in FORMAT.parse_many(warm):
        validate(batch, "hl7v2")
    begun, messages = time.process_time(), 0
    for batch in FORMAT.parse_many((f.open("rb"), Source("0" * 32)) for f in files):
        messages += validate(batch, "hl7v2").n_records
    seconds = time.process_time() - begun
    return {"messages": messages, "bytes": sum(f.stat().st_size for f in files), "seconds": seconds}


def ingest(folder: Path, engine: str = "local") -> dict[str, Any]:
    """Ours, whole: read, parse, validate, de-identify, write and commit Iceberg tables."""
    import lakehouse
    from lakehouse.synth import tutorial

    with tempfile.TemporaryDirectory() as place:
        os.environ["LAKEHOUSE_KEY_FILE"] = f"{place}/key"
        os.environ["XDG_CONFIG_HOME"] = place
        from lakehouse.privacy.keys import Secret

        Secret.create(Path(place, "key"))
        lakehouse.init(f"{place}/warehouse")
        # start-up apart: a small ingest first, of other files, that every worker has a part in
        first = Path(place, "first")
        tutorial.write(first, 20_000, 333)
        lakehouse.ingest(first, f"{place}/warehouse", engine=engine, show_progress=False)
        clock = time.perf_counter if engine == "ray" else time.process_time
        begun = clock()
        report = lakehouse.ingest(folder, f"{place}/warehouse", engine=engine, show_progress=False)
        seconds = clock() - begun
        rows = {k: v for k, v in report.rows.items() if v}
    return {
        "messages": report.n_records,
        "bytes": report.bytes,
        "seconds": seconds,
        "rows": rows,
        "rejects": report.n_rejects,
    }


def ingest_ray(folder: Path) -> dict[str, Any]:
    return ingest(folder, "ray")


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


def one_file(folder: Path) -> dict[str, Any]:
    """A single file of 2 GB: what counts is the memory."""
    parts = sorted(folder.glob("*.hl7"))
    with tempfile.TemporaryDirectory() as place:
        big = Path(place, "feed", "big.hl7")
        big.parent.mkdir()
        with big.open("wb") as out:
            while out.tell() < 2 * 10**9:
                for part in parts:
                    out.write(part.read_bytes() + b"\r\n")
                    if out.tell() >= 2 * 10**9:
                        break
        return ingest(big.parent)


MEASURES: dict[str, Callable[[Path], dict[str, Any]]] = {
    f.__name__: f for f in (python_hl7, hl7apy, parse, ingest, ingest_ray, plain_ray, one_file)
}


def child(measure: str, folder: Path) -> None:
    result = MEASURES[measure](folder)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result["peak_mb"] = max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) // 1024
    print(json.dumps(result))


def run(measure: str, folder: Path, cores: int) -> dict[str, Any]:
    """Take one figure in a process of its own, on so many cores."""
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    done = subprocess.run(
        [sys.executable, __file__, "--child", measure, str(folder)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
        check=False,
        env=os.environ
        | {
            "OMP_NUM_THREADS": str(cores),
            "RAY_worker_niceness": "0",
            "ARROW_NUM_THREADS": str(cores),
        },
    )
    if done.returncode:
        sys.stderr.write(done.stderr[-2_000:])
        raise SystemExit(f"{measure} failed.")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    result |= {
        "measure": measure,
        "cores": cores,
        "us_per_message": result["seconds"] / result["messages"] * 1e6,
        "messages_per_s": result["messages"] / result["seconds"],
        "mb_per_s": result["bytes"] / result["seconds"] / 1e6,
    }
    print(
        f"  {measure:11} {cores} core{'s' * (cores > 1):1} {result['messages']:>10,} messages "
        f"{result['us_per_message']:>9.2f} us each {result['messages_per_s']:>10,.0f}/s "
        f"{result['mb_per_s']:>7.1f} MB/s {result['peak_mb']:>6,} MB peak",
        flush=True,
    )
    return result


def compare(args: argparse.Namespace, place: Path) -> dict[str, Any]:
    """Take all figures."""
    taken: dict[str, Any] = {"small": {}, "large": {}, "flat": {}}
    for kind, count in (("small", args.messages), ("large", args.messages // 10)):
        folder = place / kind
        make(kind, folder, count, args.samples)
        print(f"\n{kind} messages: {count:,}")
        for measure in ("python_hl7", "hl7apy", "parse", "ingest"):
            taken[kind][measure] = run(measure, folder, 1)
        if kind == "small":
            for measure in ("plain_ray", "ingest_ray"):
                taken[kind][measure] = run(measure, folder, 1)
                taken[kind][f"{measure}_2"] = run(measure, folder, 2)
    print("\ncost per message, small")
    for count in (10_000, 100_000, 1_000_000):
        if count <= args.messages:
            folder = place / f"flat{count}"
            make("small", folder, count, args.samples)
            taken["flat"][count] = run("parse", folder, 1)
            taken["flat"][f"ingest {count}"] = run("ingest", folder, 1)
            shutil.rmtree(folder)
    if args.big:
        print("\none file of 2 GB")
        taken["big"] = run("one_file", place / "large", 1)
    return taken


def ratios(taken: dict[str, Any]) -> dict[str, float]:
    """Return what the figures say of each other."""

    def cost(kind: str, measure: str) -> float:
        return float(taken[kind][measure]["us_per_message"])

    found = {}
    for kind in ("small", "large"):
        base = cost(kind, "python_hl7")
        found[f"{kind}: parse, times python-hl7's bare parse"] = base / cost(kind, "parse")
        found[f"{kind}: whole ingest, times python-hl7's bare parse"] = base / cost(kind, "ingest")
        found[f"{kind}: parse, times hl7apy's"] = cost(kind, "hl7apy") / cost(kind, "parse")
    small = "small"
    found["whole ingest on Ray, times the plain Ray pipeline (two cores)"] = cost(
        small, "plain_ray_2"
    ) / cost(small, "ingest_ray_2")
    found["Ray on two cores, times Ray on one"] = cost(small, "ingest_ray") / cost(
        small, "ingest_ray_2"
    )
    flat = [v["us_per_message"] for k, v in taken["flat"].items() if isinstance(k, int)]
    found["parse, most over least cost per message by count"] = max(flat) / min(flat)
    return found


def plot(taken: dict[str, Any], file: Path) -> None:
    """Draw messages a second, one bar a measure."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    _, panes = plt.subplots(1, 2, figsize=(11, 3.6))
    for pane, kind in zip(panes, ("small", "large"), strict=True):
        found = taken[kind]
        names = [
            f"{m.removesuffix('_2').replace('_', ' ')} ({v['cores']})" for m, v in found.items()
        ]
        bars = pane.barh(names, [v["messages_per_s"] for v in found.values()])
        pane.bar_label(bars, fmt="{:,.0f}", padding=3)
        pane.set(title=f"{kind} messages a second (cores)", xscale="log")
        pane.invert_yaxis()
        pane.margins(x=0.35)
    plt.tight_layout()
    plt.savefig(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--samples", type=Path, default=SAMPLES)
    parser.add_argument("--big", action="store_true", help="a single file of 2 GB as well")
    parser.add_argument("--out", type=Path, default=Path(".bench"))
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child[0], Path(args.child[1]))
        return
    args.out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        taken = compare(args, Path(place))
    result = {
        "ratios": ratios(taken),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}",
        "figures": taken,
    }
    print("\nratios")
    for name, ratio in result["ratios"].items():
        print(f"  {ratio:>7.1f}  {name}")
    (args.out / "hl7.json").write_text(json.dumps(result, indent=1))
    plot(taken, args.out / "hl7.svg")
    print(f"\n{args.out / 'hl7.json'}, {args.out / 'hl7.svg'}")


if __name__ == "__main__":
    main()
