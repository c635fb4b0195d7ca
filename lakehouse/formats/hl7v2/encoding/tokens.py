"""The columnar tokeniser: one buffer of messages becomes arrays of positions.

Nothing is split into Python objects. Every delimiter of the buffer is found once; a segment, a
field, a repetition, a component is then a pair of indices into that list of delimiters, for all
rows at a time, and stepping down one level is a few array look-ups (HL7 v2.9 ch. 2.5: segments
hold fields, fields hold repetitions, then components, then sub-components). Look-ups are by
``take``, which costs a third less than indexing with 32-bit positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lakehouse.formats.hl7v2.encoding.buffers import Bools, Bytes, Ints, running_count, stretches

PADDING = 64
"""Bytes after the data that a look-ahead may touch without leaving the buffer."""

SEGMENT_ENDS = b"\r\n\x0b\x1c"
"""CR is the standard's; LF is common; VT and FS are MLLP framing."""

BATCH_TAGS = (b"FHS", b"BHS", b"BTS", b"FTS")

_SEGMENT, _FIELD, _REPETITION, _COMPONENT, _SUBCOMPONENT = 1, 2, 3, 4, 5
_FAR = np.iinfo(np.int32).max
_REACH = 512  # deepest ordinal a path may ask for; the position lists are padded by so much


@dataclass(frozen=True)
class Delimiters:
    """The characters of MSH-1 and MSH-2, as byte values; 0 stands for none.

    Attributes:
        declared: MSH-2 as it stands in the message.
    """

    field: int = ord("|")
    component: int = ord("^")
    repetition: int = ord("~")
    escape: int = ord("\\")
    subcomponent: int = ord("&")
    declared: bytes = b"^~\\&"


def tag_code(tag: bytes | str) -> int:
    """Return a segment id as one integer.

    Examples:
        >>> tag_code("PID")
        5261636
    """
    raw = tag.encode("ascii") if isinstance(tag, str) else tag
    return raw[0] << 16 | raw[1] << 8 | raw[2]


def tag_name(code: int) -> str:
    """Return the segment id of an integer made by ``tag_code``."""
    return bytes((code >> 16 & 255, code >> 8 & 255, code & 255)).decode("ascii")


@dataclass(frozen=True)
class Ranges:
    """Stretches of the buffer: for each row, the delimiters before (``js``) and after (``je``).

    A row with nothing there has ``js == je``, so its length comes out as zero. Where no row can
    have anything, both are the same array, and nothing needs to be looked up.
    """

    js: Ints
    je: Ints

    @property
    def nowhere(self) -> bool:
        """Whether it is known that no row has anything."""
        return self.js is self.je

    @cached_property
    def is_undivided(self) -> bool:
        """Whether no row has a delimiter inside: all is the first part at every level below."""
        return bool((self.je - self.js <= 1).all())


