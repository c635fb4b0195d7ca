"""Digests of what every view answers, to show that a change of its SQL changes no row.

The synthetic hospital (a fixed seed, with merges and corrections) is read under both profiles with
a fixed key, so two checkouts give equal lines: profile, view, number of rows, digest. A digest
covers names, types and values of the columns and does not depend on the order of the rows. A table
macro is called with the middle of the observations' times. ``ingest_id`` is left out: it is random.

    scripts/digests --folder /tmp/hospital > before.txt            # on the old checkout
    scripts/digests --folder /tmp/hospital --against before.txt    # exits 1 when a line differs
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import lakehouse
from lakehouse import synth

PROFILES = ("safe_harbor", "limited")
RANDOM = frozenset({"ingest_id"})
"""Columns that differ from one ingest to the next."""

MOMENT = "SELECT quantile_disc(observed_at, 0.5) FROM observations"
"""Argument of the table macros: both sides of it have rows."""


def warehouses(folder: Path, patients: int) -> Iterator[tuple[str, Path]]:
    """Yield profile and warehouse of each profile, made where the folder has none yet."""
    key = folder / "key"
    if not key.exists():
        folder.mkdir(parents=True, exist_ok=True)
        key.touch(0o600)
        # Known to everybody, as are the patients: equal pseudonyms are what the digests need.
        key.write_text(f"{hashlib.sha256(b'the synthetic hospital').hexdigest()}\n")
        synth.write(folder / "hospital", patients)
    for profile in PROFILES:
        path = folder / profile
        if not path.exists():
            agreement = "synthetic" if profile == "limited" else None
            lakehouse.init(path, profile=profile, data_use_agreement=agreement, key_file=key)
            lakehouse.ingest(
                folder / "hospital", path, engine="local", key_file=key, show_progress=False
            )
        yield profile, path


def digest(lake: lakehouse.Lakehouse, source: str) -> tuple[int, str]:
    """Return the number of rows of a view or a call of a macro, and the digest of its rows."""
    described = lake.sql(f"DESCRIBE SELECT * FROM {source}").fetchall()
    columns = [(name, kind) for name, kind, *_ in described if name not in RANDOM]
    packed = ", ".join(f'"{name}" := "{name}"' for name, _ in columns)
    # The sum of two halves of an MD5: unlike an exclusive or, it counts a row that is there twice.
    (found,) = lake.sql(
        "SELECT count(*), sum(md5_number_lower(line)), sum(md5_number_upper(line)) "
        f"FROM (SELECT struct_pack({packed})::VARCHAR AS line FROM {source})"
    ).fetchall()
    return found[0], hashlib.sha256(repr((columns, found)).encode()).hexdigest()[:16]


def lines(folder: Path, patients: int, views: Collection[str]) -> Iterator[str]:
    """Yield one line for each view of each profile, or for the named ones."""
    for profile, path in warehouses(folder, patients):
        with lakehouse.open(path) as lake:
            (moment,) = lake.sql(MOMENT).fetchone()
            for name in (n for n in lake.views() if not views or n in views):
                arguments = parameters(name, f"'{moment.isoformat()}'")
                rows, found = digest(lake, f"{name}{arguments}")
                yield f"{profile} {name} {rows} {found}"


def parameters(view: str, moment: str) -> str:
    """Return the arguments of a view that is a table macro, in brackets; nothing for others."""
    from lakehouse.query.views.library import load_views

    names = load_views()[view].parameters
    return f"({', '.join(moment for _ in names)})" if names else ""


def differences(earlier: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Return a line for each view that answers otherwise than it did, or is gone.

    Examples:
        >>> differences({"limited egfr": "3 abc"}, {"limited egfr": "4 abd", "limited new": "1 b"})
        ['limited egfr: was 3 abc, is 4 abd']
    """
    return [
        f"{view}: was {line}, is {found.get(view, 'gone')}"
        for view, line in earlier.items()
        if found.get(view) != line
    ]


def by_view(text: str) -> dict[str, str]:
    """Return rows and digest by profile and view, from the lines of an output.

    Examples:
        >>> by_view("limited egfr 3 abc")
        {'limited egfr': '3 abc'}
    """
    words = [line.split() for line in text.splitlines()]
    return {" ".join(line[:2]): " ".join(line[2:]) for line in words}


def main() -> None:
    """Print the lines, or compare them with those of a file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("views", nargs="*", help="only these views")
    parser.add_argument("--patients", type=int, default=150)
    parser.add_argument("--folder", type=Path, help="where hospital and warehouses are kept")
    parser.add_argument("--against", type=Path, help="an earlier output")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = []
        for line in lines(options.folder or Path(scratch), options.patients, options.views):
            found.append(line)
            print(line, flush=True)
    if options.against:
        earlier = by_view(options.against.read_text(encoding="utf-8"))
        asked = options.views
        earlier = {k: v for k, v in earlier.items() if not asked or k.split()[1] in asked}
        if changed := differences(earlier, by_view("\n".join(found))):
            print("\n".join(changed), file=sys.stderr)
            raise SystemExit(1)


if __name__ == "__main__":
    main()
