"""Plans the encounters of a patient: their times, reasons and course."""

from __future__ import annotations

from random import Random
from typing import Any

from lakehouse.synth import clock
from lakehouse.synth.body import Body
from lakehouse.synth.catalog import conditions, episodes
from lakehouse.synth.chance import between, pick, poisson, stream
from lakehouse.synth.clock import DAY, HOUR, MINUTE
from lakehouse.synth.events import Encounter, Stay
from lakehouse.synth.health import condition, icd, risks
from lakehouse.synth.life import Patient
from lakehouse.synth.people import provider

BEDS = {"ED": 24, "ICU": 16, "CCU": 10, "OR": 6, "TELE": 24, "PSYC": 18}
CHECKUP = icd("Z00.00", "Encounter for general adult medical examination without abnormal findings")
CHILD_CHECKUP = icd("Z00.129", "Encounter for routine child health examination without abnormal "
                    "findings")  # fmt: skip
PREGNANCY = icd("Z34.90", "Encounter for supervision of normal pregnancy, unspecified, unspecified "
                "trimester")  # fmt: skip


class Visits:
    """Plans the encounters of one patient.

    Args:
        patient: The life to fill.
        body: Told of every acute episode.
        story: Entry of ``stories.toml``.
    """

    def __init__(self, patient: Patient, body: Body, story: dict[str, Any]) -> None:
        self.patient = patient
        self.person = patient.person
        self.body = body
        self.story = story
        self.rng = stream(patient.seed, patient.index, "visits")
        self.born = max(patient.begins, self.person.birth + 2 * HOUR)

    def plan(self) -> None:
        """Add encounters to the patient in order of time, until the end or death."""
        for start, key in self._acute():
            last = self.patient.encounters[-1].left if self.patient.encounters else 0
            if start < last + 2 * DAY or self.person.died:
                continue
            self._episode(start, key, readmission=False)
        ends = self.person.died or self.patient.ends
        stays = [(e.arrived - DAY, e.left + DAY) for e in self.patient.encounters]
        for start, clinic in self._clinics():
            if start < ends - DAY and not any(a < start < b for a, b in stays):
                self._clinic_visit(start, clinic)
        self.patient.encounters.sort(key=lambda e: e.arrived)
        for number, encounter in enumerate(self.patient.encounters):
            encounter.number = f"{4_000_000 + self.person.index}{number:03d}"
            self._register(encounter)

    def _moment(self, first: int, last: int) -> int:
        return first + self.rng.randrange(max(1, last - first))

    def _acute(self) -> list[tuple[int, str]]:
        """Return the starts of acute episodes: those of the story, then random ones."""
        told: list[str] = list(self.story.get("episodes", ()))
        span = self.patient.ends - self.born
        found = []
        for i, key in enumerate(told):
            first = self.born + span * (i + 0.15) / (len(told) + 0.3)
            last = self.born + span * (i + 0.75) / (len(told) + 0.3)
            found.append((self._moment(int(first), int(last)), key))
        fertile = self.person.sex == "F" and 19 <= self.person.age(self.patient.ends) <= 42
        if self.story.get("pregnant") or (fertile and self.rng.random() < 0.15):
            time = self._moment(self.born + 200 * DAY, self.patient.ends - 20 * DAY)
            if time < self.patient.ends:
                self.body.pregnancies.append((time - 273 * DAY, time))
                found.append((time, pick(self.rng, ("birth", "preeclampsia"), (4, 1))))
        begins = self.born
        while begins < self.patient.ends:
            ends = min(begins + clock.YEAR, self.patient.ends)
            held = {c.key for c in self.patient.conditions if c.onset < ends}
            keys, rates = risks(self.person, held, self.person.age(begins))
            mean = min(sum(rates), 3.0) * (ends - begins) / clock.YEAR
            for _ in range(poisson(self.rng, mean)):
                key = pick(self.rng, keys, rates)
                time = self._moment(begins, ends)
                if episodes()[key].get("season") == "winter" and self.rng.random() < 0.7:
                    time = _into_winter(time)
                if self.born <= time < self.patient.ends:
                    found.append((time, key))
            begins = ends
        return sorted(found)

    def _episode(self, start: int, key: str, *, readmission: bool) -> None:
        entry = episodes()[key]
        rng = self.rng
        # more people come by day than by night
        hour = int(rng.triangular(0, 24, 15)) if rng.random() < 0.8 else rng.randrange(24)
        start = start - start % DAY + hour * HOUR + rng.randrange(3_600)
        severe = rng.random() < 0.45
        self.body.begin(
            key, start - int(between(rng, 4, 20) * HOUR), between(rng, 0.45, 0.85) + 0.25 * severe
        )
        path = [step for step in entry["path"] if severe or step[0] != "ICU" or rng.random() < 0.6]
        age = self.person.age(start)
        death = entry.get("mortality", 0) * (0.3 if age < 50 else 1 if age < 80 else 1.8)
        dies = rng.random() < death * (1.8 if severe else 0.4) and len(path) > 1
        times = [start]
        for _, least, most in path:
            hours = between(rng, least, most) * (1.25 if severe else 0.9)
            times.append(times[-1] + int(hours * HOUR))
        units = [step[0] for step in path]
        if units == ["ED"]:
            self._stay("E", key, units, times, severe=severe, readmission=readmission)
        elif units[0] == "ED" and rng.random() < 0.5:
            self._stay("E", key, units[:1], times[:2], severe=severe, admitted=True)
            self._stay("I", key, units[1:], times[1:], severe=severe, readmission=readmission)
        else:
            self._stay("I", key, units, times, severe=severe, readmission=readmission)
        done = self.patient.encounters[-1]
        if dies:
            done.disposition = "20"
            self.person.died = done.left
            return
        if done.kind == "I" and not entry.get("planned"):
            # a discharge is a daytime matter
            done.left = done.left - done.left % DAY + int(between(rng, 10, 18) * HOUR)
            done.left = max(done.left, done.stays[-1].since + 2 * HOUR)
        if "becomes" in entry and not self.patient.has(entry["becomes"], done.left):
            self.patient.conditions.append(condition(entry["becomes"], rng, done.left))
        again = 1.0 if self.story.get("readmitted") and not readmission else 0.0
        chance = max(entry.get("readmission", 0.05), again)
        if done.kind == "I" and not readmission and rng.random() < chance:
            back = done.left + int(between(rng, 3, 27) * DAY)
            if back < self.patient.ends - 10 * DAY:
                same = again or rng.random() < 0.6
                self._episode(back, key if same else "pneumonia", readmission=True)

    def _stay(
        self, kind: str, key: str, units: list[str], times: list[int], *, severe: bool,
        admitted: bool = False, readmission: bool = False,
    ) -> None:  # fmt: skip
        entry, rng = episodes()[key], self.rng
        service = "EMR" if kind == "E" else entry["service"]
        home = entry.get("disposition")
        if home and kind == "I" and rng.random() < 0.6:
            disposition = home
        else:
            disposition = pick(rng, ("01", "06", "03", "07"), (80, 12, 6, 2))
        from_ed = units[0] == "ED" and len(units) > 1
        planned = bool(entry.get("planned"))
        self.patient.encounters.append(
            Encounter(
                number="",
                kind=kind,
                hospital=self.person.hospital,
                service=service,
                stays=[self._place(u, t) for u, t in zip(units, times, strict=False)],
                arrived=times[0],
                left=times[-1],
                reason=icd(*entry["reason"]),
                attending=provider(rng, service),
                referring=self.person.physician,
                account="",
                episode=key,
                admission_type="R" if planned else "E" if kind == "E" else "U" if severe else "E",
                source="1" if planned else "7",
                disposition="09" if admitted else disposition,
                admitted_from_ed=times[1] if from_ed else None,
                planned_at=times[0] - rng.randrange(4, 30) * DAY if planned else None,
                readmission=readmission,
                severe=severe,
            )
        )

    def _place(self, unit: str, since: int) -> Stay:
        rng = self.rng
        room = rng.randrange(1, BEDS.get(unit, 30) // 2 + 1)
        return Stay(since, unit, f"{unit}{room:02d}", rng.choice("AB"))

    def _clinics(self) -> list[tuple[int, str]]:
        """Return the times of clinic visits and the clinic of each."""
        years = (self.patient.ends - self.born) / clock.YEAR
        rates: dict[str, float] = {"PCP": 1.0 if self.person.age(self.patient.begins) > 3 else 2.5}
        for held in self.patient.conditions:
            entry = conditions()[held.key]
            clinic = entry["clinic"]
            rates[clinic] = rates.get(clinic, 0.0) + entry.get("visits", 0.3) * 0.7
        found = []
        for clinic, rate in rates.items():
            for _ in range(poisson(self.rng, min(rate, 9.0) * years)):
                found.append((self._moment(self.born, self.patient.ends), clinic))
        for begins, birth in self.body.pregnancies:
            found += [(begins + week * 7 * DAY, "OBST") for week in (9, 14, 19, 24, 28, 32, 35, 37)
                      if begins + week * 7 * DAY < birth - 4 * DAY]  # fmt: skip
        return sorted((self._office_hours(t), c) for t, c in found if t > self.born + DAY)

    def _office_hours(self, time: int) -> int:
        time -= max(0, clock.weekday(time) - 4) * DAY
        return time - time % DAY + self.rng.randrange(32, 68) * 15 * MINUTE

    def _clinic_visit(self, start: int, clinic: str) -> None:
        rng = self.rng
        cares = [
            c for c in self.patient.conditions
            if c.onset <= start and (clinic == "PCP" or conditions()[c.key]["clinic"] == clinic)
        ]  # fmt: skip
        if clinic == "OBST":
            reason = PREGNANCY
        elif cares and rng.random() < 0.85:
            reason = rng.choice(cares).code
        else:
            reason = CHILD_CHECKUP if self.person.age(start) < 18 else CHECKUP
        arrived = start + int(rng.gauss(-4, 9) * MINUTE)
        self.patient.encounters.append(
            Encounter(
                number="",
                kind="O",
                hospital=self.person.hospital,
                service=_SERVICES.get(clinic, "MED"),
                stays=[Stay(arrived, clinic, "", "")],
                arrived=arrived,
                left=arrived + int(between(rng, 25, 70) * MINUTE),
                reason=reason,
                attending=self.person.physician if clinic == "PCP" else provider(
                    rng, _SERVICES.get(clinic, "MED")),
                referring=self.person.physician,
                account="",
                planned_at=start,
                source="1",
            )
        )  # fmt: skip

    def _register(self, encounter: Encounter) -> None:
        """Draw the record number, the account and errors of registration."""
        rng, person = self.rng, self.person
        encounter.account = f"{person.account}{encounter.number[-3:]}"
        if len(person.identities) > 1:
            other = person.identities[1]
            if other.kind == "second" and encounter.kind == "O" and rng.random() < 0.35:
                encounter.identity, encounter.hospital = 1, 1 - person.hospital
                other.joined = other.joined or encounter.arrived + 2 * HOUR
            elif other.kind == "duplicate" and encounter.kind == "E" and not other.joined:
                encounter.identity = 1
                other.joined = encounter.left + rng.randrange(2, 90) * HOUR
        if encounter.kind == "I" and rng.random() < 0.07:
            slip = encounter.left - int(between(rng, 3, 9) * HOUR)
            if slip > encounter.stays[-1].since:
                encounter.discharge_undone = (slip, slip + int(between(rng, 10, 50) * MINUTE))


_SERVICES = {
    "CARD": "CAR", "ENDO": "MED", "NEPH": "MED", "DIAL": "MED", "PULM": "PUL", "GI": "MED",
    "NEUR": "NEU", "PSYC": "PSY", "ONC": "ONC", "ORTH": "ORT", "RHEU": "MED", "ID": "MED",
    "OBST": "OBS", "PCP": "MED",
}  # fmt: skip


def cancelled_admission(rng: Random, patient: Patient, encounter: Encounter) -> Encounter:
    """Return an admission entered for the wrong visit and cancelled soon after (A11)."""
    time = encounter.arrived + int(between(rng, 2, 6) * HOUR)
    return Encounter(
        number=encounter.number[:-3] + "9" + encounter.number[-2:],
        kind="I",
        hospital=encounter.hospital,
        service="MED",
        stays=[Stay(time, "MED", "MED01", "A")],
        arrived=time,
        left=time,
        reason=encounter.reason,
        attending=encounter.attending,
        referring=encounter.referring,
        account=encounter.account,
        identity=encounter.identity,
        cancelled=time + int(between(rng, 10, 80) * MINUTE),
    )


def _into_winter(time: int) -> int:
    """Shift a time to the winter of its year."""
    date = clock.when(time)
    if date.month in (4, 5, 6, 7, 8, 9):
        return time + (190 if date.month > 6 else -100) * DAY
    return time
