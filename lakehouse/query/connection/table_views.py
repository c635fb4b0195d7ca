"""A table of a warehouse as DuckDB reads it: a view of ``iceberg_scan`` with the table's docs."""

from __future__ import annotations

from pathlib import Path

import duckdb

from lakehouse.definitions.tables import Table
from lakehouse.query.connection.location import EMPTY, WarehouseLocation
from lakehouse.query.views.relations import select_list
from lakehouse.query.views.view import sql_literal
from lakehouse.storage.io.files import is_local


def table_statements(
    con: duckdb.DuckDBPyConnection, table: Table, place: WarehouseLocation
) -> list[str]:
    """Return the statements that make a table's view, with its docs as comments.

    The view has exactly the columns of the definition: one that the stored table (or the pinned
    snapshot) does not have yet is null.
    """
    scan = _scan(place.locations.get(table.name), place.snapshots.get(table.name))
    stored: set[str] = set()
    if scan:
        stored = {str(row[0]) for row in con.execute(f"DESCRIBE FROM {scan}").fetchall()}
    return [
        f'CREATE VIEW "{table.name}" AS SELECT {select_list(table, stored)} '
        + (f"FROM {scan}" if scan else "WHERE false"),
        f'COMMENT ON VIEW "{table.name}" IS {sql_literal(table.doc)}',
        *(
            f'COMMENT ON COLUMN "{table.name}"."{c.name}" IS {sql_literal(c.doc)}'
            for c in table.columns.values()
        ),
    ]


def _scan(location: str | None, pin: int | None) -> str:
    if location is None or pin == EMPTY:
        return ""
    if is_local(location) and not Path(location, "metadata", "version-hint.text").exists():
        return ""  # the warehouse is older than the table, and nothing has been written since
    pinned = f", snapshot_from_id = {int(pin)}" if pin is not None else ""
    return f"iceberg_scan({sql_literal(location)}{pinned})"
