"""The text of codes: whose text may be stored, and ours in place of the source's.

A code's text is typed by people in most systems, and names have been found in it. So it is stored
only where it cannot say more than its code does:

1. The code stands in a list of ours (``catalog/terminologies/<system>.csv``) or of the site
   (``local_codes.csv`` in a folder of code sets): the list's text takes the place of the source's.
2. Else the system is a public one (``catalog/codes/code_systems.csv``), the code has the shape
   that codes of this system have, and the text holds nothing of an identifying shape.
3. Else it is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from lakehouse.arrays import distinct
from lakehouse.definitions.code_systems import public_systems, shape_of
from lakehouse.definitions.csv_rows import read_rows
from lakehouse.definitions.resources import resource
from lakehouse.errors import DefinitionError
from lakehouse.privacy.rules.code_patterns import text_shaped

SITE_FILE = "local_codes.csv"
"""A site's own list: columns ``code_system`` (``local`` speaks for every system that is not
public), ``code`` and ``display``."""

LOCAL = "local"


def _bare(codes: pa.Array) -> pa.Array:
    """Return codes as lists of ours hold them: upper-case, without blanks and dots."""
    return pc.replace_substring(pc.utf8_upper(pc.utf8_trim_whitespace(codes)), ".", "")


@cache
def _shipped(system: str) -> pa.Table | None:
    """Return our own list for a system."""
    path = resource("catalog/terminologies") / f"{system}.csv"
    if system not in public_systems() or not path.is_file():
        return None
    with path.open("rb") as file:
        comments = 0
        while file.readline().startswith(b"#"):
            comments += 1
    text = pa.csv.ConvertOptions(column_types={"code": pa.string(), "display": pa.string()})
    read = pa.csv.ReadOptions(skip_rows=comments)
    listed = pa.csv.read_csv(path, read_options=read, convert_options=text)
    return listed.set_column(0, "code", _bare(listed["code"])).combine_chunks()


class Terminology:
    """The lists of code texts that are known to be safe.

    Args:
        folders: A site's folders of code sets.

    Raises:
        DefinitionError: A site's list lacks one of its columns.
    """

    def __init__(self, folders: Iterable[Path | str] = ()) -> None:
        site: dict[str, dict[str, str]] = {}
        for folder in folders:
            path = Path(folder) / SITE_FILE
            for row in read_rows(path) if path.is_file() else []:
                if not {"code_system", "code", "display"} <= row.keys():
                    raise DefinitionError(
                        f"{path} lacks a column.", "It needs code_system, code and display."
                    )
                system = (row["code_system"] or LOCAL).strip().lower()
                code = row["code"].strip().upper().replace(".", "")
                site.setdefault(system, {})[code] = row["display"]
        self._site = {
            system: pa.table({"code": list(listed), "display": list(listed.values())})
            for system, listed in site.items()
        }

    def listed(self, system: str) -> list[pa.Table]:
        """Return the lists that speak for a system, the site's own first."""
        own = self._site.get(system)
        if own is None and shape_of(system) is None:
            own = self._site.get(LOCAL)
        return [found for found in (own, _shipped(system)) if found is not None]

    def texts(self, text: pa.Array, code: pa.Array, system: pa.Array) -> pa.Array:
        """Return the texts that may be stored, null for the others.

        Args:
            text: The source's text.
            code: The code it belongs to.
            system: Our name of the code's system; null for none.
        """
        text_at, texts = distinct(text)
        code_at, codes = distinct(code)
        system_at, systems = distinct(pc.fill_null(system, LOCAL))
        harmless = text_shaped(texts).take(text_at)
        result = pa.nulls(len(text), pa.string())
        for i, name in enumerate(systems.to_pylist()):
            here = pc.and_(pc.equal(system_at, i), pc.is_valid(text))
            allowed = pa.nulls(len(text), pa.string())
            if shape := shape_of(name):
                fits = pc.match_substring_regex(pc.utf8_trim_whitespace(codes), shape)
                allowed = pc.if_else(pc.and_(fits.take(code_at), harmless), text, None)
            for listed in reversed(self.listed(name)):
                place = pc.index_in(_bare(codes), value_set=listed["code"])
                ours = listed["display"].take(place).combine_chunks().take(code_at)
                allowed = pc.coalesce(ours, allowed)
            result = pc.if_else(here, allowed, result)
        return cast(pa.Array, result)
