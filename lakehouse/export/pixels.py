"""Refuses objects whose pixels may identify a person, or blanks regions of known devices."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.definitions.toml_file import read_toml
from lakehouse.errors import DefinitionError, did_you_mean
from lakehouse.export.elements import values_of
from lakehouse.formats.dicom.vocabulary.dictionary import names

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

_STANDARD = "1.2.840.10008."
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_PRINTED = ("1.2.840.10008.5.1.1.29", "1.2.840.10008.5.1.1.30")
"""Hardcopy images: printed pages, which include names."""

RISKY_CLASSES = {
    "7": "a secondary capture",
    "6": "an ultrasound image",
    "3": "an ultrasound image",
    "12": "an angiographic image",
    "77": "a photograph or video",
}
"""First number after the root of storage classes -> why its pixels may identify."""

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
    "HC": "a printed image",
    "DF": "a fluoroscopic image",
    "DS": "an angiographic image",
    "CF": "a fluoroscopic image",
    "VF": "a fluoroscopic image",
    "EPS": "an image of unknown make",
}

DOCUMENTS = _STORAGE + "104."
VOICES = _STORAGE + "9.4."
SURFACES = _STORAGE + "68."
REPORTS = _STORAGE + "88."


class ExportRefusal(Exception):
    """An object is not exported, because it may show identity where no rule reaches.

    Args:
        reason: The reason, without a value from the object.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Device:
    """The regions of images in which one kind of device burns in identity.

    Attributes:
        manufacturer: Manufacturer as in the objects.
        model: Model name as in the objects.
        regions: Rectangles to blank: left, top, width, height in pixels.
        modality: Only objects of this modality; empty for any.
        rows: Only images with this number of rows; 0 for any.
        columns: Only images with this number of columns; 0 for any.
    """

    manufacturer: str
    model: str
    regions: tuple[tuple[int, int, int, int], ...]
    modality: str = ""
    rows: int = 0
    columns: int = 0

    def matches(self, dataset: Dataset) -> bool:
        """Return whether this kind of device made an object."""
        return (
            _is_same_text(self.manufacturer, dataset.get("Manufacturer"))
            and _is_same_text(self.model, dataset.get("ManufacturerModelName"))
            and (not self.modality or self.modality == dataset.get("Modality"))
            and self.rows in (0, dataset.get("Rows"))
            and self.columns in (0, dataset.get("Columns"))
        )


def _is_same_text(expected: str, value: Any) -> bool:
    return expected.strip().casefold() == str(value or "").strip().casefold()


@dataclass(frozen=True)
class Regions:
    """The devices whose pixels can be blanked, from a file of the site.

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
            DefinitionError: The file is not TOML, or a device lacks or has a wrong key.
        """
        try:
            spec = read_toml(path)
        except (OSError, DefinitionError):
            raise DefinitionError("The regions file is not readable TOML.") from None
        if unknown := [key for key in spec if key != "device"]:
            raise DefinitionError(
                "The regions file has a key that is not known.",
                did_you_mean(unknown[0], ["device"]) or "Write one [[device]] for each device.",
            )
        entries = spec.get("device", [])
        if not isinstance(entries, list) or not entries:
            raise DefinitionError(
                "The regions file names no device.", "Write one [[device]] for each device."
            )
        return cls(tuple(_device(number, entry) for number, entry in enumerate(entries, 1)))


_KINDS: dict[str, type] = {"manufacturer": str, "model": str, "modality": str, "rows": int}
_KINDS |= {"columns": int, "regions": list}


def _device(number: int, entry: Any) -> Device:
    """Return one device of a regions file.

    Raises:
        DefinitionError: A required key is missing, or a value is of the wrong kind.
    """
    where = f"Device {number} of the regions file"
    whole = "State manufacturer, model and regions as [left, top, width, height]."
    if not isinstance(entry, dict):
        raise DefinitionError(f"{where} is no table.", "Write one [[device]] for each device.")
    if unknown := [key for key in entry if key not in _KINDS]:
        raise DefinitionError(
            f"{where} has a key that is not known.", did_you_mean(unknown[0], list(_KINDS))
        )
    for key, kind in _KINDS.items():
        if key in entry and (not isinstance(entry[key], kind) or isinstance(entry[key], bool)):
            raise DefinitionError(f"{where}: {key} is of the wrong kind.", whole)
    if not str(entry.get("manufacturer", "")).strip() or not str(entry.get("model", "")).strip():
        raise DefinitionError(f"{where} is incomplete: it names no manufacturer or model.", whole)
    regions = entry.get("regions", [])
    if not regions or not all(_is_region(region) for region in regions):
        raise DefinitionError(f"{where} names no region of any size.", whole)
    if min(entry.get("rows", 0), entry.get("columns", 0)) < 0:
        raise DefinitionError(f"{where}: rows and columns are not negative.")
    return Device(**{**entry, "regions": tuple(tuple(region) for region in regions)})


