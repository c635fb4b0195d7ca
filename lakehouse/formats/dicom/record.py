"""One DICOM object as mappings read it: values by tag, and by path into its sequences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from lakehouse.batch import Source
from lakehouse.formats.dicom.encoding.elements import items
from lakehouse.formats.dicom.encoding.header import CHARACTER_SET, Header
from lakehouse.formats.dicom.encoding.values import TEXT, Value, decode, parts, text
from lakehouse.formats.dicom.mapping import FIRST_FRAME, SHARED_GROUPS, Key, paths_into_sequences

Item = dict[int, tuple[bytes, Any]]
"""Elements of one item: VR and value by tag; the value of a sequence is a list of items."""

PLAIN = ("", "ISO_IR 6", "ISO_IR 100", "ISO 2022 IR 6", "ISO 2022 IR 100")


@dataclass(slots=True)
class Record:
    """One object.

    Attributes:
        source: The file it came from.
        ordinal: Its position in the file.
        values: VR and value by tag, and by path for what mappings take from sequences.
        implicit: Its data set is in implicit VR.
        big: Its data set is big endian.
        character_set: Terms of (0008,0005).
        n_elements: Elements at top level.
        n_mapped: Those of them that were kept.
        file_size: Bytes of the stored file.
        weight: Bytes that its values may take.
    """

    source: Source
    ordinal: int
    values: dict[Key, tuple[bytes, Any]]
    implicit: bool = False
    big: bool = False
    character_set: tuple[str, ...] = ()
    n_elements: int = 0
    n_mapped: int = 0
    file_size: int | None = None
    weight: int = 0
    warnings: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def record_id(self) -> str:
        """Keyed id of the file and the position in it."""
        return f"{self.source.file_id[:16]}-{self.ordinal:08d}"

    @property
    def top(self) -> Item:
        """The elements at top level as one item."""
        return cast(Item, self.values)

    def text(self, tag: int) -> str | None:
        """Return the first value of an attribute as text."""
        found = self.values.get(tag)
        return None if found is None else text(*found)

    def items(self, tag: int) -> Iterator[Item]:
        """Yield the items of a sequence at top level, decoded down to their leaves on demand."""
        found = self.values.get(tag)
        if found is not None:
            yield from self.sequence_items(found)

    def sequence_items(
        self, element: tuple[bytes, Any], first_only: bool = False
    ) -> Iterator[Item]:
        """Yield the items of a sequence element of this record."""
        vr, value = element
        if vr != b"SQ" or isinstance(value, str):
            return
        if isinstance(value, bytes):
            for elements, _ in items(value, self.implicit, self.big, first_only):
                yield decode_text(dict(elements), self.character_set)
        else:
            yield from value[:1] if first_only else value

    def find(self, item: Item, tags: tuple[int, ...]) -> tuple[bytes, Any] | None:
        """Return the element at a path of first items, or None."""
        for tag in tags[:-1]:
            element = item.get(tag)
            item = next(self.sequence_items(element, first_only=True), {}) if element else {}
        return item.get(tags[-1])

    def flatten(self) -> None:
        """Look up every path that a mapping names; what is found joins ``values``."""
        values = self.top
        groups = [
            next(self.sequence_items(values[t], first_only=True), {})
            for t in (SHARED_GROUPS, FIRST_FRAME)
            if t in values
        ]
        for path in paths_into_sequences(self.source.mappings):
            if path[0]:
                found = self.find(values, path) if path[0] in values else None
            else:
                found = next((e for g in groups if (e := self.find(g, path[1:]))), None)
            if found is not None and not empty(found[1]):
                self.values[path] = found


def empty(value: Value) -> bool:
    """Return whether an element has no value."""
    return len(value) == 0


def decode_text(values: dict[Any, tuple[bytes, Any]], character_set: tuple[str, ...]) -> Any:
    """Decode in place the text that is not ASCII; the rest stays as bytes."""
    if character_set:
        for tag, (vr, value) in values.items():
            if (
                vr in TEXT
                and isinstance(value, bytes)
                and not (value.isascii() and b"\x1b" not in value)
            ):
                values[tag] = (vr, decode(value, vr, character_set))
    return values


def from_header(header: Header, source: Source) -> Record:
    """Return the record of one object read from a file."""
    values: Any = header.elements
    terms: tuple[str, ...] = ()
    if CHARACTER_SET in values:
        terms = tuple(parts(b"CS", values[CHARACTER_SET][1]))
        if all(term in PLAIN for term in terms):
            terms = ()
    size = source.size if source.size is not None else header.size
    record = Record(
        source,
        0,
        decode_text(values, terms),
        header.implicit,
        header.big,
        terms,
        header.n_elements,
        sum(1 for tag in values if tag >> 16 != 2),
        size,
        header.weight,
    )
    record.flatten()
    return record
