"""A DuckDB connection to a warehouse: session, guard, table views, time travel."""
