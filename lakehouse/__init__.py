"""A SQL-queryable lakehouse for clinical data.

Everything public is here and loads when it is first used: neither Ray nor DuckDB is imported by
``import lakehouse``. Besides the names below there is one Ray datasource for each format found:
``HL7Datasource``, ``DICOMDatasource`` ...
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakehouse.engines.ray.public import DICOMDatasource as DICOMDatasource
    from lakehouse.engines.ray.public import HL7Datasource as HL7Datasource
    from lakehouse.engines.ray.public import LakehouseDatasink as LakehouseDatasink
    from lakehouse.errors import LakehouseError as LakehouseError
    from lakehouse.errors import UserError as UserError
    from lakehouse.export import export_dicom as export_dicom
    from lakehouse.pipeline.create import CreatedWarehouse as CreatedWarehouse
    from lakehouse.pipeline.create import init as init
    from lakehouse.pipeline.erasure import forget as forget
    from lakehouse.pipeline.ingest import ingest as ingest
    from lakehouse.pipeline.replay import replay as replay
    from lakehouse.pipeline.reports import IngestReport as IngestReport
    from lakehouse.query.lakehouse import Lakehouse as Lakehouse
    from lakehouse.query.lakehouse import open as open
    from lakehouse.query.views.evaluate import evaluate_view as evaluate_view
    from lakehouse.verification import verify as verify

_HOME = {
    "IngestReport": "pipeline.reports",
    "Lakehouse": "query.lakehouse",
    "LakehouseDatasink": "engines.ray.public",
    "LakehouseError": "errors",
    "UserError": "errors",
    "CreatedWarehouse": "pipeline.create",
    "evaluate_view": "query.views.evaluate",
    "export_dicom": "export",
    "forget": "pipeline.erasure",
    "ingest": "pipeline.ingest",
    "init": "pipeline.create",
    "open": "query.lakehouse",
    "replay": "pipeline.replay",
    "verify": "verification",
}
"""The module of each public name."""


def __getattr__(name: str) -> Any:
    if name == "__all__":  # made when asked for: it takes a look at the formats there are
        return [*_HOME, *_datasources()]
    if name in _HOME:
        return getattr(import_module(f"lakehouse.{_HOME[name]}"), name)
    if name.endswith("Datasource"):
        return import_module("lakehouse.engines.ray.public").datasource(name)
    raise AttributeError(f"module 'lakehouse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME, *_datasources()])


def _datasources() -> list[str]:
    from lakehouse.formats import formats, public_name

    return [f"{public_name(name)}Datasource" for name in formats()]
