"""Iceberg storage of a warehouse; no other package imports pyiceberg.

``Warehouse`` creates and opens a warehouse, and workers write data files with ``write_tables``.
``IngestTransaction`` makes those files visible exactly once. ``recover`` completes what a killed
process began.
"""

from __future__ import annotations

from lakehouse.storage.metadata.pyiceberg_config import check_configuration

check_configuration()
