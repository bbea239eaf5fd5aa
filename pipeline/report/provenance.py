"""A case is one radiograph: what is printed or exported together must be of the same.

What leaves the program a second time has the names that it had the first time.
"""

import hashlib
import json
import uuid
from collections.abc import Sequence

from pipeline.inference.diagnosis import Diagnosis


def check_same_film(diagnoses: Sequence[Diagnosis]) -> None:
    """Raise ValueError unless there are answers, all of one film and each of another model."""
    films = {diagnosis.radiograph.key for diagnosis in diagnoses}
    models = {diagnosis.model for diagnosis in diagnoses}
    if len(films) != 1 or len(models) != len(diagnoses):
        raise ValueError(
            f"{len(diagnoses)} answers of {len(models)} models on {len(films)} films: a case is "
            "one film, read once by each model. Pass the answers of one film."
        )


def answer_mark(diagnosis: Diagnosis) -> str:
    """A hash of film, models and content of an answer; not of how long it took."""
    said = diagnosis.as_dict()
    del said["seconds"]
    said |= {
        "film": diagnosis.radiograph.key,
        "cam": diagnosis.cam,
        "covid_probability": round(diagnosis.score, 6),
        "lungs": hashlib.sha256(diagnosis.lung_mask().tobytes()).hexdigest(),
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def lasting_uuid(*parts: str) -> uuid.UUID:
    """The UUID that these parts always have."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return uuid.UUID(bytes=digest[:16], version=5)
