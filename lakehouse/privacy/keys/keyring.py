"""Where the secret of a warehouse lies when nobody says.

A key that ``init`` makes goes to the user's own configuration folder, named by its id:
``~/.config/clinical-lakehouse/keys/<key id>.key``. A warehouse states its key id, so the right key
is found without being named, and no copy of the warehouse's folder takes the key along.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from lakehouse.errors import KeyFileError
from lakehouse.privacy.keys.secret import KEY_FILE, Secret


def folder() -> Path:
    """Return the folder of keys that ``init`` made."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "clinical-lakehouse" / "keys"


def key_path(key_id: str) -> Path:
    """Return where the key with an id lies when ``init`` made it."""
    return folder() / f"{key_id}.key"


def require_outside_warehouse(key: str | Path, warehouse: str) -> None:
    """Refuse a key that lies in the folder of a warehouse: a copy of the one would be of both.

    Args:
        key: The key file; it need not exist yet.
        warehouse: Folder of the warehouse on this machine.

    Raises:
        KeyFileError: It does (164.514(c)(2): the means of re-identification are not disclosed).
    """
    if Path(os.path.realpath(key)).is_relative_to(os.path.realpath(warehouse)):
        raise KeyFileError(
            f"The key file {key} lies inside the warehouse: whoever copied one would have both.",
            f"Move it elsewhere and name it: --key-file, or {KEY_FILE}.",
        )


def find(named: str | Path | None, key_id: str) -> Path:
    """Return the key file of a warehouse.

    Args:
        named: The file the person named, or None.
        key_id: Id of the warehouse's key.

    Returns:
        The file named, else the one in ``LAKEHOUSE_KEY_FILE``, else the one ``init`` made.

    Raises:
        KeyFileError: There is none of them.
    """
    if chosen := named or os.environ.get(KEY_FILE):
        return Path(chosen)
    if not (made := key_path(key_id)).exists():
        raise KeyFileError(
            f"The key of this warehouse ({key_id}) is neither named nor in {folder()}.",
            f"Name its file: --key-file, or {KEY_FILE}.",
        )
    return made


def find_or_create_key(
    named: str | Path | None, warehouse: str | None
) -> tuple[Path, Secret, bool]:
    """Return the key for a new warehouse, made when there is none.

    Args:
        named: The file the person named, or None for ``LAKEHOUSE_KEY_FILE`` or a new key of its
            own.
        warehouse: Its folder, when it is on this machine.

    Returns:
        The file with its whole path, the secret, and whether it was made now.

    Raises:
        KeyFileError: The file is not fit, or cannot be written.
    """
    if chosen := named or os.environ.get(KEY_FILE):
        path = Path(chosen)
        if warehouse is not None:
            require_outside_warehouse(path, warehouse)
        if path.exists():
            return path.absolute(), Secret.load(path), False
        return path.absolute(), Secret.create(path), True
    if warehouse is not None:
        require_outside_warehouse(folder(), warehouse)
    fresh = folder() / f".new-{secrets.token_hex(8)}"
    secret = Secret.create(fresh)
    fresh.rename(key_path(secret.key_id))
    return key_path(secret.key_id), secret, True
