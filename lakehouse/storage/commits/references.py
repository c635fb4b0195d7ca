"""What a table refers to, against what lies in its folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from lakehouse.storage.metadata import version_hints


@dataclass(frozen=True)
class References:
    """Every file that a table refers to, from any snapshot it still has.

    Attributes:
        metadata: The current metadata file, the logged earlier ones and the version hint.
        lists: Manifest lists.
        manifests: Manifests.
        data: Data files.
    """

    metadata: set[str] = field(default_factory=set)
    lists: set[str] = field(default_factory=set)
    manifests: set[str] = field(default_factory=set)
    data: set[str] = field(default_factory=set)

    def all(self) -> set[str]:
        """Return them all."""
        return self.metadata | self.lists | self.manifests | self.data


def references(table: Table, snapshots: Iterable[Snapshot] | None = None) -> References:
    """Return every file that a table refers to.

    Args:
        table: The table as loaded.
        snapshots: Only what these refer to; None for all of them.
    """
    found = References()
    found.metadata.add(table.metadata_location)
    found.metadata.update(e.metadata_file for e in table.metadata.metadata_log)
    found.metadata.add(version_hints.hint_location(table.location()))
    manifests: dict[str, ManifestFile] = {}
    for snapshot in table.metadata.snapshots if snapshots is None else snapshots:
        found.lists.add(snapshot.manifest_list)
        manifests.update({m.manifest_path: m for m in snapshot.manifests(table.io)})
    found.manifests.update(manifests)
    for manifest in manifests.values():
        # An entry that was deleted in one snapshot is still the data of an earlier one, which
        # then refers to it from a manifest of its own.
        found.data.update(e.data_file.file_path for e in manifest.fetch_manifest_entry(table.io))
    return found
