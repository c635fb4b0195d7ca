"""DuckDB's extensions, loaded by path from their PyPI packages.

Nothing is downloaded, so queries work without internet. The order matters: iceberg reads manifests
through avro and remote files through httpfs.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import duckdb

from lakehouse.errors import UserError

EXTENSIONS = ("avro", "httpfs", "iceberg")


@cache
def extension_path(name: str) -> Path:
    """Return the file of one extension for the installed DuckDB.

    Raises:
        UserError: The package is missing, or is for another version of DuckDB.
    """
    package = f"duckdb-extension-{name}"
    spec = find_spec(package.replace("-", "_"))
    folders = (spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        path = Path(folder, "extensions", f"v{duckdb.__version__}", f"{name}.duckdb_extension")
        if path.is_file():
            return path
    raise UserError(
        f"DuckDB's {name} extension for version {duckdb.__version__} is not installed.",
        f"Run: pip install {package}=={duckdb.__version__}",
    )


def load_statements() -> list[str]:
    """Return the LOAD statements; they also work in the DuckDB command line of that version."""
    return [f"LOAD '{str(extension_path(n)).replace(chr(39), chr(39) * 2)}'" for n in EXTENSIONS]
