"""From fields to Arrow arrays: paths, text, times, values of observations."""
