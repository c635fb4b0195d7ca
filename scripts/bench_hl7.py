"""HL7 v2 beside its peers, in one run: python-hl7, hl7apy and the plain Ray pipeline.

Every figure is taken in a process of its own, pinned to its cores. What runs in one process is
timed by the processor time it took, so that a busy machine does not bend the ratios; what runs on
Ray by the clock. Ratios come first, for absolute times are those of one machine on one day.

    scripts/bench hl7                             # 1,000,000 small messages, 100,000 of 3.9 KB
    scripts/bench hl7 --messages 100000           # a quicker look
    scripts/bench hl7 --no-big                    # without the file of 2 GB
    scripts/bench hl7 --samples FOLDER            # where the 3.9 KB sample messages lie
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hl7_measures import make

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT.parent / "shared" / "data" / "hl7v2" / "microsoft+FHIR-Converter"
FLAT = (10_000, 100_000, 1_000_000)

Taken = dict[str, dict[str, Any]]


def run(measure: str, folder: Path, cores: int) -> dict[str, Any]:
    """Take one figure in a process of its own, on so many cores."""
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "ARROW_NUM_THREADS"), str(cores))
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("hl7_measures.py"), measure, str(folder)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
        check=False,
        env=os.environ | threads | {"RAY_worker_niceness": "0"},
    )
    if done.returncode:
        sys.stderr.write(done.stderr[-2_000:])
        raise SystemExit(f"{measure} failed.")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    # on Ray the driver's memory is next to nothing, and the workers do the work
    result["peak_mb"] = result.get("worker_mb") or result["peak_mb"]
    result |= {
        "measure": measure,
        "cores": cores,
        "us_per_message": result["seconds"] / result["messages"] * 1e6,
        "messages_per_s": result["messages"] / result["seconds"],
        "mb_per_s": result["bytes"] / result["seconds"] / 1e6,
    }
    print(
        f"  {measure:13} {cores} core{'s' * (cores > 1):1} {result['messages']:>10,} messages "
        f"{result['us_per_message']:>9.2f} us each {result['messages_per_s']:>10,.0f}/s "
        f"{result['mb_per_s']:>7.1f} MB/s {result['peak_mb']:>6,} MB peak",
        flush=True,
    )
    return result


def compare(args: argparse.Namespace, place: Path) -> dict[str, Taken]:
    """Take all figures."""
    taken: dict[str, Taken] = {"small": {}, "large": {}, "flat": {}, "big": {}}
    for kind, count in (("small", args.messages), ("large", args.messages // 10)):
        folder = place / kind
        make(kind, folder, count, args.samples)
        print(f"\n{kind} messages: {count:,}")
        for measure in ("python_hl7", "hl7apy", "parse", "ingest", "stages", "parquet_again"):
            taken[kind][measure] = run(measure, folder, 1)
        for measure in ("plain_ray", "ingest_ray"):
            taken[kind][measure] = run(measure, folder, 1)
            taken[kind][f"{measure}_2"] = run(measure, folder, 2)
    print("\ncost per message, small")
    for count in FLAT:
        if count <= args.messages:
            folder = place / f"flat{count}"
            make("small", folder, count, args.samples)
            for measure in ("parse", "ingest"):
                taken["flat"][f"{measure} {count}"] = run(measure, folder, 1)
            shutil.rmtree(folder)
    if args.big:
        print("\none file of 2 GB")
        for kind in ("small", "large"):
            taken["big"][kind] = run("one_file", place / kind, 1)
        taken["big"]["small, Ray"] = run("one_file_ray", place / "small", 2)
    return taken


def ratios(taken: dict[str, Taken]) -> dict[str, float]:
    """Return what the figures say of each other."""
    found = {}
    for kind in ("small", "large"):
        cost = {measure: v["us_per_message"] for measure, v in taken[kind].items()}
        peer = "python-hl7's bare parse"
        found |= {
            f"{kind}: parse, times {peer}": cost["python_hl7"] / cost["parse"],
            f"{kind}: whole ingest, times {peer}": cost["python_hl7"] / cost["ingest"],
            f"{kind}: parse, times hl7apy's": cost["hl7apy"] / cost["parse"],
            f"{kind}: whole ingest on Ray, times the plain Ray pipeline, one core": cost[
                "plain_ray"
            ]
            / cost["ingest_ray"],
            f"{kind}: the same, two cores": cost["plain_ray_2"] / cost["ingest_ray_2"],
            f"{kind}: Ray on two cores, times Ray on one": cost["ingest_ray"]
            / cost["ingest_ray_2"],
            f"{kind}: whole ingest over the write of the same Parquet alone": cost["ingest"]
            / cost["parquet_again"],
        }
    for measure in ("parse", "ingest"):
        seconds = [v["seconds"] for k, v in taken["flat"].items() if k.startswith(measure)]
        counts = [v["messages"] for k, v in taken["flat"].items() if k.startswith(measure)]
        each = [s / n for s, n in zip(seconds, counts, strict=True)]
        # what a run costs whatever it holds (commits, first use of memory) falls out of this
        further = [
            (s - seconds[i]) / (counts[i + 1] - counts[i]) for i, s in enumerate(seconds[1:])
        ]
        if further:
            found[f"{measure}: most over least cost per message, by count"] = max(each) / min(each)
            found[f"{measure}: the same for each further message"] = max(further) / min(further)
    return found


def report(result: dict[str, Any]) -> None:
    """Print ratios first, then where the time goes and what memory it took."""
    print("\nratios")
    for name, ratio in result["ratios"].items():
        print(f"  {ratio:>7.2f}  {name}")
    for kind in ("small", "large"):
        spent = result["figures"][kind]["stages"]
        print(f"\nwhere an ingest's time goes, {kind} messages")
        rest = spent["seconds"] - sum(spent["stages"].values())
        for stage, seconds in (spent["stages"] | {"the rest": rest}).items():
            print(f"  {seconds / spent['seconds']:>6.1%}  {stage}")
    if result["figures"]["big"]:
        print("\npeak memory of the process that works, one file of 2 GB")
        for name, figure in result["figures"]["big"].items():
            print(f"  {figure['peak_mb']:>6,} MB  {name}")


def plot(taken: dict[str, Taken], file: Path) -> None:
    """Draw messages a second, cost by count, and where the time goes."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    _, panes = plt.subplots(2, 2, figsize=(12, 7.5))
    for pane, kind in zip(panes[0], ("small", "large"), strict=True):
        found = {k: v for k, v in taken[kind].items() if k not in ("stages", "parquet_again")}
        names = [
            f"{m.removesuffix('_2').replace('_', ' ')} ({v['cores']})" for m, v in found.items()
        ]
        bars = pane.barh(names, [v["messages_per_s"] for v in found.values()])
        pane.bar_label(bars, fmt="{:,.0f}", padding=3)
        pane.set(title=f"{kind} messages a second (cores)", xscale="log")
        pane.invert_yaxis()
        pane.margins(x=0.35)
    for measure in ("parse", "ingest"):
        points = {
            int(k.split()[1]): v["us_per_message"]
            for k, v in taken["flat"].items()
            if k.startswith(measure)
        }
        panes[1][0].plot(list(points), list(points.values()), marker="o", label=measure)
    panes[1][0].set(title="microseconds a message, by count", xscale="log", ylim=(0, None))
    panes[1][0].legend()
    for kind in ("small", "large"):
        left = 0.0
        for stage, seconds in taken[kind]["stages"]["stages"].items():
            share = seconds / taken[kind]["stages"]["seconds"]
            bar = panes[1][1].barh(kind, share, left=left)
            panes[1][1].bar_label(bar, [stage], label_type="center", fontsize=7)
            left += share
    panes[1][1].set(title="where an ingest's time goes", xlim=(0, 1))
    plt.tight_layout()
    plt.savefig(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=1_000_000, help="small ones (1,000,000)")
    parser.add_argument("--samples", type=Path, default=SAMPLES)
    parser.add_argument("--no-big", dest="big", action="store_false", help="no file of 2 GB")
    parser.add_argument("--out", type=Path, default=Path(".bench"))
    args = parser.parse_args()
    args.out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        taken = compare(args, Path(place))
    result = {
        "ratios": ratios(taken),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}",
        "figures": taken,
    }
    (args.out / "hl7.json").write_text(json.dumps(result, indent=1))
    plot(taken, args.out / "hl7.svg")
    report(result)
    print(f"\n{args.out / 'hl7.json'}, {args.out / 'hl7.svg'}")


if __name__ == "__main__":
    main()
