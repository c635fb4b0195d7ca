"""Draws the demographics of patients and clinicians."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any

from lakehouse.synth import clock
from lakehouse.synth.catalog import document, table
from lakehouse.synth.chance import between, pick, stream, weighted
from lakehouse.synth.events import Code, Provider
from lakehouse.synth.life import Address, Identity, Insurance, Person, Relative

HOSPITALS = ("MERCY", "LAKESIDE")
"""Sending facilities; each is the assigning authority of its own record numbers."""

SERVICES = ("MED", "CAR", "PUL", "SUR", "ORT", "NEU", "ONC", "OBS", "PED", "PSY", "EMR", "RAD")

RACES = [
    (Code("2106-3", "White", "HL70005"), 62),
    (Code("2054-5", "Black or African American", "HL70005"), 16),
    (Code("2028-9", "Asian", "HL70005"), 9),
    (Code("1002-5", "American Indian or Alaska Native", "HL70005"), 1),
    (Code("2131-1", "Other Race", "HL70005"), 9),
    (Code("", "", ""), 3),
]
HISPANIC = Code("2135-2", "Hispanic or Latino", "CDCREC")
NOT_HISPANIC = Code("2186-5", "Not Hispanic or Latino", "CDCREC")
LANGUAGES = [
    (Code("eng", "English", "ISO639-2"), 84),
    (Code("spa", "Spanish", "ISO639-2"), 9),
    (Code("vie", "Vietnamese", "ISO639-2"), 2),
    (Code("por", "Portuguese", "ISO639-2"), 3),
    (Code("chi", "Chinese", "ISO639-2"), 2),
]
AGE_BANDS = [((0, 17), 12), ((18, 44), 22), ((45, 64), 27), ((65, 89), 33), ((90, 101), 6)]


@cache
def providers() -> dict[str, tuple[Provider, ...]]:
    """Return the clinicians by service; the same in every synthetic hospital."""
    rng = stream(0, "providers")
    names = document("names")
    found: dict[str, tuple[Provider, ...]] = {}
    for service in SERVICES:
        found[service] = tuple(
            Provider(
                "1" + "".join(str(rng.randrange(10)) for _ in range(9)),
                rng.choice(names["family"]),
                rng.choice(names["female"] + names["male"]),
                rng.choice(["MD", "MD", "MD", "DO", "NP"]),
                service,
            )
            for _ in range(6)
        )
    return found


def provider(rng: Random, service: str) -> Provider:
    """Return a clinician of a service, or of medicine for a service without one."""
    pool = providers()
    return rng.choice(pool.get(service, pool["MED"]))


@cache
def _places() -> tuple[tuple[dict[str, str], ...], tuple[float, ...]]:
    rows = table("places")
    return rows, tuple(float(r["weight"]) for r in rows)


def _address(rng: Random, since: int) -> Address:
    place = pick(rng, *_places())
    street = f"{rng.randrange(1, 980)} {rng.choice(document('names')['streets'])}"
    if rng.random() < 0.2:
        street += f" Apt {rng.randrange(1, 60)}"
    return Address(
        since, street, place["city"], place["county"], place["state"], _postal(rng, place),
        place["country"], place["area_code"],
    )  # fmt: skip


def _postal(rng: Random, place: dict[str, str]) -> str:
    if place["country"] == "USA" and rng.random() < 0.15:
        return f"{place['zip']}-{rng.randrange(1000, 9999)}"
    return place["zip"]


def _phone(rng: Random, area: str) -> str:
    # 555-0100 to 555-0199 are never given to anyone
    return f"({area})555-01{rng.randrange(100):02d}"


def record_number(seed: int, index: int) -> str:
    """Return the record number of a patient; no two patients of a seed share one.

    Examples:
        >>> record_number(1, 0) != record_number(1, 1)
        True
    """
    # 48271 has no factor in common with 9,000,000, so the numbers only repeat after as many
    return str((index * 48_271 + seed * 1_300_021) % 9_000_000 + 1_000_000)


def _birth(rng: Random, ages: tuple[int, int]) -> int:
    age = between(rng, ages[0], ages[1] + 1)
    born = clock.END - int(age * clock.YEAR)
    return born - born % clock.DAY


def _insurance(rng: Random, age: int, begins: int) -> list[Insurance]:
    pool = document("names")["insurers"]

    def cover(row: Any) -> Insurance:
        return Insurance(
            row[0], row[1], row[2], f"G{rng.randrange(10_000, 99_999)}",
            f"{row[0]}{rng.randrange(10**8, 10**9)}", "SEL" if age > 18 else "CHD",
            begins - rng.randrange(2_000) * clock.DAY,
        )  # fmt: skip

    first = pool[1] if age >= 65 and rng.random() < 0.9 else weighted(rng, pool)
    found = [cover(first)]
    if age >= 65 and rng.random() < 0.45:
        found.append(cover(pool[0]))
    return found


def person(seed: int, index: int, story: dict[str, Any], begins: int) -> Person:
    """Return the demographics of patient ``index``.

    Args:
        seed: Seed of the hospital.
        index: Number of the patient, from 0.
        story: Entry of ``stories.toml``; may fix age and sex, and whether there is a duplicate.
        begins: Beginning of the period.
    """
    rng = stream(seed, index, "person")
    names = document("names")
    sex = story.get("sex") or pick(rng, ("F", "M", "U"), (51.5, 48, 0.5))
    drawn: Any = tuple(story["ages"]) if "ages" in story else weighted(rng, AGE_BANDS)[0]
    birth = _birth(rng, drawn)
    age = clock.years_between(birth, clock.END)
    race = weighted(rng, RACES)[0]
    family = rng.choice(names["family"])
    hospital = 0 if rng.random() < 0.75 else 1
    addresses = [_address(rng, min(begins - 900 * clock.DAY, clock.END))]
    if rng.random() < 0.12:
        addresses.append(_address(rng, begins + rng.randrange(clock.END - begins)))
    area = addresses[0].area_code
    given = rng.choice(names["male" if sex == "M" else "female"])
    relatives = [
        Relative(
            family if rng.random() < 0.7 else rng.choice(names["family"]),
            rng.choice(names["female"] + names["male"]),
            *(("MTH", "Mother") if age < 18 else rng.choice(_RELATIONS)),
            _phone(rng, area),
        )
    ]
    return Person(
        index=index, sex=sex, birth=birth, family=family, given=given,
        middle=rng.choice("ABCDEFGHJKLMNPRSTW") if rng.random() < 0.7 else "",
        suffix="Jr" if sex == "M" and rng.random() < 0.05 else "",
        maiden=rng.choice(names["family"]),
        race=race,
        ethnicity=HISPANIC if rng.random() < 0.17 else NOT_HISPANIC,
        language=weighted(rng, LANGUAGES)[0],
        marital="S" if age < 20 else pick(rng, "MSDWA", (50, 22, 13, 3 + max(0, age - 55), 2)),
        religion=rng.choice(names["religions"]),
        # numbers that begin with 9 are never given out as social security numbers
        ssn=f"9{rng.randrange(10, 99)}-{rng.randrange(10, 69)}-{rng.randrange(1, 9999):04d}",
        licence=f"S{rng.randrange(10**7, 10**8)}" if age >= 18 else "",
        phone=_phone(rng, area),
        work_phone=_phone(rng, area) if 20 < age < 66 else "",
        email=f"{given}.{family}{rng.randrange(100)}@example.org".lower().replace(" ", "")
        if rng.random() < 0.6 else "",
        employer=rng.choice(names["employers"]) if age > 18 else "",
        account=f"{rng.randrange(10**8, 10**9)}",
        hospital=hospital,
        addresses=addresses,
        insurance=_insurance(rng, age, begins),
        relatives=relatives,
        identities=_identities(rng, seed, index, story, hospital),
        physician=provider(rng, "PED" if age < 16 else "MED"),
    )  # fmt: skip


_RELATIONS = [("SPO", "Spouse"), ("CHD", "Child"), ("SIB", "Sibling"), ("FND", "Friend")]


def _identities(
    rng: Random, seed: int, index: int, story: dict[str, Any], hospital: int
) -> list[Identity]:
    number = record_number(seed, index)
    if hospital == 1:
        number = "00" + number  # this hospital pads, and zeros in front count
    found = [Identity(number, HOSPITALS[hospital])]
    if story.get("duplicate") or rng.random() < 0.02:
        found.append(Identity(f"T{number}", HOSPITALS[hospital], "duplicate"))
    elif story.get("elsewhere") or rng.random() < 0.05:
        other = f"{rng.randrange(10**5, 10**6)}{index:06d}"
        found.append(Identity(other, HOSPITALS[1 - hospital], "second"))
    return found
