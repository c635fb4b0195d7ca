"""Words of DICOM: dictionary, defined terms, devices, concepts, values that identify no one."""
