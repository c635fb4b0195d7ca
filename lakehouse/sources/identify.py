"""Identifies the contents of a stored file: packing, archive members, format and keyed digest."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import BinaryIO

from lakehouse.errors import LakehouseError
from lakehouse.formats import SNIFF_BYTES, ManyFilesFormat, recognise
from lakehouse.privacy.keys.secret import Secret
from lakehouse.sources.archives import GZIP_MAGIC, HEAD_BYTES, is_archive
from lakehouse.sources.content import (
    ARCHIVE_DEPTH,
    BrokenContent,
    Opener,
    TruncatedContent,
    buffered,
    packing_errors,
    reading_errors,
)
from lakehouse.sources.input_file import BROKEN, GZIP, PLAIN, TRUNCATED, InputFile
from lakehouse.sources.kinds import kind_of


def extension_of(name: str) -> str:
    """Return the lower-case extension of a file name, without the extension of a packing.

    Examples:
        >>> extension_of("ward/ADT.HL7.gz")
        '.hl7'
    """
    return os.path.splitext(name.lower().removesuffix(".gz"))[1]


def contents_of(file: InputFile, secret: Secret) -> tuple[list[InputFile], int]:
    """Return the contents of a stored file (members of an archive) and its hidden members' count.

    A hidden member is one whose name begins with a dot.
    """
    with Opener() as opener:
        try:
            return _contents(opener, file, secret, depth=0)
        except BrokenContent:
            return [_with_digest(opener, replace(file, packing=BROKEN), secret)], 0


def _contents(
    opener: Opener, file: InputFile, secret: Secret, depth: int
) -> tuple[list[InputFile], int]:
    if depth == ARCHIVE_DEPTH or not is_archive(_read_head(opener, file)):
        return [identify(opener, file, secret)], 0
    files: list[InputFile] = []
    n_hidden = 0
    for position, info in enumerate(opener.archive(file, file.members).members):
        if not info.is_file:
            continue
        if any(part.startswith(".") for part in info.name.removeprefix("./").split("/")):
            n_hidden += 1
            continue
        member = replace(
            file,
            members=(*file.members, position),
            extension=extension_of(info.name),
            size=info.packed_size,
            content_size=info.size,
        )
        try:
            contents, hidden_below = _contents(opener, member, secret, depth + 1)
        except BrokenContent:
            # The location names an encrypted or damaged member, for its content cannot be read.
            contents, hidden_below = [_with_location_digest(member, info.checksum, secret)], 0
        files += contents
        n_hidden += hidden_below
    return files, n_hidden


def identify(opener: Opener, file: InputFile, secret: Secret) -> InputFile:
    """Return a file with its packing, format and keyed digest.

    A gzip file whose end is missing counts as far as it goes, if a format recognises that.

    Raises:
        BrokenContent: The packing of the file is damaged.
        InputError: The file cannot be read.
    """
    if not _read_head(opener, file).startswith(GZIP_MAGIC):
        return _identify_content(opener, file, secret)
    try:
        return _identify_content(opener, replace(file, packing=GZIP), secret)
    except TruncatedContent:
        truncated = _identify_content(opener, replace(file, packing=TRUNCATED), secret)
        if truncated.format is None:
            raise
        return truncated


def _identify_content(opener: Opener, file: InputFile, secret: Secret) -> InputFile:
    with opener.open(file) as content:
        stream = buffered(content, SNIFF_BYTES)
        head = stream.peek(SNIFF_BYTES)[:SNIFF_BYTES]
        format_ = recognise(head, file.extension)
        kind = "" if format_ else kind_of(head)
        file = replace(file, format=format_.name if format_ else None, kind=kind)
        if isinstance(format_, ManyFilesFormat) and (mark := _fingerprint(format_, stream, file)):
            hasher = secret.hasher("file")
            hasher.update(f"{format_.name}\0{file.content_size}\0".encode())
            hasher.update(mark)
            file_id, path_id = hasher.hexdigest(), _path_id(file, secret)
            return replace(file, file_id=file_id, path_id=path_id, has_fingerprint=True)
    return _with_digest(opener, file, secret)


def _fingerprint(format_: ManyFilesFormat, stream: BinaryIO, file: InputFile) -> bytes | None:
    if file.packing != PLAIN:
        return None
    try:
        return format_.fingerprint(stream, file.content_size)
    except (LakehouseError, BrokenContent):
        raise
    except Exception:  # the whole content names a damaged file, and parsing reports the fault
        return None


def _with_digest(opener: Opener, file: InputFile, secret: Secret) -> InputFile:
    with opener.open(file, secret.hasher("file")) as content:
        file_id = content.digest()
        return replace(
            file,
            file_id=file_id,
            path_id=_path_id(file, secret),
            content_size=content.n_hashed,
        )


def _with_location_digest(file: InputFile, checksum: int, secret: Secret) -> InputFile:
    path_id = _path_id(file, secret)
    hasher = secret.hasher("file")
    hasher.update(f"{path_id}\0{file.size}\0{checksum}".encode())
    return replace(file, packing=BROKEN, file_id=hasher.hexdigest(), path_id=path_id)


def _path_id(file: InputFile, secret: Secret) -> str:
    place = f"{file.root.partition('://')[0]}\0{file.location}\0{file.members}"
    return secret.digest("path", os.fsencode(place))


def _read_head(opener: Opener, file: InputFile) -> bytes:
    with opener.raw(file) as stream, reading_errors(file), packing_errors():
        return stream.read(HEAD_BYTES)
