"""Code sets that translate values: ``catalog/codes/<name>.csv``."""

from __future__ import annotations

from functools import cache

from lakehouse.definitions.csv_rows import read_rows
from lakehouse.definitions.resources import resource
from lakehouse.errors import DefinitionError, did_you_mean


@cache
def code_set(name: str) -> dict[str, str]:
    """Return what a code set says: code to value, codes in upper case.

    A set without a column ``value`` only lists codes: each stands for itself.

    Raises:
        DefinitionError: No file of ``catalog/codes`` has this name.

    Examples:
        >>> code_set("hl7_0001")["F"]
        'female'
    """
    folder = resource("catalog/codes")
    file = folder / f"{name}.csv"
    if not file.is_file():
        near = did_you_mean(name, [f.stem for f in folder.glob("*.csv")])
        raise DefinitionError(f"There is no code set {name} in catalog/codes.", near)
    return {row["code"].upper(): row.get("value", row["code"]) for row in read_rows(file)}
