"""Simulates vital signs: their frequency by unit, and their values."""

from __future__ import annotations

from lakehouse.synth.body import Active, Body
from lakehouse.synth.chance import between, pick, stream
from lakehouse.synth.clock import DAY, HOUR, MINUTE
from lakehouse.synth.events import Encounter, VitalSigns
from lakehouse.synth.life import Patient

EVERY = {"ED": 1.5, "ICU": 2.0, "CCU": 2.0, "LD": 3.0, "OR": 0.0, "TELE": 5.0, "PSYC": 12.0}
"""Hours between sets, by unit; six elsewhere."""

CONSCIOUSNESS = ((15, "A"), (13, "C"), (9, "V"), (4, "P"), (0, "U"))
"""Lowest Glasgow Coma Scale of each level: alert, new confusion, voice, pain, unresponsive."""


class Bedside:
    """Simulates the vital signs of one patient."""

    def __init__(self, patient: Patient, body: Body) -> None:
        self.patient = patient
        self.body = body
        self.rng = stream(patient.seed, patient.index, "bedside")

    def watch(self) -> None:
        """Add vital signs to the patient for all encounters."""
        for encounter in self.patient.encounters:
            if encounter.cancelled:
                continue
            if encounter.kind == "O":
                self._take(encounter, encounter.arrived + 8 * MINUTE, first=True)
            else:
                self._rounds(encounter)
        self.patient.vitals.sort(key=lambda v: v.time)

    def _rounds(self, encounter: Encounter) -> None:
        time, first = encounter.arrived + int(between(self.rng, 4, 14) * MINUTE), True
        while time < encounter.left:
            unit = encounter.stay(time).unit
            hours = EVERY.get(unit, 6.0)
            if hours:
                self._take(encounter, time, first=first)
                first = False
            time += int(max(hours, 1.0) * between(self.rng, 0.85, 1.15) * HOUR)

    def _take(self, encounter: Encounter, time: int, *, first: bool) -> None:
        rng, body = self.rng, self.body
        active = body.active(time)
        flow, fraction = body.oxygen(time, active)
        saturation = body.sign("spo2", time, active, rng)
        if flow:
            # oxygen brings back most of what the lungs lack
            saturation = min(saturation + 0.75 * (94 - saturation) if saturation < 94
                             else saturation, 99.0)  # fmt: skip
        systolic = body.sign("systolic_bp", time, active, rng)
        diastolic = min(body.sign("diastolic_bp", time, active, rng), systolic - 12)
        values: dict[str, float | str] = {
            "heart_rate": round(body.sign("heart_rate", time, active, rng)),
            "respiratory_rate": round(body.sign("respiratory_rate", time, active, rng)),
            "systolic_bp": round(systolic),
            "diastolic_bp": round(diastolic),
            "temperature": round(body.sign("temperature", time, active, rng), 1),
            "spo2": min(100, round(saturation)),
        }
        if first:
            values["height_cm"] = round(body.height_cm(time), 1)
            values["weight_kg"] = round(body.weight_kg(time) * rng.gauss(1, 0.008), 1)
        if encounter.kind != "O":
            self._hospital(encounter, time, active, values, flow, fraction)
        elif rng.random() < 0.4:
            values["pain"] = max(0, round(rng.gauss(1.5, 1.6)))
        if rng.random() < 0.02:
            # now and then a sign is not taken
            del values[pick(rng, ("temperature", "respiratory_rate", "spo2"), (2, 2, 1))]
        self.patient.vitals.append(VitalSigns(time, encounter, values))

    def _hospital(
        self, encounter: Encounter, time: int, active: Active, values: dict[str, float | str],
        flow: float, fraction: int,
    ) -> None:  # fmt: skip
        rng = self.rng
        unit = encounter.stay(time).unit
        coma = self.body.coma(active)
        values["mean_bp"] = round((float(values["systolic_bp"]) + 2 * float(
            values["diastolic_bp"])) / 3)  # fmt: skip
        values["oxygen_flow"] = flow
        if unit == "ICU":
            values["fio2"] = fraction
        if unit in ("ICU", "CCU", "ED") or coma < 15 or rng.random() < 0.3:
            values["gcs"] = coma
        values["consciousness"] = next(level for low, level in CONSCIOUSNESS if coma >= low)
        values["pain"] = min(10, max(0, round(self.body.sign("pain", time, active, rng))))
        if unit in ("ICU", "CCU", "MED", "TELE") and 6 * HOUR <= time % DAY < 9 * HOUR:
            values["urine_output"] = round(self.body.sign("urine_output", time, active, rng))
