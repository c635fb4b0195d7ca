"""Composes the messages of one patient, and the segments that they share."""

from __future__ import annotations

from dataclasses import dataclass

from lakehouse.synth.chance import stream
from lakehouse.synth.clock import day, stamp
from lakehouse.synth.events import Code, Encounter, Provider, Stay
from lakehouse.synth.life import Address, Identity, Patient
from lakehouse.synth.people import HOSPITALS
from lakehouse.synth.writers.hl7v2.feeds import FEEDS, Feed, coded, escape


@dataclass(slots=True)
class Message:
    """A message with its time and interface.

    Attributes:
        arrives: When it arrives; later than MSH-7 says for a late one.
        feed: Name of its interface.
        text: Its segments, each ended by a carriage return.
        spare: Whether it may be damaged without hurting the story.
        fault: malformed, duplicate or late, where something went wrong with it.
    """

    arrives: int
    feed: str
    text: str
    spare: bool
    fault: str = ""


class Scribe:
    """Composes and collects the messages of one patient.

    Args:
        life: Whose messages.
    """

    def __init__(self, life: Patient) -> None:
        self.life = life
        self.person = life.person
        self.rng = stream(life.seed, life.index, "hl7v2")
        self.messages: list[Message] = []
        self._pid: dict[tuple[str, int, bool, bool], tuple[str, str]] = {}
        self._pv1: dict[tuple[str, str, str, bool], tuple[str, str]] = {}
        self._providers: dict[str, str] = {}

    def send(
        self, feed: Feed, time: int, kind: str, body: str, *, spare: bool = False, lag: int = 40
    ) -> None:
        """Add one message.

        Args:
            feed: Interface that sends it.
            time: When the event happened.
            kind: Type, event and structure (``ADT^A01^ADT_A01``).
            body: Segments after MSH, each ended by a carriage return.
            spare: Whether it may be damaged without hurting the story.
            lag: Most seconds between the event and MSH-7.
        """
        sent = time + int(self.rng.random() * lag)
        control = f"{feed.mark}{self.life.index:06d}{len(self.messages):05d}"
        text = feed.header(kind, sent, control) + body
        self.messages.append(Message(sent + 2, feed.name, text, spare))

    def feed(self, name: str, hospital: int) -> Feed:
        """Return an interface, or the other hospital's own one if it has one."""
        return FEEDS.get(f"{name}-lakeside", FEEDS[name]) if hospital else FEEDS[name]

    def provider(self, who: Provider) -> str:
        """Return a clinician as XCN."""
        found = self._providers.get(who.number)
        if found is None:
            found = (
                f"{who.number}^{escape(who.family)}^{escape(who.given)}^^^Dr^{who.degree}"
                f"^^NPI^L^^^NPI"
            )
            self._providers[who.number] = found
        return found

    def patient(self, encounter: Encounter | None, time: int, *, phones: bool = True) -> str:
        """Return the PID segment with the demographics at a time."""
        identity = self.life.identity(encounter, time)
        died = self.person.died is not None and time >= self.person.died
        place = self._address(time)
        key = (identity.number, place, died, phones)
        found = self._pid.get(key)
        if found is None:
            found = self._compose(identity, self.person.addresses[place], died, phones)
            self._pid[key] = found
        account = f"{encounter.account}^^^{identity.authority}^AN" if encounter else ""
        return f"{found[0]}{account}{found[1]}"

    def _address(self, time: int) -> int:
        addresses = self.person.addresses
        return 1 if len(addresses) > 1 and addresses[1].since <= time else 0

    def _compose(
        self, identity: Identity, place: Address, died: bool, phones: bool
    ) -> tuple[str, str]:
        p = self.person
        ids = f"{identity.number}^^^{identity.authority}^MR"
        strange = identity.kind == "duplicate"
        if p.licence and not strange and p.index % 3 == 0:
            ids += f"~{p.licence}^^^{place.state}^DL"
        middle = "" if strange else p.middle
        name = f"{escape(p.family)}^{escape(p.given)}^{middle}^{p.suffix}^^^L"
        home = f"{place.area_code and p.phone}^PRN^PH"
        if p.email:
            home += f"~^NET^Internet^{p.email}"
        work = f"{p.work_phone}^WPN^PH" if p.work_phone else ""
        if not phones:
            home, work = '""', '""'
        before = [
            "PID", "1", "", ids, "", name, f"{escape(p.maiden)}^^^^^^M", day(p.birth), p.sex,
            f"{escape(p.maiden)}^{escape(p.given)}^^^^^A" if p.index % 9 == 0 else "",
            coded(p.race), self.place(place), place.county, home, work, coded(p.language),
            p.marital, p.religion, "",
        ]  # fmt: skip
        after = [
            "", "" if strange else p.ssn, p.licence, "", coded(p.ethnicity),
            place.city if p.index % 4 == 0 else "", "N", "", "", "", "",
            stamp(p.died) if died and p.died else "", "Y" if died else "N",
        ]  # fmt: skip
        return "|".join(before), "|".join(after) + "\r"

    def place(self, place: Address) -> str:
        """Return an address as XAD."""
        return (
            f"{escape(place.street)}^^{place.city}^{place.state}^{place.postal}^{place.country}"
            f"^H^^{place.county}"
        )

    def visit(
        self, encounter: Encounter, time: int, *, left: bool = False, prior: Stay | None = None
    ) -> str:
        """Return the PV1 segment with the state at a time."""
        stay, kind = encounter.stay(time), encounter.kind_at(time)
        key = (encounter.number, f"{stay.since}{stay.unit}", kind, left)
        found = self._pv1.get(key)
        if found is None:
            found = self._compose_visit(encounter, stay, kind, left)
            self._pv1[key] = found
        before = self.location(encounter, prior) if prior else ""
        return f"{found[0]}{before}{found[1]}"

    def location(self, encounter: Encounter, stay: Stay) -> str:
        """Return a location as PL."""
        return f"{stay.unit}^{stay.room}^{stay.bed}^{HOSPITALS[encounter.hospital]}"

    def _compose_visit(
        self, encounter: Encounter, stay: Stay, kind: str, left: bool
    ) -> tuple[str, str]:
        insurance = self.person.insurance[0]
        service = "EMR" if kind == "E" else encounter.service
        doctor = self.provider(encounter.attending)
        fields = [
            "", doctor, self.provider(encounter.referring), "", service, "", "",
            "R" if encounter.readmission else "", encounter.source, "", "", doctor, "",
            f"{encounter.number}^^^{HOSPITALS[encounter.hospital]}^VN", insurance.plan,
            "", "", "", "", "", "", "", "", "", "", "", "", "", "", "",
            encounter.disposition if left else "", "", "", "", "", "", "", "",
            stamp(encounter.arrived), stamp(encounter.left) if left else "",
        ]  # fmt: skip
        start = f"PV1|1|{kind}|{self.location(encounter, stay)}|{encounter.admission_type}||"
        return start, "|".join(fields) + "\r"

    def relatives(self) -> str:
        """Return NK1 segments and the guarantor's GT1."""
        p, place = self.person, self.person.addresses[0]
        found = ""
        for number, r in enumerate(p.relatives, 1):
            found += (
                f"NK1|{number}|{escape(r.family)}^{escape(r.given)}^^^^^L|{r.code}^{r.relation}"
                f"^HL70063|{self.place(place)}|{r.phone}^PRN^PH||EC^Emergency contact^HL70131\r"
            )
        r = p.relatives[0]
        adult = p.age(self.life.ends) >= 18
        who = (p.family, p.given, p.phone, "SEL^Self") if adult else (
            r.family, r.given, r.phone, f"{r.code}^{r.relation}")  # fmt: skip
        return found + (
            f"GT1|1|G{p.account}|{escape(who[0])}^{escape(who[1])}^^^^^L||{self.place(place)}"
            f"|{who[2]}^PRN^PH|||||{who[3]}^HL70063|||||{escape(p.employer)}\r"
        )

    def insurance(self) -> str:
        """Return IN1 segments."""
        p, found = self.person, ""
        for number, cover in enumerate(p.insurance, 1):
            found += (
                f"IN1|{number}|{cover.plan}^{cover.company}^99PLAN|{cover.plan}01|"
                f"{cover.company}|PO Box 555^^{p.addresses[0].city}^{p.addresses[0].state}|||"
                f"{cover.group}||||{day(cover.starts)}|||{cover.kind}|"
                f"{escape(p.family)}^{escape(p.given)}^^^^^L|{cover.relation}^^HL70063|"
                f"{day(p.birth)}|{self.place(p.addresses[0])}||COB|{number}"
                f"||||||||||||||{cover.member}\r"
            )
        return found

    def diagnoses(self, encounter: Encounter, time: int, kind: str, *, present: bool) -> str:
        """Return DG1 segments; ``present`` adds the present-on-admission field (2.6 on)."""
        doctor, at, found = self.provider(encounter.attending), stamp(time), ""
        for d in encounter.diagnoses:
            code: Code = d.code
            found += f"DG1|{d.rank}||{coded(code)}|{escape(code.text)}|{at}|{kind}|||||||||{d.rank}"
            found += f"|{doctor}"
            found += f"||||||||||{d.present}\r" if present else "\r"
        return found
