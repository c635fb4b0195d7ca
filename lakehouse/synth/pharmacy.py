"""Simulates medications: prescriptions with their fills, and administrations in hospital."""

from __future__ import annotations

from lakehouse.synth.catalog import conditions, episodes, keyed
from lakehouse.synth.chance import between, stream
from lakehouse.synth.clock import DAY, HOUR
from lakehouse.synth.events import Code, Encounter, MedicationOrder
from lakehouse.synth.life import Patient

HOURS = {
    "QD": 24, "QAM": 24, "QHS": 24, "BID": 12, "TID": 8, "Q4H": 4, "Q6H": 6, "Q8H": 8, "Q12H": 12,
    "Q1H": 4, "PRN": 9, "ONCE": 10_000, "QWK": 168, "QMO": 720,
}  # fmt: skip
"""Hours between doses; a continuous infusion (Q1H) is recorded every four."""

GRAVE = {"norepinephrine", "propofol", "morphine"}
"""Given only when an episode takes a grave course."""

MOST_DOSES = 12
"""Administrations recorded for one order; enough for every view, and half the messages."""


class Pharmacy:
    """Simulates the medication orders of one patient."""

    def __init__(self, patient: Patient) -> None:
        self.patient = patient
        self.rng = stream(patient.seed, patient.index, "pharmacy")
        self.count = 0

    def serve(self) -> None:
        """Add medication orders to the patient."""
        self._long_term()
        for encounter in self.patient.encounters:
            if encounter.kind != "O" and not encounter.cancelled:
                self._hospital(encounter)
                self._discharge(encounter)
        self.patient.medications.sort(key=lambda order: order.starts)

    def _order(
        self, drug: str, starts: int, ends: int, encounter: Encounter | None,
        indication: Code | None,
    ) -> MedicationOrder:  # fmt: skip
        self.count += 1
        number = f"{self.patient.index:06d}{self.count:04d}"
        spec = keyed("drugs")[drug]
        who = encounter.attending if encounter else self.patient.person.physician
        order = MedicationOrder(
            f"R{number}", f"RX{number}", drug, float(spec["dose"]), spec["frequency"],
            starts, ends, who, encounter, indication,
        )  # fmt: skip
        self.patient.medications.append(order)
        return order

    def _long_term(self) -> None:
        """Prescribe for each condition, at the first visit after it began; renew every year."""
        rng, taken = self.rng, set[str]()
        visits = [e for e in self.patient.encounters if e.kind == "O"]
        last = self.patient.person.died or self.patient.ends
        for held in self.patient.conditions:
            drugs = [d for d in conditions()[held.key].get("drugs", ()) if d not in taken]
            wanted = drugs[: 1 + (rng.random() < 0.6) + (rng.random() < 0.25)]
            visit = next((v for v in visits if v.arrived >= held.onset), None)
            if not visit or rng.random() < 0.1:
                continue
            for drug in wanted:
                taken.add(drug)
                self._course(drug, visit, last, held.code)

    def _course(self, drug: str, visit: Encounter, last: int, why: Code) -> None:
        rng = self.rng
        stops = visit.left + int(between(rng, 0.1, 1) * (last - visit.left))
        stopped = stops if rng.random() < 0.2 else None
        begins, first = visit.left, True
        while begins < (stopped or last):
            ends = begins + 365 * DAY
            order = self._order(drug, begins, ends, visit if first else None, why)
            if stopped and stopped < ends:
                order.stopped = stopped
            until = min(ends, stopped or last, last)
            fill = begins + rng.randrange(1, 50) * HOUR
            while fill < until:
                if rng.random() < 0.85:
                    order.dispensed.append(fill)
                fill += rng.randrange(84, 100) * DAY
            begins, first = ends, False

    def _hospital(self, encounter: Encounter) -> None:
        entry = episodes()[encounter.episode]
        rng, shocked = self.rng, encounter.severe
        split = encounter.kind == "E" and encounter.disposition == "09"
        drugs = list(entry.get("drugs", ()))
        if split:
            drugs = drugs[:2]
        if encounter.kind == "I":
            # long-term medication goes on in hospital
            home = [m.drug for m in self.patient.medications
                    if m.starts < encounter.arrived < (m.stopped or m.ends)]  # fmt: skip
            drugs += [d for d in home if d not in drugs][:3]
        for drug in dict.fromkeys(drugs):
            if drug in GRAVE and not shocked:
                continue
            starts = encounter.arrived + int(between(rng, 0.5, 3) * HOUR)
            ends = encounter.left
            if drug in GRAVE or keyed("drugs")[drug]["frequency"] == "Q1H":
                ends = min(ends, starts + int(between(rng, 18, 44) * HOUR))
            if starts >= ends:
                continue
            order = self._order(drug, starts, ends, encounter, encounter.reason)
            self._give(order)

    def _give(self, order: MedicationOrder) -> None:
        rng = self.rng
        hours = HOURS[order.frequency]
        time = order.starts + int(between(rng, 0.2, 1) * HOUR)
        while time < order.ends and len(order.given) < MOST_DOSES:
            chance = rng.random()
            status = "CP" if chance < 0.955 else "RE" if chance < 0.98 else "NA"
            dose = order.dose
            if order.drug == "norepinephrine":
                part = (time - order.starts) / max(1, order.ends - order.starts)
                dose = round(max(0.02, order.dose * (1.2 - part) * between(rng, 0.8, 1.2)), 3)
            order.given.append((time, dose if status == "CP" else 0.0, status))
            if order.frequency == "ONCE":
                break
            time += int(hours * HOUR * between(rng, 0.93, 1.07))

    def _discharge(self, encounter: Encounter) -> None:
        if encounter.disposition in ("20", "09"):
            return
        for drug in episodes()[encounter.episode].get("home", ()):
            if self.rng.random() < 0.85:
                days = 90 if float(keyed("drugs")[drug]["quantity"]) >= 30 else 10
                order = self._order(
                    drug, encounter.left, encounter.left + days * DAY, encounter, encounter.reason
                )
                if self.rng.random() < 0.9:
                    order.dispensed.append(encounter.left + self.rng.randrange(2, 40) * HOUR)
