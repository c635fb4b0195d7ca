"""Which pyiceberg catalog a warehouse uses, and its embedded default."""

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
from lakehouse.storage.io.files import environment, is_local, join
from lakehouse.storage.metadata.settings import Catalog

EMBEDDED = "catalog.db"
"""The embedded catalog: one SQLite file at the root of the warehouse."""

NAME = "lakehouse"
"""Name under which a catalog given by properties keeps its rows."""

_DURABLE = {"py-io-impl": IMPLEMENTATION}

LOCK_SECONDS = 30
"""How long SQLite waits for another process; its own default of 5 s fails under load."""


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
    """Return the catalog of a warehouse.

    Args:
        root: The warehouse.
        catalog: None for the embedded one, a name in ``.pyiceberg.yaml``, or properties.

    Raises:
        WarehouseError: It cannot be reached, or a remote warehouse names none.
    """
    if catalog is None and not is_local(root):
        raise WarehouseError(
            "A warehouse in an object store needs a catalog outside it.",
            "Pass --catalog NAME, with NAME described in .pyiceberg.yaml.",
        )
    if catalog is None:
        return _embedded(root)
    properties = _described(catalog) if isinstance(catalog, str) else catalog
    try:
        loaded = load_catalog(
            catalog if isinstance(catalog, str) else NAME,
            **{str(k): str(v) for k, v in properties.items()},
        )
        durable = _DURABLE if is_local(root) else {}
        loaded.properties = {**environment(), **durable, **loaded.properties}
        return loaded
    except (NoSuchPropertyException, NotInstalledError, ValueError) as error:
        raise WarehouseError(
            f"The catalog {_shown(catalog)} is not described well enough for pyiceberg.",
            "Check its entry in .pyiceberg.yaml and that its driver is installed.",
        ) from error
    except (SQLAlchemyError, OSError) as error:
        raise WarehouseError(
            f"The catalog {_shown(catalog)} cannot be reached.",
            "Check its address, and that its server runs.",
        ) from error


def _embedded(root: str) -> IcebergCatalog:
    try:
        Path(root).mkdir(parents=True, exist_ok=True)
        return load_catalog(NAME, type="sql", uri=embedded_uri(root), **_DURABLE)
    except OSError as error:
        raise WarehouseError(
            f"{root} is not a folder that can be written.", "Choose another, or mend its rights."
        ) from error
    except SQLAlchemyError as error:
        raise WarehouseError(
            f"The catalog {join(root, EMBEDDED)} cannot be read and written.",
            "Mend the rights of the folder, free space on its disk, or restore the file.",
        ) from error


def _described(name: str) -> Mapping[str, Any]:
    """Return the properties of a catalog as the configuration has them now.

    pyiceberg itself reads its configuration once, when it is imported.

    Raises:
        WarehouseError: The configuration names no such catalog.
    """
    known = Config()
    try:
        properties: Mapping[str, Any] | None = known.get_catalog_config(name)
    except ValueError:
        raise WarehouseError(
            f"The catalog {name} is no list of properties in .pyiceberg.yaml.",
            "Put `type:`, `uri:` and the like below its name.",
        ) from None
    if properties is None:
        raise WarehouseError(
            f"There is no catalog named {name} in .pyiceberg.yaml.",
            did_you_mean(name, known.get_known_catalogs())
            or "The file is looked for in PYICEBERG_HOME, the home and the current folder; "
            f"PYICEBERG_CATALOG__{name.upper()}__URI and the like describe a catalog as well.",
        )
    return properties


def _shown(catalog: Catalog | None) -> str:
    # Never the address: it may hold a password.
    return catalog if isinstance(catalog, str) else "of the warehouse"
