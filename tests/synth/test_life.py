from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import asdict
from statistics import median

import pytest

from lakehouse import synth
from lakehouse.synth import clock
from lakehouse.synth.laboratory import flag
from lakehouse.synth.people import record_number


def test_patient_is_the_same_whatever_the_total():
    alone = synth.patient(5)
    among = list(synth.patients(7))[5]
    assert asdict(alone) == asdict(among)


def test_another_seed_is_another_hospital():
    one, two = synth.patient(5, seed=1), synth.patient(5, seed=2)
    assert one.person.ssn != two.person.ssn
    assert one.person.identities[0].number != two.person.identities[0].number


def test_record_numbers_are_unique():
    assert len({record_number(1, k) for k in range(50_000)}) == 50_000


def test_nothing_happens_before_birth_or_after_death(lives):
    for life in lives:
        last = life.person.died or life.ends
        for encounter in life.encounters:
            assert life.person.birth <= encounter.arrived <= encounter.left
            assert encounter.arrived <= last
            assert [s.since for s in encounter.stays] == sorted(s.since for s in encounter.stays)
        for signs in life.vitals:
            assert life.person.birth <= signs.time <= last
        for order in life.labs:
            assert order.ordered < order.collected < order.received <= order.resulted


def test_inpatient_stays_do_not_overlap(lives):
    for life in lives:
        stays = sorted(
            (e.arrived, e.left) for e in life.encounters if e.kind == "I" and not e.cancelled
        )
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(stays))


def test_people_are_of_every_age_with_some_of_ninety_and_restricted_zips():
    people = [synth.patient(k, years=1).person for k in range(240)]
    ages = [p.age(clock.END) for p in people]
    assert min(ages) < 5
    assert 40 < median(ages) < 75
    assert sum(age >= 90 for age in ages) >= 8
    assert {p.sex for p in people} >= {"F", "M"}
    prefixes = {p.addresses[0].postal[:3] for p in people}
    assert prefixes & {"036", "059", "102", "369", "556", "692", "823", "878", "884", "893"}


def test_no_number_can_be_a_real_persons(lives):
    for life in lives:
        person = life.person
        assert person.ssn.startswith("9")
        assert ")555-01" in person.phone
        assert person.email.endswith("@example.org") or not person.email


@pytest.mark.parametrize(
    ("condition", "analyte", "above"), [("esrd", "creatinine", 3.0), ("cirrhosis", "inr", 1.15)]
)
def test_results_follow_the_disease(lives, condition, analyte, above):
    values = [
        r.value
        for life in lives
        if any(c.key == condition for c in life.conditions)
        for order in life.labs
        for r in order.results
        if r.key == analyte and life.has(condition, order.collected)
    ]
    assert len(values) > 10
    assert median(values) > above


def test_kidney_injury_has_a_course(lives):
    rises = []
    for life in lives:
        for encounter in life.encounters:
            if encounter.episode in ("aki", "contrast_aki", "sepsis") and encounter.kind == "I":
                own = [o for o in life.labs if o.encounter is encounter]
                values = [r.value for o in own for r in o.results if r.key == "creatinine"]
                if len(values) > 2:
                    rises.append(max(values) / min(values))
    assert len(rises) >= 3
    assert median(rises) >= 1.5


def test_sepsis_looks_like_sepsis(lives):
    worst = []
    for life in lives:
        for encounter in life.encounters:
            if encounter.episode == "sepsis" and encounter.kind == "I":
                signs = [v.values for v in life.vitals if v.encounter is encounter]
                worst.append(max(v.get("respiratory_rate", 0) for v in signs))
                assert any(o.panel == "blood_culture" for o in life.labs)
                assert any(m.drug == "piperacillin_tazobactam" for m in life.medications)
    assert worst
    assert median(worst) >= 22


def test_every_kind_of_event_happens(lives):
    episodes = Counter(e.episode for life in lives for e in life.encounters)
    assert len(episodes) > 20
    encounters = [e for life in lives for e in life.encounters]
    assert {e.kind for e in encounters} == {"I", "E", "O"}
    assert any(e.readmission for e in encounters)
    assert any(e.admitted_from_ed for e in encounters)
    assert any(e.cancelled for e in encounters)
    assert any(e.disposition == "20" for e in encounters)
    orders = [o for life in lives for o in life.labs]
    assert any(o.corrected for o in orders)
    assert any(o.cancelled for o in orders)
    assert any(o.wrong for o in orders)
    assert any(o.acknowledged for o in orders)
    assert any(s.contrast for life in lives for s in life.imaging)
    kinds = {i.kind for life in lives for i in life.person.identities}
    assert kinds == {"home", "second", "duplicate"}


def test_readmissions_come_within_thirty_days(lives):
    gaps = []
    for life in lives:
        stays = [e for e in life.encounters if e.kind == "I" and not e.cancelled]
        gaps += [b.arrived - a.left for a, b in itertools.pairwise(stays) if b.readmission]
    assert gaps
    assert max(gaps) <= 30 * clock.DAY


def test_accession_numbers_and_study_uids_are_unique(lives):
    studies = [s for life in lives for s in life.imaging]
    assert len({s.accession for s in studies}) == len({s.uid for s in studies}) == len(studies)


@pytest.mark.parametrize(
    ("value", "expected"), [(2.7, "LL"), (3.4, "L"), (4.2, "N"), (5.4, "H"), (6.2, "HH")]
)
def test_flags_at_their_boundaries(value, expected):
    assert flag("potassium", value, "F") == expected
