"""Does the answer survive what happens to images between the detector and the page?

    python -m pipeline evaluate --what changes --data DIR --model light --part test --json FILE

Copies are blurred, shrunk, compressed, turned and brightened on the way, and the lung mask may lie
some pixels further out or in; none of that is disease.
"""

from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from pipeline.data.database import Film
from pipeline.data.split import films_of
from pipeline.evaluation.elsewhere import find_findings
from pipeline.evaluation.estimates import (
    Result,
    against_unchanged,
    mask_agreement,
    mean_with_interval,
)
from pipeline.inference.copies import CHANGES, MASKS, moved
from pipeline.inference.predictor import Predictor
from pipeline.io.radiograph import read_radiograph

IMAGES = 300  # drawn once from either set, in its own proportions; all where there are fewer


def judge_changes(data: Path, model: str, part: str = "test", seed: int = 0) -> Result:
    """Scores of a sample of a part's images under each of `CHANGES` and `MASKS`.

    ``changes`` are of the database's images; ``siim``, where the folder has them, holds ``n`` and
    ``changes`` of SIIM-COVID19's typical and negative ones. Per change, next to what
    `against_unchanged` gives: ``mask_dice``, the mean agreement of the lung mask with that of the
    image as it is (for the mirrored image, mirrored back).
    """
    predictor = Predictor(model)
    images = films_of(data, part, siim=True)
    findings = [finding for finding, _ in find_findings(images, data)]
    database = [(image, image.label == "COVID") for image in images if image.label]
    siim = [
        (image, finding == "typical")
        for image, finding in zip(images, findings, strict=True)
        if image.source == "siim" and finding in {"typical", "negative"}
    ]
    result = {"what": "changes", **predictor.identity(), "part": part}
    result |= _judge(database, predictor, seed)
    return result | ({"siim": _judge(siim, predictor, seed)} if siim else {})


def _judge(known: list[tuple[Film, bool]], predictor: Predictor, seed: int) -> Result:
    order = np.random.default_rng(seed).permutation(len(known))[:IMAGES]
    rows = [
        score_changes(read_radiograph(known[i][0].path.read_bytes()).pixels, predictor)
        for i in tqdm(order, desc=f"{predictor.entry.name}: changed copies")
    ]
    truth = np.array([known[i][1] for i in order], bool)
    scores = {name: np.array([row[name][0] for row in rows]) for name in rows[0]}
    dice = {name: np.array([row[name][1] for row in rows]) for name in rows[0]}
    return {
        "n": len(order),
        "changes": {
            name: against_unchanged(
                truth, values, scores["none"], predictor.entry.decision_threshold()
            )
            | {"mask_dice": mean_with_interval(dice[name])}
            for name, values in scores.items()
        },
    }


def score_changes(image: np.ndarray, predictor: Predictor) -> dict[str, tuple[float, float]]:
    """Of each change: the COVID score, and the Dice of the lung mask with the unchanged image's.

    ``image``: float32 (rows, columns) in 0..255.
    """
    copies = [change(image).clip(0, 255).astype(np.float32) for change in CHANGES.values()]
    answers = dict(zip(CHANGES, predictor.many(np.stack(copies)), strict=True))
    lungs = answers["none"].mask > 0.5
    found = {}
    for name, answer in answers.items():
        mask = (answer.mask[:, ::-1] if name == "mirrored" else answer.mask) > 0.5
        score = float(answer.probabilities[predictor.covid])
        found[name] = (score, mask_agreement(mask, lungs)["dice"])
    if predictor.architecture.masked:
        (levels,) = predictor.levels(image[None])
        masks = {name: moved(lungs, change) for name, change in MASKS.items()}
        shown = [cv2.equalizeHist(levels * mask) for mask in masks.values()]
        scores = predictor.classify(np.stack(shown).astype(np.float32) / np.float32(255))
        for score, (name, mask) in zip(scores, masks.items(), strict=True):
            found[name] = (float(score), mask_agreement(mask > 0, lungs)["dice"])
    return found
