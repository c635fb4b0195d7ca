"""Bits of the pixels that hold no part of the image: old overlays stood in them, names and all.

PS3.5 8.1.1 leaves the bits of an allocated cell outside Bits Stored to nobody; until 2004 an
overlay could lie there, and whoever removed the group 60xx that spoke of it left it where it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lakehouse.export.pixels import Refused

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_CELLS = (8, 16, 32)


def clear_unused_bits(dataset: Dataset) -> None:
    """Set the bits of native pixels that no sample uses to zero, or to the sample's sign.

    What a sample says does not change (PS3.5 8.1.1), and one without such bits is left alone.

    Raises:
        Refused: The object does not tell which bits are used.
    """
    if "PixelData" not in dataset or dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    try:
        allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
        high, signed = int(dataset.HighBit), int(dataset.PixelRepresentation) == 1
    except Exception:  # of pydicom, about a value that it would quote
        raise Refused("an image whose pixels cannot be decoded here") from None
    low = high + 1 - stored
    if stored == allocated:
        return
    if allocated not in _CELLS or not 0 < stored < allocated or not 0 <= low <= high < allocated:
        raise Refused("an image whose pixels cannot be decoded here")
    order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
    cell = np.dtype(f"{order}{'i' if signed else 'u'}{allocated // 8}")
    data = dataset.PixelData
    whole = len(data) // cell.itemsize
    found = np.frombuffer(data, cell, whole)
    above = allocated - 1 - high
    used = (((found << above) >> above) >> low) << low  # a signed shift brings the sign down
    if not np.array_equal(used, found):
        dataset.PixelData = used.astype(cell).tobytes() + data[whole * cell.itemsize :]
