"""The tables: ``catalog/tables/*.toml`` read into schemas, keys and PHI classes.

A column without a PHI class does not load, so no column can exist that de-identification has
not been told about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from lakehouse.definitions.resources import resource
from lakehouse.definitions.toml_file import read_toml, short_name
from lakehouse.errors import DefinitionError, did_you_mean

TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "bool": pa.bool_(),
    "int16": pa.int32(),  # Iceberg has no 16-bit integer; the narrow name states the range
    "int32": pa.int32(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
"""Type names that a definition may use. Timestamps are instants; lists and structs do not occur."""

PHI_CLASSES: dict[str, str] = {
    "none": "Cannot identify anyone.",
    "code": "A code; kept while it has the shape of one, so that text in its place does not pass.",
    "patient": "Record number with its assigning authority.",
    "identifier.*": "Encounter, order, specimen, device, account, message ... number.",
    "provider": "A clinician.",
    "facility": "An organisation, a unit, or the facility of an application.",
    "name": "A person's name.",
    "contact": "Phone, fax, e-mail.",
    "address.line": "Street, county, anything finer than a city.",
    "address.city": "City.",
    "address.state": "State or province.",
    "address.postal": "Postal code.",
    "address.country": "Country.",
    "date": "The time of an event of the patient in this row.",
    "birth_date": "Date of birth; in an integer column, the year of birth.",
    "age": "Age in years at the column named by `at`.",
    "link": "Days between the time lines of two identities of one patient.",
    "display": "A code's text; `system` names the column with its code system.",
    "text": "Free text.",
    "uid": "A DICOM unique identifier.",
    "url": "A web address.",
    "biometric": "Finger, voice or face.",
    "other_id": "Any other number or code of a person.",
}
"""The classes a column may name, from 45 CFR 164.514(b)(2)(i). ``identifier.*`` is a family."""


@dataclass(frozen=True)
class Column:
    """One column: its Arrow type, its meaning and its PHI class.

    Attributes:
        name: Name of the column, snake_case.
        type: Arrow type.
        phi: PHI class (see ``PHI_CLASSES``).
        doc: What it holds, one sentence.
        at: For class ``age``: the ``date`` column at which the age holds.
        system: For class ``display``: the column that names the code system.
    """

    name: str
    type: pa.DataType
    phi: str
    doc: str
    at: str | None = None
    system: str | None = None

    @property
    def arrow(self) -> pa.Field:
        """Return the Arrow field; its ``doc`` metadata becomes the Iceberg column doc."""
        return pa.field(self.name, self.type, metadata={"doc": self.doc, "phi": self.phi})


@dataclass(frozen=True)
class Table:
    """One table of the warehouse.

    Attributes:
        name: Name in Iceberg and in SQL.
        doc: What a row is, one sentence.
        grain: Columns that together name one row.
        sort: Columns by which rows are sorted inside a data file.
        columns: Columns by name, in order.
        bookkeeping: Holds no clinical rows (ledger, rejects): never shown among clinical tables.
    """

    name: str
    doc: str
    grain: tuple[str, ...]
    sort: tuple[str, ...]
    columns: dict[str, Column] = field(repr=False)
    bookkeeping: bool = False

    @property
    def schema(self) -> pa.Schema:
        """Return the Arrow schema of the stored table, the same under every profile."""
        return pa.schema([c.arrow for c in self.columns.values()])

    def of_class(self, *phi: str) -> list[Column]:
        """Return the columns whose PHI class is one of these."""
        return [c for c in self.columns.values() if c.phi in phi]


def phi_class_known(phi: str) -> bool:
    """Return whether a class name is one that policies can speak of.

    Examples:
        >>> phi_class_known("identifier.order"), phi_class_known("identifier"), phi_class_known("")
        (True, False, False)
    """
    family, _, kind = phi.partition(".")
    return (phi in PHI_CLASSES and not phi.endswith("*")) or (
        family == "identifier" and kind.isidentifier()
    )


def _column(where: str, name: str, spec: dict[str, Any], all_names: set[str]) -> Column:
    place = f"{where}, column {name}"
    if spec.keys() - {"type", "phi", "doc", "at", "system"}:
        odd = sorted(spec.keys() - {"type", "phi", "doc", "at", "system"})
        raise DefinitionError(f"{place}: unknown key {', '.join(odd)}.")
    for key in ("type", "phi", "doc"):
        if not spec.get(key):
            raise DefinitionError(
                f"{place}: `{key}` is missing.",
                "Every column states its type, its PHI class and what it holds.",
            )
    if spec["type"] not in TYPES:
        raise DefinitionError(
            f"{place}: unknown type {spec['type']}.", did_you_mean(spec["type"], TYPES)
        )
    if not phi_class_known(spec["phi"]):
        raise DefinitionError(
            f"{place}: unknown PHI class {spec['phi']}.", did_you_mean(spec["phi"], PHI_CLASSES)
        )
    for needs, key in (("age", "at"), ("display", "system")):
        if spec["phi"] == needs and spec.get(key) not in all_names:
            raise DefinitionError(f"{place}: class {needs} needs `{key}`, a column of the table.")
    return Column(
        name, TYPES[spec["type"]], spec["phi"], spec["doc"], spec.get("at"), spec.get("system")
    )


def read_table(path: Path) -> Table:
    """Read one definition.

    Raises:
        DefinitionError: The file is not TOML, or a column lacks type, PHI class or doc.
    """
    return _table(path.stem, read_toml(path), short_name(path))


def _table(name: str, spec: Mapping[str, Any], where: str) -> Table:
    names = set(spec.get("columns", {}))
    columns = {n: _column(where, n, c, names) for n, c in spec.get("columns", {}).items()}
    for key in ("grain", "sort"):
        if unknown := set(spec.get(key, [])) - names:
            raise DefinitionError(f"{where}: `{key}` names no column: {', '.join(unknown)}.")
    if not columns or not spec.get("doc") or not spec.get("grain"):
        raise DefinitionError(f"{where}: `doc`, `grain` and columns are required.")
    return Table(
        name,
        spec["doc"],
        tuple(spec["grain"]),
        tuple(spec.get("sort", ())),
        columns,
        bool(spec.get("bookkeeping", False)),
    )


@cache
def _shipped_tables() -> dict[str, Table]:
    return {p.stem: read_table(p) for p in sorted(resource("catalog/tables").glob("*.toml"))}


_SITE: dict[str, dict[str, Any]] = {}


def load_tables() -> dict[str, Table]:
    """Return every table by name: each file in ``catalog/tables``, and a site's own.

    Examples:
        >>> load_tables()["observations"].columns["patient_id"].phi
        'patient'
    """
    site = {name: _table(name, spec, f"site table {name}") for name, spec in _SITE.items()}
    return _shipped_tables() | site


def read_site_tables(folders: Iterable[str | Path]) -> dict[str, dict[str, Any]]:
    """Return the tables that a site's own mapping files define, by name.

    A mapping file with a part ``[definition]`` makes the table that it feeds; the part reads as a
    file of ``catalog/tables`` does, each column with its PHI class.

    Raises:
        DefinitionError: A folder or definition is at fault, or it takes the name of a shipped
            table.
    """
    found: dict[str, dict[str, Any]] = {}
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise DefinitionError(f"The mappings folder {folder} does not exist.")
        for path in sorted(folder.glob("*.toml")):
            spec = read_toml(path)
            if "definition" in spec:
                name = str(spec.get("table", ""))
                if not name.isidentifier() or name in _shipped_tables():
                    raise DefinitionError(
                        f"{short_name(path)}: a site's own table needs a name of its own."
                    )
                _table(name, spec["definition"], short_name(path))
                found[name] = spec["definition"]
    return found


def add_site_tables(definitions: Mapping[str, dict[str, Any]]) -> None:
    """Make a site's own tables known to this process.

    Args:
        definitions: What ``read_site_tables`` returned, here or when the warehouse was told.
    """
    _SITE.update({name: definitions[name] for name in definitions})


def site_tables() -> dict[str, dict[str, Any]]:
    """Return the definitions of the site's own tables that this process knows."""
    return dict(_SITE)
