"""Pixels that may show who it is: objects are refused, or named regions of them blanked."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.errors import DefinitionError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_STORAGE = "1.2.840.10008.5.1.4.1.1."

RISKY_CLASSES = {
    "7": "a secondary capture",
    "6": "an ultrasound image",
    "3": "an ultrasound image",
    "12": "an angiographic image",
    "77": "a photograph or video",
}
"""First number behind the root of storage classes -> why its pixels are not trusted."""

RISKY_MODALITIES = {
    "US": "an ultrasound image",
    "IVUS": "an ultrasound image",
    "XA": "an angiographic image",
    "RF": "a fluoroscopic image",
    "SC": "a secondary capture",
    "OT": "an image of unknown make",
    "ES": "a photograph or video",
    "XC": "a photograph or video",
    "GM": "a photograph or video",
    "DOC": "a document",
}

DOCUMENTS = _STORAGE + "104."
REPORTS = _STORAGE + "88."


class Refused(Exception):
    """An object that may show identity where no rule reaches; never written.

    Args:
        reason: Why, without a value from the object.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Device:
    """Where one kind of device burns in identity.

    Attributes:
        manufacturer: Manufacturer, as the objects have it.
        model: Model name, as the objects have it.
        regions: Rectangles to blank: left, top, width, height in pixels.
        modality: Only objects of this modality; empty for any.
        rows: Only images with so many rows; 0 for any.
        columns: Only images with so many columns; 0 for any.
    """

    manufacturer: str
    model: str
    regions: tuple[tuple[int, int, int, int], ...]
    modality: str = ""
    rows: int = 0
    columns: int = 0

    def makes(self, dataset: Dataset) -> bool:
        """Return whether this kind of device made an object."""
        return (
            _same(self.manufacturer, dataset.get("Manufacturer"))
            and _same(self.model, dataset.get("ManufacturerModelName"))
            and (not self.modality or self.modality == dataset.get("Modality"))
            and self.rows in (0, dataset.get("Rows"))
            and self.columns in (0, dataset.get("Columns"))
        )


def _same(wanted: str, found: Any) -> bool:
    return wanted.strip().casefold() == str(found or "").strip().casefold()


@dataclass(frozen=True)
class Regions:
    """The devices whose pixels can be cleaned, from a file of the site's own.

    Examples:
        ::

            # regions.toml
            [[device]]
            manufacturer = "ACME"
            model = "Sono 1"
            regions = [[0, 0, 800, 40]]   # left, top, width, height
    """

    devices: tuple[Device, ...] = field(default=())

    @classmethod
    def load(cls, path: Path) -> Regions:
        """Read the regions of a file.

        Raises:
            DefinitionError: The file is not TOML, or a device lacks something.
        """
        try:
            spec = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
            raise DefinitionError("The regions file is not readable TOML.") from None
        devices = []
        for number, entry in enumerate(spec.get("device", []), 1):
            try:
                regions = tuple((int(x), int(y), int(w), int(h)) for x, y, w, h in entry["regions"])
                named = {k: v for k, v in entry.items() if k != "regions"}
                device = Device(regions=regions, **named)
            except (KeyError, TypeError, ValueError):
                raise DefinitionError(
                    f"Device {number} of the regions file is incomplete.",
                    "State manufacturer, model and regions as [left, top, width, height].",
                ) from None
            if not regions or any(min(r) < 0 or r[2] == 0 or r[3] == 0 for r in regions):
                raise DefinitionError(
                    f"Device {number} of the regions file names no region of any size."
                )
            devices.append(device)
        return cls(tuple(devices))


def reason_to_refuse(dataset: Dataset, structured_content: bool) -> tuple[str, bool] | None:
    """Return why an object may show identity, and whether blanking pixels would help.

    Args:
        dataset: The object, as it was read.
        structured_content: Whether the content of reports is cleaned.
    """
    sop_class = str(dataset.get("SOPClassUID", ""))
    if sop_class.startswith(DOCUMENTS) or "EncapsulatedDocument" in dataset:
        return "an encapsulated document", False
    if sop_class.startswith(REPORTS) and not structured_content:
        return "a structured report (clean its content to take it)", False
    if not any(keyword in dataset for keyword in _PIXELS):
        return None
    if str(dataset.get("BurnedInAnnotation", "")).strip().upper() == "YES":
        return "an image stated to have burned-in identity", True
    if any(
        t.group >> 8 == 0x60 and t.element == 0x0100 and _in_pixels(dataset[t])
        for t in sorted(dataset.keys())
    ):
        return "an image with an overlay inside its pixels", False
    family = sop_class.removeprefix(_STORAGE).partition(".")[0]
    if sop_class.startswith(_STORAGE) and family in RISKY_CLASSES:
        return RISKY_CLASSES[family], True
    if (modality := str(dataset.get("Modality", ""))) in RISKY_MODALITIES:
        return RISKY_MODALITIES[modality], True
    if "SCREEN SAVE" in [str(v) for v in dataset.get("ImageType", None) or []]:
        return "a saved screen", True
    if not sop_class:
        return "an image of unknown make", True
    return None


_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def _in_pixels(element: Any) -> bool:
    return bool(element.value) and int(element.value) > 1


def blank(dataset: Dataset, regions: Regions) -> bool:
    """Blank the regions of the device that made an object; False when no device is named.

    Raises:
        Refused: The pixels cannot be decoded here, or are not as many as stated.
    """
    device = next((d for d in regions.devices if d.makes(dataset)), None)
    if device is None:
        return False
    try:
        if dataset.file_meta.TransferSyntaxUID.is_compressed:
            dataset.decompress()
        pixels = bytearray(dataset.PixelData)
        samples = int(dataset.get("SamplesPerPixel", 1))
        width, height = int(dataset.Columns), int(dataset.Rows)
        frames = int(dataset.get("NumberOfFrames", None) or 1)
        depth = int(dataset.BitsAllocated) // 8
    except Exception:
        raise Refused("an image whose pixels cannot be decoded here") from None
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    if (
        depth == 0
        or len(pixels) < frames * samples * width * height * depth
        or "422" in photometric
    ):
        raise Refused("an image whose pixels cannot be decoded here")
    planar = samples > 1 and int(dataset.get("PlanarConfiguration", 0) or 0) == 1
    step = depth if planar else depth * samples
    for plane in range(frames * (samples if planar else 1)):
        start = plane * width * height * step
        for left, top, wide, high in device.regions:
            right = min(left + wide, width)
            for row in range(top, min(top + high, height)):
                begin = start + (row * width + left) * step
                stop = start + (row * width + right) * step
                pixels[begin:stop] = bytes(max(stop - begin, 0))
    dataset.PixelData = bytes(pixels)
    dataset.BurnedInAnnotation = "NO"
    return True
