"""A view's query with the table macros that it calls written out, for engines that have none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlglot import exp

from lakehouse.query.views.view import View


def written_out(view: View, views: Mapping[str, View]) -> Any:
    """Return the query of a view or macro as a sqlglot expression without calls of table macros.

    A call becomes a subquery: the macro's query with the arguments in place of its parameters.

    Args:
        view: The view or macro; the parameters of a macro stay as they are.
        views: All views, the macros among them.

    Examples:
        >>> from lakehouse.query.views.library import load_views
        >>> views = load_views()
        >>> written_out(views["charlson"], views).find(exp.Anonymous) is None
        True
    """
    return _without_calls(view.query.copy(), views)


def with_arguments(query: Any, parameters: Sequence[str], arguments: Sequence[Any]) -> Any:
    """Return the query of a macro with arguments, sqlglot expressions, in place of parameters."""
    given = dict(zip(parameters, arguments, strict=True))

    def replaced(node: Any) -> Any:
        is_parameter = isinstance(node, exp.Column) and not node.table and node.name in given
        return given[node.name].copy() if is_parameter else node

    return query.transform(replaced)


def _without_calls(query: Any, views: Mapping[str, View]) -> Any:
    for table in list(query.find_all(exp.Table)):
        call = table.this
        if not isinstance(call, exp.Anonymous) or call.name not in views:
            continue
        macro = views[call.name]
        body = with_arguments(macro.query.copy(), macro.parameters, call.expressions)
        body = _without_calls(body, views)
        _hoist_ctes(body, query, table, call.name)
        table.replace(exp.alias_(body.subquery(), table.alias or call.name))
    return query


def _hoist_ctes(body: Any, query: Any, call: Any, prefix: str) -> None:
    """Move the CTEs of a macro's query to those of the query that calls it, before their use.

    Not every engine takes a WITH inside a subquery, and sqlglot's Spark moves such CTEs without
    their order. A moved CTE has the macro's name in its own; references keep the old as alias.
    """
    within = body.args.get("with_") or body.args.get("with")
    if within is None:
        return
    taken = {cte.alias for cte in query.find_all(exp.CTE)}
    names: dict[str, str] = {}
    for cte in within.expressions:
        name = new = f"{prefix}_{cte.alias}"
        while new in taken:
            new = f"{name}_{len(taken)}"
        taken.add(new)
        names[cte.alias] = new
    for table in list(body.find_all(exp.Table)):
        if not table.db and table.name in names:
            if not table.alias:
                table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name)))
            table.set("this", exp.to_identifier(names[table.name]))
    ctes = within.expressions
    within.pop()
    for cte in ctes:
        cte.args["alias"].set("this", exp.to_identifier(names[cte.alias]))
    outer = query.args.get("with_") or query.args.get("with")
    if outer is None:
        query.set("with_" if "with_" in query.arg_types else "with", exp.With(expressions=ctes))
        return
    holder = call.find_ancestor(exp.CTE)
    while holder is not None and holder.parent is not outer:
        holder = holder.find_ancestor(exp.CTE)
    place = next(
        (n for n, c in enumerate(outer.expressions) if c is holder), len(outer.expressions)
    )
    outer.set("expressions", [*outer.expressions[:place], *ctes, *outer.expressions[place:]])