def _is_region(region: Any) -> bool:
    return (
        isinstance(region, list)
        and len(region) == 4
        and all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in region)
        and min(region[2:]) > 0
    )


def reason_to_refuse(dataset: Dataset, structured_content: bool) -> tuple[str, bool] | None:
    """Return why an object may show identity, and whether blanking pixels would help.

    Args:
        dataset: The object before de-identification.
        structured_content: Whether the content of reports is cleaned.
    """
    sop_class = (_words(dataset, "SOPClassUID") or [""])[0]
    if sop_class.startswith(DOCUMENTS) or "EncapsulatedDocument" in dataset:
        return "an encapsulated document", False
    if sop_class.startswith(VOICES):
        return "a voice recording", False
    if sop_class.startswith(SURFACES):
        return "a scan of a body's surface", False
    if sop_class.startswith(REPORTS) and not structured_content:
        return "a structured report (clean its content to take it)", False
    if sop_class and not sop_class.startswith(_STANDARD):
        return "an object of a maker's own class", False
    if not any(keyword in dataset for keyword in _PIXELS):
        return None
    if any(word != "NO" for word in _words(dataset, "BurnedInAnnotation")):
        return "an image stated to have burned-in identity", True
    if any(word != "NO" for word in _words(dataset, "RecognizableVisualFeatures")):
        return "an image stated to show who it is", False
    overlays = [tag for tag in sorted(dataset.keys()) if tag.group >> 8 == 0x60]
    if any(_is_overlay_in_pixels(dataset, tag) for tag in overlays) or _has_overlay_without_data(
        overlays
    ):
        return "an image with an overlay inside its pixels", False
    if sop_class in _PRINTED:
        return "a printed image", True
    family = sop_class.removeprefix(_STORAGE).partition(".")[0]
    if sop_class.startswith(_STORAGE) and family in RISKY_CLASSES:
        return RISKY_CLASSES[family], True
    for modality in _words(dataset, "Modality"):
        if modality in RISKY_MODALITIES:
            return RISKY_MODALITIES[modality], True
    if _words(dataset, "ConversionType"):
        return "a secondary capture", True
    if any("SCREEN" in word for word in _words(dataset, "ImageType")):
        return "a saved screen", True
    if sop_class not in names("sop_classes"):
        return "an image of unknown make", True
    return None


def _words(dataset: Dataset, keyword: str) -> list[str]:
    """Return the non-empty values of an attribute in upper case, without padding."""
    try:
        element = dataset.get_item(keyword) and dataset[keyword]
        values = values_of(element) if element is not None else []
    except Exception:  # a value that cannot be decoded may identify
        return ["?"]
    words = (str(value).strip(" \0").upper() for value in values)
    return [word for word in words if word]


_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


_OVERLAY_BITS, _OVERLAY_PLACE, _OVERLAY_ROWS, _OVERLAY_DATA = 0x0100, 0x0102, 0x0010, 0x3000


def _has_overlay_without_data(overlays: list[BaseTag]) -> bool:
    """Return whether an overlay has a size but no data, because it lies in the pixels."""
    sized = {tag.group for tag in overlays if tag.element == _OVERLAY_ROWS}
    return bool(sized - {tag.group for tag in overlays if tag.element == _OVERLAY_DATA})


def _is_overlay_in_pixels(dataset: Dataset, tag: BaseTag) -> bool:
    """Return whether an element puts an overlay into unused bits of the pixels."""
    if tag.element not in (_OVERLAY_BITS, _OVERLAY_PLACE):
        return False
    most = 1 if tag.element == _OVERLAY_BITS else 0
    try:
        return any(int(value) > most for value in values_of(dataset[tag]))
    except Exception:  # not known to be harmless
        return True


def blank_regions(dataset: Dataset, regions: Regions) -> bool:
    """Blank the regions of the device that made an object; return False for an unlisted device.

    Raises:
        Refused: The pixels cannot be decoded here or are fewer than stated, or a region lies
            outside the image, so that the file of regions is for another image.
    """
    device = next((d for d in regions.devices if d.matches(dataset)), None)
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
        raise ExportRefusal("an image whose pixels cannot be decoded here") from None
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    if (
        depth == 0
        or len(pixels) < frames * samples * width * height * depth
        or "422" in photometric
    ):
        raise ExportRefusal("an image whose pixels cannot be decoded here")
    if any(left >= width or top >= height for left, top, _, _ in device.regions):
        raise ExportRefusal("an image smaller than a region that is to be blanked")
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
