"""Discovers the input files below the paths that a person typed, each with its keyed digest.

A path is a file, a folder with everything below it, a glob or a URI that pyarrow's file systems
open. Order follows the names, so that two runs see the same list. Discovery leaves out nothing in
silence: it counts names that begin with a dot and dangling links, and anything else is a file to
read or an error. The folder of a warehouse is no input.
"""

from __future__ import annotations

import errno
import glob
import os
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import groupby, pairwise, takewhile
from urllib.parse import quote

import pyarrow as pa
from pyarrow import fs

from lakehouse.errors import InputError
from lakehouse.formats import SNIFF_BYTES, IndexFormat, recognise
from lakehouse.privacy.keys.secret import Secret
from lakehouse.sources.content import file_system, is_uri, reading_errors
from lakehouse.sources.identify import contents_of, extension_of
from lakehouse.sources.input_file import InputFile
from lakehouse.sources.packed_list import PackedList
from lakehouse.storage.metadata.settings import SETTINGS_FILE as WAREHOUSE

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""One path, glob or URI, or several."""

THREADS = min(8, 2 * (os.cpu_count() or 1))
"""Threads that digest files side by side; hashing and unpacking release the interpreter lock."""

AHEAD = 16 * THREADS
"""Files that threads identify before their turn; the result of one takes kilobytes meanwhile."""


@dataclass(frozen=True)
class Discovery:
    """The files below some paths, in order, and the number of names passed over.

    Attributes:
        files: Files to read.
        n_hidden: Number of names that begin with a dot.
        n_dangling: Number of links whose target does not exist.
    """

    files: PackedList[InputFile]
    n_hidden: int = 0
    n_dangling: int = 0


def discover(
    paths: Paths,
    secret: Secret,
    *,
    exclude: Sequence[str] = (),
    advance: Callable[[int], None] | None = None,
) -> Discovery:
    """Return every file below some paths with the keyed digest of its content.

    Args:
        paths: Files, folders, globs or URIs.
        secret: Key of the digests.
        exclude: Folders that are never input, such as the warehouse itself.
        advance: Called with the stored bytes of each file after its digest.

    Raises:
        InputError: A path is missing, a glob matches nothing, a folder holds no file or is a
            warehouse, or a file cannot be read.
    """
    listing = list_files(paths, exclude=exclude)
    total_hidden = listing.n_hidden
    files: PackedList[InputFile] = PackedList()
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for file, (contents, n_hidden) in _identify_ahead(
                pool, _unique_files(listing.files), secret
            ):
                files.extend(contents)
                total_hidden += n_hidden
                if advance:
                    advance(file.size)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Discovery(files, total_hidden, listing.n_dangling)


def list_files(paths: Paths, *, exclude: Sequence[str] = ()) -> Discovery:
    """Return every file below some paths by name and size, without reading or unpacking any.

    Raises:
        InputError: A path is missing, a glob matches nothing, or a folder holds no file or is a
            warehouse.
    """
    requested_paths = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not requested_paths:
        raise InputError("No input was named.", "Name files, folders, globs or URIs.")
    excluded = {e if is_uri(e) else os.path.realpath(e) for e in exclude}
    parts = [_find(os.fspath(path), excluded) for path in requested_paths]
    return Discovery(
        PackedList(file for part in parts for file in part.files),
        sum(part.n_hidden for part in parts),
        sum(part.n_dangling for part in parts),
    )


def _location_key(file: InputFile) -> tuple[str, str]:
    return file.root, file.location


def _unique_files(files: PackedList[InputFile]) -> Iterator[InputFile]:
    """Yield the files in the order of their locations, each location once.

    A file whose own path the person typed keeps that path, even below a folder also typed.
    """
    # The files below one folder are sorted already and need not lie in memory all at once.
    is_sorted = all(one <= other for one, other in pairwise(map(_location_key, files)))
    in_order = files if is_sorted else sorted(files, key=_location_key)
    for _, same in groupby(in_order, _location_key):
        *_, last = sorted(same, key=lambda f: f.is_requested)
        yield last


def _identify_ahead(
    pool: ThreadPoolExecutor, files: Iterable[InputFile], secret: Secret
) -> Iterator[tuple[InputFile, tuple[list[InputFile], int]]]:
    """Yield each file with its contents, in order; threads identify at most ``AHEAD`` files."""
    pending: deque[tuple[InputFile, Future[tuple[list[InputFile], int]]]] = deque()
    for file in files:
        pending.append((file, pool.submit(contents_of, file, secret)))
        if len(pending) > AHEAD:
            file_done, job = pending.popleft()
            yield file_done, job.result()
    for file_done, job in pending:
        yield file_done, job.result()


def _find(requested_path: str, exclude: set[str]) -> Discovery:
    if requested_path.startswith("file://"):
        return _find_local(requested_path, file_system(requested_path)[1], exclude)
    return (
        _find_remote(requested_path, exclude)
        if is_uri(requested_path)
        else _find_local(requested_path, requested_path, exclude)
    )


def _find_local(requested_path: str, path: str, exclude: set[str]) -> Discovery:
    if _is_dangling(path):
        raise InputError(
            f"{requested_path} is a link that leads nowhere.", "Fix the link, or leave it out."
        )
    if os.path.lexists(path):
        hits = [path]
    elif glob.has_magic(path):
        hits = sorted(glob.glob(path, recursive=True))
        if not hits:
            raise InputError(f"{requested_path} matches nothing.", "Check the pattern.")
    else:
        raise InputError(f"{requested_path} does not exist.", "Check the path.")
    walk = _Walk(requested_path, exclude)
    referenced = [
        path for hit in hits for path in _referenced_files(os.path.abspath(hit), requested_path)
    ]
    places = map(os.path.abspath, (*hits, *referenced))
    files = PackedList(file for place in places for file in walk.below(place))
    return _not_empty(requested_path, Discovery(files, walk.n_hidden, walk.n_dangling))


def _not_empty(requested_path: str, discovery: Discovery) -> Discovery:
    if not discovery.files:
        but = (
            f" but {discovery.n_hidden} whose name begins with a dot" if discovery.n_hidden else ""
        )
        but += (
            f" but links that lead nowhere ({discovery.n_dangling})" if discovery.n_dangling else ""
        )
        raise InputError(f"{requested_path} holds no file{but}.", "Check the path.")
    return discovery


def _referenced_files(path: str, requested_path: str) -> list[str]:
    """Return the files that an index (a DICOMDIR) names, when the path is one; none above it."""
    if not os.path.isfile(path):
        return []
    with reading_errors(_local_file(path, requested_path)), open(path, "rb") as stream:
        format_ = recognise(stream.read(SNIFF_BYTES), extension_of(path))
        if not isinstance(format_, IndexFormat):
            return []
        stream.seek(0)
        references = format_.references(stream)
    folder = os.path.dirname(path)
    present = (
        {os.path.relpath(f, folder).casefold(): f for f in _walk_files(folder)}
        if references
        else {}
    )
    # Paths in a DICOMDIR are upper case; file systems may have lower-cased them.
    names = (os.path.join(*parts).casefold() for parts in references)
    return [present[name] for name in names if name in present]


def _walk_files(folder: str) -> Iterator[str]:
    for place, _, names in os.walk(folder):
        yield from (os.path.join(place, name) for name in names)


class _Walk:
    """Walks local folders, follows links and visits each real folder once."""

    def __init__(self, requested_path: str, exclude: set[str]) -> None:
        self.requested_path = requested_path
        self.n_hidden = self.n_dangling = 0
        self._visited = set(exclude)

    def below(self, path: str) -> Iterator[InputFile]:
        """Yield the file at a path, or every file below the folder, in the order of their names."""
        if _is_dangling(path):
            self.n_dangling += 1
            return
        file = _local_file(path, self.requested_path)
        with reading_errors(file):
            state = os.stat(path)
            if stat.S_ISREG(state.st_mode):
                yield replace(
                    file,
                    size=state.st_size,
                    stored_size=state.st_size,
                    content_size=state.st_size,
                    modified=state.st_mtime_ns,
                    listed_at=time.time_ns(),
                )
                return
            if not stat.S_ISDIR(state.st_mode):
                raise file.error("is neither a file nor a folder", "Leave it out.")
            real = os.path.realpath(path)
            if real in self._visited:
                return
            self._visited.add(real)
            with os.scandir(path) as entries:
                names = sorted(map(_sort_key, entries))
        if WAREHOUSE in names:
            raise _warehouse_error(self.requested_path)
        for name in names:
            if name.startswith("."):
                self.n_hidden += 1
            else:
                yield from self.below(os.path.join(path, name.removesuffix("/")))


def _sort_key(entry: os.DirEntry[str]) -> str:
    """Return a name that sorts as its paths do: a folder's name ends in a slash."""
    is_folder = os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()
    return f"{entry.name}/" if is_folder else entry.name


