"""How many bytes an element may have: as many as the attributes beside it say.

Bytes cannot be read for a name, but they can be counted: what is longer than the image, the
palette or the waveform that the object describes holds something else.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_BITS = {0x7FE00008: 32, 0x7FE00009: 64}
"""Bits of a sample of float pixels; other pixels state theirs."""

_PALETTES = {0x00281201: 0x00281101, 0x00281202: 0x00281102, 0x00281203: 0x00281103}
_PALETTES |= {0x00281204: 0x00281104, 0x00283006: 0x00283002}
"""Table data -> the descriptor that says how many entries it has."""


def _whole(dataset: Dataset, *keywords: str) -> int:
    """Return the product of some attributes; 0 when one is missing or no number."""
    try:
        return prod(int(dataset[k].value) for k in keywords)
    except (KeyError, TypeError, ValueError):
        return 0


def pixel_bytes(dataset: Dataset, number: int = 0x7FE00010) -> int:
    """Return the bytes that the uncompressed pixels of an object have, without padding."""
    bits = _BITS.get(number) or _whole(dataset, "BitsAllocated")
    samples = _whole(dataset, "SamplesPerPixel") if "SamplesPerPixel" in dataset else 1
    if "422" in str(dataset.get("PhotometricInterpretation", "")):
        samples = 2  # two samples a pixel: the colours are shared by neighbours
    frames = _whole(dataset, "NumberOfFrames") if dataset.get("NumberOfFrames") else 1
    return (_whole(dataset, "Rows", "Columns") * samples * frames * bits + 7) // 8


def stated_lengths(dataset: Dataset, number: int, rule: str, depth: int) -> set[int]:
    """Return the numbers of bytes that an element of bytes may have; none for unknown."""
    found: set[int] = set()
    if rule == "pixels":
        # pixels below the top are those of icons; compressed ones were judged stream by stream
        if depth == 0:
            return {len(dataset[number].value)}
    elif rule == "palette":
        descriptor = dataset.get(_PALETTES[number])
        if descriptor is not None and descriptor.VM == 3:
            entries = int(descriptor.value[0]) or 1 << 16
            found = {entries * 2} | ({entries} if int(descriptor.value[2]) <= 8 else set())
    elif rule == "waveform":
        bits = ("NumberOfWaveformChannels", "NumberOfWaveformSamples", "WaveformBitsAllocated")
        found = {_whole(dataset, *bits) // 8}
    elif rule == "spectra":
        points = _whole(dataset, "Rows", "Columns", "DataPointRows", "DataPointColumns")
        frames = _whole(dataset, "NumberOfFrames") if dataset.get("NumberOfFrames") else 1
        found = {points * frames * 4, points * frames * 8}  # real, or real and imaginary
    elif rule == "points":
        found = {_whole(dataset, "NumberOfSurfacePoints") * 12}
    return {n + n % 2 for n in found if n}
