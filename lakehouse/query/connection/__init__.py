"""One DuckDB connection over a warehouse: session, guard, table views, time travel."""
