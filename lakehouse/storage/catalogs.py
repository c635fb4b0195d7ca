"""Which pyiceberg catalog a warehouse uses, and its embedded default."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pyiceberg.catalog import Catalog as IcebergCatalog
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import NoSuchPropertyException, NotInstalledError
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from lakehouse.errors import WarehouseError
from lakehouse.storage.durable import IMPLEMENTATION
from lakehouse.storage.files import environment, is_local, join
from lakehouse.storage.settings import Catalog

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
    try:
        if catalog is None:
            Path(root).mkdir(parents=True, exist_ok=True)
            return load_catalog(NAME, type="sql", uri=embedded_uri(root), **_DURABLE)
        if isinstance(catalog, Mapping):
            loaded = load_catalog(NAME, **{str(k): str(v) for k, v in catalog.items()})
        else:
            loaded = load_catalog(catalog)
        durable = _DURABLE if is_local(root) else {}
        loaded.properties = {**environment(), **durable, **loaded.properties}
        return loaded
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise WarehouseError(
            f"{root} is not a folder that can be written.", "Choose another, or mend its rights."
        ) from error
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


def _shown(catalog: Catalog | None) -> str:
    # Never the address: it may hold a password.
    return catalog if isinstance(catalog, str) else "of the warehouse"
