"""What the record says of the film itself: its file's hash and how it was repaired."""

from collections.abc import Sequence

import numpy as np

from pipeline.inference.diagnosis import Diagnosis

# What brings a picture of the repaired film back to the pixels of the file.
UNDO = {
    "inverted": lambda picture: picture,
    "turned_left": np.rot90,
    "turned_right": lambda picture: np.rot90(picture, -1),
    "upside_down": lambda picture: np.rot90(picture, 2),
}


def origin(diagnosis: Diagnosis) -> tuple[str, tuple[str, ...]]:
    """The sha256 of the file, and the codes of the repairs that its reader applied, in order.

    A film that was inverted or turned before it was read carries these codes behind the hash:
    ``<hash>-turned_left-inverted``.
    """
    words = diagnosis.radiograph.sha256.split("-")
    first = next((i for i, word in enumerate(words) if word in UNDO), len(words))
    return "-".join(words[:first]), tuple(words[first:])


def as_stored(picture: np.ndarray, diagnosis: Diagnosis) -> np.ndarray:
    """Turn a picture of the film, (rows, columns, ...), back to the pixels of the file."""
    for code in reversed(origin(diagnosis)[1]):
        picture = UNDO[code](picture)
    return np.ascontiguousarray(picture)


def check_same_film(diagnoses: Sequence[Diagnosis]) -> None:
    """Raise ValueError unless there are answers, all of one film and each of another model."""
    films = {diagnosis.radiograph.sha256 for diagnosis in diagnoses}
    models = {diagnosis.model for diagnosis in diagnoses}
    if len(films) != 1 or len(models) != len(diagnoses):
        raise ValueError(
            f"{len(diagnoses)} answers of {len(models)} models on {len(films)} films: a case is "
            "one film, read once by each model. Pass the answers of one film."
        )
