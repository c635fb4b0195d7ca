"""Make a warehouse: the policy is read, a key found or made, every table created empty."""

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
"""Profile of a warehouse that nobody chose one for."""


@dataclass(frozen=True)
class CreatedWarehouse:
    """A new warehouse.

    Attributes:
        path: Where it is.
        profile: Its de-identification profile.
        n_tables: How many tables it has.
        key_file: The secret that its pseudonyms are made with.
        key_is_new: The secret was made now, not found.
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
    """Make a warehouse with every table of the catalogue, all empty.

    Args:
        path: Folder or URI; made when missing.
        profile: ``safe_harbor`` (when None) or ``limited``.
        data_use_agreement: Reference of the agreement that ``limited`` needs.
        authority: Assigning authority of record numbers that state none.
        buckets: Split large tables by patient into so many buckets; 0 for none.
        catalog: A pyiceberg catalog by name or properties; None for the embedded one.
        key_file: The secret, made where there is none; None for ``LAKEHOUSE_KEY_FILE``, else a
            new one in the user's own folder of keys.

    Raises:
        WarehouseError: There is a warehouse already (if of another profile, that is said), or the
            profile needs an agreement.
        KeyFileError: The secret is not fit, or lies inside the warehouse.

    Examples:
        ::

            made = lakehouse.init("warehouse")
            print("Back up", made.key_file)
    """
    policy = load_policy(profile or PROFILE)
    if Warehouse.exists(path, catalog):
        with Warehouse.open(path, catalog) as there:
            check_settings(there.settings, profile=profile)
            raise WarehouseError(
                f"There is a warehouse in {path} already (profile {there.settings.profile}).",
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
        with Warehouse.create(path, settings, catalog) as made:
            return CreatedWarehouse(
                made.path, policy.name, len(made.tables()), key_path, key_is_new
            )
    except BaseException:
        if key_is_new:
            key_path.unlink(missing_ok=True)  # a key that nothing was made with
        raise
