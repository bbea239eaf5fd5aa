"""Where a model's threshold, operating points, calibration and triage limits are chosen."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from pipeline.data.split import Row
from pipeline.evaluation.calibration import choose_calibration
from pipeline.evaluation.curves import balanced_weights, choose_threshold, operating_thresholds
from pipeline.evaluation.estimates import Result
from pipeline.evaluation.triage import choose_limits_and_rate


def decide(
    rows: Sequence[Row], scores: np.ndarray, sensitivity: float, specificity: float
) -> Result:
    """Threshold, operating points, calibration and triage limits of a model.

    ``rows``: validation images; ``scores``: float (image,) in 0..1. Two scales count, the database
    and SIIM-COVID19, and within them COVID and the rest, all four alike. ``sensitivity`` and
    ``specificity`` are what the threshold is to reach, or to miss by as little as it can.
    """
    counted = [i for i, row in enumerate(rows) if row.label or row.source == "siim"]
    rows, scores = [rows[i] for i in counted], np.asarray(scores, np.float64)[counted]
    truth = np.array([row.target == "COVID" for row in rows])
    database = np.array([bool(row.label) for row in rows])
    cells = list(zip(database.tolist(), truth.tolist(), strict=True))
    weight = balanced_weights(cells)
    threshold = round(choose_threshold(truth, scores, sensitivity, specificity, weight), 4)
    points = operating_thresholds(truth, scores, weight)
    line = choose_calibration(truth, scores, weight, database)
    return {
        "threshold": threshold,
        "operating_points": {key: round(value, 4) for key, value in points.items()},
        "calibration": [round(value, 5) for value in line],
        "triage": asdict(choose_limits_and_rate(truth, scores, cells, threshold)),
    }
