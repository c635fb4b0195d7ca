"""The search for identifiers in every decoded byte, and the proof that it can see."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from lakehouse.errors import InputError
from lakehouse.storage.maintenance.inspection import file_contents, is_own_name
from lakehouse.storage.warehouse import Warehouse
from lakehouse.verification.decode import NUMBERS, VALUES, Undecodable, decoded
from lakehouse.verification.report import Check
from lakehouse.verification.scanner import Hit, Scanner, read_tokens

Place = str | os.PathLike[str]
Named = tuple[str, str, bytes]
"""What to call a file in a report, its path, its content."""

_COUNTS = re.compile(
    r"tables/.+\.(metadata\.json|avro)|state/.+|catalog\.db(-\w+)?|lakehouse\.json"
)
"""Files in which numbers are the storage's own: sizes, counts, processes, times."""


def search(
    warehouse: Warehouse,
    tokens: Path,
    control: Sequence[Place],
    also: Sequence[Place],
    progress: Callable[[str], None],
) -> list[Check]:
    """Search every decoded byte for tokens, after proving on the control that this can see.

    Raises:
        InputError: The token file cannot be read or proves nothing, or a folder is missing.
    """
    try:
        scanner = Scanner(read_tokens(tokens.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError):
        raise InputError(f"The token file {tokens} cannot be read.", "Give UTF-8 text.") from None
    progress("control data")
    seen = {h.number for place in control for h in _scan(scanner, _below(place), [])}
    blind = [f"token {n} is not in the control data" for n in sorted(scanner.tokens.keys() - seen)]
    says = "Every token is found in the source data."
    can_see = Check("search-can-see", "method", says, len(scanner.tokens), tuple(blind))
    scanner.n_bytes = 0
    undecodable: list[str] = []
    progress("every byte of the warehouse")
    hits = set(_scan(scanner, _inside(warehouse), undecodable))
    for place in also:
        hits |= set(_scan(scanner, _below(place), undecodable))
    found = sorted({f"token {h.number} ({h.form}) in {h.place}" for h in hits if not h.value})
    found += [f"{place} cannot be decoded, or not all of it" for place in undecodable]
    notes = sorted(
        {f"token {h.number} equals a number in {h.place}: judge it" for h in hits if h.value}
    )
    says = "No identifier of the list is found."
    return [
        can_see,
        Check("no-token", "164.514(b)(2)(i)", says, scanner.n_bytes, tuple(found), tuple(notes)),
    ]


def _inside(warehouse: Warehouse) -> Iterator[Named]:
    for number, (path, data) in enumerate(file_contents(warehouse), 1):
        yield path if is_own_name(path) else f"file {number}, not the warehouse's own", path, data


def _below(place: Place) -> Iterator[Named]:
    """Yield files elsewhere; their names are not ours, so they are not repeated."""
    root = Path(place)
    if not root.exists():
        raise InputError(f"{place} does not exist.", "Check the path.")
    files = sorted(root.rglob("*")) if root.is_dir() else [root]
    for number, path in enumerate(files, 1):
        if path.is_file() and not path.is_symlink():
            below = path.relative_to(root.parent).as_posix()
            yield f"file {number} below {place}", below, path.read_bytes()


def _scan(scanner: Scanner, files: Iterable[Named], undecodable: list[str]) -> Iterator[Hit]:
    for number, (shown, path, data) in enumerate(files, 1):
        if named := scanner.hits(path.encode("utf-8", "surrogateescape"), f"the name of {shown}"):
            shown = f"file {number}"  # our own names hold nothing; this one does
            yield from (Hit(h.number, h.form, f"the name of {shown}", h.value) for h in named)
        counts = _COUNTS.fullmatch(path) is not None
        try:
            for part, piece in decoded(data):
                yield from scanner.hits(
                    piece,
                    f"{shown}, {part}",
                    lines=f": {VALUES} of" in part,
                    values=counts or f": {NUMBERS} of" in part,
                )
        except Undecodable:
            undecodable.append(shown)
