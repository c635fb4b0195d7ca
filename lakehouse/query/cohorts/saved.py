"""``lake.cohort``: new cohorts, and saved ones that give the same rows later.

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
from lakehouse.query.connection.time_travel import newest
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
    """A warehouse opened for queries, as a cohort needs it; ``Lakehouse`` is one."""

    @property
    def warehouse(self) -> Warehouse:
        """The warehouse with its catalog."""
        ...

    @property
    def location(self) -> WarehouseLocation:
        """Where the tables lie, and which snapshots are read."""
        ...

    def sql(self, query: str) -> Result:
        """Return the rows of one SELECT."""
        ...

    def with_location(self, location: WarehouseLocation) -> Queryable:
        """Return the same warehouse with other snapshots or views."""
        ...


class Cohorts:
    """Makes, lists and loads the cohorts of one warehouse."""

    def __init__(self, lake: Queryable, root: str) -> None:
        self._lake = lake
        self._folder = join(root, COHORTS_FOLDER)

    @property
    def _files(self) -> Files:
        return Files() if is_local(self._folder) else self._lake.warehouse.files

    def _location(self, name: str) -> str:
        return join(self._folder, f"{name}.json")

    def __call__(self, name: str) -> Cohort:
        """Return a new, empty cohort: everyone."""
        if not name.replace("_", "").replace("-", "").isalnum():
            raise QueryError("A cohort's name is letters, digits, - and _.")
        return Cohort(name, self)

    def ask(self, sql: str) -> Result:
        """Run a query."""
        return self._lake.sql(sql)

    def names(self) -> list[str]:
        """Return the names of the saved cohorts."""
        listed = self._files.list(self._folder, recursive=False)
        return sorted(Path(e.location).stem for e in listed if e.location.endswith(".json"))

    def save(self, cohort: Cohort) -> str:
        """Save a cohort; return where.

        Raises:
            QueryError: The folder cannot be written.
        """
        views, sql = self._lake.location.views, cohort.sql()
        read = {r.name for r in references(parse(sql))}
        kept = {n: asdict(views[n]) for n in dependency_order(sorted(read & set(views)), views)}
        sets = {
            d.partition(".")[2] for v in kept for d in views[v].depends_on if d.startswith("codes.")
        }
        pins = {**newest(self._lake.warehouse), **self._lake.location.snapshots}
        saved = {
            "name": cohort.name,
            "saved_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "software": version("clinical-lakehouse"),
            "profile": self._lake.location.profile,
            "asked": [_plain(entry) for entry in cohort.criteria],
            "sql": sql,
            "attrition": cohort.attrition().to_pylist(),
            "snapshots": pins,
            "views": kept,
            "codes": {n: self.code_set(n).to_pydict() for n in sets},
        }
        path = self._location(cohort.name)
        try:
            self._files.replace(path, json.dumps(saved).encode())
        except OSError as error:
            raise QueryError(f"{path} cannot be written ({type(error).__name__}).") from None
        return path

    def code_set(self, name: str) -> pa.Table:
        """Return the rows of a code set as it is now."""
        return load_codes(name, self._lake.location.codes).rows

    def views_now(self) -> Mapping[str, View]:
        """Return the views as they are now."""
        return self._lake.location.views

    def missing_snapshots(self, snapshots: Mapping[str, int]) -> list[str]:
        """Return the tables whose snapshot is no longer there."""
        return [
            name
            for name, snapshot in snapshots.items()
            if snapshot != EMPTY
            and all(
                s.snapshot_id != snapshot for s in self._lake.warehouse.iceberg(name).snapshots()
            )
        ]

    def load(self, name: str) -> SavedCohort:
        """Return a saved cohort; it reads the tables and views as they were.

        Raises:
            QueryError: There is none of the name, or its file is damaged.
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
        """Return the lakehouse of another time, its definitions as well; closed with this one."""
        location = replace(self._lake.location, snapshots=pins, saved_views=views, code_sets=sets)
        return self._lake.with_location(location)


