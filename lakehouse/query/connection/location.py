"""The folders of a warehouse's tables, found without opening its catalog.

A query needs only these and the profile; importing pyiceberg and opening the catalog would take
longer than the query.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from lakehouse.definitions.tables import load_tables
from lakehouse.errors import WarehouseError
from lakehouse.query.views.library import inline_readers, load_views
from lakehouse.query.views.view import View
from lakehouse.storage.io.files import Files, is_local, join, normalise, store_properties
from lakehouse.storage.metadata.settings import SETTINGS_FILE, Catalog, Settings

EMPTY = -1
"""In ``WarehouseLocation.snapshots``: the table had no rows at that time."""


@dataclass(frozen=True)
class WarehouseLocation:
    """The folders of a warehouse's tables, its profile, and the definitions that queries use.

    Attributes:
        locations: Folder of each table, by name.
        profile: De-identification profile.
        snapshots: Snapshot of each table to read, ``EMPTY`` for none; no entry means the newest.
        codes: A site's folders with code sets.
        folders: A site's folders with views.
        store: Properties of the object store as pyiceberg names them (``s3.endpoint`` ...).
        saved_views: Views that a saved cohort keeps, in place of the current ones.
        code_sets: Code sets that a saved cohort keeps, in place of the current ones.
    """

    locations: Mapping[str, str]
    profile: str
    snapshots: Mapping[str, int] = field(default_factory=dict)
    codes: tuple[Path, ...] = ()
    folders: tuple[Path, ...] = ()
    store: Mapping[str, str] = field(default_factory=dict, repr=False)
    saved_views: Mapping[str, View] | None = field(default=None, repr=False)
    code_sets: Mapping[str, pa.Table] | None = field(default=None, repr=False)

    @property
    def views(self) -> dict[str, View]:
        """All views by name, including those that the profile excludes."""
        return inline_readers(
            load_views(self.folders) if self.saved_views is None else self.saved_views
        )


def locate(
    path: str | Path,
    catalog: Catalog | None = None,
    *,
    codes: tuple[Path, ...] = (),
    folders: tuple[Path, ...] = (),
) -> WarehouseLocation:
    """Return the location of a warehouse's tables.

    Args:
        path: Folder or URI of the warehouse.
        catalog: A pyiceberg catalog with the warehouse's tables, in place of the one that the
            warehouse names. Such a catalog is opened.
        codes: A site's folders with code sets.
        folders: A site's folders with views.

    Raises:
        WarehouseError: There is no warehouse, or the catalog does not hold its tables.
    """
    root = normalise(path)
    settings = _settings(root)
    if settings is None or catalog not in (None, settings.catalog):
        from lakehouse.storage.warehouse import Warehouse

        with Warehouse.open(root, catalog) as warehouse:
            locations = {name: warehouse.location(name) for name in warehouse.tables()}
            store = {**store_properties(), **warehouse.files.properties}
            profile = warehouse.settings.profile
            return WarehouseLocation(locations, profile, codes=codes, folders=folders, store=store)
    locations = {name: join(root, "tables", name) for name in load_tables()}
    return WarehouseLocation(locations, settings.profile, codes=codes, folders=folders)


def _settings(root: str) -> Settings | None:
    """Return the settings of a warehouse on this disk; None when only its catalog has them."""
    if not is_local(root):
        return None
    content = Files().read(join(root, SETTINGS_FILE))
    if content is None:
        raise WarehouseError(
            f"There is no warehouse in {root}.", f"Make one: lakehouse init {root}"
        )
    settings = Settings.from_json(content, root)
    moved = os.path.realpath(settings.location or root) != os.path.realpath(root)
    return None if moved else settings


def cache_folder() -> Path:
    """Return the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "clinical-lakehouse"
