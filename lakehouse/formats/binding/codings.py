"""Codings of a concept: the code system that one names, and which of two codings is stored."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.definitions.code_systems import public_systems, shape_of
from lakehouse.formats.mapping.code_sets import code_set

LOCAL, OTHER = "local", "other"
"""A system of the sender's own, and one that we have no name for."""

_NO_TERMINOLOGY = frozenset(["nullflavor"])
"""Says why there is no value, so it never stands for a concept in place of a local code."""


class Coding(NamedTuple):
    """A column of codings: the code, our name of its system, and the sender's text."""

    code: pa.Array
    system: pa.Array
    display: pa.Array


class Coded(NamedTuple):
    """A column of coded elements: the chosen coding, and the other one."""

    code: pa.Array
    system: pa.Array
    display: pa.Array
    alt_code: pa.Array
    alt_system: pa.Array


@cache
def public_terminologies() -> frozenset[str]:
    """Return the systems that publish codes for concepts; HL7's own tables are none of them."""
    return frozenset(s for s in public_systems() if not s.endswith("*")) - _NO_TERMINOLOGY


def is_public_system(system: str) -> bool:
    """Return whether a system publishes its codes, so that a code of it names no person.

    Examples:
        >>> [is_public_system(s) for s in ("loinc", "atc", "mdc", "hl7-0001", "local")]
        [True, True, True, False, False]
    """
    return system in public_terminologies()


def has_public_form(system: str, code: str) -> bool:
    """Return whether a code has the form of the codes that a public system publishes.

    Examples:
        >>> has_public_form("loinc", "2345-7"), has_public_form("loinc", "SMITH")
        (True, False)
    """
    shape = shape_of(system) if is_public_system(system) else None
    return shape is not None and re.fullmatch(shape, code) is not None


def system_of(name: str) -> str:
    """Return our name of a code system: by its name in HL7 table 0396, its OID or its URI.

    Examples:
        >>> system_of("LN"), system_of("2.16.840.1.113883.6.96"), system_of("http://loinc.org")
        ('loinc', 'snomed', 'loinc')
        >>> system_of("HL70001"), system_of("99ACME"), system_of("ACME")
        ('hl7-0001', 'local', 'other')
    """
    upper = name.upper().removeprefix("URN:OID:")
    known = code_set("hl7_0396")
    if upper in known:
        return known[upper]
    if upper.startswith(("HL7", "L-", "99")):
        digits = upper[3:].lstrip("-")
        return f"hl7-{digits}" if digits.isdigit() and len(digits) == 4 else LOCAL
    return OTHER


def choose_coding(first: Coding, second: Coding) -> Coded:
    """Return coded elements of two codings each: a public one comes before one that is not.

    Where both are public, or neither is, the first one is chosen, as the sender did.

    Examples:
        >>> def coding(code, system):
        ...     return Coding(pa.array([code]), pa.array([system]), pa.array([code.lower()]))
        >>> chosen = choose_coding(coding("GLU", "local"), coding("2345-7", "loinc"))
        >>> chosen.code.to_pylist(), chosen.alt_code.to_pylist()
        (['2345-7'], ['GLU'])
    """
    if second.code.null_count == len(second.code):
        return Coded(*first, second.code, second.system)
    public = pa.array(sorted(public_terminologies()))
    is_better = pc.and_(pc.is_in(second.system, public), pc.invert(pc.is_in(first.system, public)))
    swap = pc.and_(pc.is_valid(second.code), pc.or_(pc.is_null(first.code), is_better))
    chosen = [pc.if_else(swap, b, a) for a, b in zip(first, second, strict=True)]
    other = [pc.if_else(swap, a, b) for a, b in zip(first[:2], second[:2], strict=True)]
    return Coded(*chosen, *other)