def _is_dangling(path: str) -> bool:
    """Return whether a path is a link whose target does not exist, or that leads to itself."""
    try:
        os.stat(path)
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ELOOP) and os.path.islink(path)
    return False


def _warehouse_error(requested_path: str) -> InputError:
    return InputError(
        f"{requested_path} is a warehouse or holds one, and a warehouse is no input.",
        "Name the files or folders of the source.",
    )


def _local_file(path: str, requested_path: str) -> InputFile:
    return InputFile(path, requested_path, extension=extension_of(path))


def _find_remote(requested_path: str, exclude: set[str]) -> Discovery:
    """Find files by URI; ``*`` and ``[...]`` are patterns, and options follow ``?``."""
    uri, question_mark, options = requested_path.partition("?")
    fixed = _fixed_prefix(uri)
    root = quote(fixed, safe=":/@%") + question_mark + options
    try:
        system, path = file_system(root)
        info = system.get_file_info(path)
        infos = [info]
        if info.type == fs.FileType.NotFound:
            raise InputError(f"{uri} does not exist.", "Check the path.")
        if info.type == fs.FileType.Directory:
            infos = system.get_file_info(fs.FileSelector(path, recursive=True))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ImportError):
        raise InputError(
            f"No file system opens {uri}.", "Use a path, or a URI such as s3:// or gs://."
        ) from None
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno else "the storage refused"
        raise InputError(f"{uri} cannot be listed ({why}).", "Check address and rights.") from None
    scheme = uri.partition("://")[0]
    pattern = path.rstrip("/") + uri[len(fixed) :]
    files: PackedList[InputFile] = PackedList()
    n_hidden = 0
    for item in sorted(infos, key=lambda i: i.path):
        if item.type != fs.FileType.File or (uri != fixed and not _matches(item.path, pattern)):
            continue
        if any(f"{scheme}://{item.path}/".startswith(f"{place}/") for place in exclude):
            continue
        if item.path.rpartition("/")[2] == WAREHOUSE:
            raise _warehouse_error(uri)
        if any(part.startswith(".") for part in item.path[len(path) :].split("/")):
            n_hidden += 1
            continue
        files.append(
            InputFile(
                item.path,
                uri,
                root,
                extension_of(item.path),
                size=item.size,
                stored_size=item.size,
                content_size=item.size,
                modified=item.mtime_ns or 0,
                listed_at=time.time_ns(),
            )
        )
    if uri != fixed and not files:
        raise InputError(f"{uri} matches nothing.", "Check the pattern.")
    return _not_empty(uri, Discovery(files, n_hidden))


def _fixed_prefix(uri: str) -> str:
    """Return the part of a URI before its first pattern, or the whole URI without one.

    Examples:
        >>> _fixed_prefix("s3://bucket/adt/*/2024-*.hl7"), _fixed_prefix("s3://bucket/adt")
        ('s3://bucket/adt', 's3://bucket/adt')
    """
    scheme, _, rest = uri.partition("://")
    fixed = list(takewhile(lambda part: not glob.has_magic(part), rest.split("/")))
    return f"{scheme}://{'/'.join(fixed)}"


def _matches(path: str, pattern: str) -> bool:
    """Return whether a path matches a pattern, in which ``**`` is any number of folders."""

    def fits(parts: list[str], patterns: list[str]) -> bool:
        if not patterns:
            return True  # the pattern names a folder: everything below matches
        if patterns[0] == "**":
            return any(fits(parts[i:], patterns[1:]) for i in range(len(parts)))
        return bool(parts) and fnmatchcase(parts[0], patterns[0]) and fits(parts[1:], patterns[1:])

    return fits(path.split("/"), [p for p in pattern.split("/") if p])
