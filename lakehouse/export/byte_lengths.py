"""The allowed length of binary elements, computed from the attributes beside them.

Binary values cannot be searched for a name, but their length can be checked: a value longer than
the image, palette or waveform that the object describes holds something else.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_BITS = {0x7FE00008: 32, 0x7FE00009: 64}
"""Bits of a sample of float pixels; other pixels state theirs in an attribute."""

_PALETTES = {0x00281201: 0x00281101, 0x00281202: 0x00281102, 0x00281203: 0x00281103}
_PALETTES |= {0x00281204: 0x00281104, 0x00283006: 0x00283002}
"""Palette data -> the descriptor with its number of entries."""


def _product(dataset: Dataset, *keywords: str) -> int:
    """Return the product of some attributes; 0 when one is missing or not a number."""
    try:
        return prod(int(dataset[k].value) for k in keywords)
    except (KeyError, TypeError, ValueError):
        return 0


def pixel_bytes(dataset: Dataset, number: int = 0x7FE00010) -> int:
    """Return the size in bytes of an object's uncompressed pixels, without padding."""
    bits = _BITS.get(number) or _product(dataset, "BitsAllocated")
    samples = _product(dataset, "SamplesPerPixel") if "SamplesPerPixel" in dataset else 1
    if "422" in str(dataset.get("PhotometricInterpretation", "")):
        samples = 2  # two samples a pixel: the colours are shared by neighbours
    frames = _product(dataset, "NumberOfFrames") if dataset.get("NumberOfFrames") else 1
    return (_product(dataset, "Rows", "Columns") * samples * frames * bits + 7) // 8


def allowed_lengths(dataset: Dataset, number: int, rule: str, depth: int) -> set[int]:
    """Return the allowed lengths of a binary element in bytes; empty when they are unknown."""
    lengths: set[int] = set()
    if rule == "pixels":
        # icons have pixels below the top level; ``compressed_frames`` checks compressed pixels
        if depth == 0:
            return {len(dataset[number].value)}
    elif rule == "palette":
        descriptor = dataset.get(_PALETTES[number])
        if descriptor is not None and descriptor.VM == 3:
            entries = int(descriptor.value[0]) or 1 << 16
            lengths = {entries * 2} | ({entries} if int(descriptor.value[2]) <= 8 else set())
    elif rule == "waveform":
        bits = ("NumberOfWaveformChannels", "NumberOfWaveformSamples", "WaveformBitsAllocated")
        lengths = {_product(dataset, *bits) // 8}
    elif rule == "spectra":
        points = _product(dataset, "Rows", "Columns", "DataPointRows", "DataPointColumns")
        frames = _product(dataset, "NumberOfFrames") if dataset.get("NumberOfFrames") else 1
        lengths = {points * frames * 4, points * frames * 8}  # real, or real and imaginary
    elif rule == "points":
        lengths = {_product(dataset, "NumberOfSurfacePoints") * 12}
    return {n + n % 2 for n in lengths if n}
