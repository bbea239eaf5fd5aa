"""What is decided on validation images."""

import json

import numpy as np
import pytest

from pipeline.data.split import Row
from pipeline.evaluation.calibration import logit
from pipeline.evaluation.decisions import decide
from pipeline.models.triage import TriageLimits


def drawn(counts: dict[tuple[str, str], int], shift: float, siim_shift: float, seed: int = 0):
    """Rows of strata and scores with a class's evidence, otherwise placed in SIIM-COVID19."""
    rng = np.random.default_rng(seed)
    rows, odds = [], []
    for (source, name), count in counts.items():
        database = source not in {"siim", "shenzhen"}
        row = Row(
            "x", source, name if database else "", "" if database else name, "g", "validation"
        )
        ill = row.target == "COVID"
        place = siim_shift if source == "siim" else 0.0
        rows += [row] * count
        odds.append(rng.normal(place + shift * (ill - 0.5), 1, count))
    return rows, 1 / (1 + np.exp(-2 * np.concatenate(odds)))


COUNTS = {
    ("bimcv", "COVID"): 300,
    ("rsna", "Normal"): 900,
    ("siim", "typical"): 250,
    ("siim", "negative"): 200,
}


def test_both_scales_weigh_alike():
    """SIIM's scores lie higher by 2: the threshold lies between the two scales' own."""
    rows, scores = drawn(COUNTS, 4, 2.0)
    found = decide(rows, scores, 0.95, 0.95)
    assert logit(found["threshold"]) / 2 == pytest.approx(1.0, abs=0.2)
    often = drawn(COUNTS | {("siim", "typical"): 2500, ("siim", "negative"): 2000}, 4, 2.0)
    assert decide(*often, 0.95, 0.95)["threshold"] == pytest.approx(found["threshold"], abs=0.07)


def test_other_sets_do_not_count():
    rows, scores = drawn(COUNTS, 4, 0.0)
    others, other_scores = drawn({("shenzhen", "tuberculosis"): 400}, 4, 0.0)
    both = decide(rows + others, np.concatenate([scores, 1 - other_scores]), 0.95, 0.95)
    assert both == decide(rows, scores, 0.95, 0.95)


def test_decisions_fit_the_registry():
    rows, scores = drawn(COUNTS, 4, 0.0)
    found = json.loads(json.dumps(decide(rows, scores, 0.95, 0.95)))
    assert set(found) == {"threshold", "operating_points", "calibration", "triage"}
    limits = TriageLimits(**found["triage"])
    assert limits.low <= found["threshold"] <= limits.high
    assert limits.n == 800
    slope, intercept = found["calibration"]
    assert slope > 1, "these scores are too timid"
    assert abs(intercept) < 1
