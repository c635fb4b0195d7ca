"""Removes data that pixel data carries besides the image, such as comments in a JPEG stream.

A JPEG stream may carry anything in its application and comment segments (camera data, a thumbnail,
a name), a run-length stream between its segments, and native pixels behind the last row. Zeros
overwrite these in a stream, so no length and no offset changes; native pixels are cut to size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse.export.byte_lengths import pixel_bytes
from lakehouse.export.pixels import ExportRefusal

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_JPEG = frozenset(
    f"1.2.840.10008.1.2.4.{n}" for n in (*range(50, 67), 70, 80, 81, 90, 91, 92, 93, 201, 202, 203)
)  # JPEG, JPEG-LS, JPEG 2000 and HTJ2K, whose segments all begin with a marker FFxx
_RUN_LENGTH = "1.2.840.10008.1.2.5"

_END, _TILE, _DATA = 0xD9, 0x90, 0x93
_SCAN, _COMMENT, _COMMENT_2000 = 0xDA, 0xFE, 0x64
_APPLICATION = range(0xE0, 0xF0)
_PLAIN_HEADERS = {0xE0: (b"JFIF\0", 14), 0xEE: (b"Adobe", 12)}
"""Application segments that decoders need: marker -> first bytes and length."""

_NO_LENGTH = frozenset([0x01, *range(0xD0, 0xD8)])
_OTHER_PIXELS = (0x7FE00008, 0x7FE00009)


def strip_hidden_data(dataset: Dataset) -> None:
    """Remove everything but the image from the pixel data of an object.

    Raises:
        Refused: The pixel data is damaged, or in an encoding that may carry other data.
    """
    for number in _OTHER_PIXELS:
        if number in dataset:
            _truncate_native(dataset, number)
    if "PixelData" not in dataset:
        return
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_transfer_syntax:
        raise ExportRefusal("an image in an encoding that is not known")
    if not syntax.is_encapsulated:
        _truncate_native(dataset, 0x7FE00010)
        return
    if syntax not in _JPEG and syntax != _RUN_LENGTH:
        raise ExportRefusal("a compression whose streams may carry more than the image")
    from pydicom.encaps import encapsulate, generate_frames

    n_frames = int(dataset.get("NumberOfFrames", None) or 1)
    try:
        frames = list(generate_frames(dataset.PixelData, number_of_frames=n_frames))
    except Exception:  # of pydicom, which would quote bytes
        raise ExportRefusal("an image whose pixels cannot be decoded here") from None
    if len(frames) != n_frames:
        raise ExportRefusal("an image whose pixels cannot be decoded here")
    if syntax == _RUN_LENGTH:
        size = int(dataset.get("Rows", None) or 0) * int(dataset.get("Columns", None) or 0)
        if dataset.get("BitsAllocated") == 1:  # eight pixels a byte
            size = (size + 7) // 8
        frames = [_blank_run_length(frame, size) for frame in frames]
    else:
        frames = [_blank_jpeg(frame) for frame in frames]
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].is_undefined_length = True
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            delattr(dataset, keyword)


def _truncate_native(dataset: Dataset, number: int) -> None:
    """Truncate native pixels to the size of the image."""
    size = pixel_bytes(dataset, number)
    if size == 0:
        raise ExportRefusal("an image that does not state its size")
    element = dataset[number]
    even = size + size % 2  # in a big-endian object the byte of padding is not the last
    if len(element.value) > even:
        element.value = element.value[:even]


def _blank_jpeg(frame: bytes) -> bytes:
    """Return a JPEG or JPEG 2000 image with its comments blanked."""
    if frame[:2] == b"\xff\x4f":
        return _blank_jpeg_2000(frame)
    if frame[:2] != b"\xff\xd8":
        raise ExportRefusal("a compressed image of another kind than is stated")
    out, pos = bytearray(frame), 2
    while True:
        marker, pos = _marker(frame, pos)
        if marker == _END:
            out[pos:] = bytes(len(out) - pos)
            return bytes(out)
        if marker in _NO_LENGTH:
            continue
        stop = pos + int.from_bytes(frame[pos : pos + 2], "big")
        if stop < pos + 2 or stop > len(frame):
            raise ExportRefusal("a compressed image that is damaged")
        if marker == _COMMENT or marker in _APPLICATION:
            begins, size = _PLAIN_HEADERS.get(marker, (b"?", 0))
            payload = frame[pos + 2 : stop]
            if not (payload.startswith(begins) and len(payload) == size):
                out[pos + 2 : stop] = bytes(stop - pos - 2)
        pos = _end_of_scan(frame, stop) if marker == _SCAN else stop


def _marker(frame: bytes, pos: int) -> tuple[int, int]:
    """Return the marker at a position, and the position after it."""
    while frame[pos : pos + 2] == b"\xff\xff":  # fill bytes
        pos += 1
    if pos + 2 > len(frame) or frame[pos] != 0xFF:
        raise ExportRefusal("a compressed image that is damaged")
    return frame[pos + 1], pos + 2


def _end_of_scan(frame: bytes, pos: int) -> int:
    """Return the position of the marker that ends the entropy-coded data of a scan."""
    while True:
        pos = frame.find(b"\xff", pos)
        if pos < 0 or pos + 1 >= len(frame):
            raise ExportRefusal("a compressed image that is damaged")
        following = frame[pos + 1]
        # FF00 is a byte of data, FF01-FF7F one of JPEG-LS's stuffed ones, FFD0-FFD7 a restart
        if following >= 0x80 and following not in _NO_LENGTH and following != 0xFF:
            return pos
        pos += 1 if following == 0xFF else 2


def _blank_run_length(frame: bytes, size: int) -> bytes:
    """Return a run-length coded image with zeros outside its runs (PS3.5 annex G).

    Args:
        frame: A header of 64 bytes with the number and offsets of segments, then the segments.
        size: Decoded bytes of each segment.
    """
    header = [int.from_bytes(frame[i : i + 4], "little") for i in range(0, 64, 4)]
    n_segments, starts = header[0], header[1 : header[0] + 1]
    if not size or len(frame) < 64 or not 0 < n_segments < 16 or starts[0] != 64:
        raise ExportRefusal("a compressed image that is damaged")
    out = bytearray(len(frame))
    out[: 4 + 4 * n_segments] = frame[: 4 + 4 * n_segments]
    for start, limit in zip(starts, [*starts[1:], len(frame)], strict=True):
        pos, unpacked = start, 0
        while unpacked < size:
            if not start <= pos < limit <= len(frame):
                raise ExportRefusal("a compressed image that is damaged")
            control = frame[pos]
            if control < 128:
                pos, unpacked = pos + control + 2, unpacked + control + 1
            elif control > 128:
                pos, unpacked = pos + 2, unpacked + 257 - control
            else:
                pos += 1
        out[start : min(pos, limit)] = frame[start : min(pos, limit)]
    return bytes(out)


def _blank_jpeg_2000(frame: bytes) -> bytes:
    """Return a JPEG 2000 code stream with its comments blanked."""
    out, pos, tile = bytearray(frame), 2, 0
    while True:
        marker, pos = _marker(frame, pos)
        if marker == _END:
            out[pos:] = bytes(len(out) - pos)
            return bytes(out)
        if marker == _DATA:  # the header of the tile part states its length
            pos = tile
            continue
        stop = pos + int.from_bytes(frame[pos : pos + 2], "big")
        if stop < pos + 2 or stop > len(frame):
            raise ExportRefusal("a compressed image that is damaged")
        if marker == _TILE:
            length = int.from_bytes(frame[pos + 4 : pos + 8], "big")
            tile = pos - 2 + length if length else len(frame.rstrip(b"\0")) - 2
            if not stop <= tile <= len(frame) - 2:
                raise ExportRefusal("a compressed image that is damaged")
        if marker == _COMMENT_2000:
            out[pos + 4 : stop] = bytes(max(stop - pos - 4, 0))
        pos = stop
