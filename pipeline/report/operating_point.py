"""How a model did on test films at the threshold that a diagnosis was made with."""

from pipeline.evaluation.estimates import plain, proportion
from pipeline.inference.diagnosis import Diagnosis
from pipeline.release.measurements import scores_on_test_films


def operating_point(diagnosis: Diagnosis) -> dict | None:
    """``sensitivity`` and ``specificity`` with 95 % intervals (see `proportion`), and ``name``.

    ``name`` is that of the operating point ("screening", ...) or None. The result is None unless
    test films were scored with the diagnosis's own weights, at its threshold.
    """
    scores = scores_on_test_films(diagnosis.model)
    ours = diagnosis.weights_sha256, diagnosis.unet_sha256
    if scores is None or (scores["weights_sha256"], scores["unet_sha256"]) != ours:
        return None
    named = scores.get("operating_points") or {}
    for name, point in [*named.items(), (None, scores)]:
        if _same(point["threshold"], diagnosis.threshold):
            return {key: point[key] for key in ("sensitivity", "specificity")} | {"name": name}
    return _on_the_grid((scores.get("curves") or {}).get("confusion"), diagnosis.threshold)


def _on_the_grid(confusion: dict | None, threshold: float) -> dict | None:
    """From the counts that `evaluate` writes for a grid of thresholds."""
    for i, level in enumerate(confusion["threshold"] if confusion else ()):
        if _same(level, threshold):
            tp, fn, fp, tn = (confusion[key][i] for key in ("tp", "fn", "fp", "tn"))
            return {
                "sensitivity": plain(proportion(tp, tp + fn)),
                "specificity": plain(proportion(tn, tn + fp)),
                "name": None,
            }
    return None


def _same(one: float, other: float) -> bool:
    return abs(one - other) < 5e-5  # thresholds are written with four decimals
