"""De-identification profiles: an action for each PHI class, from ``catalog/policies/*.toml``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from lakehouse.definitions.resources import resource
from lakehouse.definitions.tables import PHI_CLASSES, phi_class_known
from lakehouse.definitions.toml_file import parse_toml
from lakehouse.errors import DefinitionError, UserError, did_you_mean

DROP = "drop"
"""The action for a class that the profile does not list; an unknown action does the same."""

NEVER_KEPT = frozenset(
    {"patient", "provider", "name", "contact", "address.line", "url", "biometric", "other_id"}
)
"""Direct identifiers under every reading of the law; so are those of ``identifier.*``."""

_KEYS = {"doc", "data_use_agreement", "shift", "actions"}


@dataclass(frozen=True)
class Policy:
    """A de-identification profile: an action for each PHI class.

    Attributes:
        name: The profile's name: the stem of its file.
        doc: Its promise in one sentence.
        actions: Action by PHI class; ``identifier.*`` covers a family.
        needs_agreement: Whether a warehouse needs the reference of a data use agreement.
        shift: Whether each patient's times move by the patient's own offset.
        sha256: Digest of the policy file, kept with every table and ingest.
    """

    name: str
    doc: str
    actions: dict[str, str] = field(repr=False)
    needs_agreement: bool
    shift: bool
    sha256: str

    def action(self, phi: str) -> str:
        """Return the action for a PHI class; ``drop`` for one that is not listed.

        Examples:
            >>> policy = load_policy("safe_harbor")
            >>> policy.action("identifier.order"), policy.action("name"), policy.action("new")
            ('pseudonym', 'drop', 'drop')
        """
        family = f"{phi.partition('.')[0]}.*"
        return self.actions.get(phi) or self.actions.get(family) or DROP


def _folder(folder: Path | None) -> Path:
    return folder or resource("catalog/policies")


def policies(folder: Path | None = None) -> list[str]:
    """Return the names of all profiles.

    Examples:
        >>> policies()
        ['limited', 'safe_harbor']
    """
    return sorted(p.stem for p in _folder(folder).glob("*.toml"))


def load_policy(name: str, folder: Path | None = None) -> Policy:
    """Read a profile.

    Args:
        name: Its name (``safe_harbor``).
        folder: Where to look; None for the shipped ones.

    Raises:
        UserError: There is no such profile.
        DefinitionError: The file has an unknown key, class or action, or lacks a required one.
    """
    if name not in policies(folder):
        raise UserError(
            f"There is no profile named {name}.",
            did_you_mean(name, policies(folder))
            or f"Choose one of: {', '.join(policies(folder))}.",
        )
    content = (_folder(folder) / f"{name}.toml").read_bytes()
    where = f"policies/{name}.toml"
    spec = parse_toml(content, where)
    if odd := spec.keys() - _KEYS:
        raise DefinitionError(
            f"{where}: unknown key {', '.join(sorted(odd))}.", f"Use {', '.join(sorted(_KEYS))}."
        )
    actions = spec.get("actions")
    if not isinstance(actions, dict) or not actions or not spec.get("doc"):
        raise DefinitionError(f"{where}: `doc` and [actions] are required.", "Add both.")
    for key in ("data_use_agreement", "shift"):
        if not isinstance(spec.get(key), bool):
            raise DefinitionError(f"{where}: `{key}` is missing.", "State true or false.")
    for phi, action in actions.items():
        if phi not in PHI_CLASSES and not phi_class_known(phi):
            raise DefinitionError(
                f"{where}: unknown PHI class {phi}.", did_you_mean(phi, PHI_CLASSES)
            )
        if not isinstance(action, str):
            raise DefinitionError(
                f"{where}: the action of {phi} is not a name.", "Write it in quotes."
            )
        if action.startswith("keep") and (phi in NEVER_KEPT or phi.startswith("identifier.")):
            raise DefinitionError(
                f"{where}: {phi} identifies a person and is never kept.",
                "Use pseudonym, or leave the class out.",
            )
    if spec["shift"] != (actions.get("date") == "shift"):
        raise DefinitionError(
            f"{where}: `shift` and the action of `date` contradict each other.",
            "Set `shift = true` exactly where `date` is shifted.",
        )
    return Policy(
        name,
        spec["doc"],
        actions,
        spec["data_use_agreement"],
        spec["shift"],
        hashlib.sha256(content).hexdigest(),
    )
