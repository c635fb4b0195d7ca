"""DICOM beside its peers, in one run: a bare pydicom loop, and ``to_json_dict`` of every object.

Every figure is the processor time of a process of its own, pinned to one core, so that a busy
machine does not bend the ratios. They come first, for absolute times are those of one machine on
one day.

    scripts/bench dicom                       # 20,000 objects made of the samples' headers
    scripts/bench dicom --files 2000          # a quicker look
    scripts/bench dicom --growth 2000 5000 20000 40000 90000    # memory alone, at these counts
    scripts/bench dicom --samples FOLDER      # where the sample objects lie
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
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT.parent / "shared" / "data" / "dicom"
LOOPS = 2_000
"""Files for the peers, whose cost per file does not hang on how many there are."""

SMALL, LARGE, SIZED = 1_000_000, 500_000_000, 40
"""Bytes of small and large objects, and how many of each."""


def templates(samples: Path) -> list[tuple[bytes, bytes]]:
    """Return sample images and the UID that names each, at least 24 characters long."""
    import pydicom

    found = []
    for path in sorted(samples.rglob("*")):
        if not path.is_file() or not 2_000 < path.stat().st_size < 600_000:
            continue
        data = path.read_bytes()
        if data[128:132] != b"DICM":
            continue
        try:
            ds = pydicom.dcmread(path, stop_before_pixels=True)
            uid = str(ds.SOPInstanceUID).encode()
        except Exception:
            continue
        wanted = ds.get("Modality") in ("CT", "MR", "CR", "PT", "US", "NM", "OT")
        if wanted and len(uid) >= 24 and "Rows" in ds and data.count(uid) >= 2:
            found.append((data, uid))
    if not found:
        raise SystemExit(f"No sample objects in {samples}: give --samples FOLDER.")
    return found


def make(folder: Path, count: int, samples: Path) -> None:
    """Write ``count`` objects, each under a UID of its own, a hundred a folder."""
    shapes = templates(samples)
    for number in range(count):
        data, uid = shapes[number % len(shapes)]
        own = uid[:-9] + b".%08d" % (number + 10_000_000)
        place = folder / f"{number // 100:05d}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:08d}").write_bytes(data.replace(uid, own))


def make_sized(folder: Path, size: int) -> None:
    """Write objects of one size; the pixels are a hole in the file."""
    from struct import pack

    from lakehouse.synth.writers.dicom.encode import part10

    folder.mkdir(parents=True)
    for number in range(SIZED):
        uid = f"1.2.3.{number + 1}"
        elements = {
            0x00080016: ("UI", "1.2.840.10008.5.1.4.1.1.2"),
            0x00080018: ("UI", uid),
            0x00080060: ("CS", "CT"),
            0x00100020: ("LO", "P1"),
            0x0020000D: ("UI", "1.2.3"),
            0x0020000E: ("UI", "1.2.3"),
        }
        head = part10("1.2.840.10008.5.1.4.1.1.2", uid, elements, "BENCH")
        head += pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, size)
        with (folder / f"{number}").open("wb") as out:
            out.write(head)
            out.truncate(len(head) + size)


def files_of(folder: Path, limit: int | None = None) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())[:limit]


def keywords() -> list[str]:
    """Return the attributes that the mapping reads at top level."""
    from pydicom.datadict import keyword_for_tag

    from lakehouse.formats.dicom.mapping import header_tags

    return [k for tag in header_tags() if tag >> 16 > 2 and (k := keyword_for_tag(tag))]


def pydicom_loop(folder: Path) -> dict[str, Any]:
    """Peer: read each header and the attributes that the tables hold, and keep nothing."""
    import pydicom

    names, files = keywords(), files_of(folder, LOOPS)
    begun = time.process_time()
    for path in files:
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        for name in names:
            ds.get(name)
    return {"files": len(files), "seconds": time.process_time() - begun}


def to_json_dict(folder: Path) -> dict[str, Any]:
    """Peer: each header as one JSON value."""
    import pydicom

    files = files_of(folder, LOOPS)
    begun = time.process_time()
    for path in files:
        pydicom.dcmread(path, stop_before_pixels=True).to_json_dict(suppress_invalid_tags=True)
    return {"files": len(files), "seconds": time.process_time() - begun}


def parse(folder: Path) -> dict[str, Any]:
    """Ours, parse alone: every mapped column as Arrow."""
    from lakehouse.batch import Source
    from lakehouse.formats.dicom import FORMAT

    def streams(files: list[Path]) -> Any:
        for path in files:
            with path.open("rb") as stream:
                yield stream, Source("0" * 32)

    files = files_of(folder)
    list(FORMAT.parse_many(streams(files[:10])))
    begun = time.process_time()
    rows = sum(b.n_records for b in FORMAT.parse_many(streams(files)))
    return {"files": rows, "seconds": time.process_time() - begun}


def ingest(folder: Path) -> dict[str, Any]:
    """Ours, whole: list, read, parse, validate, de-identify, write and commit Iceberg tables."""
    import lakehouse

    with tempfile.TemporaryDirectory() as place:
        os.environ["LAKEHOUSE_KEY_FILE"] = f"{place}/key"
        os.environ["XDG_CONFIG_HOME"] = place
        from lakehouse.privacy.keys.secret import Secret

        Secret.create(Path(place, "key"))
        lakehouse.init(f"{place}/warehouse")
        begun = time.process_time()
        report = lakehouse.ingest(folder, f"{place}/warehouse", engine="local", show_progress=False)
        seconds = time.process_time() - begun
        rows = {k: v for k, v in report.rows.items() if v}
    return {"files": report.n_files, "seconds": seconds, "rows": rows}


MEASURES: dict[str, Callable[[Path], dict[str, Any]]] = {
    f.__name__: f for f in (pydicom_loop, to_json_dict, parse, ingest)
}


def peak_kb() -> int:
    """Return the most memory that this process had; ``ru_maxrss`` begins with its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


