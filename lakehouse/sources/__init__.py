"""Input files: discovery, unpacking, recognition and identification by content."""
