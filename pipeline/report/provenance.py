"""A case is one radiograph: what is printed or exported together must be of the same."""

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
