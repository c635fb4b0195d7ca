"""What `catalog/` says, read once: tables, code systems, rows of CSV files."""
