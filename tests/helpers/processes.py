"""Processes that die for real: forked from a server that has the imports, in milliseconds."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "lakehouse.cli",
        "lakehouse.engines.ray",
        "lakehouse.pipeline.ingest",
        "lakehouse.query.lakehouse",
        "lakehouse.storage.maintenance.maintain",
        "lakehouse.storage.maintenance.releases",
        "lakehouse.storage.maintenance.row_erasure",
        "pyiceberg.catalog.sql",
        "pyiceberg_core",
    ]
)


def fork(function: Callable[..., Any], *arguments: Any) -> BaseProcess:
    """Start a function of a module in a process of its own."""
    process = _CONTEXT.Process(target=function, args=arguments)
    process.start()
    return process


def set_environment(environment: dict[str, str]) -> None:
    """Give a forked process its environment; the server has that of the first test."""
    import pyiceberg.catalog
    from pyiceberg.utils.config import Config
    from ray._raylet import Config as RayConfig

    os.environ.clear()
    os.environ.update(environment)
    # Both were read when they were imported, before the environment was set.
    pyiceberg.catalog._ENV_CONFIG = Config()
    RayConfig.initialize("")
