"""Lists the files that a table refers to; any other file in its folder is an orphan."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from lakehouse.storage.metadata import version_hints


@dataclass(frozen=True)
class References:
    """The files that a table refers to, from any snapshot in its history.

    Attributes:
        metadata: The current metadata file, the earlier ones in its log and the version hint.
        lists: Manifest lists.
        manifests: Manifests.
        data: Data files.
    """

    metadata: set[str] = field(default_factory=set)
    lists: set[str] = field(default_factory=set)
    manifests: set[str] = field(default_factory=set)
    data: set[str] = field(default_factory=set)

    def all(self) -> set[str]:
        """Return the files of every kind."""
        return self.metadata | self.lists | self.manifests | self.data


def referenced_files(table: Table, snapshots: Iterable[Snapshot] | None = None) -> References:
    """Return every file that a table refers to.

    Args:
        table: The table as loaded.
        snapshots: Snapshots whose references count; None for all.
    """
    references = References()
    references.metadata.add(table.metadata_location)
    references.metadata.update(e.metadata_file for e in table.metadata.metadata_log)
    references.metadata.add(version_hints.hint_location(table.location()))
    manifests: dict[str, ManifestFile] = {}
    for snapshot in table.metadata.snapshots if snapshots is None else snapshots:
        references.lists.add(snapshot.manifest_list)
        manifests.update({m.manifest_path: m for m in snapshot.manifests(table.io)})
    references.manifests.update(manifests)
    for manifest in manifests.values():
        # A file that one snapshot deletes is still data of an earlier one, which then lists it in
        # a manifest of its own.
        references.data.update(
            e.data_file.file_path for e in manifest.fetch_manifest_entry(table.io)
        )
    return references
