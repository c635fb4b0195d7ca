"""Instants of the local times that records state, with the offset from UTC where they state it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

UTC = pa.timestamp("us", tz="UTC")
"""Type of an instant."""

DAY = 86_400_000_000
"""Microseconds of a day."""

_MINUTE = 60_000_000
_EPOCH = dt.datetime(1970, 1, 1)
_MICROSECOND = dt.timedelta(microseconds=1)


def instants(local: pa.Array, east: pa.Array | None, zones: str | Sequence[str]) -> pa.Array:
    """Return instants from microseconds since 1970 on the sender's clock; null stays null.

    A local time that the clock shows twice is the earlier instant, and one that it leaves out is
    the last instant before the gap.

    Args:
        local: Microseconds since 1970 on the sender's clock.
        east: Minutes east of UTC, null where not stated; None where none is.
        zones: Time zone in which a time without an offset is read, of all rows or of each.

    Examples:
        >>> noon = pa.array([43_200_000_000, 43_200_000_000, None])
        >>> found = instants(noon, pa.array([60, None, None]), "America/New_York")
        >>> [str(t) for t in found.to_pylist()]
        ['1970-01-01 11:00:00+00:00', '1970-01-01 17:00:00+00:00', 'None']
    """
    stated: pa.Array | None = None
    if east is not None and east.null_count < len(east):
        stated = pc.subtract(local, pc.multiply(east.cast(pa.int64()), _MINUTE))
        if stated.null_count == local.null_count:
            return stated.cast(UTC)
        local = pc.if_else(pc.is_valid(east), None, local)
    if isinstance(zones, str) or len(set(zones)) == 1:
        found = _in_zone(local, zones if isinstance(zones, str) else zones[0])
    else:
        found = pa.nulls(len(local), pa.int64())
        of_row = np.array(zones)
        for zone in sorted(set(zones)):
            rows = pa.array(of_row == zone)
            found = pc.coalesce(found, _in_zone(pc.if_else(rows, local, None), zone))
    return (found if stated is None else pc.coalesce(stated, found)).cast(UTC)


def _in_zone(local: pa.Array, zone: str) -> pa.Array:
    if zone == "UTC":
        return local
    naive = local.cast(pa.timestamp("us"))
    placed = pc.assume_timezone(naive, zone, ambiguous="earliest", nonexistent="earliest")
    return placed.cast(pa.int64())


def instant(local: int, east: int | None, zone: str) -> int:
    """Return microseconds since 1970 UTC of one local time, as ``instants`` reads it.

    Args:
        local: Microseconds since 1970 on the sender's clock.
        east: Minutes east of UTC, where stated.
        zone: Time zone in which it is read otherwise.

    Examples:
        >>> instant(0, 60, "UTC"), instant(0, None, "America/New_York")
        (-3600000000, 18000000000)
    """
    if east is not None:
        return local - east * _MINUTE
    stated = (_EPOCH + dt.timedelta(microseconds=local)).replace(tzinfo=ZoneInfo(zone))
    before, after = stated.utcoffset(), stated.replace(fold=1).utcoffset()
    if before is None or after is None or before < after:  # the clock leaves this time out
        (found,) = instants(pa.array([local]), None, zone).cast(pa.int64()).to_pylist()
        return int(found)
    return local - before // _MICROSECOND
