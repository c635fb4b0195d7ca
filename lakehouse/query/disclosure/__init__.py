"""Small-cell suppression: which queries it accepts, and which cells of a result it hides."""