@dataclass(frozen=True)
class SavedCohort:
    """A cohort as it was saved.

    Attributes:
        home: The lakehouse's cohorts.
        saved: Content of its file.
    """

    home: Cohorts
    saved: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the cohort."""
        return str(self.saved["name"])

    @cached_property
    def _then(self) -> Queryable:
        views = {
            n: View(**{**v, "grain": tuple(v["grain"]), "parameters": tuple(v["parameters"])})
            for n, v in self.saved["views"].items()
        }
        return self.home.at(self.saved["snapshots"], views, self._sets)

    @cached_property
    def _sets(self) -> dict[str, pa.Table]:
        return {
            name: pa.table(
                {
                    c: pa.array(values, pa.float64() if is_number(c) else pa.string())
                    for c, values in columns.items()
                }
            )
            for name, columns in self.saved["codes"].items()
        }

    def sql(self) -> str:
        """Return the SQL as it was saved."""
        return str(self.saved["sql"])

    def rows(self) -> Result:
        """Return the cohort over the tables as they were when it was saved.

        Raises:
            QueryError: Their snapshots are gone.
        """
        try:
            return self._then.sql(self.sql())
        except QueryError:
            if not (gone := self.home.missing_snapshots(self.saved["snapshots"])):
                raise
            raise QueryError(
                f"The cohort reads snapshots that are gone: {', '.join(gone)}. The erasure of a "
                "patient drops the past.",
                "Its questions are kept: `.now()` asks them again, `.now().save()` keeps that.",
            ) from None

    def attrition(self) -> pa.Table:
        """Return the attrition as it was when it was saved."""
        return pa.Table.from_pylist(self.saved["attrition"])

    def picture(self, path: str | Path | None = None) -> str:
        """Return the saved attrition as SVG, and write it to a file when one is named."""
        steps = [(r["asks"], r["n_patients"]) for r in self.attrition().to_pylist()]
        drawn = attrition_svg(self.name, steps)
        if path is not None:
            Path(path).write_text(drawn, encoding="utf-8")
        return drawn

    def now(self) -> Cohort:
        """Return the same questions over the tables and views of now."""
        cohort = self.home(self.name)
        for entry in self.saved["asked"]:
            cohort = cohort.where(**_restored(entry))
        return cohort

    def redefined(self) -> list[str]:
        """Return the views and code sets that it reads and that are no longer as they were."""
        views = self.home.views_now()
        found = [
            name
            for name, view in self.saved["views"].items()
            if name not in views or views[name].sql != view["sql"]
        ]
        for name, rows in self._sets.items():
            try:
                same = self.home.code_set(name).equals(rows)
            except DefinitionError:
                same = False
            found += [] if same else [f"codes.{name}"]
        return sorted(found)

    def diff(self) -> pa.Table:
        """Return who came, who went and whose index time moved since it was saved.

        Returns:
            ``patient_id``, ``change`` (added, removed, moved), ``index_then``, ``index_now``. A
            view or code set that has changed meanwhile is a row without a patient: ``redefined``,
            and its name as ``definition``.
        """
        then = {p: at for p, at, _ in self.rows().fetchall()}
        now = {p: at for p, at, _ in self.now().rows().fetchall()}
        changed: list[dict[str, Any]] = [
            {"change": "redefined", "definition": name} for name in self.redefined()
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


def _plain(value: Any) -> Any:
    """Return criteria as JSON, which has no tuples."""
    if isinstance(value, tuple):
        return {"tuple": list(value)}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return value


def _restored(value: Any) -> Any:
    """Return criteria as they were asked.

    Examples:
        >>> asked = {"age": (18, 75), "condition": ["E11"], "without": {"lab": ("a", ">", 1.5)}}
        >>> _restored(_plain(asked)) == asked
        True
    """
    if isinstance(value, list):
        return [_restored(v) for v in value]
    if isinstance(value, Mapping):
        if value.keys() == {"tuple"}:
            return tuple(value["tuple"])
        return {k: _restored(v) for k, v in value.items()}
    return value
