"""De-identified copies of DICOM objects by PS3.15 annex E.

It stands above ``privacy`` and ``formats`` because it needs both: pseudonyms, UIDs and date
offsets come from the functions that the tables use, under the same secret, so the two can never
disagree; the limits against hostile files come from the reader of the tables.

``table`` says what happens to a tag, ``walker`` does it at every level of an object, ``dummies``
makes what stands in a value's place, ``pixels`` decides whether pixels may show who it is, and
``exporter`` walks the files.
"""

from __future__ import annotations

from lakehouse.export.exporter import Exporter, ExportReport, export_dicom
from lakehouse.export.object_deidentifier import ObjectDeidentifier
from lakehouse.export.pixels import Refused, Regions
from lakehouse.export.profile import Options

__all__ = [
    "ExportReport",
    "Exporter",
    "ObjectDeidentifier",
    "Options",
    "Refused",
    "Regions",
    "export_dicom",
]
