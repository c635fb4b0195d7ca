"""Simulates the record of a patient, step by step from demographics to charges."""

from __future__ import annotations

from collections.abc import Iterator

from lakehouse.synth import clock, coding, health, people, visits
from lakehouse.synth.bedside import Bedside
from lakehouse.synth.body import Body
from lakehouse.synth.catalog import document
from lakehouse.synth.laboratory import Laboratory
from lakehouse.synth.life import Patient
from lakehouse.synth.pharmacy import Pharmacy
from lakehouse.synth.services import Services


def patient(index: int, years: float = 3, seed: int = 1) -> Patient:
    """Return the record of one patient, which depends on these three numbers only.

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
    coding.diagnose(life)
    Laboratory(life, body).serve()
    Bedside(life, body).watch()
    Pharmacy(life).serve()
    Services(life).serve()
    return life


def patients(count: int = 100, years: float = 3, seed: int = 1) -> Iterator[Patient]:
    """Yield the records of the first patients, one at a time.

    Examples:
        >>> [p.index for p in patients(2, years=1)]
        [0, 1]
    """
    for index in range(count):
        yield patient(index, years, seed)
