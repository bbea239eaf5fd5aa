"""What a file that leaves the program is called: after the radiograph, the models and the day."""

import re
from collections.abc import Sequence
from datetime import datetime

from pipeline.inference.diagnosis import Diagnosis

KNOWN = re.compile(r"\.(png|jpe?g|bmp|tiff?|webp|dcm|dicom)$", re.IGNORECASE)
LENGTH = 80  # characters of the radiograph's own name


def file_name(name: str, diagnoses: Sequence[Diagnosis], when: datetime, ending: str) -> str:
    """``CASE_light_2026-11-26.pdf``: a name that every file system takes.

    ``name``: what the radiograph's file is called; of a path in an archive its last part counts.
    """
    last = re.split(r"[/\\\\]", name)[-1]
    stem = KNOWN.sub("", last)
    plain = "".join(c if c.isalnum() or c in "-._ ()" else "_" for c in stem)[:LENGTH].strip(" .")
    models = "+".join(diagnosis.model for diagnosis in diagnoses)
    return f"{plain or 'radiograph'}_{models}_{when.date().isoformat()}.{ending}"
