"""Simulates imaging, procedures, vaccinations, appointments, documents and charges."""

from __future__ import annotations

from collections import defaultdict

from lakehouse.synth import clock
from lakehouse.synth.catalog import document, episodes, keyed, table
from lakehouse.synth.chance import between, pick, stream
from lakehouse.synth.clock import DAY, HOUR, MINUTE
from lakehouse.synth.events import (
    Appointment,
    Charge,
    Code,
    Document,
    Encounter,
    ImagingStudy,
    Immunization,
    LabOrder,
    Procedure,
)
from lakehouse.synth.life import Patient
from lakehouse.synth.people import provider

SCREENING = (
    ("mammogram", "F", 45, 75, 0.10),
    ("ct_chest_screen", "", 55, 78, 0.04),
    ("mr_spine", "", 30, 80, 0.02),
    ("mr_knee", "", 18, 70, 0.02),
    ("us_echo", "", 60, 95, 0.03),
    ("mr_brain_contrast", "", 30, 80, 0.01),
)
"""Studies at clinic visits: key, sex, from age, to age, chance a visit."""

GRAVE = {"central_line", "ventilation", "transfusion"}


class Services:
    """Simulates the events of one patient outside laboratory and pharmacy."""

    def __init__(self, patient: Patient) -> None:
        self.patient = patient
        self.person = patient.person
        self.rng = stream(patient.seed, patient.index, "services")
        self.numbers = 0

    def serve(self) -> None:
        """Add imaging, procedures, vaccinations, appointments, documents and charges."""
        labs: dict[str, list[LabOrder]] = defaultdict(list)
        for order in self.patient.labs:
            if not order.cancelled:
                labs[order.encounter.number].append(order)
        for encounter in self.patient.encounters:
            if encounter.cancelled:
                continue
            begun = len(self.patient.imaging)
            if encounter.kind == "O":
                self._clinic_imaging(encounter)
                self._appointment(encounter)
                if encounter.stays[0].unit == "DIAL":
                    self._procedure("dialysis", encounter, encounter.arrived)
            else:
                self._hospital_imaging(encounter)
                self._procedures(encounter)
            self._documents(encounter)
            done = self.patient.imaging[begun:]
            self._charges(encounter, labs[encounter.number], done)
        self._missed_appointments()
        self._vaccinations()

    def _number(self, letter: str) -> str:
        self.numbers += 1
        return f"{letter}{self.patient.index:06d}{self.numbers:04d}"

    def _clinic_imaging(self, encounter: Encounter) -> None:
        age = self.person.age(encounter.arrived)
        for key, sex, least, most, chance in SCREENING:
            fits = (not sex or sex == self.person.sex) and least <= age <= most
            if fits and self.rng.random() < chance:
                self._study(key, encounter, encounter.arrived + 30 * MINUTE, days=9)
        if encounter.stays[0].unit == "OBST" and self.rng.random() < 0.4:
            self._study("us_ob", encounter, encounter.arrived + 30 * MINUTE, days=1)

    def _hospital_imaging(self, encounter: Encounter) -> None:
        if encounter.kind == "I" and encounter.source == "7" and encounter.stays[0].unit != "ED":
            wanted = episodes()[encounter.episode].get("imaging", ())[1:]
        else:
            wanted = episodes()[encounter.episode].get("imaging", ())
        for i, key in enumerate(wanted):
            if i == 0 or self.rng.random() < 0.75:
                hours = between(self.rng, 0.5, 1.6) + 7 * i
                self._study(key, encounter, encounter.arrived + int(hours * HOUR), days=0)

    def _study(self, key: str, encounter: Encounter, ordered: int, *, days: int) -> None:
        rng, spec = self.rng, keyed("imaging")[key]
        started = ordered + int(between(rng, 0.3, 2.5) * HOUR)
        if days:
            started += rng.randrange(days) * DAY
        finished = started + int(float(spec["minutes"]) * between(rng, 0.8, 1.5) * MINUTE)
        reported = finished + int(between(rng, 0.4, 7) * HOUR)
        if reported >= min(self.person.died or self.patient.ends, self.patient.ends):
            return
        self.patient.imaging.append(
            ImagingStudy(
                key=key,
                placer=self._number("I"),
                accession=self._number("A"),
                uid=f"2.25.{rng.getrandbits(120)}",
                ordered=ordered,
                started=started,
                finished=finished,
                reported=reported,
                encounter=encounter,
                referring=encounter.attending,
                radiologist=provider(rng, "RAD"),
                reason=encounter.reason,
                findings=[
                    f"Study of {self.person.given} {self.person.family}, "
                    f"born {clock.day(self.person.birth)}.",
                    rng.choice(FINDINGS),
                    f"Discussed with Dr. {encounter.attending.family} by telephone.",
                ],
                contrast=spec["contrast"] == "yes",
                corrected=reported + int(between(rng, 3, 30) * HOUR)
                if rng.random() < 0.04 else None,
            )
        )  # fmt: skip

    def _procedures(self, encounter: Encounter) -> None:
        for key in episodes()[encounter.episode].get("procedures", ()):
            if (key in GRAVE and not encounter.severe) or encounter.disposition == "09":
                continue
            places = (s.since for s in encounter.stays if s.unit in ("OR", "CCU", "ICU"))
            begins = next(places, encounter.arrived + 2 * HOUR)
            time = min(begins + self.rng.randrange(10, 90) * MINUTE, encounter.left)
            self._procedure(key, encounter, time)

    def _procedure(self, key: str, encounter: Encounter, time: int) -> None:
        spec = keyed("procedures")[key]
        encounter.procedures.append(
            Procedure(
                Code(spec["pcs"], spec["text"], "I10P"),
                Code(spec["cpt"], spec["cpt_text"], "C4"),
                time,
                int(float(spec["minutes"]) * between(self.rng, 0.7, 1.5)),
                provider(self.rng, "MED" if key == "dialysis" else "SUR"),
                float(spec["price"]),
            )
        )

    def _appointment(self, encounter: Encounter) -> None:
        rng, start = self.rng, encounter.planned_at or encounter.arrived
        booked = start - rng.randrange(2, 45) * DAY + rng.randrange(-7, 8) * HOUR
        visit = self._booking(encounter, start, booked)
        visit.encounter = encounter
        if rng.random() < 0.12:
            earlier = start - rng.randrange(1, 9) * DAY
            if earlier > booked + DAY:
                visit.starts = earlier
                visit.changes.append((earlier - DAY, "S13", start))
        if rng.random() < 0.06:
            visit.changes.append((start - 20 * HOUR, "S14", start))

    def _booking(self, encounter: Encounter, start: int, booked: int) -> Appointment:
        visit = Appointment(
            number=self._number("S"), booked=booked, starts=start,
            minutes=self.rng.choice((15, 20, 30, 30, 45)), unit=encounter.stays[0].unit,
            kind=self.rng.choice(("NORMAL", "NORMAL", "FOLLOWUP")), reason=encounter.reason,
            provider=encounter.attending, hospital=encounter.hospital,
        )  # fmt: skip
        self.patient.appointments.append(visit)
        return visit

    def _missed_appointments(self) -> None:
        rng = self.rng
        for encounter in [e for e in self.patient.encounters if e.kind == "O"]:
            if rng.random() < 0.14:
                start = (encounter.planned_at or encounter.arrived) + rng.randrange(5, 60) * DAY
                if start > min(self.person.died or self.patient.ends, self.patient.ends):
                    continue
                visit = self._booking(encounter, start, encounter.left + HOUR)
                if rng.random() < 0.55:
                    visit.changes.append((start - rng.randrange(3, 90) * HOUR, "S15", start))
                else:
                    visit.changes.append((start + 2 * HOUR, "S26", start))

    def _vaccinations(self) -> None:
        rng, person = self.rng, self.person
        last = min(person.died or self.patient.ends, self.patient.ends)
        for row in table("vaccines"):
            for time, historic in self._due(row["ages"], row["season"]):
                if time >= last or rng.random() > float(row["rate"]):
                    continue
                refused = not historic and rng.random() < 0.05
                self.patient.immunizations.append(
                    Immunization(
                        time, Code(row["cvx"], row["text"], "CVX"), row["manufacturer"],
                        float(row["dose"]), row["route"], row["site"],
                        f"{rng.choice('ABCDEFGH')}{rng.randrange(1000, 9999)}",
                        self._number("V"), "RE" if refused else "CP", historic,
                        person.physician,
                    )
                )  # fmt: skip
        self.patient.immunizations.sort(key=lambda i: i.time)

    def _due(self, ages: str, season: str) -> list[tuple[int, bool]]:
        """Return the due times of a vaccine, and whether each is only reported."""
        born, begins, ends = self.person.birth, self.patient.begins, self.patient.ends
        found = []
        if season:
            least = float(ages.rstrip("+")) if ages else 0.5
            for year in range(clock.when(begins).year, clock.when(ends - 1).year + 1):
                time = clock.at(year, 10, 1) + self.rng.randrange(60) * DAY + 10 * HOUR
                if begins <= time < ends and time - born > least * clock.YEAR:
                    found.append((time, False))
            return found
        for age in ages.split():
            time = born + int(float(age) * clock.YEAR) + self.rng.randrange(1, 28) * DAY
            time = time - time % DAY + 14 * HOUR
            if begins <= time < ends:
                found.append((time, False))
            elif begins - 3 * clock.YEAR < time < begins and self.rng.random() < 0.3:
                found.append((begins + self.rng.randrange(60) * DAY, True))
        return found

    def _documents(self, encounter: Encounter) -> None:
        rng, wanted = self.rng, []
        if encounter.kind == "I":
            wanted = [(("34117-2", "History and physical note"), encounter.arrived + 3 * HOUR),
                      (("18842-5", "Discharge summary"), encounter.left + 4 * HOUR)]  # fmt: skip
            if encounter.left - encounter.arrived > 3 * DAY:
                wanted.append((("11506-3", "Progress note"), encounter.arrived + 50 * HOUR))
        elif encounter.kind == "E":
            wanted = [(("34111-5", "Emergency department Note"), encounter.left)]
        elif rng.random() < 0.5:
            wanted = [(("11506-3", "Progress note"), encounter.left + HOUR)]
        for (code, text), time in wanted:
            own = Document(
                self._number("D"), time, Code(code, text, "LN"), self._note(encounter),
                encounter.attending, encounter,
            )  # fmt: skip
            self.patient.documents.append(own)
            if rng.random() < 0.05:
                self.patient.documents.append(
                    Document(
                        self._number("D"), time + 20 * HOUR, own.code,
                        ["Addendum: dictation error corrected."], own.author, encounter, own.number,
                    )
                )  # fmt: skip

    def _note(self, encounter: Encounter) -> list[str]:
        person = self.person
        relative = person.relatives[0]
        return [
            f"{person.given} {person.family} is a {person.age(encounter.arrived)} year old "
            f"seen for {encounter.reason.text.lower()}.",
            f"Lives at {person.addresses[0].street}, {person.addresses[0].city}. "
            f"Home phone {person.phone}.",
            f"Plan reviewed with {relative.relation.lower()} {relative.given} {relative.family} "
            f"({relative.phone}).",
            self.rng.choice(PLANS),
        ]

    def _charges(
        self, encounter: Encounter, labs: list[LabOrder], studies: list[ImagingStudy]
    ) -> None:
        rng = self.rng
        lines: list[tuple[Code, float, int]] = []
        if encounter.kind == "O":
            row = pick(rng, VISIT_CODES, (2, 5, 4, 1))
            lines.append((Code(row[0], row[1], "C4"), row[2], 1))
        elif encounter.kind == "E":
            row = ED_CODES[min(2, len(self.patient.conditions) // 3 + encounter.severe)]
            lines.append((Code(row[0], row[1], "C4"), row[2], 1))
        else:
            units = {s.unit for s in encounter.stays}
            days = max(1, (encounter.left - encounter.arrived) // DAY)
            room = ROOMS["ICU" if units & {"ICU", "CCU"} else "MED"]
            lines.append((Code(room[0], room[1], "NUBC"), room[2] * days, days))
        lines += [(p.cpt, p.price, 1) for p in encounter.procedures]
        for study in studies:
            spec = keyed("imaging")[study.key]
            lines.append((Code(spec["cpt"], spec["text"], "C4"), float(spec["price"]), 1))
        for order in labs[: max(0, 9 - len(lines))]:
            lab = document("panels")[order.panel]
            lines.append((Code(lab["loinc"], lab["text"], "LN"), float(lab["price"]), 1))
        total = 0.0
        for code, amount, quantity in lines:
            total += amount
            self._charge(encounter, encounter.left, "CG", code, amount, quantity)
        if rng.random() < 0.8:
            paid = round(total * between(rng, 0.5, 0.9), 2)
            later = encounter.left + rng.randrange(14, 60) * DAY
            if later < self.patient.ends:
                code = Code("PAYINS", "Insurance payment", "99BILL")
                self._charge(encounter, later, "PY", code, -paid, 1)
                code = Code("ADJCON", "Contractual adjustment", "99BILL")
                self._charge(encounter, later, "AJ", code, -round(total - paid, 2), 1)

    def _charge(
        self, encounter: Encounter, time: int, kind: str, code: Code, amount: float, quantity: int
    ) -> None:
        self.patient.charges.append(
            Charge(
                self._number("C"), time, kind, code, round(amount, 2), quantity, encounter,
                encounter.attending,
            )
        )  # fmt: skip


VISIT_CODES = (
    ("99212", "Office or other outpatient visit, established patient, straightforward", 92.0),
    ("99213", "Office or other outpatient visit, established patient, low complexity", 132.0),
    ("99214", "Office or other outpatient visit, established patient, moderate complexity", 188.0),
    ("99203", "Office or other outpatient visit, new patient, low complexity", 164.0),
)
ED_CODES = (
    ("99283", "Emergency department visit, low complexity", 410.0),
    ("99284", "Emergency department visit, moderate complexity", 690.0),
    ("99285", "Emergency department visit, high complexity", 1_020.0),
)
ROOMS = {
    "MED": ("0120", "Room and board, semi-private, two beds", 1_450.0),
    "ICU": ("0200", "Intensive care, general", 4_300.0),
}
FINDINGS = (
    "No acute abnormality.",
    "Patchy opacity in the right lower zone; follow-up advised.",
    "Mild degenerative change, otherwise unremarkable.",
    "Small pleural effusion, unchanged.",
    "Findings as described; clinical correlation recommended.",
)
PLANS = (
    "Continue current treatment, return in three months.",
    "Medication adjusted; laboratory follow-up ordered.",
    "Warning signs explained, written instructions given.",
    "Referred for further work-up.",
)
