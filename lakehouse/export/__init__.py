"""De-identified copies of DICOM objects by PS3.15 annex E.

Pseudonyms, UIDs and date offsets come from the functions and the secret of the tables, so copies
and tables always agree. The limits against hostile files come from the reader of the tables.

``profile`` gives the action for a tag and ``object_deidentifier`` applies it at every level of an
object. ``dummies`` has replacement values, ``pixels`` refuses pixels that may show a person, and
``exporter`` writes the files.
"""

from __future__ import annotations

from lakehouse.export.exporter import Exporter, ExportReport, export_dicom
from lakehouse.export.object_deidentifier import ObjectDeidentifier
from lakehouse.export.pixels import ExportRefusal, Regions
from lakehouse.export.profile import Options

__all__ = [
    "ExportRefusal",
    "ExportReport",
    "Exporter",
    "ObjectDeidentifier",
    "Options",
    "Regions",
    "export_dicom",
]
