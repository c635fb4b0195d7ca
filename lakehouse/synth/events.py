"""The events of a patient: encounters, and the orders, results and documents in them.

All times are whole seconds of `lakehouse.synth.clock`. Codes carry their system as HL7 names it
(``LN``, ``I10C``, ``RXNORM``, ``SCT``, ...).
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True, frozen=True)
class Code:
    """A coded concept."""

    code: str
    text: str
    system: str


@dataclass(slots=True, frozen=True)
class Provider:
    """A clinician."""

    number: str
    family: str
    given: str
    degree: str
    service: str


@dataclass(slots=True)
class Diagnosis:
    """A diagnosis of one encounter; ``present``: Y, N, U, W or empty where exempt."""

    code: Code
    rank: int
    present: str


@dataclass(slots=True)
class Procedure:
    """A procedure of one encounter, coded for the hospital (PCS) and for the bill (CPT)."""

    pcs: Code
    cpt: Code
    time: int
    minutes: int
    surgeon: Provider
    price: float


@dataclass(slots=True)
class Stay:
    """A location of an encounter, from a time on."""

    since: int
    unit: str
    room: str
    bed: str


@dataclass(slots=True)
class Encounter:
    """A visit.

    Attributes:
        kind: I inpatient, E emergency, O outpatient.
        identity: Index of the identity under which it was registered.
        admitted_from_ed: Time at which an emergency visit became an inpatient one (A06), if so.
        cancelled: Time at which the admission was cancelled (A11), if so.
        discharge_undone: Times of a discharge stated in error and of its cancelling (A13).
        severe: Whether an acute episode took a grave course.
    """

    number: str
    kind: str
    hospital: int
    service: str
    stays: list[Stay]
    arrived: int
    left: int
    reason: Code
    attending: Provider
    referring: Provider
    account: str
    episode: str = ""
    identity: int = 0
    admission_type: str = "R"
    source: str = "1"
    disposition: str = "01"
    diagnoses: list[Diagnosis] = field(default_factory=list)
    procedures: list[Procedure] = field(default_factory=list)
    planned_at: int | None = None
    admitted_from_ed: int | None = None
    cancelled: int | None = None
    discharge_undone: tuple[int, int] | None = None
    readmission: bool = False
    severe: bool = False

    def stay(self, time: int) -> Stay:
        """Return the location of the patient at a time."""
        found = self.stays[0]
        for stay in self.stays:
            if stay.since <= time:
                found = stay
        return found

    def kind_at(self, time: int) -> str:
        """Return the patient class at a time: an emergency visit may become an inpatient one."""
        return "E" if self.admitted_from_ed and time < self.admitted_from_ed else self.kind


@dataclass(slots=True)
class Result:
    """One result: a number (with its analyte's key), or a code, text or structured number."""

    key: str
    value: float | str | Code
    flag: str = ""


@dataclass(slots=True)
class LabOrder:
    """A laboratory order with its results and status.

    Attributes:
        preliminary: When a preliminary report went out, if one did.
        corrected: Time, position and true value of a corrected result, if any.
        cancelled: Whether the laboratory could not do it.
        wrong: Whether it was posted to this patient by mistake and withdrawn.
        acknowledged: When a clinician confirmed a critical result.
    """

    placer: str
    filler: str
    panel: str
    ordered: int
    collected: int
    received: int
    resulted: int
    stat: bool
    provider: Provider
    encounter: Encounter
    results: list[Result]
    preliminary: int | None = None
    corrected: tuple[int, int, float] | None = None
    cancelled: bool = False
    wrong: bool = False
    acknowledged: int | None = None


@dataclass(slots=True)
class VitalSigns:
    """One set of vital signs."""

    time: int
    encounter: Encounter
    values: dict[str, float | str]


@dataclass(slots=True)
class MedicationOrder:
    """A prescription or a hospital order, with its dispenses and administrations."""

    placer: str
    filler: str
    drug: str
    dose: float
    frequency: str
    starts: int
    ends: int
    provider: Provider
    encounter: Encounter | None
    indication: Code | None = None
    stopped: int | None = None
    dispensed: list[int] = field(default_factory=list)
    given: list[tuple[int, float, str]] = field(default_factory=list)


@dataclass(slots=True)
class Immunization:
    """A vaccination: given, refused or reported."""

    time: int
    vaccine: Code
    manufacturer: str
    dose: float
    route: str
    site: str
    lot: str
    order: str
    status: str
    historic: bool
    provider: Provider


@dataclass(slots=True)
class Appointment:
    """An appointment; ``changes``: (time, trigger event, new start)."""

    number: str
    booked: int
    starts: int
    minutes: int
    unit: str
    kind: str
    reason: Code
    provider: Provider
    hospital: int
    changes: list[tuple[int, str, int]] = field(default_factory=list)
    encounter: Encounter | None = None


@dataclass(slots=True)
class Charge:
    """A financial transaction: CG charge, PY payment, AJ adjustment."""

    number: str
    time: int
    kind: str
    code: Code
    amount: float
    quantity: int
    encounter: Encounter
    provider: Provider


@dataclass(slots=True)
class Document:
    """A clinical document with its text; ``parent`` is the one it adds to."""

    number: str
    time: int
    code: Code
    lines: list[str]
    author: Provider
    encounter: Encounter
    parent: str = ""


@dataclass(slots=True)
class ImagingStudy:
    """An imaging study: the order, the report, and what a DICOM writer needs.

    Attributes:
        key: Row of ``catalog/synth/imaging.csv``.
        accession: Accession number; the same in the order, the report and the DICOM objects.
        uid: Study instance UID.
    """

    key: str
    placer: str
    accession: str
    uid: str
    ordered: int
    started: int
    finished: int
    reported: int
    encounter: Encounter
    referring: Provider
    radiologist: Provider
    reason: Code
    findings: list[str]
    contrast: bool
    corrected: int | None = None
