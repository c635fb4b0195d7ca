"""Iceberg: the only wing that knows pyiceberg.

A warehouse is made and reached by ``Warehouse``; workers write files with ``write_tables``;
``IngestTransaction`` makes them visible, exactly once; ``recover`` completes what a killed
process began.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lakehouse.storage.configuration import check_configuration

if TYPE_CHECKING:
    from lakehouse.storage.commit import IngestTransaction, recover
    from lakehouse.storage.datafiles import WriteSpec, WrittenFile, write_tables
    from lakehouse.storage.erasure import erase
    from lakehouse.storage.ledger import known_files
    from lakehouse.storage.maintenance import maintain
    from lakehouse.storage.releases import (
        create_release,
        diff_releases,
        drop_release,
        list_releases,
    )
    from lakehouse.storage.settings import Settings, check
    from lakehouse.storage.warehouse import Warehouse

__all__ = [
    "IngestTransaction",
    "Settings",
    "Warehouse",
    "WriteSpec",
    "WrittenFile",
    "check",
    "create_release",
    "diff_releases",
    "drop_release",
    "erase",
    "known_files",
    "list_releases",
    "maintain",
    "recover",
    "write_tables",
]

check_configuration()

_HOMES = {
    "commit": ("IngestTransaction", "recover"),
    "datafiles": ("WriteSpec", "WrittenFile", "write_tables"),
    "erasure": ("erase",),
    "ledger": ("known_files",),
    "maintenance": ("maintain",),
    "releases": ("create_release", "diff_releases", "drop_release", "list_releases"),
    "settings": ("Settings", "check"),
    "warehouse": ("Warehouse",),
}


def __getattr__(name: str) -> Any:
    # Loaded when asked for: a worker that writes files does without pyiceberg's second of import.
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
