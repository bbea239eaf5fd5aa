"""What the quality gate takes for plausible lungs: set from validation films, never test films.

Limits leave a small share of the validation films out. How large that share is for `distance`,
the one rule that looks at everything together, is chosen on pictures that are no chest film: the
choosing half of `pipeline.evaluation.gate`.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.quality.gate import (
    MEASURES,
    SHAPE,
    TOGETHER,
    LungStatistics,
    measure,
    passes,
    together,
    write_shape,
)

# Measures of which only one side is suspicious keep their natural other end.
ENDS = dict.fromkeys(MEASURES, (None, None))
ENDS |= dict.fromkeys(("two_largest", "symmetry", "beside"), (None, 1.0))
ENDS |= dict.fromkeys(("border", "cut", "entropy", "distance"), (0.0, None))
ENDS |= {"brightness": (-1.0, None), "spread": (None, 128.0)}
# Share of the validation films beyond an end; more for the measure that only cut films have.
TAILS = {"cut": 0.002}
TAIL = 0.0005
DISTANCE_TAILS = (0.0005, 0.001, 0.002, 0.003, 0.004, 0.005)
REFUSED = 0.99  # share of other pictures at which `distance` is strict enough


def open_gate() -> dict:
    """A gate that lets everything pass, until one is set."""
    nothing = {"mean": [0.0] * len(TOGETHER), "inverse_covariance": np.eye(len(TOGETHER)).tolist()}
    limits = {name: [-1e12, 1e12] for name in MEASURES}
    return {"limits": limits, "shape": ["0" * SHAPE[1]] * SHAPE[0], "ordinary": nothing}


def set_gate(films: Sequence[LungStatistics], others: Sequence[LungStatistics]) -> dict:
    """The gate for the statistics of validation films and of pictures that are no chest film."""
    films = [film for film in films if film.area]
    gate = open_gate() | {"shape": write_shape(np.mean([film.shape for film in films], axis=0))}
    vectors = np.stack([together(measure(film, gate)) for film in films])
    inverse = np.linalg.inv(np.cov(vectors.T))
    gate["ordinary"] = {
        "mean": vectors.mean(0).round(4).tolist(),
        "inverse_covariance": inverse.round(3).tolist(),
    }
    measures = [measure(film, gate) for film in films]
    gate["limits"] = {name: _limits(name, measures, TAILS.get(name, TAIL)) for name in ENDS}
    judged = [measure(other, gate) for other in others]
    for tail in DISTANCE_TAILS:
        gate["limits"]["distance"] = _limits("distance", measures, tail)
        refused = np.mean([not passes(other, gate) for other in judged]) if judged else 0.0
        if refused >= REFUSED:
            break
    passed = np.mean([passes(film, gate) for film in measures])
    print(f"{tail=}: {passed:.2%} of {len(films)} validation films pass,")
    print(f"{refused:.2%} of {len(judged)} other pictures are refused")
    return gate


def _limits(name: str, measures: list[dict], tail: float) -> list[float]:
    values = np.array([row[name] for row in measures])
    first, last = np.quantile(values, (tail, 1 - tail))
    margin = 0.05 * (last - first)  # other hospitals' films differ more than these do
    low, high = ENDS[name]
    return [
        round(float(first - margin), 4) if low is None else low,
        round(float(last + margin), 4) if high is None else high,
    ]
