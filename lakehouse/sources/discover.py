"""From what the person typed to the files that are there, each named by its keyed digest.

Files, folders (with everything below them), globs, and URIs that pyarrow's file systems open.
Order follows the names, so that two runs see the same list. Nothing is left out in silence:
names that begin with a dot, and links that lead nowhere, are not taken, and counted; everything
else is a file to read or an error. The folder of a warehouse is no input.
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
from lakehouse.sources.content import file_system, is_uri, storage_faults
from lakehouse.sources.identify import contents_of, extension_of
from lakehouse.sources.input_file import InputFile
from lakehouse.sources.packed_list import PackedList
from lakehouse.storage.metadata.settings import SETTINGS_FILE as WAREHOUSE

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""One path, glob or URI, or several."""

THREADS = min(8, 2 * (os.cpu_count() or 1))
"""Readers that digest files side by side; hashing and unpacking release the interpreter."""


AHEAD = 16 * THREADS
"""Files that are looked at before their turn; what is known of one takes kilobytes meanwhile."""


@dataclass(frozen=True)
class Discovery:
    """The files found, in order, and how many names were passed over.

    Attributes:
        files: What there is to read.
        n_hidden: Names that begin with a dot.
        n_dangling: Links that lead nowhere.
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
    """Return every file below the paths with the keyed digest of its content.

    Args:
        paths: Files, folders, globs or URIs.
        secret: Key of the digests.
        exclude: Folders that are never input: the warehouse itself.
        advance: Called with the stored bytes of each file that has been read through.

    Raises:
        InputError: A path is missing, a glob matches nothing, a folder holds no file or is a
            warehouse, or a file cannot be read.
    """
    found = listed(paths, exclude=exclude)
    hidden = found.n_hidden
    files: PackedList[InputFile] = PackedList()
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for file, (contents, n_hidden) in _ahead(pool, _each_once(found.files), secret):
                files.extend(contents)
                hidden += n_hidden
                if advance:
                    advance(file.size)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Discovery(files, hidden, found.n_dangling)


def listed(paths: Paths, *, exclude: Sequence[str] = ()) -> Discovery:
    """Return every file below the paths as its name tells it: nothing is read or unpacked yet.

    Raises:
        InputError: As ``discover``, as far as names tell.
    """
    typed = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not typed:
        raise InputError("No input was named.", "Name files, folders, globs or URIs.")
    barred = {e if is_uri(e) else os.path.realpath(e) for e in exclude}
    parts = [_find(os.fspath(path), barred) for path in typed]
    return Discovery(
        PackedList(file for part in parts for file in part.files),
        sum(part.n_hidden for part in parts),
        sum(part.n_dangling for part in parts),
    )


def _place(file: InputFile) -> tuple[str, str]:
    return file.root, file.location


def _each_once(files: PackedList[InputFile]) -> Iterator[InputFile]:
    """Yield the files in the order of their places, each place once.

    What was typed in full goes by that path, also where a folder typed besides holds it.
    """
    # The files below one folder come in order, and need not lie in memory all at once.
    sorted_already = all(one <= other for one, other in pairwise(map(_place, files)))
    in_order = files if sorted_already else sorted(files, key=_place)
    for _, same in groupby(in_order, _place):
        *_, last = sorted(same, key=lambda f: f.is_requested)
        yield last


def _ahead(
    pool: ThreadPoolExecutor, files: Iterable[InputFile], secret: Secret
) -> Iterator[tuple[InputFile, tuple[list[InputFile], int]]]:
    """Yield each file with its contents, in order, looked at some files ahead and no more."""
    waiting: deque[tuple[InputFile, Future[tuple[list[InputFile], int]]]] = deque()
    for file in files:
        waiting.append((file, pool.submit(contents_of, file, secret)))
        if len(waiting) > AHEAD:
            done, job = waiting.popleft()
            yield done, job.result()
    for done, job in waiting:
        yield done, job.result()


def _find(typed: str, exclude: set[str]) -> Discovery:
    if typed.startswith("file://"):
        return _find_local(typed, file_system(typed)[1], exclude)
    return _find_remote(typed, exclude) if is_uri(typed) else _find_local(typed, typed, exclude)


def _find_local(typed: str, path: str, exclude: set[str]) -> Discovery:
    if _leads_nowhere(path):
        raise InputError(f"{typed} is a link that leads nowhere.", "Mend it, or leave it out.")
    if os.path.lexists(path):
        hits = [path]
    elif glob.has_magic(path):
        hits = sorted(glob.glob(path, recursive=True))
        if not hits:
            raise InputError(f"{typed} matches nothing.", "Check the pattern.")
    else:
        raise InputError(f"{typed} does not exist.", "Check the path.")
    walk = _Walk(typed, exclude)
    indexed = [path for hit in hits for path in _indexed(os.path.abspath(hit), typed)]
    places = map(os.path.abspath, (*hits, *indexed))
    files = PackedList(file for place in places for file in walk.below(place))
    return _not_empty(typed, Discovery(files, walk.n_hidden, walk.n_dangling))


def _not_empty(typed: str, found: Discovery) -> Discovery:
    if not found.files:
        but = f" but {found.n_hidden} whose name begins with a dot" if found.n_hidden else ""
        but += f" but links that lead nowhere ({found.n_dangling})" if found.n_dangling else ""
        raise InputError(f"{typed} holds no file{but}.", "Check the path.")
    return found


def _indexed(path: str, typed: str) -> list[str]:
    """Return the files that an index names (a DICOMDIR), when the path is one; never above it."""
    if not os.path.isfile(path):
        return []
    with storage_faults(_local(path, typed)), open(path, "rb") as stream:
        known = recognise(stream.read(SNIFF_BYTES), extension_of(path))
        if not isinstance(known, IndexFormat):
            return []
        stream.seek(0)
        named = known.references(stream)
    folder = os.path.dirname(path)
    there = {os.path.relpath(f, folder).casefold(): f for f in _below(folder)} if named else {}
    wanted = (os.path.join(*parts).casefold() for parts in named)  # a disk may be of small letters
    return [there[name] for name in wanted if name in there]


def _below(folder: str) -> Iterator[str]:
    for place, _, names in os.walk(folder):
        yield from (os.path.join(place, name) for name in names)


class _Walk:
    """Goes through local folders, following links, and each real folder once."""

    def __init__(self, typed: str, exclude: set[str]) -> None:
        self.typed = typed
        self.n_hidden = self.n_dangling = 0
        self._seen = set(exclude)

    def below(self, path: str) -> Iterator[InputFile]:
        """Yield the file, or every file below the folder, in the order of their names."""
        if _leads_nowhere(path):
            self.n_dangling += 1
            return
        file = _local(path, self.typed)
        with storage_faults(file):
            state = os.stat(path)
            if stat.S_ISREG(state.st_mode):
                yield replace(
                    file,
                    size=state.st_size,
                    stored_size=state.st_size,
                    content_size=state.st_size,
                    modified=state.st_mtime_ns,
                    seen=time.time_ns(),
                )
                return
            if not stat.S_ISDIR(state.st_mode):
                raise file.error("is neither a file nor a folder", "Leave it out.")
            real = os.path.realpath(path)
            if real in self._seen:
                return
            self._seen.add(real)
            with os.scandir(path) as entries:
                names = sorted(map(_sortable, entries))
        if WAREHOUSE in names:
            raise _warehouse(self.typed)
        for name in names:
            if name.startswith("."):
                self.n_hidden += 1
            else:
                yield from self.below(os.path.join(path, name.removesuffix("/")))


def _sortable(entry: os.DirEntry[str]) -> str:
    """Return a name so that sorted names give sorted paths: that of a folder ends in a slash."""
    is_folder = os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()
    return f"{entry.name}/" if is_folder else entry.name


def _leads_nowhere(path: str) -> bool:
    """Return whether a path is a link whose end is not there, or that leads to itself."""
    try:
        os.stat(path)
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ELOOP) and os.path.islink(path)
    return False


def _warehouse(typed: str) -> InputError:
    return InputError(
        f"{typed} is a warehouse or holds one, and a warehouse is no input.",
        "Name the files or folders of the source.",
    )


def _local(path: str, typed: str) -> InputFile:
    return InputFile(path, typed, extension=extension_of(path))


def _find_remote(typed: str, exclude: set[str]) -> Discovery:
    """Find files by URI; ``*`` and ``[...]`` are patterns, what follows ``?`` are options."""
    shown, mark, options = typed.partition("?")
    fixed = _before_pattern(shown)
    root = quote(fixed, safe=":/@%") + mark + options
    try:
        system, path = file_system(root)
        info = system.get_file_info(path)
        infos = [info]
        if info.type == fs.FileType.NotFound:
            raise InputError(f"{shown} does not exist.", "Check the path.")
        if info.type == fs.FileType.Directory:
            infos = system.get_file_info(fs.FileSelector(path, recursive=True))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ImportError):
        raise InputError(
            f"No file system opens {shown}.", "Use a path, or a URI such as s3:// or gs://."
        ) from None
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno else "the storage refused"
        raise InputError(
            f"{shown} cannot be listed ({why}).", "Check address and rights."
        ) from None
    scheme = shown.partition("://")[0]
    wanted = path.rstrip("/") + shown[len(fixed) :]
    files: PackedList[InputFile] = PackedList()
    n_hidden = 0
    for item in sorted(infos, key=lambda i: i.path):
        if item.type != fs.FileType.File or (shown != fixed and not _matches(item.path, wanted)):
            continue
        if any(f"{scheme}://{item.path}/".startswith(f"{place}/") for place in exclude):
            continue
        if item.path.rpartition("/")[2] == WAREHOUSE:
            raise _warehouse(shown)
        if any(part.startswith(".") for part in item.path[len(path) :].split("/")):
            n_hidden += 1
            continue
        files.append(
            InputFile(
                item.path,
                shown,
                root,
                extension_of(item.path),
                size=item.size,
                stored_size=item.size,
                content_size=item.size,
                modified=item.mtime_ns or 0,
                seen=time.time_ns(),
            )
        )
    if shown != fixed and not files:
        raise InputError(f"{shown} matches nothing.", "Check the pattern.")
    return _not_empty(shown, Discovery(files, n_hidden))


def _before_pattern(uri: str) -> str:
    """Return the folder that a pattern hangs below, or the URI when it is no pattern.

    Examples:
        >>> _before_pattern("s3://bucket/adt/*/2024-*.hl7"), _before_pattern("s3://bucket/adt")
        ('s3://bucket/adt', 's3://bucket/adt')
    """
    scheme, _, rest = uri.partition("://")
    fixed = list(takewhile(lambda part: not glob.has_magic(part), rest.split("/")))
    return f"{scheme}://{'/'.join(fixed)}"


def _matches(path: str, pattern: str) -> bool:
    """Return whether a path matches folder by folder; ``**`` stands for any number of folders."""

    def fits(parts: list[str], wanted: list[str]) -> bool:
        if not wanted:
            return True  # a folder was matched: all below it
        if wanted[0] == "**":
            return any(fits(parts[i:], wanted[1:]) for i in range(len(parts)))
        return bool(parts) and fnmatchcase(parts[0], wanted[0]) and fits(parts[1:], wanted[1:])

    return fits(path.split("/"), [p for p in pattern.split("/") if p])
