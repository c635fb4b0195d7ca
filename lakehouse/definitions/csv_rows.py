"""Reads CSV files of ``catalog/`` and of a site, which may open with ``# key: value`` lines."""

from __future__ import annotations

import csv
from pathlib import Path


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file by column; a line that begins with ``#`` is a remark.

    Examples:
        >>> from lakehouse.definitions.resources import resource
        >>> read_rows(resource("catalog/codes") / "zip3_population.csv")[0]
        {'zip3': '006', 'population': '1214568'}
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def read_pairs(path: Path) -> dict[str, str]:
    """Return the first column of a CSV file with its second one.

    Examples:
        >>> from lakehouse.definitions.resources import resource
        >>> read_pairs(resource("catalog/dicom") / "coding_schemes.csv")["LN"]
        'loinc'
    """
    columns = (iter(row.values()) for row in read_rows(path))
    return {next(values): next(values) for values in columns}


def split_front_matter(path: Path) -> tuple[list[str], str]:
    """Return the ``#`` lines that a CSV file opens with, and the text behind them.

    Examples:
        >>> from lakehouse.definitions.resources import resource
        >>> matter, text = split_front_matter(resource("catalog/codes") / "code_systems.csv")
        >>> matter[-1], text.splitlines()[0]
        ('# key: code_system', 'code_system,title,shape')
    """
    text = path.read_text(encoding="utf-8-sig")
    matter = []
    while text.startswith("#"):
        line, _, text = text.partition("\n")
        matter.append(line.strip())
    return matter, text
