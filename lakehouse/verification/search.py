"""Searches every decoded byte of a warehouse for identifiers, after a test on control data."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from lakehouse.errors import InputError
from lakehouse.storage.maintenance.inspection import file_contents, is_own_name
from lakehouse.storage.warehouse import Warehouse
from lakehouse.verification.decode import NUMBERS, VALUES, DecodeError, decode_parts
from lakehouse.verification.report import Check
from lakehouse.verification.scanner import Hit, Scanner, read_tokens

AnyPath = str | os.PathLike[str]
NamedFile = tuple[str, str, bytes]
"""Name of a file in a report, its path and its content."""

_COUNTS = re.compile(
    r"tables/.+\.(metadata\.json|avro)|state/.+|catalog\.db(-\w+)?|lakehouse\.json"
)
"""Files with the storage's own numbers: sizes, counts, processes, times."""


def search(
    warehouse: Warehouse,
    tokens: Path,
    control: Sequence[AnyPath],
    also: Sequence[AnyPath],
    progress: Callable[[str], None],
) -> list[Check]:
    """Search every decoded byte for tokens, after finding each of them in the control data.

    Raises:
        InputError: The token file cannot be read or has no usable token, or a folder is missing.
    """
    try:
        scanner = Scanner(read_tokens(tokens.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError):
        raise InputError(f"The token file {tokens} cannot be read.", "Give UTF-8 text.") from None
    progress("control data")
    visible = {h.number for place in control for h in _scan(scanner, _other_files(place), [])}
    blind = [
        f"token {n} is not in the control data" for n in sorted(scanner.tokens.keys() - visible)
    ]
    says = "Every token is found in the source data."
    can_see = Check("search-can-see", "method", says, len(scanner.tokens), tuple(blind))
    scanner.n_bytes = 0
    undecodable: list[str] = []
    progress("every byte of the warehouse")
    hits = set(_scan(scanner, _warehouse_files(warehouse), undecodable))
    for place in also:
        hits |= set(_scan(scanner, _other_files(place), undecodable))
    findings = sorted(
        {f"token {h.number} ({h.form}) in {h.place}" for h in hits if not h.may_be_value}
    )
    findings += [f"{place} cannot be decoded, or not all of it" for place in undecodable]
    notes = sorted(
        {f"token {h.number} equals a number in {h.place}: judge it" for h in hits if h.may_be_value}
    )
    says = "No identifier of the list is found."
    return [
        can_see,
        Check("no-token", "164.514(b)(2)(i)", says, scanner.n_bytes, tuple(findings), tuple(notes)),
    ]


def _warehouse_files(warehouse: Warehouse) -> Iterator[NamedFile]:
    for number, (path, data) in enumerate(file_contents(warehouse), 1):
        yield path if is_own_name(path) else f"file {number}, not the warehouse's own", path, data


def _other_files(place: AnyPath) -> Iterator[NamedFile]:
    """Yield files outside the warehouse, without their names, which may identify a patient."""
    root = Path(place)
    if not root.exists():
        raise InputError(f"{place} does not exist.", "Check the path.")
    files = sorted(root.rglob("*")) if root.is_dir() else [root]
    for number, path in enumerate(files, 1):
        if path.is_file() and not path.is_symlink():
            below = path.relative_to(root.parent).as_posix()
            yield f"file {number} below {place}", below, path.read_bytes()


def _scan(scanner: Scanner, files: Iterable[NamedFile], undecodable: list[str]) -> Iterator[Hit]:
    for number, (name, path, data) in enumerate(files, 1):
        if in_name := scanner.hits(path.encode("utf-8", "surrogateescape"), f"the name of {name}"):
            name = f"file {number}"  # a name with a token is never repeated
            yield from (
                Hit(h.number, h.form, f"the name of {name}", h.may_be_value) for h in in_name
            )
        counts = _COUNTS.fullmatch(path) is not None
        try:
            for part, piece in decode_parts(data):
                yield from scanner.hits(
                    piece,
                    f"{name}, {part}",
                    lines=f": {VALUES} of" in part,
                    values=counts or f": {NUMBERS} of" in part,
                )
        except DecodeError:
            undecodable.append(name)
