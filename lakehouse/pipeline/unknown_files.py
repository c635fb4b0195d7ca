"""Files whose content no format recognises: what may be told of them, and a list of their paths."""

from __future__ import annotations

import csv
import errno
import os
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from lakehouse.errors import UserError
from lakehouse.pipeline.reports import by_number
from lakehouse.sources.content import BrokenContent, Opener
from lakehouse.sources.input_file import BROKEN, InputFile
from lakehouse.sources.packed_list import PackedList
from lakehouse.storage.io.files import is_local

Target = str | os.PathLike[str]


class UnknownFiles:
    """The files of an input that no format recognises; where they lie stays in here.

    Examples:
        >>> unknown = UnknownFiles([InputFile("/a", "/", file_id="1", kind="CSV")])
        >>> unknown.facts({"1"})["unrecognised_kinds"]
        {'CSV': 1}
    """

    def __init__(self, files: Iterable[InputFile]) -> None:
        self._files: PackedList[InputFile] = PackedList()
        self._has_known_format = False
        for file in files:
            if file.format is None:
                self._files.append(file)
            else:
                self._has_known_format = True

    @property
    def file_ids(self) -> set[str]:
        """Keyed digests of their contents."""
        return {file.file_id for file in self._files}

    def facts(self, unrecognised: Collection[str]) -> dict[str, Any]:
        """Return what an ``IngestReport`` says of them.

        Args:
            unrecognised: Those that gave no record; the others were read as a format that was
                named.
        """
        places: dict[str, tuple[str, bool]] = {}
        kinds: Counter[str] = Counter()
        has_recognised = self._has_known_format
        for file in self._files:
            if file.file_id in unrecognised:
                kinds[file.kind] += file.file_id not in places
                places[file.file_id] = (file.requested_path, file.is_requested)
            elif file.packing != BROKEN:
                has_recognised = True
        return {
            "n_unrecognised": len(places),
            "unrecognised": places,
            "unrecognised_kinds": by_number(kinds),
            "has_recognised": has_recognised,
        }

    def write_list(self, target: Target | None, unrecognised: Collection[str]) -> None:
        """Write where each of them lies as CSV, to a file that only its owner can read.

        Args:
            target: The file, replaced where there is one; None writes nothing.
            unrecognised: Those that gave no record.

        Raises:
            UserError: It cannot be written.
        """
        if target is None:
            return
        try:
            folder = os.path.dirname(os.path.abspath(target))
            descriptor, written = tempfile.mkstemp(dir=folder)  # of mode 0600
            try:
                # A name need be no text; then its bytes are written as they are.
                with os.fdopen(
                    descriptor, "w", newline="", encoding="utf-8", errors="surrogateescape"
                ) as file:
                    csv.writer(file, lineterminator="\n").writerows(self._rows(unrecognised))
                os.replace(written, target)
            except BaseException:
                os.unlink(written)
                raise
        except OSError as error:
            raise _unwritable(target, error) from None

    def _rows(self, unrecognised: Collection[str]) -> Iterator[tuple[str, ...]]:
        yield "file_id", "kind", "path", "member"
        with Opener() as opener:
            for file in self._files:
                if file.file_id in unrecognised:
                    scheme, mark, _ = file.root.partition("://")
                    path = scheme + mark + file.location
                    yield file.file_id, file.kind, path, _member(opener, file)


def check_list(target: Target | None, warehouse: str) -> None:
    """Refuse a list of paths that could not be written, or would lie inside the warehouse.

    Raises:
        UserError: It could not, or it would: a path may name a patient.
    """
    if target is None:
        return
    # A link is replaced, not followed: the folder alone decides where the list comes to lie.
    folder = os.path.realpath(os.path.dirname(os.path.abspath(target)))
    inside = os.path.realpath(warehouse)
    if is_local(warehouse) and os.path.commonpath((folder, inside)) == inside:
        raise UserError(
            f"The list {os.fspath(target)} would lie inside the warehouse, and paths may name "
            "patients.",
            "Name a place outside of it.",
        )
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise _unwritable(target, error) from None
    if os.path.isdir(target):
        raise _unwritable(target, IsADirectoryError(errno.EISDIR, ""))


def _unwritable(target: Target, error: OSError) -> UserError:
    why = os.strerror(error.errno).lower() if error.errno else type(error).__name__
    problem = f"The list {os.fspath(target)} cannot be written ({why})."
    return UserError(problem, "Name another place.")


def _member(opener: Opener, file: InputFile) -> str:
    """Return the path of a file inside the archive that holds it; empty for a plain one."""
    try:
        return "!".join(
            opener.archive(file, file.members[:depth]).members[position].name
            for depth, position in enumerate(file.members)
        )
    except BrokenContent:
        return ""
