"""From bytes to elements: header, values, DICOMDIR."""
