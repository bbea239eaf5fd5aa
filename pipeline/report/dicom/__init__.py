"""A case as DICOM objects."""
