"""The DuckDB view over an Iceberg table of the warehouse, with the table's docs."""

from __future__ import annotations

from pathlib import Path

import duckdb

from lakehouse.definitions.tables import Table
from lakehouse.query.connection.location import EMPTY, WarehouseLocation
from lakehouse.query.views.relations import select_list
from lakehouse.query.views.view import sql_literal
from lakehouse.storage.io.files import is_local


def table_statements(
    con: duckdb.DuckDBPyConnection, table: Table, location: WarehouseLocation
) -> list[str]:
    """Return the statements that create a table's view, with its docs as comments.

    The view has exactly the columns of the definition; one that the stored table or snapshot does
    not have yet is null.
    """
    scan = _scan(location.locations.get(table.name), location.snapshots.get(table.name))
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
        return ""  # the warehouse is older than the table and has no row of it
    argument = f", snapshot_from_id = {int(pin)}" if pin is not None else ""
    return f"iceberg_scan({sql_literal(location)}{argument})"
