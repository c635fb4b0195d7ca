"""From bytes to segments: framing, character sets, delimiters, tokens."""
