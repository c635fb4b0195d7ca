"""The ``Warehouse`` class: creates and opens a warehouse and gives access to its tables."""

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
from lakehouse.storage.io.locks import hold_lock
from lakehouse.storage.metadata import schemas, snapshots, version_hints
from lakehouse.storage.metadata.catalogs import connect
from lakehouse.storage.metadata.settings import SETTINGS_FILE, Catalog, Settings, refuse_secrets

_LEDGER = "ingests"
"""Table by which ``open`` recognises the warehouse's own catalog: every warehouse has it."""

_TABLES = "tables"
_STATE = "state"


class Warehouse:
    """Iceberg tables of one profile and one key, in a folder or an object store.

    ``create`` makes one, ``open`` opens one.

    Attributes:
        path: Folder or URI.
        settings: Settings that it was created with.
        catalog: The pyiceberg catalog.
        files: Access to the storage.
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
        """Create a warehouse with every table of ``catalog/tables``, all empty.

        Args:
            path: Folder or URI; a missing folder is created.
            settings: Profile, key id, policy and the rest.
            catalog: A pyiceberg catalog by name or properties; None for the embedded one.

        Raises:
            WarehouseError: The folder holds a warehouse already, or the folder or catalog cannot
                be used.
        """
        root = normalise(path)
        effective_catalog = catalog if catalog is not None else settings.catalog
        refuse_secrets(effective_catalog)
        if settings.buckets < 0:
            raise WarehouseError("The number of buckets is negative.", "Leave it out, or give 16.")
        settings = replace(
            settings,
            catalog=effective_catalog,
            location=root,
            created_at=settings.created_at or datetime.now(UTC).isoformat(timespec="seconds"),
            software=settings.software or version("clinical-lakehouse"),
            definitions=schemas.fingerprint(load_tables()),
            site_tables=site_tables(),
        )
        iceberg_catalog = connect(root, effective_catalog)
        warehouse = cls(root, settings, iceberg_catalog)
        if warehouse.files.exists(join(root, SETTINGS_FILE)):
            raise WarehouseError(
                f"There is a warehouse in {root} already.", "Choose another folder, or use it."
            )
        try:
            with hold_lock(warehouse.state, "commit"):
                warehouse._create_tables(load_tables())
                # Last, so that a warehouse exists only when all of it does.
                warehouse.files.replace(join(root, SETTINGS_FILE), settings.to_json())
        except OSError as error:
            raise _not_writable(root) from error
        return warehouse

    @classmethod
    def open(cls, path: str | os.PathLike[str], catalog: Catalog | None = None) -> Warehouse:
        """Open a warehouse; needs no secret.

        Opening adds tables and columns that a newer version of the software defines.

        Args:
            path: Folder or URI.
            catalog: Overrides the catalog that the warehouse names.

        Raises:
            WarehouseError: The folder holds no warehouse, or its catalog cannot be reached or
                holds other tables.
        """
        root = normalise(path)
        content = _read_settings(root, catalog)
        if content is None:
            raise WarehouseError(
                f"There is no warehouse in {root}.",
                f"Make one: lakehouse init {root}",
            )
        settings = Settings.from_json(content, root)
        creation_path = settings.location or root
        if creation_path != root and not _is_same_folder(creation_path, root):
            raise WarehouseError(
                f"The warehouse in {root} was made in {creation_path} and cannot be moved.",
                f"Move it back, or put a link to it at {creation_path}.",
            )
        # Tables hold absolute locations, so a link to the warehouse gives way to its own path.
        effective_catalog = catalog if catalog is not None else settings.catalog
        warehouse = cls(creation_path, settings, connect(creation_path, effective_catalog))
        if effective_catalog != settings.catalog:
            warehouse._require_own(warehouse.iceberg(_LEDGER), load_tables()[_LEDGER])
        warehouse.upgrade()
        return warehouse

    @staticmethod
    def exists(path: str | os.PathLike[str], catalog: Catalog | None = None) -> bool:
        """Return whether a folder or URI holds a warehouse."""
        return _read_settings(normalise(path), catalog) is not None

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
        """Folder with the leases, claims and journals of attempts."""
        return join(self.state, "attempts")

    def tables(self) -> list[str]:
        """Return the names of the tables, sorted."""
        try:
            return sorted(name for _, name in self.catalog.list_tables(self.settings.namespace))
        except NoSuchNamespaceError:
            raise self._wrong_catalog() from None

    def location(self, table: str) -> str:
        """Return the folder of a table, for DuckDB's ``iceberg_scan``."""
        return join(self.path, _TABLES, self._require_table(table))

    def iceberg(self, table: str) -> IcebergTable:
        """Return the Iceberg table as it is now.

        Raises:
            UserError: The warehouse has no table of that name.
            WarehouseError: The catalog does not hold the tables of this warehouse.
        """
        try:
            return self.catalog.load_table((self.settings.namespace, table))
        except (NoSuchTableError, NoSuchNamespaceError):
            if table in load_tables():
                raise self._wrong_catalog() from None
            raise UserError(
                f"There is no table named {table}.", did_you_mean(table, self.tables())
            ) from None

    def write_spec(self) -> WriteSpec:
        """Return what workers need to write data files."""
        # The cached one stays valid: another process may add columns, but never change one.
        if self._spec is None:
            definitions = load_tables()
            tables = {
                n: self._table_spec(definitions[n]) for n in self.tables() if n in definitions
            }
            self._spec = WriteSpec(tables, self.attempts, self.files)
        return self._spec

    def refresh_hints(self, tables: Iterable[str] | None = None) -> list[str]:
        """Make the version hints name the metadata files that the catalog names.

        Args:
            tables: Tables to look at; None for all.

        Returns:
            The tables whose hint was stale.
        """
        names = self.tables() if tables is None else list(tables)
        return [n for n in names if version_hints.refresh_hint(self.files, self.iceberg(n))]

    def snapshots(self, table: str) -> pa.Table:
        """Return the snapshots of a table, oldest first; the last one is the current.

        A release that erasure has rewritten has a snapshot beside the table's own line of
        history; such snapshots come before all others.

        Returns:
            ``snapshot_id``, ``committed_at``, ``operation``, ``rows`` (in the table then),
            ``ingest_id`` (null for maintenance) and ``release`` (names, with commas between).
        """
        return snapshots.snapshot_table(self.iceberg(table))

    def _wrong_catalog(self) -> WarehouseError:
        return WarehouseError(
            f"The catalog at hand does not hold the tables of the warehouse in {self.path}.",
            "Leave --catalog out, or name the catalog that the warehouse was made with.",
        )

    def _require_table(self, table: str) -> str:
        definitions = load_tables()
        if table not in definitions and table not in self.tables():
            raise UserError(f"There is no table named {table}.", did_you_mean(table, definitions))
        return table

    def _table_spec(self, table: Table) -> TableSpec:
        iceberg = self.iceberg(table.name)
        schema = schema_to_pyarrow(iceberg.schema())
        arrow = pa.schema(
            pa.field(
                f.name, _without_large_string(f.type), metadata={FIELD_ID: f.metadata[FIELD_ID]}
            )
            for f in schema
        )
        partition_fields = iceberg.spec().fields
        return TableSpec(
            table.name,
            iceberg.location(),
            arrow,
            table.sort,
            frozenset(schemas.bounded_columns(table)),
            iceberg.spec().spec_id,
            partition_fields[0].transform.num_buckets if partition_fields else 0,
            iceberg.schema().find_column_name(partition_fields[0].source_id) or ""
            if partition_fields
            else "",
        )

    def _create_tables(self, tables: Mapping[str, Table]) -> None:
        with suppress(NamespaceAlreadyExistsError):
            self.catalog.create_namespace(self.settings.namespace)
        present = set(self.tables())
        for table in tables.values():
            exists = table.name in present
            iceberg = self.iceberg(table.name) if exists else self._create_table(table)
            self._require_own(iceberg, table)
            version_hints.refresh_hint(self.files, iceberg)

    def _create_table(self, table: Table) -> IcebergTable:
        name = (self.settings.namespace, table.name)
        try:
            return self.catalog.create_table(
                name,
                schemas.iceberg_schema(table),
                location=join(self.path, _TABLES, table.name),
                partition_spec=schemas.partition_spec(table, self.settings.buckets),
                properties=schemas.table_properties(table, self.settings),
            )
        except TableAlreadyExistsError:
            return self.catalog.load_table(name)

    def _require_own(self, iceberg: IcebergTable, table: Table) -> None:
        """Refuse a table of this name that belongs to another warehouse, profile or key."""
        expected = schemas.table_properties(table, self.settings)
        promises = [k for k in expected if k.startswith("lakehouse.")]
        is_here = normalise(iceberg.location()) == join(self.path, _TABLES, table.name)
        if not is_here or any(iceberg.properties.get(k) != expected[k] for k in promises):
            raise WarehouseError(
                f"The catalog holds a table {self.settings.namespace}.{table.name} of another "
                "warehouse, profile or key.",
                "Choose another catalog, or another namespace in it.",
            )

    def upgrade(self) -> None:
        """Add the tables and columns that the definitions have gained since creation."""
        definitions = load_tables()
        fingerprint = schemas.fingerprint(definitions)
        if self.settings.definitions == fingerprint:
            return
        try:
            with hold_lock(self.state, "commit"):
                self._spec = None
                self._create_tables(definitions)
                for table in definitions.values():
                    self._add_columns(table)
                self.settings = replace(
                    self.settings, definitions=fingerprint, site_tables=site_tables()
                )
                self.files.replace(join(self.path, SETTINGS_FILE), self.settings.to_json())
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            # A person who may only read sees the tables as they are.

    def _add_columns(self, table: Table) -> None:
        for _ in range(5):
            iceberg = self.iceberg(table.name)
            present = {f.name: f for f in iceberg.schema().fields}
            new_columns = [c for c in table.columns.values() if c.name not in present]
            new_docs = [
                c
                for c in table.columns.values()
                if c.name in present and present[c.name].doc != c.doc
            ]
            if not new_columns and not new_docs:
                return
            try:
                with iceberg.transaction() as transaction:
                    with transaction.update_schema() as update:
                        for c in new_columns:
                            update.add_column(c.name, schemas.iceberg_type(c), doc=c.doc)
                        for c in new_docs:
                            update.update_column(c.name, doc=c.doc)
                    transaction.set_properties(schemas.table_properties(table, self.settings))
            except CommitFailedException:
                continue  # another process did the same, or an ingest committed: look again
            version_hints.refresh_hint(self.files, iceberg)
            return


def _read_settings(root: str, catalog: Catalog | None) -> bytes | None:
    """Return the content of ``lakehouse.json``, or None when it does not exist."""
    files = Files()
    if catalog is not None and not is_local(root):
        # The catalog's properties say how its object store is reached.
        iceberg_catalog = connect(root, catalog)
        files = Files({k: str(v) for k, v in iceberg_catalog.properties.items()})
        iceberg_catalog.close()
    try:
        return files.read(join(root, SETTINGS_FILE))
    except OSError as error:
        raise WarehouseError(
            f"The storage of the warehouse {root} cannot be reached.",
            "Check the address, the network and the credentials (AWS_* variables or the "
            "catalog's entry in .pyiceberg.yaml).",
        ) from error


def _is_same_folder(one: str, other: str) -> bool:
    return is_local(one) and is_local(other) and os.path.realpath(one) == os.path.realpath(other)


def _without_large_string(type_: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_large_string(type_) else type_


def _not_writable(root: str) -> WarehouseError:
    return WarehouseError(
        f"The folder {root} cannot be written, or its disk is full.",
        "Fix its permissions, free space, or choose another folder.",
    )
