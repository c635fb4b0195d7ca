"""Rows of the small CSV files in ``catalog/`` that de-identification goes by."""

from __future__ import annotations

import csv
from pathlib import Path


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file that may open with lines of ``# key: value``.

    Examples:
        >>> from lakehouse.definitions.resources import resource
        >>> rows(resource("catalog/codes") / "zip3_population.csv")[0]
        {'zip3': '006', 'population': '1214568'}
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))
