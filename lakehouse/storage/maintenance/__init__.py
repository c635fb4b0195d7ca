"""Maintenance of a warehouse: compaction, orphan files, erasure of rows, releases, recovery."""
