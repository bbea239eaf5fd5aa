"""What every structured form of an answer calls this program and what it says of itself."""

SCHEME = "99PULMOSCOPE"  # the DICOM coding scheme of what has no code elsewhere
DEVICE_UID = "2.25.229087305404126217430158930124876113157"  # of the program, for all its reports
DISCLAIMER = (
    "Not for diagnostic use. Research demonstration. Do not use it for clinical decisions. The "
    "score ranks images by how much they resemble COVID-19 images; it is not a probability of "
    "disease."
)
