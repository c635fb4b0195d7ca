"""Iceberg: the only wing that knows pyiceberg.

A warehouse is made and reached by ``Warehouse``; workers write files with ``write_tables``;
``IngestTransaction`` makes them visible, exactly once; ``recover`` completes what a killed
process began.
"""

from __future__ import annotations

from lakehouse.storage.metadata.pyiceberg_config import check_configuration

check_configuration()
