"""Small cells: which queries can be judged, and which cells a result must hide."""
