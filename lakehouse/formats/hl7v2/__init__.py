"""formats/hl7v2."""
