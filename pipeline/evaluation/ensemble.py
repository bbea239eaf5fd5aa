"""Two models, one image: how often they agree, and how often they are right when they do.

python -m pipeline evaluate --what together --data DIR --part test --json FILE
"""

from pathlib import Path

import numpy as np

from pipeline import __version__
from pipeline.data.split import films_of
from pipeline.evaluation.calibration import joint
from pipeline.evaluation.estimates import Estimate, Result, classification_scores, proportion
from pipeline.evaluation.evaluate import score_images
from pipeline.inference.predictor import Predictor

MODELS = ("light", "xception")


def judge_together(data: Path, part: str = "test", models: tuple[str, str] = MODELS) -> Result:
    """Both models on every image of a part that both give a score; see `compare_answers`."""
    images = [image for image in films_of(data, part) if image.label]
    predictors = [Predictor(name) for name in models]
    scored = [list(score_images(images, predictor, [])) for predictor in predictors]
    pairs = [pair for pair in zip(*scored, strict=True) if not (pair[0].reasons or pair[1].reasons)]
    return {
        "what": "together",
        "weights_sha256": {p.entry.name: p.entry.sha256 for p in predictors},
        "unet_sha256": predictors[0].unet_entry.sha256,
        "version": __version__,
        "part": part,
        "films": len(images),
        **compare_answers(
            np.array([first.image.label == "COVID" for first, _ in pairs], bool),
            {
                predictor.entry.name: np.array([pair[i].score for pair in pairs])
                for i, predictor in enumerate(predictors)
            },
            {p.entry.name: p.entry.decision_threshold() for p in predictors},
        ),
    }


def compare_answers(
    truth: np.ndarray, scores: dict[str, np.ndarray], thresholds: dict[str, float]
) -> Result:
    """What two models' answers say together.

    ``truth``: bool (image,); ``scores``: float (image,) in 0..1 by model. ``both_positive``: of the
    images that both call COVID, the share that is; ``both_negative``: of those that neither does,
    the share that is not; ``apart``: of the rest, the share on which each model is right.
    ``together``: the scores of `joint`; ``alone``: those of each model on the same images.
    """
    called = {name: score >= thresholds[name] for name, score in scores.items()}
    first, second = called.values()
    apart = first != second
    both = joint(list(scores.values()), [thresholds[name] for name in scores])
    return {
        "n": len(truth),
        "agree": proportion(int((~apart).sum()), len(truth)),
        "both_positive": _share(truth, first & second),
        "both_negative": _share(~truth, ~first & ~second),
        "apart": {name: _share(said == truth, apart) for name, said in called.items()},
        "together": classification_scores(truth, both, 0.5),
        "alone": {
            name: classification_scores(truth, scores[name], thresholds[name]) for name in scores
        },
    }


def _share(of: np.ndarray, among: np.ndarray) -> Estimate:
    return proportion(int((of & among).sum()), int(among.sum()))
