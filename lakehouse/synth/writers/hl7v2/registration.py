"""Writes admissions, transfers, discharges, updates and merges (ADT)."""

from __future__ import annotations

from lakehouse.synth.clock import DAY, HOUR, MINUTE, stamp
from lakehouse.synth.events import Encounter
from lakehouse.synth.life import Identity
from lakehouse.synth.writers.hl7v2.feeds import FEEDS, Feed, coded, escape
from lakehouse.synth.writers.hl7v2.scribe import Scribe


def write(scribe: Scribe) -> None:
    """Write the messages of registration and of medical coding."""
    for encounter in scribe.life.encounters:
        if encounter.cancelled:
            _cancelled(scribe, encounter)
        elif encounter.kind == "O":
            _clinic(scribe, encounter)
        else:
            _hospital(scribe, encounter)
    _person(scribe)
    _joined(scribe)


def _event(
    scribe: Scribe, encounter: Encounter, event: str, time: int, body: str, *,
    structure: str = "ADT_A01", spare: bool = False,
) -> None:  # fmt: skip
    feed = scribe.feed("adt", encounter.hospital)
    evn = f"EVN|{event}|{stamp(time)}|||OP{scribe.life.index % 40:02d}^{_clerk(scribe)}\r"
    who = scribe.patient(encounter, time)
    scribe.send(feed, time, f"ADT^{event}^{structure}", evn + who + body, spare=spare)


def _clerk(scribe: Scribe) -> str:
    return escape(scribe.person.physician.family)


def _reason(encounter: Encounter, planned: int | None = None) -> str:
    expected = stamp(planned) if planned else ""
    return f"PV2|||{coded(encounter.reason)}|||||{expected}\r"


def _allergies(scribe: Scribe, feed: Feed) -> str:
    found = ""
    for number, a in enumerate(scribe.life.allergies, 1):
        found += (
            f"AL1|{number}|{a.kind}|{coded(a.allergen)}|{a.severity}|{escape(a.reaction.text)}"
            f"|{stamp(a.recorded)[:8]}\r"
        )
    return found


def _iam(scribe: Scribe) -> str:
    found = ""
    for number, a in enumerate(scribe.life.allergies, 1):
        found += (
            f"IAM|{number}|{a.kind}^^HL70127|{coded(a.allergen)}|{a.severity}^^HL70128"
            f"|{coded(a.reaction)}|A^Add^HL70323|{scribe.life.index}{number}^IAMREG||AL||"
            f"{stamp(a.recorded)[:8]}||{stamp(a.recorded)}||||C^Confirmed^HL70438\r"
        )
    return found


def _full(scribe: Scribe, encounter: Encounter, time: int) -> str:
    """Return the segments after PID of a first registration: kin, visit, allergies and payers."""
    feed = scribe.feed("adt", encounter.hospital)
    kin = scribe.relatives()
    split = kin.index("GT1")
    return (
        f"PD1||||{scribe.provider(scribe.person.physician)}\r"
        + kin[:split] + scribe.visit(encounter, time) + _reason(encounter, encounter.planned_at)
        + _allergies(scribe, feed)
        + f"DG1|1||{coded(encounter.reason)}|{escape(encounter.reason.text)}|{stamp(time)}|A\r"
        + kin[split:] + scribe.insurance()
    )  # fmt: skip


def _clinic(scribe: Scribe, encounter: Encounter) -> None:
    start = encounter.arrived
    _event(scribe, encounter, "A04", start, _full(scribe, encounter, start))
    if encounter.service == "ONC" or scribe.rng.random() < 0.3:
        body = scribe.visit(encounter, encounter.left, left=True)
        body += scribe.diagnoses(encounter, encounter.left, "W", present=False)
        _event(scribe, encounter, "A08", encounter.left, body, spare=True)
    body = scribe.visit(encounter, encounter.left, left=True)
    body += scribe.diagnoses(encounter, encounter.left, "F", present=False)
    body += _procedures(scribe, encounter)
    _event(scribe, encounter, "A03", encounter.left + MINUTE, body, structure="ADT_A03")


def _hospital(scribe: Scribe, encounter: Encounter) -> None:
    start, left = encounter.arrived, encounter.left
    if encounter.planned_at:
        time = encounter.planned_at
        body = scribe.visit(encounter, start).replace("PV1|1|I|", "PV1|1|P|", 1)
        _event(scribe, encounter, "A05", time, body + _reason(encounter, start),
               structure="ADT_A05")  # fmt: skip
    in_ed = encounter.kind_at(start) == "E"
    _event(scribe, encounter, "A04" if in_ed else "A01", start, _full(scribe, encounter, start))
    if in_ed or scribe.rng.random() < 0.4:
        # the first update often comes when the history has been taken
        body = scribe.visit(encounter, start + 2 * HOUR) + _reason(encounter)
        body += _allergies(scribe, scribe.feed("adt", encounter.hospital))
        if start + 2 * HOUR < left:
            _event(scribe, encounter, "A08", start + 2 * HOUR, body, spare=True)
    if encounter.admitted_from_ed:
        time = encounter.admitted_from_ed
        body = scribe.visit(encounter, time, prior=encounter.stays[0]) + _reason(encounter)
        _event(scribe, encounter, "A06", time, body, structure="ADT_A06")
    for before, stay in zip(encounter.stays, encounter.stays[1:], strict=False):
        if stay.since != encounter.admitted_from_ed:
            _event(scribe, encounter, "A02", stay.since,
                   scribe.visit(encounter, stay.since, prior=before),
                   structure="ADT_A02")  # fmt: skip
    if encounter.discharge_undone:
        slip, undone = encounter.discharge_undone
        wrong = scribe.visit(encounter, slip, left=True).replace(stamp(left), stamp(slip))
        _event(scribe, encounter, "A03", slip, wrong, structure="ADT_A03")
        _event(scribe, encounter, "A13", undone, scribe.visit(encounter, undone))
    kind = "F" if encounter.kind == "E" else "W"
    done = scribe.visit(encounter, left, left=True)
    done += scribe.diagnoses(encounter, left, kind, present=False)
    _event(scribe, encounter, "A03", left, done, structure="ADT_A03")
    if encounter.kind == "I":
        _abstract(scribe, encounter)


