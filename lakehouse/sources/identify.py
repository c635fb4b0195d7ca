"""What a stored file holds: its packing, its members, the format that knows it, and its digest."""

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
    packing_faults,
    storage_faults,
)
from lakehouse.sources.input_file import BROKEN, GZIP, PLAIN, TRUNCATED, InputFile
from lakehouse.sources.kinds import kind_of


def extension_of(name: str) -> str:
    """Return the extension of a content's own name: lower-case, without that of a packing.

    Examples:
        >>> extension_of("ward/ADT.HL7.gz")
        '.hl7'
    """
    return os.path.splitext(name.lower().removesuffix(".gz"))[1]


def contents_of(file: InputFile, secret: Secret) -> tuple[list[InputFile], int]:
    """Return the contents of a stored file (the members of an archive), and hidden members."""
    with Opener() as opener:
        try:
            return _contents(opener, file, secret, depth=0)
        except BrokenContent:
            return [_digested(opener, replace(file, packing=BROKEN), secret)], 0


def _contents(
    opener: Opener, file: InputFile, secret: Secret, depth: int
) -> tuple[list[InputFile], int]:
    if depth == ARCHIVE_DEPTH or not is_archive(_head(opener, file)):
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
            size=info.packed,
            content_size=info.size,
        )
        try:
            below, hidden = _contents(opener, member, secret, depth + 1)
        except BrokenContent:
            # An encrypted or damaged member is named by its place: its content cannot be read.
            below, hidden = [_named_by_place(member, info.check, secret)], 0
        files += below
        n_hidden += hidden
    return files, n_hidden


def identify(opener: Opener, file: InputFile, secret: Secret) -> InputFile:
    """Return the file with its packing, format and keyed digest.

    A gzip file whose end is missing is what can still be read, if a format recognises that.

    Raises:
        BrokenContent: It is packed, and the packing is damaged.
        InputError: It cannot be read.
    """
    if not _head(opener, file).startswith(GZIP_MAGIC):
        return _identified(opener, file, secret)
    try:
        return _identified(opener, replace(file, packing=GZIP), secret)
    except TruncatedContent:
        cut = _identified(opener, replace(file, packing=TRUNCATED), secret)
        if cut.format is None:
            raise
        return cut


def _identified(opener: Opener, file: InputFile, secret: Secret) -> InputFile:
    with opener.open(file) as content:
        stream = buffered(content, SNIFF_BYTES)
        head = stream.peek(SNIFF_BYTES)[:SNIFF_BYTES]
        known = recognise(head, file.extension)
        kind = "" if known else kind_of(head)
        file = replace(file, format=known.name if known else None, kind=kind)
        if isinstance(known, ManyFilesFormat) and (mark := _fingerprint(known, stream, file)):
            hasher = secret.hasher("file")
            hasher.update(f"{known.name}\0{file.content_size}\0".encode())
            hasher.update(mark)
            file_id, path_id = hasher.hexdigest(), _path_id(file, secret)
            return replace(file, file_id=file_id, path_id=path_id, fingerprinted=True)
    return _digested(opener, file, secret)


def _fingerprint(known: ManyFilesFormat, stream: BinaryIO, file: InputFile) -> bytes | None:
    if file.packing != PLAIN:
        return None
    try:
        return known.fingerprint(stream, file.content_size)
    except (LakehouseError, BrokenContent):
        raise
    except Exception:  # a damaged file: its whole content names it, and parsing tells the fault
        return None


def _digested(opener: Opener, file: InputFile, secret: Secret) -> InputFile:
    with opener.open(file, secret.hasher("file")) as content:
        file_id = content.digest()
        return replace(
            file,
            file_id=file_id,
            path_id=_path_id(file, secret),
            content_size=content.n_hashed,
        )


def _named_by_place(file: InputFile, checksum: int, secret: Secret) -> InputFile:
    path_id = _path_id(file, secret)
    hasher = secret.hasher("file")
    hasher.update(f"{path_id}\0{file.size}\0{checksum}".encode())
    return replace(file, packing=BROKEN, file_id=hasher.hexdigest(), path_id=path_id)


def _path_id(file: InputFile, secret: Secret) -> str:
    place = f"{file.root.partition('://')[0]}\0{file.location}\0{file.members}"
    return secret.digest("path", os.fsencode(place))


def _head(opener: Opener, file: InputFile) -> bytes:
    with opener.raw(file) as stream, storage_faults(file), packing_faults():
        return stream.read(HEAD_BYTES)
