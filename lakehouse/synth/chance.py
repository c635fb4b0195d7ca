"""Reproducible random numbers: every topic of every patient has its own stream.

So patient 7 is the same person in a hospital of ten and of ten thousand, and a new topic does not
disturb the old ones.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")


def stream(seed: int, *topic: object) -> Random:
    """Return the random stream of a topic; equal arguments give equal draws on every machine.

    Examples:
        >>> stream(1, 7, "labs").random() == stream(1, 7, "labs").random()
        True
    """
    return Random("/".join(map(str, (seed, *topic))))  # noqa: S311  (invented data, no secret)


def poisson(rng: Random, mean: float) -> int:
    """Return a Poisson count."""
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


def pick(rng: Random, options: Sequence[T], weights: Sequence[float]) -> T:
    """Return an option drawn by weight."""
    sums = list(accumulate(weights))
    return options[min(bisect_right(sums, rng.random() * sums[-1]), len(options) - 1)]


def weighted(rng: Random, rows: Sequence[Sequence[Any]]) -> Sequence[Any]:
    """Return a row drawn by weight, the last column of the table."""
    return rows[0] if len(rows) == 1 else pick(rng, rows, [row[-1] for row in rows])


def between(rng: Random, low: float, high: float) -> float:
    """Return a value from a uniform distribution."""
    return low + (high - low) * rng.random()


def along(ages: Sequence[float], points: Sequence[float], age: float) -> float:
    """Return the value at an age by linear interpolation between points.

    Examples:
        >>> along((20, 40), (0.0, 1.0), 30)
        0.5
    """
    if age <= ages[0]:
        return points[0]
    for i in range(1, len(ages)):
        if age <= ages[i]:
            part = (age - ages[i - 1]) / (ages[i] - ages[i - 1])
            return points[i - 1] + part * (points[i] - points[i - 1])
    return points[-1]
