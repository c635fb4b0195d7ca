"""DICOM: image archives to imaging tables, without reading a pixel.

``header`` finds and walks one object, ``mapping`` says which attribute feeds which column,
``columns`` turns many records into Arrow at once, ``reports`` and ``radiotherapy`` open the
content trees of structured reports and RT objects, ``model_json`` reads the JSON forms.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from lakehouse.batch import RawBatch, Source
from lakehouse.errors import MissingExtraError
from lakehouse.formats.dicom.encoding.header import looks_like_dicom


class DICOMFormat:
    """DICOM Part 10 objects of any transfer syntax, the DICOM JSON model and flat metadata."""

    name = "dicom"
    extensions = (".dcm", ".dicom", ".ima", ".json", ".ndjson")
    doc = "DICOM objects of any transfer syntax, DICOM JSON and flat metadata JSON; never pixels."
    main_table = "records"

    def sniff(self, head: bytes) -> bool:
        """Return whether a file beginning with these bytes is of this format."""
        from lakehouse.formats.dicom.model_json import looks_like_json

        return looks_like_dicom(head) or looks_like_json(head)

    def fingerprint(self, stream: BinaryIO, size: int | None) -> bytes | None:
        """Return the header as the bytes that stand for the object in the ledger."""
        from lakehouse.formats.dicom.reader import fingerprint

        return fingerprint(stream)

    def references(self, stream: BinaryIO) -> list[tuple[str, ...]]:
        """Return the files that a DICOMDIR names, each as the parts of its path."""
        from lakehouse.formats.dicom.encoding.dicomdir import referenced_files

        return referenced_files(stream)

    def parse(self, stream: BinaryIO, source: Source) -> Iterator[RawBatch]:
        """Yield the rows of one file."""
        return self.parse_many([(stream, source)])

    def parse_many(self, files: Iterable[tuple[BinaryIO, Source]]) -> Iterator[RawBatch]:
        """Yield the rows of many files in few batches.

        Raises:
            MissingExtraError: pydicom, which knows the dictionary and the character sets, is not
                installed.
        """
        try:
            import pydicom  # noqa: F401
        except ModuleNotFoundError:
            raise MissingExtraError.for_extra("Reading DICOM", "dicom") from None
        from lakehouse.formats.dicom.reader import read_many

        return read_many(files)


FORMAT = DICOMFormat()