class Tokens:
    r"""The delimiters of one buffer of messages, all with the same MSH-1 and MSH-2.

    Args:
        data: Messages, each beginning with ``MSH`` at the start of a line; valid UTF-8.
        delimiters: What separates fields, components and so on.

    Attributes:
        buffer: The data as bytes, with one terminator before and padding behind.
        tags: Per segment, its id as an integer.
        message: Per segment, the position of its message.
        n_messages: Count of messages.
        continued: Per message, lines that go on with the text of the segment before.
        stray: Per message, lines that are neither a segment nor such text; they are left out.

    Examples:
        >>> t = Tokens(b"MSH|^~\\&|A\rPID|1||42^^^H\r", Delimiters())
        >>> t.n_messages, [tag_name(c) for c in t.tags]
        (1, ['MSH', 'PID'])
    """

    def __init__(self, data: bytes, delimiters: Delimiters) -> None:
        self.delimiters = delimiters
        padded = b"".join((b"\r", data, b"\r", bytes(PADDING)))
        self._text = padded
        self.has_null = b'"' in padded and b'""' in padded  # one byte alone is found quickest
        self.buffer: Bytes = np.frombuffer(padded, dtype=np.uint8)
        classes = np.zeros(256, dtype=np.uint8)
        # The order matters only for broken senders: a higher level wins.
        for byte, level in (
            (delimiters.subcomponent, _SUBCOMPONENT),
            (delimiters.component, _COMPONENT),
            (delimiters.repetition, _REPETITION),
            (delimiters.field, _FIELD),
        ):
            if byte:
                classes[byte] = level
        for byte in SEGMENT_ENDS:
            classes[byte] = _SEGMENT
        # bytes.translate is the quickest table look-up there is, and only of booleans does NumPy
        # list the true ones quickly
        levels = np.frombuffer(padded.translate(classes.tobytes()), dtype=np.uint8)
        levels = levels[: len(data) + 2]
        hits = levels > 0
        self.at: Ints = np.flatnonzero(hits).astype(np.int32)
        self._levels = levels.take(self.at)
        blank = self.buffer[: len(hits)] == ord(" ")
        self._padded_with_blanks = bool(
            (hits[1:] & blank[:-1]).any() or (hits[:-1] & blank[1:]).any()
        )
        self._rank: dict[int, tuple[Ints, Ints]] = {}
        self._segments_of: dict[int, tuple[Ints, Ints, Ints, int]] = {}
        self._edges: dict[tuple[int, int], Ints] = {}
        self._segments()
        self._headers = self._pass_over_headers(classes)

    def _pass_over_headers(self, classes: Bytes) -> Ints:
        """Have MSH-2 delimit nothing, and return where each stands.

        It spells out every delimiter; passed over, a level that is not used is seen to be so.
        """
        declared = self.delimiters.declared
        js = self.js.take(self.first_segment)
        start = self.at.take(js) + np.int32(5)
        whole = declared + bytes([self.delimiters.field])
        usual = (stretches(self.buffer, start, len(whole)) == np.frombuffer(whole, np.uint8)).all(1)
        n = sum(bool(classes[byte]) for byte in declared)
        self._levels[js[usual, None] + np.arange(2, 2 + n, dtype=np.int32)] = 0
        headers: Ints = start[usual]
        return headers

    def _segments(self) -> None:
        """Find the lines that are segments and the message each belongs to."""
        ends: Ints = np.flatnonzero(self._levels == _SEGMENT).astype(np.int32)
        js, je = ends[:-1], ends[1:]
        filled = self.at[je] - self.at[js] > 1
        js, je = js[filled], je[filled]
        start = self.at[js] + 1
        first, second, third, after = stretches(self.buffer, start, 4).T
        code = (first.astype(np.int32) << 16) | (second.astype(np.int32) << 8) | third
        separated = after == self.delimiters.field
        is_tag = (
            _UPPER[first]
            & _ALNUM[second]
            & _ALNUM[third]
            & (separated | ((self.at[je] - start == 3) & (code != _MSH)))
        )
        if not is_tag.all():  # batch headers stand by themselves, whatever separates their fields
            is_tag |= np.isin(code, _BATCH_CODES) & ~_IN_WORDS[after]
        lines = np.flatnonzero(is_tag)
        last = np.append(lines[1:], len(js)) - 1
        tags = code[lines]
        batch = np.isin(tags, _BATCH_CODES)
        lines, last, tags = lines[~batch], last[~batch], tags[~batch]
        message: Ints = np.cumsum(tags == _MSH, dtype=np.int32) - np.int32(1)
        inside = message >= 0
        if not inside.all():
            lines, last, tags = lines[inside], last[inside], tags[inside]
            message = message[inside]
        self.tags: Ints = tags
        self.message: Ints = message
        self.js: Ints = js[lines]
        self.n_messages = int(message[-1]) + 1 if len(message) else 0
        more = last - lines
        follow: Ints = np.flatnonzero(more).astype(np.int32)
        text = follow[self._ends_in_text(follow, je[lines[follow]])]
        left_out = np.setdiff1d(follow, text, assume_unique=True)
        self.continued: Ints = self._per_message(message[text], more[text])
        self.stray: Ints = self._per_message(message[left_out], more[left_out])
        last[left_out] = lines[left_out]
        self.je: Ints = je[last]
        self._in_lines = bool(len(text))

    def _per_message(self, message: Ints, count: npt.NDArray[np.int64]) -> Ints:
        sums = np.bincount(message, weights=count, minlength=self.n_messages)
        return sums.astype(np.int32)

    def _ends_in_text(self, segments: Ints, ends: Ints) -> Bools:
        """Return which segments have a free text as the last field of their first line.

        A line break in such a field was not escaped; the lines behind it belong to the segment.
        Behind any other field they are a stray line: a comment, a log entry, a header cut off.
        """
        rank, places = self._level(_FIELD)
        before = rank[self.js[segments]]
        field = np.minimum(rank[ends] - before, 255)
        found: Bools = np.isin((self.tags[segments].astype(np.int64) << 8) | field, _TEXT_FIELDS)
        of_obx = found & (self.tags[segments] == _OBX)  # whose type says whether it is a text
        if of_obx.any():
            kind = self.at[places[before[of_obx] + 1]] + 1
            text = (self.buffer[kind].astype(np.int32) << 8) | self.buffer[kind + 1]
            found[of_obx] = np.isin(text, _TEXT_TYPES)
        return found

    @cached_property
    def of_tag(self) -> dict[int, Ints]:
        """Return, for each segment id that occurs, the positions of its segments in order."""
        order = np.argsort(self.tags, kind="stable").astype(np.int32)
        codes, starts = np.unique(self.tags[order], return_index=True)
        return dict(zip(codes.tolist(), np.split(order, starts[1:]), strict=True))

    @cached_property
    def first_segment(self) -> Ints:
        """Return, per message, the position of its MSH among the segments."""
        return self.of_tag.get(_MSH, np.zeros(0, np.int32))

    @cached_property
    def message_start(self) -> Ints:
        """Return, per message, the byte at which it begins in the data given."""
        return self.at[self.js[self.first_segment]]

    def _level(self, level: int) -> tuple[Ints, Ints]:
        """Return (how many of this level lie at or before each delimiter, where they are)."""
        if level not in self._rank:
            here = self._levels == level
            where = np.flatnonzero(here)
            places = np.full(len(where) + _REACH, _FAR, dtype=np.int32)
            places[: len(where)] = where
            self._rank[level] = (running_count(here, where), places)
        return self._rank[level]

    def _part(self, ranges: Ranges, level: int, n: int) -> Ranges:
        """Return the n-th part (from 1) of each range at one level."""
        if ranges.nowhere:
            return ranges
        if ranges.is_undivided:
            return ranges if n == 1 else Ranges(ranges.js, ranges.js)
        rank, places = self._level(level)
        if len(places) == _REACH:  # no such delimiter in the buffer
            return ranges if n == 1 else Ranges(ranges.js, ranges.js)
        before = rank.take(ranges.js)
        je = np.minimum(places.take(before + (n - 1)), ranges.je)
        if n == 1:
            return Ranges(ranges.js, je)
        start = np.minimum(places.take(before + (n - 2)), ranges.je)
        # seen here, nothing below is looked up: most fields have few of their components
        return Ranges(start, start if np.array_equal(start, je) else je)

    def field(self, tag: int, number: int) -> Ranges:
        """Return field ``number`` (from 1, as HL7 counts) of all segments of one tag."""
        js, _, _, most = self._whole(tag)
        # MSH-1 is the separator itself, so MSH-2 is what follows the tag (HL7 v2.9 ch. 2.14.9)
        number -= tag == _MSH
        if number > most:
            return Ranges(js, js)
        start, end = self._edge(tag, number - 1), self._edge(tag, number)
        return Ranges(start, start if np.array_equal(start, end) else end)

    def _edge(self, tag: int, number: int) -> Ints:
        """Return where a field ends, and the next one begins, in all segments of one tag."""
        if (tag, number) not in self._edges:
            _, je, before, _ = self._whole(tag)
            _, places = self._level(_FIELD)
            self._edges[tag, number] = np.minimum(places.take(before + number), je)
        return self._edges[tag, number]

    def _whole(self, tag: int) -> tuple[Ints, Ints, Ints, int]:
        """Return, for a tag: first and last delimiter, separators before, most fields in one."""
        if tag not in self._segments_of:
            segments = self.of_tag.get(tag, np.zeros(0, np.int32))
            js, je = self.js.take(segments), self.je.take(segments)
            rank, _ = self._level(_FIELD)
            before = rank[js]
            most = int((rank[np.maximum(je - 1, js)] - before).max(initial=0))
            self._segments_of[tag] = (js, je, before, most)
        return self._segments_of[tag]

    def repetition(self, ranges: Ranges, n: int = 1) -> Ranges:
        """Return the n-th repetition."""
        return self._part(ranges, _REPETITION, n)

    def component(self, ranges: Ranges, n: int) -> Ranges:
        """Return the n-th component."""
        return self._part(ranges, _COMPONENT, n)

    def subcomponent(self, ranges: Ranges, n: int) -> Ranges:
        """Return the n-th sub-component."""
        return self._part(ranges, _SUBCOMPONENT, n)

    def repetitions(self, ranges: Ranges) -> Ints:
        """Return how many repetitions each range has, at least 1."""
        rank, _ = self._level(_REPETITION)
        inner = np.maximum(ranges.je - 1, ranges.js)
        return rank[inner] - rank[ranges.js] + 1

    def span(self, ranges: Ranges) -> tuple[Ints, Ints]:
        """Return first byte and length of each range, up to its first line end, without blanks."""
        start = self.at.take(ranges.js) + 1
        je = ranges.je
        if self._in_lines:  # a value ends with its line
            rank, places = self._level(_SEGMENT)
            je = np.minimum(je, places.take(rank.take(ranges.js)))
        length = np.maximum(self.at.take(je) - start, 0)
        while self._padded_with_blanks:
            blank = (length > 0) & (self.buffer.take(start) == 32)
            if not blank.any():
                break
            start = start + blank
            length = length - blank
        while self._padded_with_blanks:
            blank = (length > 0) & (self.buffer.take(start + length - 1) == 32)
            if not blank.any():
                break
            length = length - blank
        return start, length

    @cached_property
    def escapes(self) -> Ints:
        """Return where the escape character occurs, but for MSH-2."""
        escape = self.delimiters.escape
        of_headers = len(self._headers) * self.delimiters.declared.count(escape)
        if not escape or self._text.count(escape) == of_headers:
            return np.zeros(0, np.int32)
        here = self.buffer == escape
        for place, byte in enumerate(self.delimiters.declared):
            if byte == escape:
                here[self._headers + place] = False
        return np.flatnonzero(here).astype(np.int32)


