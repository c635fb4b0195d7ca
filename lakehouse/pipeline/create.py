"""Creates a warehouse: reads the policy, finds or creates a key, creates every table empty."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lakehouse.errors import WarehouseError
from lakehouse.privacy.keys.keyring import find_or_create_key
from lakehouse.privacy.rules.policy import load_policy
from lakehouse.storage.io.files import is_local, normalise
from lakehouse.storage.metadata.settings import Catalog, Settings, check_settings
from lakehouse.storage.warehouse import Warehouse

PROFILE = "safe_harbor"
"""Profile of a warehouse by default."""


@dataclass(frozen=True)
class CreatedWarehouse:
    """A new warehouse.

    Attributes:
        path: Folder or URI.
        profile: De-identification profile.
        n_tables: Number of its tables.
        key_file: File of the secret from which its pseudonyms derive.
        key_is_new: Whether the secret was created now.
    """

    path: str
    profile: str
    n_tables: int
    key_file: Path
    key_is_new: bool


def init(
    path: str | os.PathLike[str],
    *,
    profile: str | None = None,
    data_use_agreement: str | None = None,
    authority: str = "",
    buckets: int = 0,
    catalog: Catalog | None = None,
    key_file: Path | None = None,
) -> CreatedWarehouse:
    """Create a warehouse with every table of the catalogue, all empty.

    Args:
        path: Folder or URI; a missing folder is created.
        profile: ``safe_harbor`` (when None) or ``limited``.
        data_use_agreement: Reference of the agreement that ``limited`` needs.
        authority: Assigning authority of record numbers that state none.
        buckets: Split large tables by patient into so many buckets; 0 for none.
        catalog: A pyiceberg catalog by name or properties; None for the embedded one.
        key_file: File of the secret, created when missing; None for ``LAKEHOUSE_KEY_FILE``, else
            a new one in the user's own folder of keys.

    Raises:
        WarehouseError: The folder holds a warehouse already, or the profile needs an agreement.
        KeyFileError: The secret is weak or unreadable, or lies inside the warehouse.

    Examples:
        ::

            made = lakehouse.init("warehouse")
            print("Back up", made.key_file)
    """
    policy = load_policy(profile or PROFILE)
    if Warehouse.exists(path, catalog):
        with Warehouse.open(path, catalog) as existing:
            check_settings(existing.settings, profile=profile)
            raise WarehouseError(
                f"There is a warehouse in {path} already (profile {existing.settings.profile}).",
                "Choose another folder, or use it.",
            )
    if policy.needs_agreement and not data_use_agreement:
        raise WarehouseError(
            f"The profile {policy.name} needs a data use agreement.",
            "Give its reference: --data-use-agreement REFERENCE.",
        )
    root = normalise(path)
    key_path, secret, key_is_new = find_or_create_key(key_file, root if is_local(root) else None)
    settings = Settings(
        profile=policy.name,
        key_id=secret.key_id,
        policy_sha256=policy.sha256,
        buckets=buckets,
        authority=authority,
        data_use_agreement=data_use_agreement,
    )
    try:
        with Warehouse.create(path, settings, catalog) as warehouse:
            return CreatedWarehouse(
                warehouse.path, policy.name, len(warehouse.tables()), key_path, key_is_new
            )
    except BaseException:
        if key_is_new:
            key_path.unlink(missing_ok=True)  # no warehouse uses this key
        raise
