"""Connects to the pyiceberg catalog of a warehouse: the embedded default, or one of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyiceberg.catalog import Catalog as IcebergCatalog
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import NoSuchPropertyException, NotInstalledError
from pyiceberg.utils.config import Config
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from lakehouse.errors import WarehouseError, did_you_mean
from lakehouse.storage.io.durable_io import IMPLEMENTATION
from lakehouse.storage.io.files import is_local, join, store_properties
from lakehouse.storage.metadata.settings import Catalog

EMBEDDED = "catalog.db"
"""File name of the embedded catalog, a SQLite database at the root of the warehouse."""

CATALOG_NAME = "lakehouse"
"""Name under which a catalog that the caller describes by properties keeps its rows."""

_DURABLE = {"py-io-impl": IMPLEMENTATION}

LOCK_SECONDS = 30
"""How long SQLite waits for another process; its default of 5 s fails under load."""


def embedded_uri(root: str) -> str:
    """Return the SQLAlchemy address of the embedded catalog.

    Examples:
        >>> embedded_uri("/data/my warehouse")
        'sqlite:////data/my warehouse/catalog.db?timeout=30'
    """
    database = join(root, EMBEDDED)
    return URL.create(
        "sqlite", database=database, query={"timeout": str(LOCK_SECONDS)}
    ).render_as_string(hide_password=False)


def connect(root: str, catalog: Catalog | None) -> IcebergCatalog:
    """Return a connection to the catalog of a warehouse.

    Args:
        root: Folder or URI of the warehouse.
        catalog: None for the embedded one, a name in ``.pyiceberg.yaml``, or properties.

    Raises:
        WarehouseError: The catalog cannot be reached, or a remote warehouse names none.
    """
    if catalog is None and not is_local(root):
        raise WarehouseError(
            "A warehouse in an object store needs a catalog outside it.",
            "Pass --catalog NAME, with NAME described in .pyiceberg.yaml.",
        )
    if catalog is None:
        return _embedded_catalog(root)
    properties = _configured_properties(catalog) if isinstance(catalog, str) else catalog
    try:
        loaded = load_catalog(
            catalog if isinstance(catalog, str) else CATALOG_NAME,
            **{str(k): str(v) for k, v in properties.items()},
        )
        durable = _DURABLE if is_local(root) else {}
        loaded.properties = {**store_properties(), **durable, **loaded.properties}
        return loaded
    except (NoSuchPropertyException, NotInstalledError, ValueError) as error:
        raise WarehouseError(
            f"The catalog {_printable_name(catalog)} is not described well enough for pyiceberg.",
            "Check its entry in .pyiceberg.yaml and that its driver is installed.",
        ) from error
    except (SQLAlchemyError, OSError) as error:
        raise WarehouseError(
            f"The catalog {_printable_name(catalog)} cannot be reached.",
            "Check its address, and that its server runs.",
        ) from error


def _embedded_catalog(root: str) -> IcebergCatalog:
    try:
        Path(root).mkdir(parents=True, exist_ok=True)
        return load_catalog(CATALOG_NAME, type="sql", uri=embedded_uri(root), **_DURABLE)
    except OSError as error:
        raise WarehouseError(
            f"{root} is not a folder that can be written.",
            "Choose another, or fix its permissions.",
        ) from error
    except SQLAlchemyError as error:
        raise WarehouseError(
            f"The catalog {join(root, EMBEDDED)} cannot be read and written.",
            "Fix the permissions of the folder, free space on its disk, or restore the file.",
        ) from error


def _configured_properties(name: str) -> Mapping[str, Any]:
    """Return the properties of a catalog as the configuration states them now.

    pyiceberg itself reads its configuration only once, on import.

    Raises:
        WarehouseError: The configuration names no such catalog.
    """
    config = Config()
    try:
        properties: Mapping[str, Any] | None = config.get_catalog_config(name)
    except ValueError:
        raise WarehouseError(
            f"The catalog {name} is no list of properties in .pyiceberg.yaml.",
            "Put `type:`, `uri:` and the like below its name.",
        ) from None
    if properties is None:
        raise WarehouseError(
            f"There is no catalog named {name} in .pyiceberg.yaml.",
            did_you_mean(name, config.get_known_catalogs())
            or "Put it into that file in PYICEBERG_HOME, the home or the current folder, or set "
            f"PYICEBERG_CATALOG__{name.upper()}__URI and the like.",
        )
    return properties


def _printable_name(catalog: Catalog | None) -> str:
    # Never the address: it may hold a password.
    return catalog if isinstance(catalog, str) else "of the warehouse"
