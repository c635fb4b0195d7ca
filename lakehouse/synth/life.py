"""The simulated record of a patient, which writers turn into files."""

from __future__ import annotations

from dataclasses import dataclass, field

from lakehouse.synth.clock import years_between
from lakehouse.synth.events import (
    Appointment,
    Charge,
    Code,
    Document,
    Encounter,
    ImagingStudy,
    Immunization,
    LabOrder,
    MedicationOrder,
    Provider,
    VitalSigns,
)


@dataclass(slots=True)
class Identity:
    """A record number with its assigning authority and its origin.

    Attributes:
        kind: home, second (at the other hospital; linked by A24) or duplicate (merged by A40).
        joined: When a second or duplicate identity was linked or merged; None for the home one.
    """

    number: str
    authority: str
    kind: str = "home"
    joined: int | None = None


@dataclass(slots=True)
class Address:
    """An address from a time on."""

    since: int
    street: str
    city: str
    county: str
    state: str
    postal: str
    country: str
    area_code: str


@dataclass(slots=True)
class Relative:
    """Next of kin or guarantor."""

    family: str
    given: str
    code: str
    relation: str
    phone: str


@dataclass(slots=True)
class Insurance:
    """An insurance coverage."""

    plan: str
    company: str
    kind: str
    group: str
    member: str
    relation: str
    starts: int


@dataclass(slots=True)
class Person:
    """The demographics of a patient."""

    index: int
    sex: str
    birth: int
    family: str
    given: str
    middle: str
    suffix: str
    maiden: str
    race: Code
    ethnicity: Code
    language: Code
    marital: str
    religion: str
    ssn: str
    licence: str
    phone: str
    work_phone: str
    email: str
    employer: str
    account: str
    hospital: int
    addresses: list[Address]
    insurance: list[Insurance]
    relatives: list[Relative]
    identities: list[Identity]
    physician: Provider
    died: int | None = None

    def age(self, time: int) -> int:
        """Return the age in whole years."""
        return years_between(self.birth, time)


@dataclass(slots=True)
class Condition:
    """A chronic condition."""

    key: str
    code: Code
    onset: int
    also: list[Code] = field(default_factory=list)
    older: list[Code] = field(default_factory=list)


@dataclass(slots=True)
class Allergy:
    """An allergy or intolerance."""

    allergen: Code
    kind: str
    severity: str
    reaction: Code
    recorded: int


@dataclass(slots=True)
class Patient:
    """The whole record of a patient: demographics, and all events in the period."""

    seed: int
    person: Person
    begins: int
    ends: int
    smoking: Code
    conditions: list[Condition] = field(default_factory=list)
    allergies: list[Allergy] = field(default_factory=list)
    encounters: list[Encounter] = field(default_factory=list)
    labs: list[LabOrder] = field(default_factory=list)
    vitals: list[VitalSigns] = field(default_factory=list)
    medications: list[MedicationOrder] = field(default_factory=list)
    immunizations: list[Immunization] = field(default_factory=list)
    appointments: list[Appointment] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    imaging: list[ImagingStudy] = field(default_factory=list)

    @property
    def index(self) -> int:
        """Number of the patient, from 0."""
        return self.person.index

    def identity(self, encounter: Encounter | None, time: int) -> Identity:
        """Return the record number in use: a duplicate one until its merge."""
        person = self.person
        if encounter is None or encounter.identity == 0:
            return person.identities[0]
        own = person.identities[encounter.identity]
        merged = own.kind == "duplicate" and own.joined is not None and time >= own.joined
        return person.identities[0] if merged else own

    def has(self, condition: str, time: int) -> bool:
        """Return whether a condition has begun by a time."""
        return any(c.key == condition and c.onset <= time for c in self.conditions)