def _abstract(scribe: Scribe, encounter: Encounter) -> None:
    """Write the coded record of a stay: final diagnoses with their presence on admission."""
    time = encounter.left + scribe.rng.randrange(1, 6) * DAY
    if time >= scribe.life.ends:
        return
    body = f"EVN||{stamp(time)}\r" + scribe.patient(encounter, time)
    body += scribe.visit(encounter, encounter.left, left=True)
    body += scribe.diagnoses(encounter, encounter.left, "F", present=True)
    body += _procedures(scribe, encounter)
    scribe.send(FEEDS["coding"], time, "ADT^A08^ADT_A01", body)


def _procedures(scribe: Scribe, encounter: Encounter) -> str:
    found = ""
    for number, p in enumerate(encounter.procedures, 1):
        code = p.cpt if encounter.kind == "O" else p.pcs
        found += (
            f"PR1|{number}||{coded(code)}||{stamp(p.time)}|P|{p.minutes}|||"
            f"|{scribe.provider(p.surgeon)}|||{number}|{coded(encounter.diagnoses[0].code)}\r"
        )
    return found


def _cancelled(scribe: Scribe, encounter: Encounter) -> None:
    start, undone = encounter.arrived, encounter.cancelled or encounter.arrived
    _event(scribe, encounter, "A01", start, scribe.visit(encounter, start) + _reason(encounter))
    _event(scribe, encounter, "A11", undone, scribe.visit(encounter, undone),
           structure="ADT_A09")  # fmt: skip


def _person(scribe: Scribe) -> None:
    """Write messages outside visits: first contact, changes of demographics, problems."""
    life, rng = scribe.life, scribe.rng
    first = life.encounters[0].arrived - HOUR if life.encounters else life.begins + 30 * DAY
    feed = scribe.feed("adt", scribe.person.hospital)
    nowhere = "PV1|1|N\r"
    if rng.random() < 0.5:
        evn = f"EVN|A28|{stamp(first)}\r"
        body = evn + scribe.patient(None, first) + scribe.relatives().split("GT1")[0]
        body += nowhere + _iam(scribe) + _problems(scribe, first)
        scribe.send(feed, first, "ADT^A28^ADT_A05", body)
    moves = [a.since for a in scribe.person.addresses[1:]]
    for time in moves:
        body = f"EVN|A31|{stamp(time)}\r" + scribe.patient(None, time, phones=False) + nowhere
        scribe.send(feed, time, "ADT^A31^ADT_A05", body)
    if rng.random() < 0.4:
        last = scribe.person.died or life.ends
        time = first + int(rng.random() * (last - first))
        body = f"EVN|A31|{stamp(time)}\r" + scribe.patient(None, time) + nowhere
        body += _problems(scribe, time)
        body += f"ZPD|1|{escape(scribe.person.employer)}|{scribe.person.email}|consented\r"
        scribe.send(feed, time, "ADT^A31^ADT_A05", body, spare=True)


def _problems(scribe: Scribe, time: int) -> str:
    """Return the problem list of a clinic, in older code systems."""
    found, number = "", 0
    for held in scribe.life.conditions:
        if held.onset <= time:
            for code in held.older:
                number += 1
                found += f"DG1|{number}||{coded(code)}||{stamp(held.onset)[:8]}|W\r"
    return found


def _moved(scribe: Scribe, other: Identity, time: int) -> None:
    """Write the move of a duplicate number's visits to the right one (A45), before their merge."""
    feed = scribe.feed("adt", scribe.person.hospital)
    for encounter in scribe.life.encounters:
        if encounter.identity and encounter.arrived < time:
            number = f"{encounter.number}^^^{other.authority}^VN"
            body = f"EVN|A45|{stamp(time)}\r" + scribe.patient(None, time)
            body += f"MRG|{other.number}^^^{other.authority}^MR||||{number}\r"
            body += scribe.visit(encounter, time, left=True)
            scribe.send(feed, time, "ADT^A45^ADT_A45", body)


def _joined(scribe: Scribe) -> None:
    """Write the merge of a duplicate number (A40), or the link to the other hospital's (A24)."""
    person = scribe.person
    home = person.identities[0]
    for other in person.identities[1:]:
        time = other.joined
        if time is None or time >= scribe.life.ends:
            continue
        feed = scribe.feed("adt", person.hospital)
        who = scribe.patient(None, time)
        if other.kind == "duplicate":
            _moved(scribe, other, time - 40 * MINUTE)
            body = f"EVN|A40|{stamp(time)}\r" + who
            body += (
                f"MRG|{other.number}^^^{other.authority}^MR||||||"
                f"{escape(person.family)}^{escape(person.given)}^^^^^L\r"
            )
            scribe.send(feed, time, "ADT^A40^ADT_A39", body)
        else:
            second = who.replace("PID|1|", "PID|2|", 1).replace(
                f"{home.number}^^^{home.authority}", f"{other.number}^^^{other.authority}", 1
            )
            body = f"EVN|A24|{stamp(time)}\r{who}PV1|1|N\r{second}"
            scribe.send(feed, time, "ADT^A24^ADT_A24", body)
