"""Simulates laboratory orders and results."""

from __future__ import annotations

from random import Random
from typing import Any

from lakehouse.synth.body import Active, Body
from lakehouse.synth.catalog import Analyte, analytes, conditions, document, episodes
from lakehouse.synth.chance import between, stream, weighted
from lakehouse.synth.clock import DAY, HOUR, MINUTE
from lakehouse.synth.events import Code, Encounter, LabOrder, Result
from lakehouse.synth.life import Patient

NO_GROWTH = Code("264868006", "No growth", "SCT")
NORMAL_ANSWERS = {"260385009", "260415000", "264868006"}
TROPONIN_LIMIT = {"F": 16.0, "M": 34.0}


class Laboratory:
    """Simulates the laboratory orders and results of one patient."""

    def __init__(self, patient: Patient, body: Body) -> None:
        self.patient = patient
        self.body = body
        self.rng = stream(patient.seed, patient.index, "laboratory")
        self.blood_type: Code | None = None
        self.count = 0

    def serve(self) -> None:
        """Add laboratory orders to the patient for all encounters."""
        for encounter in self.patient.encounters:
            if encounter.kind == "O":
                self._clinic(encounter)
            elif not encounter.cancelled:
                self._hospital(encounter)
        self.patient.labs.sort(key=lambda order: order.ordered)

    def _clinic(self, encounter: Encounter) -> None:
        wanted: list[str] = []
        for held in self.patient.conditions:
            if held.onset <= encounter.arrived and self.rng.random() < 0.6:
                entry = conditions()[held.key]
                if encounter.stays[0].unit in (entry["clinic"], "PCP"):
                    wanted += entry.get("panels", ())
        if encounter.stays[0].unit == "PCP" and self.patient.person.age(encounter.arrived) > 35:
            wanted += [p for p in ("cmp", "cbc", "lipid") if self.rng.random() < 0.5]
            wanted += ["hba1c"] if self.rng.random() < 0.2 else []
        if encounter.stays[0].unit == "OBST":
            wanted += ["cbc", "hcg", "urinalysis"]
        if "cmp" in wanted or "bmp" in wanted:
            wanted = [p for p in wanted if p != ("bmp" if "cmp" in wanted else "")]
        time = encounter.arrived + 20 * MINUTE
        for panel in dict.fromkeys(wanted):
            self._order(panel, encounter, time, stat=False)

    def _hospital(self, encounter: Encounter) -> None:
        entry = episodes()[encounter.episode]
        end = encounter.left
        from_ed = encounter.kind == "I" and encounter.source == "7" and (
            encounter.stays[0].unit != "ED")  # fmt: skip
        if not from_ed:
            first = encounter.arrived + int(between(self.rng, 8, 45) * MINUTE)
            for panel in entry.get("panels", ()):
                self._order(panel, encounter, first, stat=True)
            if "troponin" in entry.get("panels", ()):
                for hours in (3, 6):
                    if first + hours * HOUR < end:
                        self._order("troponin", encounter, first + hours * HOUR, stat=True)
        if encounter.kind == "I":
            self._mornings(encounter, list(entry.get("daily", ())))
        for stay, until in _stays(encounter):
            if stay == "ICU":
                time = encounter.arrived + 6 * HOUR
                while time < until[1]:
                    if time > until[0]:
                        self._order("abg", encounter, time, stat=True)
                    time += int(between(self.rng, 5, 9) * HOUR)
        if entry.get("pathology"):
            surgery = next((s.since for s in encounter.stays if s.unit == "OR"), encounter.arrived)
            self._order("pathology", encounter, surgery + HOUR, stat=False)

    def _mornings(self, encounter: Encounter, daily: list[str]) -> None:
        morning = encounter.arrived - encounter.arrived % DAY + DAY + 5 * HOUR
        while morning < encounter.left:
            for panel in daily:
                self._order(panel, encounter, morning + self.rng.randrange(70) * MINUTE, stat=False)
            morning += DAY

    def _order(self, panel: str, encounter: Encounter, ordered: int, *, stat: bool) -> None:
        rng, spec = self.rng, document("panels")[panel]
        drawn = ordered + int(between(rng, 3, 20) * MINUTE)
        transport, work = spec["minutes"]
        pace = between(rng, 0.6, 1.7) * (0.4 if stat and work < 600 else 1.0)
        received = drawn + int(transport * pace * MINUTE)
        resulted = received + int(work * pace * MINUTE)
        if received >= (self.patient.person.died or resulted):
            return
        self.count += 1
        number = f"{self.patient.index:06d}{self.count:04d}"
        order = LabOrder(
            placer=f"P{number}", filler=f"L{number}", panel=panel, ordered=ordered,
            collected=drawn, received=received, resulted=resulted, stat=stat,
            provider=encounter.attending, encounter=encounter, results=[],
        )  # fmt: skip
        active = self.body.active(drawn)
        self._results(order, spec, active)
        self._course(order, work)
        self.patient.labs.append(order)

    def _results(self, order: LabOrder, spec: dict[str, Any], active: Active) -> None:
        time, values = order.collected, dict[str, float]()
        for key in spec.get("results", ()):
            values[key] = self.body.lab(key, time, active)
        if "ldl" in values:
            rest = values["cholesterol_total"] - values["hdl"] - values["triglycerides"] / 5
            values["ldl"] = round(max(rest, 12.0))
        if "fio2" in values:
            values["fio2"] = float(self.body.oxygen(time, active)[1])
            values["po2"] = round(values["po2"] * (1 + (values["fio2"] - 21) / 55))
        if spec.get("egfr") and (age := self.patient.person.age(time)) >= 18:
            values["egfr"] = round(egfr(values["creatinine"], age, self.patient.person.sex))
        for key, value in values.items():
            order.results.append(Result(key, value, flag(key, value, self.patient.person.sex)))
        for key in spec.get("findings", ()):
            order.results.append(self._finding(key, time, active))

    def _finding(self, key: str, time: int, active: Active) -> Result:
        spec = document("findings")[key]
        if spec["kind"] == "number":
            rate = self.body.sign("heart_rate", time, active)
            qtc = self.rng.gauss(424, 21)
            value = {"ecg_rate": rate, "ecg_qtc": qtc, "ecg_qt": qtc * (60 / rate) ** 0.5}[key]
            return Result(key, round(value), "H" if key == "ecg_qtc" and value > 470 else "N")
        if spec["kind"] == "text":
            return Result(key, _TEXTS[key](self.rng, self.patient, active))
        if key == "blood_type" and self.blood_type:
            return Result(key, self.blood_type)
        answer = weighted(self.rng, spec["answers"])
        for episode, code in spec.get("when", {}).items():
            if any(name == episode for name, _ in active) and self.rng.random() < 0.85:
                answer = next(a for a in spec["answers"] if a[0] == code)
        if spec["kind"] != "coded":
            return Result(key, answer[0], "A" if str(answer[0]).startswith((">", "^1")) else "N")
        found = Code(answer[0], answer[1], answer[2])
        if key == "blood_type":
            self.blood_type = found
            return Result(key, found)
        return Result(key, found, "N" if found.code in NORMAL_ANSWERS else "A")

    def _course(self, order: LabOrder, work: int) -> None:
        """Make a few orders preliminary, corrected, cancelled or withdrawn."""
        rng = self.rng
        chance = rng.random()
        numbers = [i for i, r in enumerate(order.results) if isinstance(r.value, float)]
        if work >= 1_000:
            order.preliminary = order.received + min(26 * HOUR, (order.resulted - order.received)
                                                     // 2)  # fmt: skip
        elif chance < 0.03:
            order.preliminary = order.received + (order.resulted - order.received) // 2
        elif chance < 0.05 and numbers:
            position = rng.choice(numbers)
            result = order.results[position]
            value = float(result.value)  # type: ignore[arg-type]
            wrong = _misread(result.key, value, rng)
            result.value = wrong
            result.flag = flag(result.key, wrong, self.patient.person.sex)
            time = order.resulted + int(between(rng, 40, 400) * MINUTE)
            order.corrected = (time, position, value)
        elif chance < 0.062:
            order.cancelled = True
        elif chance < 0.064:
            order.wrong = True
        if any(r.flag in ("HH", "LL") for r in order.results) and not order.cancelled:
            order.acknowledged = order.resulted + int(rng.lognormvariate(2.9, 0.8) * MINUTE)


def flag(key: str, value: float, sex: str) -> str:
    """Return the interpretation of a number (HL7 table 0078).

    Examples:
        >>> flag("potassium", 6.6, "F"), flag("potassium", 4.0, "F")
        ('HH', 'N')
    """
    if key == "egfr":
        return "L" if value < 60 else "N"
    spec: Analyte = analytes()[key]
    low, high = spec.critical
    if low is not None and value <= low:
        return "LL"
    if high is not None and value >= high:
        return "HH"
    limits = spec.range_male if sex == "M" else spec.range_female
    if not limits:
        return ""
    return "L" if value < limits[0] else "H" if value > limits[1] else "N"


def egfr(creatinine: float, age: int, sex: str) -> float:
    """Return the estimated glomerular filtration rate (CKD-EPI 2021).

    Examples:
        >>> round(egfr(1.0, 50, "M"), 2)
        91.69
    """
    kappa, alpha, factor = (0.9, -0.302, 1.0) if sex == "M" else (0.7, -0.241, 1.012)
    ratio = creatinine / kappa
    return float(142 * min(ratio, 1) ** alpha * max(ratio, 1) ** -1.2 * 0.9938**age * factor)


def _misread(key: str, value: float, rng: Random) -> float:
    """Return the first reported value of a result that is corrected later."""
    decimals = analytes()[key].decimals if key in analytes() else 0
    return round(value * between(rng, 1.3, 1.9), decimals)


def _stays(encounter: Encounter) -> list[tuple[str, tuple[int, int]]]:
    starts = [s.since for s in encounter.stays] + [encounter.left]
    return [(s.unit, (starts[i], starts[i + 1])) for i, s in enumerate(encounter.stays)]


def _ecg(rng: Random, patient: Patient, active: Active) -> str:
    rhythm = "Atrial fibrillation" if any(k == "afib_rvr" for k, _ in active) else "Sinus rhythm"
    return f"{rhythm}. Compared with the tracing of Mr/Ms {patient.person.family} on file."


def _pathology(rng: Random, patient: Patient, active: Active) -> str:
    return (
        f"Specimen labelled {patient.person.family}, {patient.person.given}: "
        f"{rng.choice(['acute inflammation, no malignancy', 'chronic inflammation'])}."
    )


_TEXTS = {"ecg_text": _ecg, "pathology_report": _pathology}
