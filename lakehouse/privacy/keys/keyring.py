"""The user's folder of key files, in which ``init`` puts the key of a new warehouse.

A key lies in ``~/.config/clinical-lakehouse/keys/<key id>.key``. A warehouse states its key id, so
no command has to name the file, and a copy of the warehouse's folder never holds the key.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from lakehouse.errors import KeyFileError
from lakehouse.privacy.keys.secret import KEY_FILE, Secret


def key_folder() -> Path:
    """Return the folder of the keys that ``init`` creates."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "clinical-lakehouse" / "keys"


def key_path(key_id: str) -> Path:
    """Return the path of the key file that ``init`` creates for a key id."""
    return key_folder() / f"{key_id}.key"


def require_outside_warehouse(key: str | Path, warehouse: str) -> None:
    """Refuse a key file inside the folder of a warehouse, whose copy would then include the key.

    Args:
        key: The key file; it need not exist yet.
        warehouse: Folder of the warehouse on this machine.

    Raises:
        KeyFileError: The key file lies inside the warehouse: the means of re-identification must
            not be disclosed (164.514(c)(2)).
    """
    if Path(os.path.realpath(key)).is_relative_to(os.path.realpath(warehouse)):
        raise KeyFileError(
            f"The key file {key} lies inside the warehouse: whoever copied one would have both.",
            f"Move it elsewhere and name it: --key-file, or {KEY_FILE}.",
        )


def find_key(key_file: str | Path | None, key_id: str) -> Path:
    """Return the key file of a warehouse.

    Args:
        key_file: The file that the user names, or None.
        key_id: Id of the warehouse's key.

    Returns:
        That file, else the one in ``LAKEHOUSE_KEY_FILE``, else the one that ``init`` created.

    Raises:
        KeyFileError: No file is named, and the user's folder of keys has none with this id.
    """
    if named := key_file or os.environ.get(KEY_FILE):
        return Path(named)
    if not (default := key_path(key_id)).exists():
        raise KeyFileError(
            f"The key of this warehouse ({key_id}) is neither named nor in {key_folder()}.",
            f"Name its file: --key-file, or {KEY_FILE}.",
        )
    return default


def find_or_create_key(
    key_file: str | Path | None, warehouse: str | None
) -> tuple[Path, Secret, bool]:
    """Return the key for a new warehouse; create it when there is none.

    Args:
        key_file: The file that the user names, or None for ``LAKEHOUSE_KEY_FILE`` or a new key.
        warehouse: Its folder, when it is on this machine.

    Returns:
        The absolute path of the file, the secret, and whether it was created now.

    Raises:
        KeyFileError: The file lies inside the warehouse, holds no good key, or cannot be written.
    """
    if named := key_file or os.environ.get(KEY_FILE):
        path = Path(named)
        if warehouse is not None:
            require_outside_warehouse(path, warehouse)
        if path.exists():
            return path.absolute(), Secret.load(path), False
        return path.absolute(), Secret.create(path), True
    if warehouse is not None:
        require_outside_warehouse(key_folder(), warehouse)
    fresh = key_folder() / f".new-{secrets.token_hex(8)}"
    secret = Secret.create(fresh)
    fresh.rename(key_path(secret.key_id))
    return key_path(secret.key_id), secret, True
