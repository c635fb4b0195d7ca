"""A warehouse: its folder, its settings, its catalog and its tables."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from types import TracebackType

import pyarrow as pa
from pyiceberg.catalog import Catalog as IcebergCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table import Table as IcebergTable

from lakehouse.definitions.tables import Table, load_tables, site_tables
from lakehouse.errors import UserError, WarehouseError, did_you_mean
from lakehouse.storage.io.data_files import FIELD_ID, TableSpec, WriteSpec
from lakehouse.storage.io.files import Files, is_local, join, normalise
from lakehouse.storage.io.locks import exclusive
from lakehouse.storage.metadata import schemas, snapshots, version_hints
from lakehouse.storage.metadata.catalogs import connect
from lakehouse.storage.metadata.settings import NAME, Catalog, Settings, refuse_secrets

_LEDGER = "ingests"
"""A table that every warehouse has."""

_TABLES = "tables"
_STATE = "state"


class Warehouse:
    """Iceberg tables of one profile and one key, in a folder or an object store.

    Make one with ``create``, reach one with ``open``.

    Attributes:
        path: Folder or URI.
        settings: What it was made with.
        catalog: The pyiceberg catalog.
        files: Access to its storage.
    """

    def __init__(self, path: str, settings: Settings, catalog: IcebergCatalog) -> None:
        self.path = path
        self.settings = settings
        self.catalog = catalog
        self.files = Files({k: str(v) for k, v in catalog.properties.items()})
        self._spec: WriteSpec | None = None

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], settings: Settings, catalog: Catalog | None = None
    ) -> Warehouse:
        """Make a warehouse with every table of ``catalog/tables``, all empty.

        Args:
            path: Folder or URI; made when missing.
            settings: Profile, key id, policy and the rest.
            catalog: A pyiceberg catalog by name or properties; None for the embedded one.

        Raises:
            WarehouseError: There is one already, or the place or catalog cannot be used.
        """
        root = normalise(path)
        chosen = catalog if catalog is not None else settings.catalog
        refuse_secrets(chosen)
        if settings.buckets < 0:
            raise WarehouseError("The number of buckets is negative.", "Leave it out, or give 16.")
        settings = replace(
            settings,
            catalog=chosen,
            location=root,
            created_at=settings.created_at or datetime.now(UTC).isoformat(timespec="seconds"),
            software=settings.software or version("clinical-lakehouse"),
            definitions=schemas.fingerprint(load_tables()),
            site_tables=site_tables(),
        )
        connected = connect(root, chosen)
        warehouse = cls(root, settings, connected)
        if warehouse.files.exists(join(root, NAME)):
            raise WarehouseError(
                f"There is a warehouse in {root} already.", "Choose another folder, or use it."
            )
        try:
            with exclusive(warehouse.state, "commit"):
                warehouse._create_tables(load_tables())
                # Written last: a warehouse exists when all of it does.
                warehouse.files.replace(join(root, NAME), settings.to_json())
        except OSError as error:
            raise _refused(root) from error
        return warehouse

    @classmethod
    def open(cls, path: str | os.PathLike[str], catalog: Catalog | None = None) -> Warehouse:
        """Open a warehouse; needs no secret.

        Tables and columns that a newer version of the software defines are added.

        Args:
            path: Folder or URI.
            catalog: Overrides the catalog that the warehouse names.

        Raises:
            WarehouseError: There is none, or its catalog cannot be reached or holds other tables.
        """
        root = normalise(path)
        content = _settings(root, catalog)
        if content is None:
            raise WarehouseError(
                f"There is no warehouse in {root}.",
                f"Make one: lakehouse init {root}",
            )
        settings = Settings.from_json(content, root)
        made_in = settings.location or root
        if made_in != root and not _same(made_in, root):
            raise WarehouseError(
                f"The warehouse in {root} was made in {made_in} and cannot be moved.",
                f"Move it back, or put a link to it at {made_in}.",
            )
        # By the name that the tables know, also when it was reached by a link.
        chosen = catalog if catalog is not None else settings.catalog
        warehouse = cls(made_in, settings, connect(made_in, chosen))
        if chosen != settings.catalog:
            warehouse._own(warehouse.iceberg(_LEDGER), load_tables()[_LEDGER])
        warehouse.upgrade()
        return warehouse

    @staticmethod
    def exists(path: str | os.PathLike[str], catalog: Catalog | None = None) -> bool:
        """Return whether there is a warehouse at a folder or URI."""
        return _settings(normalise(path), catalog) is not None

    def __enter__(self) -> Warehouse:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Warehouse({self.path!r}, profile={self.settings.profile!r})"

    def close(self) -> None:
        """Close the connections to the catalog."""
        self.catalog.close()

    @property
    def state(self) -> str:
        """Folder of leases, journals and locks."""
        return join(self.path, _STATE)

    @property
    def attempts(self) -> str:
        """Folder of the attempts at work."""
        return join(self.state, "attempts")

    def tables(self) -> list[str]:
        """Return the names of the tables, sorted."""
        try:
            return sorted(name for _, name in self.catalog.list_tables(self.settings.namespace))
        except NoSuchNamespaceError:
            raise self._not_held() from None

    def location(self, table: str) -> str:
        """Return the folder of a table, for DuckDB's ``iceberg_scan``."""
        return join(self.path, _TABLES, self._known(table))

    def iceberg(self, table: str) -> IcebergTable:
        """Return the Iceberg table as it is now.

        Raises:
            UserError: There is no such table.
            WarehouseError: The catalog does not hold the tables of this warehouse.
        """
        try:
            return self.catalog.load_table((self.settings.namespace, table))
        except (NoSuchTableError, NoSuchNamespaceError):
            if table in load_tables():
                raise self._not_held() from None
            raise UserError(
                f"There is no table named {table}.", did_you_mean(table, self.tables())
            ) from None

    def write_spec(self) -> WriteSpec:
        """Return what workers need to write data files."""
        # Remembered: another process may add columns meanwhile, never change one.
        if self._spec is None:
            known = load_tables()
            tables = {n: self._table_spec(known[n]) for n in self.tables() if n in known}
            self._spec = WriteSpec(tables, self.attempts, self.files)
        return self._spec

    def refresh_hints(self, tables: Iterable[str] | None = None) -> list[str]:
        """Make the version hints say what the catalog says.

        Args:
            tables: Only these; None for all.

        Returns:
            The tables whose hint was stale.
        """
        names = self.tables() if tables is None else list(tables)
        return [n for n in names if version_hints.refresh(self.files, self.iceberg(n))]

    def snapshots(self, table: str) -> pa.Table:
        """Return the snapshots of a table, oldest first; the last one is the current.

        A release that erasure has rewritten has a snapshot beside the table's own line of
        history; such come before all others.

        Returns:
            ``snapshot_id``, ``committed_at``, ``operation``, ``rows`` (in the table then),
            ``ingest_id`` (null for maintenance) and ``release`` (names, with commas between).
        """
        return snapshots.snapshot_table(self.iceberg(table))

    def _not_held(self) -> WarehouseError:
        return WarehouseError(
            f"The catalog at hand does not hold the tables of the warehouse in {self.path}.",
            "Leave --catalog out, or name the catalog that the warehouse was made with.",
        )

    def _known(self, table: str) -> str:
        known = load_tables()
        if table not in known and table not in self.tables():
            raise UserError(f"There is no table named {table}.", did_you_mean(table, known))
        return table

    def _table_spec(self, table: Table) -> TableSpec:
        iceberg = self.iceberg(table.name)
        schema = schema_to_pyarrow(iceberg.schema())
        arrow = pa.schema(
            pa.field(f.name, _small(f.type), metadata={FIELD_ID: f.metadata[FIELD_ID]})
            for f in schema
        )
        partitioned = iceberg.spec().fields
        return TableSpec(
            table.name,
            iceberg.location(),
            arrow,
            table.sort,
            frozenset(schemas.bounded(table)),
            iceberg.spec().spec_id,
            partitioned[0].transform.num_buckets if partitioned else 0,
            iceberg.schema().find_column_name(partitioned[0].source_id) or ""
            if partitioned
            else "",
        )

    def _create_tables(self, tables: Mapping[str, Table]) -> None:
        with suppress(NamespaceAlreadyExistsError):
            self.catalog.create_namespace(self.settings.namespace)
        present = set(self.tables())
        for table in tables.values():
            there = table.name in present
            made = self.iceberg(table.name) if there else self._create_table(table)
            self._own(made, table)
            version_hints.refresh(self.files, made)

    def _create_table(self, table: Table) -> IcebergTable:
        name = (self.settings.namespace, table.name)
        try:
            return self.catalog.create_table(
                name,
                schemas.iceberg_schema(table),
                location=join(self.path, _TABLES, table.name),
                partition_spec=schemas.partition(table, self.settings.buckets),
                properties=schemas.properties(table, self.settings),
            )
        except TableAlreadyExistsError:
            return self.catalog.load_table(name)

    def _own(self, made: IcebergTable, table: Table) -> None:
        """Refuse a table that another warehouse, or another profile, put under this name."""
        wanted = schemas.properties(table, self.settings)
        promised = [k for k in wanted if k.startswith("lakehouse.")]
        here = normalise(made.location()) == join(self.path, _TABLES, table.name)
        if not here or any(made.properties.get(k) != wanted[k] for k in promised):
            raise WarehouseError(
                f"The catalog holds a table {self.settings.namespace}.{table.name} of another "
                "warehouse, profile or key.",
                "Choose another catalog, or another namespace in it.",
            )

    def upgrade(self) -> None:
        """Add the tables and columns that the definitions have gained since."""
        known = load_tables()
        wanted = schemas.fingerprint(known)
        if self.settings.definitions == wanted:
            return
        try:
            with exclusive(self.state, "commit"):
                self._spec = None
                self._create_tables(known)
                for table in known.values():
                    self._add_columns(table)
                self.settings = replace(
                    self.settings, definitions=wanted, site_tables=site_tables()
                )
                self.files.replace(join(self.path, NAME), self.settings.to_json())
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            # Someone who may only read sees the tables as they are.

    def _add_columns(self, table: Table) -> None:
        for _ in range(5):
            iceberg = self.iceberg(table.name)
            present = {f.name: f for f in iceberg.schema().fields}
            missing = [c for c in table.columns.values() if c.name not in present]
            changed = [
                c
                for c in table.columns.values()
                if c.name in present and present[c.name].doc != c.doc
            ]
            if not missing and not changed:
                return
            try:
                with iceberg.transaction() as transaction:
                    with transaction.update_schema() as update:
                        for c in missing:
                            update.add_column(c.name, schemas.iceberg_type(c), doc=c.doc)
                        for c in changed:
                            update.update_column(c.name, doc=c.doc)
                    transaction.set_properties(schemas.properties(table, self.settings))
            except CommitFailedException:
                continue  # another process did the same, or an ingest landed: look again
            version_hints.refresh(self.files, iceberg)
            return


def _settings(root: str, catalog: Catalog | None) -> bytes | None:
    """Return the content of ``lakehouse.json``, or None when there is no warehouse."""
    files = Files()
    if catalog is not None and not is_local(root):
        # The catalog's properties say how its object store is reached.
        known = connect(root, catalog)
        files = Files({k: str(v) for k, v in known.properties.items()})
        known.close()
    try:
        return files.read(join(root, NAME))
    except OSError as error:
        raise WarehouseError(
            f"The storage of the warehouse {root} cannot be reached.",
            "Check the address, the network and the credentials (AWS_* variables or the "
            "catalog's entry in .pyiceberg.yaml).",
        ) from error


def _same(one: str, other: str) -> bool:
    return is_local(one) and is_local(other) and os.path.realpath(one) == os.path.realpath(other)


def _small(type_: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_large_string(type_) else type_


def _refused(root: str) -> WarehouseError:
    return WarehouseError(
        f"The folder {root} cannot be written, or its disk is full.",
        "Mend its rights or free space, or choose another folder.",
    )
