"""A Ray cluster for the tests that need one, and the two engines side by side."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[1] / "data" / "plugin"


@pytest.fixture(scope="session")
def cluster(key_file: Path) -> Iterator[str]:
    """One Ray cluster for the session, by its address; its workers know the plugin's formats."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PLUGIN), before]))
    import ray

    from lakehouse.engines.ray.cluster import connected

    with connected():
        yield ray.get_runtime_context().gcs_address
    ray.shutdown()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before
