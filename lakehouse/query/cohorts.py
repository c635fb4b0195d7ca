"""``lake.cohort``: new cohorts, and saved ones that give the same rows later.

A saved cohort is a JSON file in the warehouse's folder ``cohorts``: its SQL, its parameters, the
snapshot of every table, and the SQL of every view it reads. It holds no row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakehouse.errors import QueryError, did_you_mean
from lakehouse.query.asof import newest
from lakehouse.query.cohort import Cohort
from lakehouse.query.picture import attrition_svg
from lakehouse.query.result import Result
from lakehouse.query.tree import parse, references
from lakehouse.query.views import View, closure

if TYPE_CHECKING:
    from lakehouse.query.lakehouse import Lakehouse

FOLDER = "cohorts"


class Cohorts:
    """Makes, lists and loads the cohorts of one lakehouse."""

    def __init__(self, lake: Lakehouse, folder: Path) -> None:
        self._lake = lake
        self._folder = folder

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
        return sorted(path.stem for path in self._folder.glob("*.json"))

    def save(self, cohort: Cohort) -> Path:
        """Save a cohort.

        Raises:
            QueryError: The folder cannot be written.
        """
        views, sql = self._lake.place.views, cohort.sql()
        read = {r.name for r in references(parse(sql))}
        kept = {n: asdict(views[n]) for n in closure(sorted(read & set(views)), views)}
        pins = {**newest(self._lake.warehouse), **self._lake.place.pins}
        saved = {
            "name": cohort.name,
            "saved_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "software": version("clinical-lakehouse"),
            "profile": self._lake.place.profile,
            "asked": [_plain(entry) for entry in cohort.asked],
            "sql": sql,
            "attrition": cohort.attrition().to_pylist(),
            "snapshots": pins,
            "views": kept,
        }
        path = self._folder / f"{cohort.name}.json"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(saved, indent=1), encoding="utf-8")
        except OSError as error:
            raise QueryError(f"{path} cannot be written ({type(error).__name__}).") from None
        return path

    def load(self, name: str) -> SavedCohort:
        """Return a saved cohort; it reads the tables and views as they were.

        Raises:
            QueryError: There is none of the name, or its file is damaged.
        """
        path = self._folder / f"{name}.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return SavedCohort(self, content)
        except FileNotFoundError:
            near = did_you_mean(name, self.names())
            raise QueryError(f"There is no saved cohort {name}.", near) from None
        except (ValueError, KeyError, TypeError):
            raise QueryError(f"{path} is damaged.", "Save the cohort again.") from None

    def at(self, pins: Mapping[str, int], views: Mapping[str, View]) -> Lakehouse:
        """Return the lakehouse with the tables and views of another time; closed with this one."""
        place = replace(self._lake.place, pins=pins, library=views)
        return self._lake.beside(place)


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
    def _then(self) -> Lakehouse:
        views = {
            n: View(**{**v, "grain": tuple(v["grain"]), "parameters": tuple(v["parameters"])})
            for n, v in self.saved["views"].items()
        }
        return self.home.at(self.saved["snapshots"], views)

    def sql(self) -> str:
        """Return the SQL as it was saved."""
        return str(self.saved["sql"])

    def rows(self) -> Result:
        """Return the cohort over the tables as they were when it was saved."""
        return self._then.sql(self.sql())

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

    def diff(self) -> pa.Table:
        """Return who came, who went and whose index time moved since it was saved.

        Returns:
            ``patient_id``, ``change`` (added, removed, moved), ``index_then``, ``index_now``.
        """
        then = {p: at for p, at, _ in self.rows().fetchall()}
        now = {p: at for p, at, _ in self.now().rows().fetchall()}
        changed = [
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
