"""Settings of a warehouse, stored as ``lakehouse.json`` at its root; never a secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any
from urllib.parse import urlsplit

from lakehouse.definitions.tables import add_site_tables
from lakehouse.errors import WarehouseError

SETTINGS_FILE = "lakehouse.json"

COHORTS_FOLDER = "cohorts"
"""Folder of a warehouse with saved cohorts: JSON that names ``snapshots`` of the tables."""

LAYOUT_VERSION = 1
"""Version of the file's layout; a layout that this software cannot read has a higher number."""

_SECRET_WORDS = ("password", "secret", "token", "credential", "access-key", "account-key")

Catalog = str | Mapping[str, str]
"""A pyiceberg catalog: its name in ``.pyiceberg.yaml``, or its properties."""


@dataclass(frozen=True)
class Settings:
    """Settings that a warehouse gets when it is created and that never change silently.

    Attributes:
        profile: De-identification profile of every table.
        key_id: Id of the secret, not the secret.
        policy_sha256: SHA-256 of the policy file.
        buckets: Number of buckets by patient of the clinical tables; 0 for none.
        authority: Assigning authority of record numbers that state none.
        data_use_agreement: Reference of the agreement, where the profile needs one.
        catalog: None for the embedded SQLite catalog, else a name or properties.
        namespace: Iceberg namespace of the tables.
        location: Where the warehouse was created; tables hold absolute locations.
        created_at: Time of creation, ISO 8601.
        software: Version of this software that created the warehouse.
        definitions: SHA-256 of the table definitions that the tables follow.
        site_tables: Definitions of the site's own tables (``lakehouse.definitions.tables``).
    """

    profile: str
    key_id: str
    policy_sha256: str
    buckets: int = 0
    authority: str = ""
    data_use_agreement: str | None = None
    catalog: Catalog | None = None
    namespace: str = "lakehouse"
    location: str = ""
    created_at: str = ""
    software: str = ""
    definitions: str = ""
    site_tables: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Return the content of ``lakehouse.json``."""
        content = asdict(replace(self, site_tables=dict(self.site_tables)))
        if isinstance(self.catalog, Mapping):
            content["catalog"] = dict(self.catalog)
        return json.dumps({"version": LAYOUT_VERSION, **content}, indent=2).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Settings:
        """Read ``lakehouse.json``.

        Raises:
            WarehouseError: The file is damaged, or a later version of this software wrote it.
        """
        try:
            content: dict[str, Any] = json.loads(data)
            version = int(content.pop("version"))
            names = {f.name for f in fields(cls)}
            settings = cls(**{k: v for k, v in content.items() if k in names})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise WarehouseError(
                f"{SETTINGS_FILE} in {where} is damaged.",
                "Restore it from a backup of the warehouse.",
            ) from error
        add_site_tables(settings.site_tables)
        if version > LAYOUT_VERSION:
            raise WarehouseError(
                f"The warehouse {where} was made by a later version ({settings.software}).",
                "Upgrade: pip install --upgrade clinical-lakehouse",
            )
        return settings


def check_settings(
    settings: Settings,
    *,
    profile: str | None = None,
    key_id: str | None = None,
    policy_sha256: str | None = None,
) -> None:
    """Refuse a key, profile or policy other than the warehouse's, so that none are ever mixed.

    Args:
        settings: Settings of the warehouse.
        profile: Profile that the caller names; None for any.
        key_id: Id of the caller's secret; None for any.
        policy_sha256: SHA-256 of the caller's policy file; None for any.

    Raises:
        WarehouseError: The profile, key or policy is not the warehouse's.

    Examples:
        >>> check_settings(Settings("safe_harbor", "0123", "ab"), key_id="0123")
    """
    if profile is not None and profile != settings.profile:
        raise WarehouseError(
            f"{_warehouse_name(settings)} has the profile {settings.profile}, not {profile}.",
            "Leave the profile out, or make another warehouse, since profiles are never mixed: "
            f"lakehouse init FOLDER --profile {profile}",
        )
    if key_id is not None and key_id != settings.key_id:
        raise WarehouseError(
            f"The key at hand ({key_id}) is not the one the warehouse was made with "
            f"({settings.key_id}); every patient would get a second pseudonym.",
            "Set LAKEHOUSE_KEY_FILE to the warehouse's own key file.",
        )
    if policy_sha256 is not None and policy_sha256 != settings.policy_sha256:
        raise WarehouseError(
            f"The policy {settings.profile} at hand is not the one the warehouse was made with "
            f"(SHA-256 {policy_sha256[:12]}, not {settings.policy_sha256[:12]}).",
            "Restore the policy file, or ingest into a new warehouse under the changed policy.",
        )


def _warehouse_name(settings: Settings) -> str:
    return f"The warehouse in {settings.location}" if settings.location else "The warehouse"


def refuse_secrets(catalog: Catalog | None) -> None:
    """Refuse catalog properties that would put a secret into ``lakehouse.json``.

    Raises:
        WarehouseError: A property is a secret, or a URI holds a password.

    Examples:
        >>> refuse_secrets({"type": "rest", "uri": "http://127.0.0.1:8181"})
    """
    if catalog is None or isinstance(catalog, str):
        return
    remedy = (
        "Put the catalog into .pyiceberg.yaml (or PYICEBERG_CATALOG__<NAME>__... variables) and "
        "pass its name."
    )
    for name, value in catalog.items():
        if any(word in name.lower() for word in _SECRET_WORDS):
            raise WarehouseError(f"The catalog property {name} is a secret; never stored.", remedy)
        parts = urlsplit(str(value))
        if parts.scheme and (parts.password or "password=" in parts.query.lower()):
            raise WarehouseError(f"The catalog property {name} holds a password.", remedy)
