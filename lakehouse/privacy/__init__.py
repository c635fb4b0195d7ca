"""De-identification: keys, pseudonyms, profiles, and the step from RawBatch to CleanBatch."""
