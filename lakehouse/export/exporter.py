"""Writes de-identified copies of DICOM files into a folder.

Each object passes ``object_deidentifier`` and is written under its new UIDs. An object that may
show identity where no rule reaches is refused, and reported by the keyed id of its file.
"""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.errors import InputError, LakehouseError, MissingExtraError
from lakehouse.export.compressed_frames import strip_hidden_data
from lakehouse.export.object_deidentifier import ObjectDeidentifier, identity
from lakehouse.export.pixels import ExportRefusal, Regions, blank_regions, reason_to_refuse
from lakehouse.export.profile import Options
from lakehouse.export.unused_bits import clear_unused_bits
from lakehouse.formats.dicom.encoding.dicomdir import DIRECTORY
from lakehouse.formats.dicom.encoding.header import inflated_size, looks_like_dicom, read_header
from lakehouse.formats.dicom.encoding.values import quiet
from lakehouse.formats.dicom.encoding.window import Unreadable
from lakehouse.privacy.identity.pseudonyms import pseudonym
from lakehouse.privacy.keys.secret import Secret
from lakehouse.sources.content import BrokenContent, Opener
from lakehouse.sources.discover import discover
from lakehouse.sources.input_file import BROKEN, TRUNCATED, InputFile

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileDataset

IMPLEMENTATION_UID = "2.25.139382713098217420517236125104871296127"
IMPLEMENTATION_NAME = "CLIN_LAKEHOUSE_1"
MANIFEST = "manifest.csv"
NOBODY = "no-patient"

MAX_SWOLLEN = 64 << 20
MAX_RATIO = 100
TOO_LARGE = "a packed object that swells beyond measure"
"""Images deflate to a half or a tenth; a file that inflates more than a hundredfold is an attack on
the memory."""

EXPORTED, REFUSED, UNREADABLE, SKIPPED = "exported", "refused", "unreadable", "skipped"


@dataclass
class ExportReport:
    """The result of an export: counts of files by outcome and of elements by action.

    Attributes:
        n_files: Files read.
        n_exported: Objects written.
        n_replaced: Objects that replaced one of the same new UID.
        outcomes: Files by status and reason.
        elements: Elements by action (X, Z, D, U, K, C).
    """

    n_files: int = 0
    n_exported: int = 0
    n_replaced: int = 0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    elements: Counter[str] = field(default_factory=Counter)


class Exporter:
    """Writes de-identified copies of DICOM files into one folder.

    Args:
        target: Folder of the copies.
        secret: The warehouse's secret: copies and tables then agree.
        options: Options of the profile of PS3.15.
        regions: Devices whose pixels are cleaned; without them such objects are refused.
        authority: Assigning authority of record numbers that state none.
    """

    def __init__(
        self,
        target: Path,
        secret: Secret,
        options: Options | None = None,
        regions: Regions | None = None,
        authority: str = "",
    ) -> None:
        self.options = options or Options()
        self.report = ExportReport()
        self._target = target
        self._secret = secret
        self._regions = regions
        self._authority = authority
        self._deidentify = ObjectDeidentifier(secret, self.options, authority)

    def export(self, file: InputFile, opener: Opener) -> tuple[str, str]:
        """Write the copy of one file; return its status and, unless exported, why."""
        outcome = self._outcome(file, opener)
        self.report.n_files += 1
        self.report.n_exported += outcome[0] == EXPORTED
        self.report.outcomes[outcome] += 1
        self.report.elements = self._deidentify.counts
        return outcome

    def _outcome(self, file: InputFile, opener: Opener) -> tuple[str, str]:
        if file.packing in (BROKEN, TRUNCATED):
            return UNREADABLE, "the packed file is damaged or encrypted"
        if file.format != "dicom":
            return SKIPPED, "not DICOM"
        if file.content_size > max(MAX_SWOLLEN, MAX_RATIO * file.size):
            return REFUSED, TOO_LARGE
        try:
            with opener.open(file) as content:
                data = content.read()
        except BrokenContent:
            return UNREADABLE, "the packed file is damaged or encrypted"
        if not looks_like_dicom(data[:4096]):
            return SKIPPED, "metadata without an object"
        try:
            read_header(io.BytesIO(data), {})  # enforces limits that pydicom does not have
            most = max(MAX_SWOLLEN, MAX_RATIO * len(data))
            if inflated_size(data, most + 1) > most:
                return REFUSED, TOO_LARGE
            self.write(data)
        except Unreadable as fault:
            return UNREADABLE, fault.message.rstrip(".")
        except ExportRefusal as refused:
            return REFUSED, refused.reason
        except LakehouseError:
            raise
        except Exception:  # of pydicom, about a value that it would quote
            return REFUSED, "an object that cannot be understood"
        return EXPORTED, ""

    def write(self, data: bytes) -> Path:
        """De-identify one object and write it; return its path.

        Raises:
            Refused: The object may show identity where no rule reaches, or cannot be written.
            Unreadable: pydicom cannot read the object.
        """
        with quiet():
            dataset = _read(data)
            if str(dataset.file_meta.get("MediaStorageSOPClassUID", "")) == DIRECTORY:
                raise ExportRefusal("a DICOMDIR (an index is never copied)")
            cleaned = self._pixels(dataset)
            strip_hidden_data(dataset)
            clear_unused_bits(dataset)
            issuer, number = identity(dataset, self._authority)
            try:
                self._deidentify(dataset)
            except RecursionError:
                raise ExportRefusal("sequences nested too deep") from None
            if cleaned:
                _note_clean_pixels(dataset)
            patient = NOBODY
            if number is not None:
                patient = pseudonym(self._secret, "patient", issuer, number)
            return self._save(dataset, patient)

    def _pixels(self, dataset: FileDataset) -> bool:
        """Blank burned-in regions of a risky image; return whether any were blanked."""
        refusal = reason_to_refuse(dataset, self.options.structured_content)
        if refusal is None:
            return False
        reason, helps = refusal
        if not helps or self._regions is None or not blank_regions(dataset, self._regions):
            raise ExportRefusal(reason)
        return True

    def _save(self, dataset: FileDataset, patient: str) -> Path:
        names = [
            str(dataset.get(k, "") or "none")
            for k in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        ]
        if names[2] == "none":
            raise ExportRefusal("an object without a SOP instance UID")
        if not all(_is_plain(name) for name in names):
            raise ExportRefusal("an object whose UIDs are no UIDs")
        folder = self._target / patient / names[0] / names[1]
        path, partial = folder / f"{names[2]}.dcm", folder / f".{names[2]}.{os.getpid()}"
        try:
            _new_meta(dataset)
            folder.mkdir(parents=True, exist_ok=True)
            dataset.save_as(partial, enforce_file_format=True)
        except (OSError, InputError):
            partial.unlink(missing_ok=True)
            raise InputError(
                "The target folder cannot be written.", "Check space and rights."
            ) from None
        except Exception:
            partial.unlink(missing_ok=True)
            raise ExportRefusal("an object that cannot be written as the standard asks") from None
        self.report.n_replaced += path.exists()
        partial.replace(path)
        return path


