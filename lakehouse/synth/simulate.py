"""One life, from the person to the last charge: the synthetic hospital's table of contents."""

from __future__ import annotations

from collections.abc import Iterator

from lakehouse.synth import clock, health, people, visits
from lakehouse.synth.bedside import Bedside
from lakehouse.synth.body import Body
from lakehouse.synth.catalog import document
from lakehouse.synth.chance import stream
from lakehouse.synth.laboratory import Laboratory
from lakehouse.synth.life import Diagnosis, Encounter, Patient
from lakehouse.synth.pharmacy import Pharmacy
from lakehouse.synth.services import Services


def patient(index: int, years: float = 3, seed: int = 1) -> Patient:
    """Return the life of one patient; it depends on nothing but these three numbers.

    Args:
        index: Number of the patient, from 0.
        years: Length of the period, which ends where `clock.END` says.
        seed: Seed of the hospital.

    Examples:
        >>> patient(3).person == patient(3).person
        True
    """
    begins = clock.END - int(years * clock.YEAR)
    begins -= begins % clock.DAY
    stories = document("stories")["stories"]
    story = stories[index % len(stories)]
    person = people.person(seed, index, story, begins)
    held = health.chronic(seed, person, story, begins)
    life = Patient(seed, person, begins, clock.END, health.smoking(seed, person, held), held)
    life.allergies = health.allergies(seed, person, begins)
    body = Body(seed, person, held)
    visits.Visits(life, body, story).plan()
    _diagnose(life)
    Laboratory(life, body).serve()
    Bedside(life, body).watch()
    Pharmacy(life).serve()
    Services(life).serve()
    return life


def patients(count: int = 100, years: float = 3, seed: int = 1) -> Iterator[Patient]:
    """Yield the lives of the first patients, one at a time.

    Examples:
        >>> [p.index for p in patients(2, years=1)]
        [0, 1]
    """
    for index in range(count):
        yield patient(index, years, seed)


def _diagnose(life: Patient) -> None:
    """Give each encounter its diagnoses, and a few of them a cancelled double."""
    rng = stream(life.seed, life.index, "diagnoses")
    doubles: list[Encounter] = []
    for encounter in life.encounters:
        seen: dict[str, Diagnosis] = {}

        def add(
            code: str, text: str, present: str, seen: dict[str, Diagnosis] = seen
        ) -> None:  # bound now, not when called
            if code not in seen:
                seen[code] = Diagnosis(health.icd(code, text), len(seen) + 1, present)

        if encounter.episode:
            add(*visits.principal(rng, encounter), "Y")
            for code, text, _, present in visits.diagnosis_rows(rng, encounter):
                add(code, text, "" if present == "E" else present)
        else:
            add(encounter.reason.code, encounter.reason.text, "")
        for held in life.conditions:
            told = held.onset <= encounter.arrived and rng.random() < (
                0.92 if encounter.kind == "I" else 0.5
            )
            if told:
                for code in (held.code, *held.also):
                    # history and status codes (Z) are exempt from present-on-admission
                    exempt = code.code.startswith("Z") or encounter.kind != "I"
                    doubt = rng.random()
                    known = "Y" if doubt < 0.96 else "U" if doubt < 0.98 else "W"
                    add(code.code, code.text, "" if exempt else known)
        encounter.diagnoses = list(seen.values())
        if encounter.kind == "E" and rng.random() < 0.05:
            doubles.append(visits.cancelled_admission(rng, life, encounter))
    life.encounters = sorted(life.encounters + doubles, key=lambda e: e.arrived)
