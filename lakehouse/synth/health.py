"""Draws chronic conditions, smoking and allergies, and the risk of acute episodes."""

from __future__ import annotations

from random import Random
from typing import Any

from lakehouse.synth import clock
from lakehouse.synth.catalog import conditions, episodes, table
from lakehouse.synth.chance import along, pick, stream, weighted
from lakehouse.synth.events import Code
from lakehouse.synth.life import Allergy, Condition, Person

AGES = (20.0, 45.0, 65.0, 85.0)
EPISODE_AGES = (5.0, 30.0, 60.0, 85.0)

NEVER = Code("266919005", "Never smoked tobacco", "SCT")
FORMER = Code("8517006", "Ex-smoker", "SCT")
CURRENT = Code("449868002", "Smokes tobacco daily", "SCT")


def icd(code: str, text: str) -> Code:
    """Return an ICD-10-CM code."""
    return Code(code, text, "I10C")


def _chance(key: str, entry: dict[str, Any], person: Person, held: set[str], age: int) -> float:
    if entry.get("sex", person.sex) != person.sex or held & set(entry.get("excludes", ())):
        return 0.0
    ages: list[float] = entry["ages"]
    chance = along(AGES, ages, age) if age >= 20 else ages[0] * max(0.0, age - 4) / 16
    factor = 1.0
    for other, times in entry.get("needs", {}).items():
        factor *= times if other in held else 0.75
    return min(0.9, chance * factor)


def condition(key: str, rng: Random, onset: int) -> Condition:
    """Return a condition with one of its codes, and the codes of older systems if any."""
    entry = conditions()[key]
    chosen = weighted(rng, entry["codes"])
    older = []
    if "snomed" in entry:
        older.append(Code(entry["snomed"][0], entry["snomed"][1], "SCT"))
    if "icd9" in entry and onset < clock.at(2015, 10):
        older.append(Code(entry["icd9"][0], entry["icd9"][1], "I9C"))
    also = [icd(*pair) for pair in entry.get("also", ()) if rng.random() < 0.8]
    return Condition(key, icd(chosen[0], chosen[1]), onset, also, older)


def chronic(seed: int, person: Person, story: dict[str, Any], begins: int) -> list[Condition]:
    """Return a person's chronic conditions, those of the story first."""
    rng = stream(seed, person.index, "conditions")
    age = person.age(clock.END)
    told: list[str] = story.get("conditions", [])
    found: dict[str, Condition] = {}
    for key in told:
        since = begins - rng.randrange(30, 4_000) * clock.DAY
        found[key] = condition(key, rng, max(since, person.birth + 17 * clock.YEAR))
    for key, entry in conditions().items():
        if rng.random() >= _chance(key, entry, person, set(found), age) or key in found:
            continue
        first = max(begins - 12 * clock.YEAR, person.birth + 4 * clock.YEAR)
        new = rng.random() < 0.2
        onset = begins + rng.randrange(clock.END - begins) if new else _before(rng, first, begins)
        found[key] = condition(key, rng, onset)
    return sorted(found.values(), key=lambda c: c.onset)


def _before(rng: Random, first: int, last: int) -> int:
    return first + rng.randrange(last - first) if first < last else last


def smoking(seed: int, person: Person, held: list[Condition]) -> Code:
    """Return the smoking status, which depends on the conditions."""
    if any(c.key == "smoker" for c in held):
        return CURRENT
    return FORMER if stream(seed, person.index, "smoking").random() < 0.24 else NEVER


def allergies(seed: int, person: Person, begins: int) -> list[Allergy]:
    """Return a person's allergies; often the statement that there is none."""
    rng = stream(seed, person.index, "allergies")
    rows = table("allergens")
    found: dict[str, Allergy] = {}
    for _ in range(pick(rng, (1, 2, 3), (70, 22, 8))):
        row = pick(rng, rows, [float(r["weight"]) for r in rows])
        found[row["code"]] = Allergy(
            Code(row["code"], row["text"], row["system"]),
            row["kind"],
            row["severity"],
            Code(row["reaction"], row["reaction_text"], "SCT"),
            begins - rng.randrange(2_000) * clock.DAY,
        )
    told = list(found.values())
    return told if len(told) == 1 else [a for a in told if a.kind]


def risks(person: Person, held: set[str], age: int) -> tuple[list[str], list[float]]:
    """Return the possible acute episodes of a person with their yearly rates."""
    keys, rates = [], []
    factors: dict[str, float] = {}
    for key in held:
        for episode, times in conditions()[key].get("risk", {}).items():
            factors[episode] = factors.get(episode, 1.0) * times
    for key, entry in episodes().items():
        if entry.get("sex", person.sex) != person.sex or age > entry.get("max_age", 200):
            continue
        if "needs" in entry and not held & set(entry["needs"]):
            continue
        rate = entry["weight"] * along(EPISODE_AGES, entry["ages"], age) / 200
        if rate:
            keys.append(key)
            rates.append(rate * min(factors.get(key, 1.0), 25.0))
    return keys, rates
