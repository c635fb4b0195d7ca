"""Saved cohorts, which give the same rows later: ``lake.cohort.load(name)``.

A saved cohort is a JSON file in the warehouse's folder ``cohorts``: its SQL, its parameters, the
snapshot of every table, and the views and code sets it reads. It holds no row of a patient.
Maintenance keeps the snapshots as long as the file is there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from lakehouse.errors import DefinitionError, QueryError, did_you_mean
from lakehouse.query.cohorts.cohort import Cohort
from lakehouse.query.connection.location import EMPTY, WarehouseLocation
from lakehouse.query.connection.time_travel import newest_snapshots
from lakehouse.query.result import Result
from lakehouse.query.svg import attrition_svg
from lakehouse.query.views.code_sets import is_number, load_codes
from lakehouse.query.views.library import dependency_order
from lakehouse.query.views.syntax import parse, references
from lakehouse.query.views.view import View
from lakehouse.storage.io.files import Files, is_local, join
from lakehouse.storage.metadata.settings import COHORTS_FOLDER

if TYPE_CHECKING:
    from lakehouse.storage.warehouse import Warehouse


class Queryable(Protocol):
    """The parts of ``Lakehouse`` that cohorts use."""

    @property
    def warehouse(self) -> Warehouse:
        """The warehouse with its catalog."""
        ...

    @property
    def location(self) -> WarehouseLocation:
        """The folders of the tables, and the snapshots to read."""
        ...

    def sql(self, query: str) -> Result:
        """Return the rows of one SELECT."""
        ...

    def with_location(self, location: WarehouseLocation) -> Queryable:
        """Return the same warehouse with other snapshots or views."""
        ...


class Cohorts:
    """Creates, lists, saves and loads the cohorts of one warehouse."""

    def __init__(self, lake: Queryable, root: str) -> None:
        self._lake = lake
        self._folder = join(root, COHORTS_FOLDER)

    @property
    def _files(self) -> Files:
        return Files() if is_local(self._folder) else self._lake.warehouse.files

    def _location(self, name: str) -> str:
        return join(self._folder, f"{name}.json")

    def __call__(self, name: str) -> Cohort:
        """Return a new cohort without criteria: all patients."""
        if not name.replace("_", "").replace("-", "").isalnum():
            raise QueryError("A cohort's name is letters, digits, - and _.", "Choose another name.")
        return Cohort(name, self)

    def ask(self, sql: str) -> Result:
        """Run a query."""
        return self._lake.sql(sql)

    def names(self) -> list[str]:
        """Return the names of the saved cohorts."""
        entries = self._files.list(self._folder, recursive=False)
        return sorted(Path(e.location).stem for e in entries if e.location.endswith(".json"))

    def save(self, cohort: Cohort) -> str:
        """Save a cohort; return the file.

        Raises:
            QueryError: The folder cannot be written.
        """
        views, sql = self._lake.location.views, cohort.sql()
        relations = {r.name for r in references(parse(sql))}
        used_views = {
            n: asdict(views[n]) for n in dependency_order(sorted(relations & set(views)), views)
        }
        sets = {
            d.partition(".")[2]
            for v in used_views
            for d in views[v].depends_on
            if d.startswith("codes.")
        }
        pins = {**newest_snapshots(self._lake.warehouse), **self._lake.location.snapshots}
        content = {
            "name": cohort.name,
            "saved_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "software": version("clinical-lakehouse"),
            "profile": self._lake.location.profile,
            "asked": [_to_json(entry) for entry in cohort.criteria],
            "sql": sql,
            "attrition": cohort.attrition().to_pylist(),
            "snapshots": pins,
            "views": used_views,
            "codes": {n: self.code_set(n).to_pydict() for n in sets},
        }
        path = self._location(cohort.name)
        try:
            self._files.replace(path, json.dumps(content).encode())
        except OSError as error:
            raise QueryError(
                f"{path} cannot be written ({type(error).__name__}).", "Check space and rights."
            ) from None
        return path

    def code_set(self, name: str) -> pa.Table:
        """Return the current rows of a code set."""
        return load_codes(name, self._lake.location.codes).rows

    def views_now(self) -> Mapping[str, View]:
        """Return the current views."""
        return self._lake.location.views

    def missing_snapshots(self, snapshots: Mapping[str, int]) -> list[str]:
        """Return the tables that no longer have their snapshot."""
        return [
            name
            for name, snapshot in snapshots.items()
            if snapshot != EMPTY
            and all(
                s.snapshot_id != snapshot for s in self._lake.warehouse.iceberg(name).snapshots()
            )
        ]

    def load(self, name: str) -> SavedCohort:
        """Return a saved cohort, which reads the tables and views as they were.

        Raises:
            QueryError: No saved cohort has the name, or its file is damaged.
        """
        path = self._location(name)
        content = self._files.read(path)
        if content is None:
            near = did_you_mean(name, self.names())
            raise QueryError(f"There is no saved cohort {name}.", near)
        try:
            return SavedCohort(self, json.loads(content))
        except (ValueError, KeyError, TypeError):
            raise QueryError(f"{path} is damaged.", "Save the cohort again.") from None

    def at(
        self,
        pins: Mapping[str, int],
        views: Mapping[str, View],
        sets: Mapping[str, pa.Table],
    ) -> Queryable:
        """Return the lakehouse with other snapshots, views and code sets; closed with this one."""
        location = replace(self._lake.location, snapshots=pins, saved_views=views, code_sets=sets)
        return self._lake.with_location(location)


@dataclass(frozen=True)
class SavedCohort:
    """A cohort read from its file.

    Attributes:
        cohorts: The cohorts of the lakehouse.
        content: Content of the file.
    """

    cohorts: Cohorts
    content: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the cohort."""
        return str(self.content["name"])

    @cached_property
    def _lake_then(self) -> Queryable:
        views = {
            n: View(**{**v, "grain": tuple(v["grain"]), "parameters": tuple(v["parameters"])})
            for n, v in self.content["views"].items()
        }
        return self.cohorts.at(self.content["snapshots"], views, self._sets)

    @cached_property
    def _sets(self) -> dict[str, pa.Table]:
        return {
            name: pa.table(
                {
                    c: pa.array(values, pa.float64() if is_number(c) else pa.string())
                    for c, values in columns.items()
                }
            )
            for name, columns in self.content["codes"].items()
        }

    def sql(self) -> str:
        """Return the saved SQL."""
        return str(self.content["sql"])

    def rows(self) -> Result:
        """Return the rows of the cohort over the tables as they were when it was saved.

        Raises:
            QueryError: A table no longer has its snapshot.
        """
        try:
            return self._lake_then.sql(self.sql())
        except QueryError:
            if not (missing := self.cohorts.missing_snapshots(self.content["snapshots"])):
                raise
            raise QueryError(
                f"The cohort reads snapshots that are gone: {', '.join(missing)}. The erasure of a "
                "patient drops the past.",
                "Use `.now()` to repeat its criteria, and `.now().save()` to save the result.",
            ) from None

    def attrition(self) -> pa.Table:
        """Return the saved attrition."""
        return pa.Table.from_pylist(self.content["attrition"])

    def picture(self, path: str | Path | None = None) -> str:
        """Return the saved attrition as SVG, and write it to a file when one is named."""
        steps = [(r["asks"], r["n_patients"]) for r in self.attrition().to_pylist()]
        svg = attrition_svg(self.name, steps)
        if path is not None:
            Path(path).write_text(svg, encoding="utf-8")
        return svg

    def now(self) -> Cohort:
        """Return a cohort of the same criteria over the current tables and views."""
        cohort = self.cohorts(self.name)
        for entry in self.content["asked"]:
            cohort = cohort.where(**_from_json(entry))
        return cohort

    def changed_definitions(self) -> list[str]:
        """Return the views and code sets of the cohort whose definition has changed since."""
        views = self.cohorts.views_now()
        changed = [
            name
            for name, view in self.content["views"].items()
            if name not in views or views[name].sql != view["sql"]
        ]
        for name, rows in self._sets.items():
            try:
                same = self.cohorts.code_set(name).equals(rows)
            except DefinitionError:
                same = False
            changed += [] if same else [f"codes.{name}"]
        return sorted(changed)

    def diff(self) -> pa.Table:
        """Return the patients added, removed or with another index time since the cohort was saved.

        Returns:
            ``patient_id``, ``change`` (added, removed, moved), ``index_then``, ``index_now``. A
            view or code set whose definition has changed is a row without a patient: the change is
            ``redefined``, and ``definition`` has its name.
        """
        then = {p: at for p, at, _ in self.rows().fetchall()}
        now = {p: at for p, at, _ in self.now().rows().fetchall()}
        changed: list[dict[str, Any]] = [
            {"change": "redefined", "definition": name} for name in self.changed_definitions()
        ]
        changed += [
            {
                "patient_id": p,
                "change": "added" if p not in then else "removed" if p not in now else "moved",
                "index_then": then.get(p),
                "index_now": now.get(p),
            }
            for p in sorted(then.keys() | now.keys())
            if p not in then or p not in now or then[p] != now[p]
        ]
        return pa.Table.from_pylist(changed, _DIFF)


_INSTANT = pa.timestamp("us", tz="UTC")
_DIFF = pa.schema(
    [
        ("patient_id", pa.string()),
        ("change", pa.string()),
        ("index_then", _INSTANT),
        ("index_now", _INSTANT),
        ("definition", pa.string()),
    ]
)


def _to_json(value: Any) -> Any:
    """Return criteria in the types of JSON, which has no tuples."""
    if isinstance(value, tuple):
        return {"tuple": list(value)}
    if isinstance(value, list):
        return [_to_json(v) for v in value]
    if isinstance(value, Mapping):
        return {k: _to_json(v) for k, v in value.items()}
    return value


def _from_json(value: Any) -> Any:
    """Return criteria from the types of JSON, the inverse of ``_to_json``.

    Examples:
        >>> named = {"age": (18, 75), "condition": ["E11"], "without": {"lab": ("a", ">", 1.5)}}
        >>> _from_json(_to_json(named)) == named
        True
    """
    if isinstance(value, list):
        return [_from_json(v) for v in value]
    if isinstance(value, Mapping):
        if value.keys() == {"tuple"}:
            return tuple(value["tuple"])
        return {k: _from_json(v) for k, v in value.items()}
    return value
