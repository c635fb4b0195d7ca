"""DuckDB's extensions from their PyPI packages: loaded by path, nothing is downloaded.

So it works where there is no way out to the internet. They are loaded in this order because
iceberg reads manifests through avro and remote files through httpfs.
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
    """Return the file of one extension, built for the DuckDB that is installed.

    Raises:
        UserError: The package is missing, or is made for another version.
    """
    package = f"duckdb-extension-{name}"
    spec = find_spec(package.replace("-", "_"))
    places = (spec.submodule_search_locations or []) if spec else []
    for place in places:
        path = Path(place, "extensions", f"v{duckdb.__version__}", f"{name}.duckdb_extension")
        if path.is_file():
            return path
    raise UserError(
        f"DuckDB's {name} extension for version {duckdb.__version__} is not installed.",
        f"Run: pip install {package}=={duckdb.__version__}",
    )


def load_statements() -> list[str]:
    """Return the LOAD statements; they also work in the DuckDB command line of that version."""
    return [f"LOAD '{str(extension_path(n)).replace(chr(39), chr(39) * 2)}'" for n in EXTENSIONS]
