"""Clears the bits of pixel cells that hold no sample, in which old overlays can hide names.

The standard does not use the bits of an allocated cell outside Bits Stored (PS3.5 8.1.1). Until
2004 an overlay could lie there, and software that removed its group 60xx left the overlay itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lakehouse.export.pixels import ExportRefusal

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_CELLS = (8, 16, 32)


def clear_unused_bits(dataset: Dataset) -> None:
    """Set the bits of native pixels that no sample uses to zero, or to the sample's sign.

    The value of a sample does not change (PS3.5 8.1.1).

    Raises:
        Refused: The object does not tell which bits are used.
    """
    if "PixelData" not in dataset or dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    try:
        allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
        high, signed = int(dataset.HighBit), int(dataset.PixelRepresentation) == 1
    except Exception:  # of pydicom, about a value that it would quote
        raise ExportRefusal("an image whose pixels cannot be decoded here") from None
    low = high + 1 - stored
    if stored == allocated:
        return
    if allocated not in _CELLS or not 0 < stored < allocated or not 0 <= low <= high < allocated:
        raise ExportRefusal("an image whose pixels cannot be decoded here")
    order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
    cell = np.dtype(f"{order}{'i' if signed else 'u'}{allocated // 8}")
    data = dataset.PixelData
    whole = len(data) // cell.itemsize
    cells = np.frombuffer(data, cell, whole)
    above = allocated - 1 - high
    used = (((cells << above) >> above) >> low) << low  # a signed shift brings the sign down
    if not np.array_equal(used, cells):
        dataset.PixelData = used.astype(cell).tobytes() + data[whole * cell.itemsize :]
