"""Checks across segments: what is wrong between two places that no column holds together."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.formats.hl7v2.datatypes.fields import Fields, Finding
from lakehouse.formats.hl7v2.datatypes.paths import Path
from lakehouse.formats.hl7v2.encoding.buffers import Ints
from lakehouse.formats.hl7v2.encoding.tokens import tag_code

_DAY = 86_400_000_000  # microseconds


def check_across_segments(fields: Fields) -> list[Finding]:
    """Return what is wrong between the places of each message."""
    return [*_event_after_message(fields), *_repeated_flags(fields)]


def _event_after_message(fields: Fields) -> list[Finding]:
    """EVN-2 says when the event was recorded (HL7 v2.9 ch. 3.4.1.2), MSH-7 when it was sent."""
    events = fields.segments("EVN")
    if not len(events):
        return []
    messages = fields.tokens.message[events]
    recorded = fields.times(Path("EVN", 2)).instants.cast(pa.int64())
    sent = fields.times(Path("MSH", 7)).instants.cast(pa.int64()).take(pa.array(messages))
    late = pc.fill_null(pc.greater(pc.subtract(recorded, sent), _DAY), False)
    where = late.to_numpy(zero_copy_only=False)
    text = "Recorded more than a day after the message was made."
    return _any("hl7v2.evn.after-message", "EVN-2", text, messages[where])


def _repeated_flags(fields: Fields) -> list[Finding]:
    """OBX-8 may repeat from v2.7 on (HL7 v2.9 ch. 7.4.2.8); one flag is stored."""
    tokens = fields.tokens
    field = tokens.field(tag_code("OBX"), 8)
    if field.nowhere:
        return []
    messages = tokens.message[fields.segments("OBX")[tokens.repetitions(field) > 1]]
    text = "Several interpretation codes; the first is stored."
    return _any("hl7v2.obx.flag-repeated", "OBX-8", text, messages)


def _any(rule: str, location: str, text: str, messages: Ints) -> list[Finding]:
    return [Finding(rule, location, text, messages)] if len(messages) else []
