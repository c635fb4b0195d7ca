"""Which texts of codes may be stored, and the published text in place of the source's.

People type the text of a code in most systems, and names have been found in it. So a text is stored
only where it says no more than its code:

1. The code is in a shipped list (``catalog/terminologies/<system>.csv``) or in the site's
   (``local_codes.csv`` in a folder of code sets): the list's text replaces the source's.
2. Else the system is a public one (``catalog/codes/code_systems.csv``), the code has the shape
   that codes of this system have, and the text holds no identifier by its shape.
3. Else the text is dropped.
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
from lakehouse.privacy.rules.code_patterns import looks_like_text

SITE_FILE = "local_codes.csv"
"""A site's own list: columns ``code_system`` (``local`` covers every system that is not public),
``code`` and ``display``."""

LOCAL = "local"


def _bare(codes: pa.Array) -> pa.Array:
    """Return codes as the lists have them: upper case, without blanks at the ends and dots."""
    return pc.replace_substring(pc.utf8_upper(pc.utf8_trim_whitespace(codes)), ".", "")


@cache
def _shipped_list(system: str) -> pa.Table | None:
    """Return the shipped list of a public system, or None."""
    path = resource("catalog/terminologies") / f"{system}.csv"
    if system not in public_systems() or not path.is_file():
        return None
    with path.open("rb") as file:
        comments = 0
        while file.readline().startswith(b"#"):
            comments += 1
    text = pa.csv.ConvertOptions(column_types={"code": pa.string(), "display": pa.string()})
    read = pa.csv.ReadOptions(skip_rows=comments)
    texts = pa.csv.read_csv(path, read_options=read, convert_options=text)
    return texts.set_column(0, "code", _bare(texts["code"])).combine_chunks()


class Terminology:
    """The code texts that may be stored: shipped lists, and those of a site.

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
                        f"{path} lacks a column.", "Give it code_system, code and display."
                    )
                system = (row["code_system"] or LOCAL).strip().lower()
                code = row["code"].strip().upper().replace(".", "")
                site.setdefault(system, {})[code] = row["display"]
        self._site = {
            system: pa.table({"code": list(texts), "display": list(texts.values())})
            for system, texts in site.items()
        }

    def lists_for(self, system: str) -> list[pa.Table]:
        """Return the lists that cover a system, the site's own first."""
        own = self._site.get(system)
        if own is None and shape_of(system) is None:
            own = self._site.get(LOCAL)
        return [table for table in (own, _shipped_list(system)) if table is not None]

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
        harmless = looks_like_text(texts).take(text_at)
        result = pa.nulls(len(text), pa.string())
        for i, name in enumerate(systems.to_pylist()):
            here = pc.and_(pc.equal(system_at, i), pc.is_valid(text))
            allowed = pa.nulls(len(text), pa.string())
            if shape := shape_of(name):
                fits = pc.match_substring_regex(pc.utf8_trim_whitespace(codes), shape)
                allowed = pc.if_else(pc.and_(fits.take(code_at), harmless), text, None)
            for table in reversed(self.lists_for(name)):
                position = pc.index_in(_bare(codes), value_set=table["code"])
                ours = table["display"].take(position).combine_chunks().take(code_at)
                allowed = pc.coalesce(ours, allowed)
            result = pc.if_else(here, allowed, result)
        return cast(pa.Array, result)