def export_dicom(
    source: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    target: str | os.PathLike[str],
    secret: Secret,
    *,
    options: Options | None = None,
    regions: Regions | None = None,
    authority: str = "",
    mappings: Sequence[str] = (),
) -> ExportReport:
    """Write de-identified copies of all DICOM objects below some paths.

    The copies lie in folders of pseudonyms and new UIDs. ``manifest.csv`` beside them has the
    status of each file by its keyed id.

    Args:
        source: Files, folders, globs or URIs; zip and gzip are unpacked.
        target: Folder for the copies; created when it is missing.
        secret: The secret of the warehouse that the tables are in.
        options: Options of PS3.15; by default dates shift as in the tables.
        regions: Devices whose burned-in regions are blanked.
        authority: Assigning authority of record numbers that state none.
        mappings: Folders with a site's own mapping files; a ``devices.csv`` in one adds
            manufacturers and models to keep.

    Raises:
        InputError: A path is missing, or the target cannot be written.
        MissingExtraError: pydicom is not installed.

    Examples:
        ::

            options = Options(device=True)
            report = export_dicom("archive", "research", Secret.load(), options=options)
            print(report.n_exported, report.outcomes)
    """
    try:
        import pydicom  # noqa: F401
    except ModuleNotFoundError:
        raise MissingExtraError.for_extra("Exporting DICOM", "dicom") from None
    from lakehouse.formats.dicom.vocabulary.devices import add_site_devices

    add_site_devices(tuple(mappings))
    folder = Path(target)
    found = discover(source, secret, exclude=(os.fspath(folder),))
    folder.mkdir(parents=True, exist_ok=True)
    exporter = Exporter(folder, secret, options, regions, authority)
    partial = folder / f".{MANIFEST}.{os.getpid()}"
    with partial.open("w", encoding="utf-8", newline="") as lines, Opener() as opener:
        manifest = csv.writer(lines, lineterminator="\n")
        manifest.writerow(("path_id", "status", "reason"))
        for file in found.files:
            manifest.writerow((file.path_id, *exporter.export(file, opener)))
    partial.replace(folder / MANIFEST)
    return exporter.report


def _read(data: bytes) -> FileDataset:
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    try:
        dataset = pydicom.dcmread(io.BytesIO(data), force=True)
        implicit, little = dataset.original_encoding
        if "TransferSyntaxUID" not in getattr(dataset, "file_meta", {}):
            dataset.file_meta = dataset.file_meta or FileMetaDataset()
            explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    except Exception:  # pydicom's errors quote values
        raise Unreadable("dicom.damaged", "The object cannot be read.") from None
    return dataset


def _new_meta(dataset: FileDataset) -> None:
    """Replace the preamble and all of group 0002 (PS3.15 E.1.1)."""
    from pydicom.dataset import FileMetaDataset

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID")
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = IMPLEMENTATION_NAME
    dataset.file_meta = meta
    dataset.preamble = bytes(128)


def _note_clean_pixels(dataset: Dataset) -> None:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = "113101", "DCM"
    item.CodeMeaning = "Clean Pixel Data Option"
    dataset.DeidentificationMethodCodeSequence.append(item)
    dataset.BurnedInAnnotation = "NO"


def _is_plain(name: str) -> bool:
    return name == "none" or (len(name) <= 64 and all(c in "0123456789." for c in name))