_MSH = tag_code(b"MSH")
_BATCH_CODES = np.array([tag_code(t) for t in BATCH_TAGS], dtype=np.int32)
_UPPER = np.zeros(256, dtype=bool)
_UPPER[ord("A") : ord("Z") + 1] = True
_ALNUM = _UPPER.copy()
_ALNUM[ord("0") : ord("9") + 1] = True
_IN_WORDS = _ALNUM.copy()
_IN_WORDS[ord("a") : ord("z") + 1] = True
_IN_WORDS[ord(" ")] = True

_OBX = tag_code(b"OBX")
_TEXT_TYPES = np.array([int.from_bytes(t, "big") for t in (b"TX", b"FT", b"ST", b"ED", b"RP")])
_TEXT_FIELDS = np.array(
    [
        tag_code(tag) << 8 | field
        for tag, fields in {
            "OBX": (5,),
            "NTE": (3,),
            "PID": (5, 6, 9, 11),  # names and addresses
            "IN1": (4, 5, 16, 19),
            "DG1": (4,),
            "PR1": (4,),
            "AL1": (5,),
            "RXA": (9,),
            "FT1": (8, 9),
            "OBR": (13,),
        }.items()
        for field in fields
    ],
    dtype=np.int64,
)
"""Where senders put text of several lines without escaping the line ends."""
