"""Loads the views from their folders, validates them and sorts them by dependency."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from lakehouse.definitions.resources import resource
from lakehouse.definitions.tables import load_tables
from lakehouse.errors import DefinitionError, did_you_mean
from lakehouse.query.views.view import CODES, View, parse_view

_WITH = re.compile(r"(?P<comments>(?:\s*--[^\n]*\n)*\s*)WITH\s+")


def read_folder(folder: Path) -> dict[str, View]:
    """Return the views of one folder by name; every ``.sql`` file below it defines one.

    Raises:
        DefinitionError: A file is no valid view, or two views or a view and a table share a name.
    """
    views: dict[str, View] = {}
    for path in sorted(folder.rglob("*.sql")):
        view = parse_view(path.read_text(encoding="utf-8"), path.parent.name, path.stem)
        if view.name in views:
            raise DefinitionError(
                f"{view.where}: {views[view.name].where} has that name already.", "Rename one."
            )
        if view.name in load_tables():
            raise DefinitionError(
                f"{view.where}: there is a table of that name.", "Rename the file."
            )
        views[view.name] = view
    return views


@cache
def _shipped_views() -> Mapping[str, View]:
    return read_folder(resource("sql"))


def load_views(folders: Iterable[Path] = ()) -> dict[str, View]:
    """Return every view by name: those shipped, then those of a site's own folders.

    A site's views are validated here, the shipped ones by the tests.

    Args:
        folders: Folders with further ``.sql`` files.

    Raises:
        DefinitionError: A file is no valid view, or its name exists already.
    """
    views = dict(_shipped_views())
    for folder in folders:
        added = read_folder(folder)
        for name, view in added.items():
            if name in views:
                raise DefinitionError(
                    f"{view.where}: there is a shipped view of that name.", "Rename the file."
                )
        views.update(added)
        for view in added.values():
            validate(view, views)
    return views


def inline_readers(views: Mapping[str, View], given: Iterable[str] = ()) -> dict[str, View]:
    """Return the views with every ``reading`` replaced by CTEs of the views between.

    Args:
        views: The views as their files have them.
        given: Views whose rows the caller supplies; a view that would inline one stays as it is.
    """
    names = set(given)
    return {
        n: _inline(v, views) if v.reading and names.isdisjoint(v.reading[1:]) else v
        for n, v in views.items()
    }


def _inline(view: View, views: Mapping[str, View]) -> View:
    given, name, *through = view.reading
    bodies = [(name, f"SELECT * FROM {given}"), *((n, views[n].sql) for n in through)]
    ctes = ",\n\n".join(f"{n} AS (\n{body}\n)" for n, body in bodies)
    match = _WITH.match(view.sql)
    head, tail = (match["comments"], view.sql[match.end() :]) if match else ("", view.sql)
    return replace(
        view, sql=f"{head}WITH {ctes}{',' if match else ''}\n\n{tail}", written=view.sql, reading=()
    )


def validate(view: View, views: Mapping[str, View]) -> None:
    """Check a view against the other views: its columns, docs, grain and inputs.

    Args:
        view: The view.
        views: All views, among them those it reads.

    Raises:
        DefinitionError: The view reads a relation that does not exist, or its outer SELECT has a
            ``*``, an unnamed or a repeated column. Or front matter names no column of it, or
            ``reading`` lists other views than those between.
    """
    if "*" in view.columns:
        raise DefinitionError(
            f"{view.where}: the outer SELECT has a *.", "Name its columns one by one."
        )
    columns = view.columns
    if "" in columns or len(set(columns)) != len(columns):
        raise DefinitionError(
            f"{view.where}: every column needs a name of its own.", "Name each with AS."
        )
    cells = [n for count, figures in view.cells.items() for n in (count, *figures)]
    for what, names in (("column doc", view.docs), ("grain", view.grain), ("cells", cells)):
        for name in names:
            if name not in columns:
                raise DefinitionError(
                    f"{view.where}: {what} names {name}, which is no column of the view.",
                    did_you_mean(name, columns),
                )
    if view.reading:
        given, name, *through = view.reading
        order = dependency_order([view.name], views, stop=[given])
        between = [
            n for n in order if name in dependency_order([n], views) and n not in (name, view.name)
        ]
        if set(through) != set(between):
            expected = ", ".join(between) or "no view"
            raise DefinitionError(f"{view.where}: it reads {name} through {expected}.")
        if any(views[n].parameters for n in through):
            raise DefinitionError(f"{view.where}: it cannot read {name} through a macro.")
    relations = {*views, *load_tables()}
    for name in sorted(view.depends_on):
        if not name.startswith(f"{CODES}.") and name not in relations:
            raise DefinitionError(
                f"{view.where}: there is no table or view named {name}.",
                did_you_mean(name, relations),
            )


def dependency_order(
    names: Iterable[str], views: Mapping[str, View], stop: Iterable[str] = ()
) -> list[str]:
    """Return some views and all views below them, inputs first.

    Args:
        names: Views; tables and code sets among them are ignored.
        views: All views.
        stop: Views whose inputs are ignored.

    Raises:
        DefinitionError: Views form a cycle.
    """
    given = set(stop)
    graph: dict[str, frozenset[str]] = {}
    ahead = [n for n in names if n in views and n not in given]
    while ahead:
        name = ahead.pop()
        if name not in graph:
            graph[name] = frozenset(
                d for d in views[name].depends_on if d in views and d not in given
            )
            ahead.extend(graph[name])
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise DefinitionError(
            f"Views read each other in a circle: {circle}.", "Remove one of these steps."
        ) from None