def child(measure: str, folder: Path) -> None:
    warnings.simplefilter("ignore")
    result = MEASURES[measure](folder)
    result["peak_mb"] = peak_kb() / 1024
    print(json.dumps(result))


def run(measure: str, folder: Path, label: str = "") -> dict[str, Any]:
    """Take one figure in a process of its own, on one core."""
    core = sorted(os.sched_getaffinity(0))[:1]
    done = subprocess.run(
        [sys.executable, __file__, "--child", measure, str(folder)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, core),
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1"},
    )
    if done.returncode:
        sys.stderr.write(done.stderr[-2_000:])
        raise SystemExit(f"{measure} failed.")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    result["files_per_s"] = result["files"] / result["seconds"]
    print(
        f"  {label or measure:16} {result['files']:>7,} files {result['files_per_s']:>9,.0f}/s "
        f"{result['peak_mb']:>6,.0f} MB peak",
        flush=True,
    )
    return result


def growth(place: Path, counts: list[int], samples: Path) -> dict[str, dict[str, Any]]:
    """Take the peak of an ingest at each count, and say what a further object adds."""
    taken: dict[str, dict[str, Any]] = {}
    before: tuple[int, float] | None = None
    for count in sorted(counts):
        folder = place / f"{count}"
        make(folder, count, samples)
        found = taken[f"ingest of {count}"] = run("ingest", folder)
        shutil.rmtree(folder)
        if before is not None:
            more = (found["peak_mb"] - before[1]) * 1024 / (count - before[0])
            print(f"  {more:>39.2f} KB for each further object")
        before = count, found["peak_mb"]
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--samples", type=Path, default=SAMPLES)
    parser.add_argument("--out", type=Path, default=Path(".bench"))
    parser.add_argument("--growth", type=int, nargs="+", metavar="FILES")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child[0], Path(args.child[1]))
        return
    if args.growth:
        with tempfile.TemporaryDirectory() as place:
            growth(Path(place), args.growth, args.samples)
        return
    args.out.mkdir(exist_ok=True)
    taken: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder, tenth = Path(place, "objects"), Path(place, "tenth")
        make(folder, args.files, args.samples)
        make(tenth, args.files // 10, args.samples)
        print(f"\n{args.files:,} objects")
        for measure in ("pydicom_loop", "to_json_dict", "parse", "ingest"):
            taken[measure] = run(measure, folder)
        taken["tenth"] = run("ingest", tenth, "ingest, a tenth")
        print("\nlarge objects")
        for name, size in (("small", SMALL), ("large", LARGE)):
            make_sized(Path(place, name), size)
            taken[name] = run("ingest", Path(place, name), f"ingest, {size // 10**6} MB")
    speed = {name: float(found["files_per_s"]) for name, found in taken.items()}
    found = {
        "whole ingest, times the bare pydicom loop": speed["ingest"] / speed["pydicom_loop"],
        "whole ingest, times to_json_dict": speed["ingest"] / speed["to_json_dict"],
        "parse alone, times the bare pydicom loop": speed["parse"] / speed["pydicom_loop"],
        "peak memory, all files over a tenth": taken["ingest"]["peak_mb"]
        / taken["tenth"]["peak_mb"],
        "objects of 500 MB, times the speed of 1 MB": speed["large"] / speed["small"],
    }
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print("\nratios")
    for name, ratio in found.items():
        print(f"  {ratio:>7.2f}  {name}")
    result = {"ratios": found, "machine": machine, "figures": taken}
    (args.out / "dicom.json").write_text(json.dumps(result, indent=1))
    print(f"\n{args.out / 'dicom.json'}")


if __name__ == "__main__":
    main()
