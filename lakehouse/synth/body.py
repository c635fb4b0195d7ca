"""Simulates physiology: a person's own levels, changed by conditions and acute episodes."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from lakehouse.synth import clock
from lakehouse.synth.catalog import Change, analytes, changes, conditions, episodes, vitals
from lakehouse.synth.chance import between, stream
from lakehouse.synth.life import Condition, Person


@dataclass(slots=True, frozen=True)
class Course:
    """The course of an acute episode: hours to rise and hold, half-life, and severity."""

    key: str
    start: int
    rise: float
    hold: float
    half_life: float
    grade: float

    def strength(self, time: int) -> float:
        """Return its strength at a time; 0 before it begins."""
        hours = (time - self.start) / clock.HOUR
        if hours <= 0:
            return 0.0
        if hours < self.rise:
            return float(self.grade * hours / self.rise)
        past = hours - self.rise - self.hold
        return self.grade if past <= 0 else float(self.grade * 0.5 ** (past / self.half_life))


Active = list[tuple[str, float]]
"""Episodes under way at a time, with their strength."""


class Body:
    """A person's physiology.

    Args:
        seed: Seed of the hospital.
        person: Whose body.
        held: Long-lasting conditions.
    """

    def __init__(self, seed: int, person: Person, held: list[Condition]) -> None:
        self.person = person
        self.held = held
        self.courses: list[Course] = []
        self.rng = stream(seed, person.index, "body")
        self._base: dict[str, float] = {}
        self.height = between(self.rng, -2.2, 2.2) * 4.2
        self.weight_factor = self.rng.gauss(1, 0.13)
        # one person's diabetes is graver than another's
        grades = [min(max(self.rng.gauss(1, 0.35), 0.3), 1.65) for _ in held]
        self.labs = [
            (c.onset, g, changes("conditions", "labs")[c.key])
            for c, g in zip(held, grades, strict=True)
        ]
        self.signs = [
            (c.onset, g, changes("conditions", "vitals")[c.key])
            for c, g in zip(held, grades, strict=True)
        ]
        self.pregnancies: list[tuple[int, int]] = []
        self.declines = [
            (c.onset, what, yearly)
            for c in held
            for what, yearly in conditions()[c.key].get("decline", {}).items()
        ]

    def begin(self, key: str, start: int, grade: float) -> None:
        """Start an acute episode."""
        rise, hold, half_life = episodes()[key].get("course", (6, 24, 24))
        self.courses.append(Course(key, start, rise, hold, half_life, grade))

    def active(self, time: int) -> Active:
        """Return the episodes that still have an effect."""
        found = []
        for course in self.courses:
            strength = course.strength(time)
            if strength > 0.02:
                found.append((course.key, strength))
        return found

    def lab(self, key: str, time: int, active: Active) -> float:
        """Return a laboratory value within limits compatible with life."""
        spec = analytes()[key]
        value = self._base.get(key)
        if value is None:
            middle = spec.male if self.person.sex == "M" else spec.female
            value = middle * max(0.3, self.rng.gauss(1, spec.between))
            age = (time - self.person.birth) / clock.YEAR
            if key == "creatinine" and age < 18:
                value *= 0.35 + 0.65 * age / 18
            self._base[key] = value
        for onset, grade, effects in self.labs:
            if onset <= time and key in effects:
                value = _apply(value, effects[key], grade)
        for onset, what, yearly in self.declines:
            if what == key and onset < time:
                value *= yearly ** min(6.0, (time - onset) / clock.YEAR)
        acute = changes("episodes", "labs")
        for episode, strength in active:
            effect = acute[episode].get(key)
            if effect:
                value = _apply(value, effect, strength)
        if key == "hcg":
            value *= self._pregnancy(time)
        value *= self.rng.gauss(1, spec.within)
        return round(min(max(value, spec.floor), spec.ceiling), spec.decimals)

    def sign(self, key: str, time: int, active: Active, noise: Random | None = None) -> float:
        """Return a vital sign before rounding; without ``noise``, its true level."""
        spec = vitals()[key]
        name = f"sign.{key}"
        value = self._base.get(name)
        if value is None:
            value = spec.female * self.rng.gauss(1, spec.between)
            self._base[name] = value
        value = _for_age(key, value, (time - self.person.birth) / clock.YEAR)
        for onset, grade, effects in self.signs:
            if onset <= time and key in effects:
                value = _apply(value, effects[key], grade)
        acute = changes("episodes", "vitals")
        for episode, strength in active:
            effect = acute[episode].get(key)
            if effect:
                value = _apply(value, effect, strength)
        if noise:
            value *= noise.gauss(1, spec.within)
        return min(max(value, spec.floor), spec.ceiling)

    def _pregnancy(self, time: int) -> float:
        """Return the rise of hCG in a pregnancy: steep to ten weeks, then half."""
        for begins, ends in self.pregnancies:
            if begins <= time < ends:
                weeks = (time - begins) / (7 * clock.DAY)
                return max(1.0, float(min(3.0 ** (weeks - 2), 90_000.0))) / (1 + (weeks > 14))
        return 1.0

    def coma(self, active: Active) -> int:
        """Return the Glasgow Coma Scale."""
        lost: float = sum(episodes()[key].get("gcs", 0) * strength for key, strength in active)
        return max(3, 15 - round(lost))

    def oxygen(self, time: int, active: Active) -> tuple[float, int]:
        """Return oxygen flow in L/min and the inspired fraction in percent."""
        lack = 92.5 - self.sign("spo2", time, active)
        if lack <= 0:
            return 0.0, 21
        flow = round(min(2 + lack, 15))
        return float(flow), min(100, 21 + 4 * flow)

    def height_cm(self, time: int) -> float:
        """Return the height."""
        age = (time - self.person.birth) / clock.YEAR
        adult = (176 if self.person.sex == "M" else 163) + self.height
        if age >= 18:
            return adult
        return float(adult * (0.29 + 0.71 * (max(age, 0.0) / 18) ** 0.72))

    def weight_kg(self, time: int) -> float:
        """Return the weight."""
        height = self.height_cm(time)
        age = (time - self.person.birth) / clock.YEAR
        index = 25.5 if age >= 18 else 15.5 + 8 * max(age, 0.0) / 18
        if any(c.key == "obesity" and c.onset <= time for c in self.held):
            index = 34.5
        return index * self.weight_factor * (height / 100) ** 2


def _apply(value: float, change: Change, strength: float) -> float:
    times, amount = change
    if not times:
        return value + amount * strength
    # a factor grows as a power, so that half the strength of "x9" is "x3", up and down alike
    return float(value * amount**strength)


def _for_age(key: str, value: float, age: float) -> float:
    if key == "systolic_bp":
        return value + max(0, age - 40) * 0.3 - max(0, 16 - age) * 1.9
    if key == "diastolic_bp":
        return value - max(0, 16 - age) * 1.2
    if key == "heart_rate":
        return value + max(0, 14 - age) * 3.4
    if key == "respiratory_rate":
        return value + max(0, 12 - age) * 1.4
    return value
