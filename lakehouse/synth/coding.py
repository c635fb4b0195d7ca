"""Codes the diagnoses of each encounter, with their rank and presence on admission."""

from __future__ import annotations

from random import Random

from lakehouse.synth import health, visits
from lakehouse.synth.catalog import episodes
from lakehouse.synth.chance import stream, weighted
from lakehouse.synth.events import Code, Diagnosis, Encounter
from lakehouse.synth.life import Patient


def diagnose(life: Patient) -> None:
    """Add diagnoses to each encounter; a few get a cancelled duplicate."""
    rng = stream(life.seed, life.index, "diagnoses")
    doubles: list[Encounter] = []
    for encounter in life.encounters:
        found: dict[str, tuple[Code, str]] = {}
        told = _acute(rng, encounter) if encounter.episode else [(encounter.reason, "")]
        for code, present in told + _held(rng, life, encounter):
            found.setdefault(code.code, (code, present))
        encounter.diagnoses = [
            Diagnosis(code, rank, present) for rank, (code, present) in enumerate(found.values(), 1)
        ]
        if encounter.kind == "E" and rng.random() < 0.05:
            doubles.append(visits.cancelled_admission(rng, life, encounter))
    life.encounters = sorted(life.encounters + doubles, key=lambda e: e.arrived)


def _acute(rng: Random, encounter: Encounter) -> list[tuple[Code, str]]:
    """Return the principal diagnosis of an episode and its complications."""
    entry = episodes()[encounter.episode]
    main = weighted(rng, entry["principal"])
    found = [(health.icd(main[0], main[1]), "Y")]
    factor = 1.3 if encounter.severe else 0.7
    for code, text, chance, present in entry.get("with", ()):
        if chance == 1 or rng.random() < chance * factor:
            found.append((health.icd(code, text), "" if present == "E" else present))
    return found


def _held(rng: Random, life: Patient, encounter: Encounter) -> list[tuple[Code, str]]:
    """Return the chronic conditions that the clinicians of an encounter recorded."""
    found = []
    for held in life.conditions:
        chance = 0.92 if encounter.kind == "I" else 0.5
        if held.onset > encounter.arrived or rng.random() >= chance:
            continue
        for code in (held.code, *held.also):
            # history and status codes (Z) are exempt from present-on-admission reporting
            exempt = code.code.startswith("Z") or encounter.kind != "I"
            doubt = rng.random()
            known = "Y" if doubt < 0.96 else "U" if doubt < 0.98 else "W"
            found.append((code, "" if exempt else known))
    return found
