"""Profiles: what loads, what does not, and that every class has an answer."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from lakehouse.definitions.resources import resource
from lakehouse.definitions.tables import load_tables
from lakehouse.errors import DefinitionError, UserError
from lakehouse.privacy.rules.actions import ACTIONS, VALUE_ACTIONS
from lakehouse.privacy.rules.policy import DROP, load_policy, policies

TEMPLATE = """doc = "A profile."
data_use_agreement = false
shift = {shift}
[actions]
date = "{date}"
{more}
"""


def write(folder: Path, text: str) -> Path:
    (folder / "own.toml").write_text(text, encoding="utf-8")
    return folder


def own(folder: Path, shift: str = "true", date: str = "shift", more: str = "") -> Path:
    return write(folder, TEMPLATE.format(shift=shift, date=date, more=more))


def test_shipped_profiles() -> None:
    assert policies() == ["limited", "safe_harbor"]
    safe, limited = load_policy("safe_harbor"), load_policy("limited")
    assert (safe.shift, safe.needs_agreement) == (True, False)
    assert (limited.shift, limited.needs_agreement) == (False, True)
    content = (resource("catalog/policies") / "safe_harbor.toml").read_bytes()
    assert safe.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("name", ["limited", "safe_harbor"])
def test_shipped_profiles_name_actions_that_exist(name: str) -> None:
    assert set(load_policy(name).actions.values()) <= {*ACTIONS, *VALUE_ACTIONS}


@pytest.mark.parametrize("name", ["limited", "safe_harbor"])
def test_direct_identifiers_are_never_kept(name: str) -> None:
    policy = load_policy(name)
    for phi in ("name", "contact", "address.line", "text", "url", "biometric", "other_id"):
        assert policy.action(phi) == DROP
    for phi in ("patient", "provider", "identifier.order", "identifier.anything"):
        assert policy.action(phi) == "pseudonym"


def test_every_class_in_use_has_an_action_or_is_dropped_on_purpose() -> None:
    used = {c.phi for t in load_tables().values() for c in t.columns.values()}
    policy = load_policy("safe_harbor")
    assert {phi for phi in used if policy.action(phi) == DROP} <= {"text", "address.city"}


def test_a_class_that_is_not_listed_is_dropped(tmp_path: Path) -> None:
    policy = load_policy("own", own(tmp_path))
    assert policy.action("code") == DROP
    assert policy.action("identifier.order") == DROP
    assert policy.action("identifier") == DROP


def test_unknown_profile_names_the_near_ones() -> None:
    with pytest.raises(UserError, match="safe_harbor"):
        load_policy("safe_harbour")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"more": 'nmae = "drop"'}, "unknown PHI class nmae"),
        ({"more": 'patient = "keep"'}, "never kept"),
        ({"more": '"identifier.*" = "keep"'}, "never kept"),
        ({"more": '"identifier.order" = "keep"'}, "never kept"),
        ({"more": 'name = "keep_name"'}, "never kept"),
        ({"more": "code = 3"}, "not a name"),
        ({"shift": "false"}, "contradict"),
        ({"date": "keep"}, "contradict"),
        ({"shift": '"yes"'}, "`shift` is missing"),
        ({"more": "[extra]"}, "unknown key extra"),
        ({"more": "code = = 1"}, "not valid TOML"),
    ],
)
def test_a_faulty_profile_does_not_load(tmp_path: Path, change: dict[str, str], why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        load_policy("own", own(tmp_path, **change))


def test_a_profile_without_actions_does_not_load(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="required"):
        load_policy("own", write(tmp_path, 'doc = "x"\nshift = true\ndata_use_agreement = true\n'))
