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
        table.replace(exp.alias_(_without_calls(body, views).subquery(), table.alias or call.name))
    return query
