"""Does the score rest on the lungs? What a model says when lungs, background or lettering change.

python -m pipeline evaluate --what lungs --data DIR --model light --part test --json FILE
"""

from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from pipeline.data.split import films_of
from pipeline.evaluation.estimates import Result, against_unchanged
from pipeline.inference.base_predictor import BasePredictor
from pipeline.inference.diagnosis import Answer
from pipeline.io.radiograph import read_radiograph

# What the classifier is shown in place of the image's lungs; the last, only where it is masked.
VARIANTS = ("full", "background_only", "mask_shape", "lungs_black", "lettering", "over_lungs")
REPLACED = ("background_only", "mask_shape", "lungs_black")
LETTERING = ("R", "L", "AP", "PORTABLE", "SUPINE")


def judge_lungs(data: Path, model: str, part: str = "test", seed: int = 0) -> Result:
    """Scores of every image of a part under each of `VARIANTS`.

    ``auc`` of a variant near 0.5 means that nothing in it tells COVID from the rest. ``change`` is
    the mean absolute change of the score against the image as it is, ``flipped`` the share of
    images whose answer changes sides at the threshold.
    """
    from pipeline.inference.predictor import Predictor

    predictor = Predictor(model)
    images = [image for image in films_of(data, part) if image.label]
    rng = np.random.default_rng(seed)
    scores: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for image in tqdm(images, desc=f"{model}: lungs, background, lettering"):
        pixels = read_radiograph(image.path.read_bytes()).pixels
        for name, score in score_variants(pixels, predictor, rng).items():
            scores[name].append(score)
    truth = np.array([image.label == "COVID" for image in images])
    return {
        "what": "lungs",
        **predictor.identity(),
        "part": part,
        "n": len(images),
        "variants": {
            name: against_unchanged(
                truth,
                np.array(values),
                np.array(scores["full"]),
                predictor.entry.decision_threshold(),
            )
            for name, values in scores.items()
            if values
        },
    }


def score_variants(
    image: np.ndarray, predictor: BasePredictor, rng: np.random.Generator
) -> dict[str, float]:
    """The COVID score of one image, float32 (rows, columns) in 0..255, under each of `VARIANTS`."""
    answer = predictor(image)
    lettered = predictor(write_lettering(image, answer.mask, rng))
    replaced = REPLACED + (("over_lungs",) if predictor.architecture.masked else ())
    scores = {
        "full": answer.probabilities[predictor.covid],
        "lettering": lettered.probabilities[predictor.covid],
    } | score_replaced(image, answer, predictor, replaced)
    return {name: float(scores[name]) for name in VARIANTS if name in scores}


def score_replaced(
    image: np.ndarray,
    answer: Answer,
    predictor: BasePredictor,
    variants: tuple[str, ...] = REPLACED,
) -> dict[str, float]:
    """The COVID score where a classifier is shown each of ``variants`` instead of the lungs."""
    shown = np.stack([_shown(answer, image, name, predictor) for name in variants])
    return dict(zip(variants, map(float, predictor.classify(shown)), strict=True))


def _shown(answer: Answer, image: np.ndarray, variant: str, predictor: BasePredictor) -> np.ndarray:
    size = predictor.entry.input_size
    small = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    lungs = answer.mask > 0.5
    if variant == "over_lungs":
        from pipeline.layers.hist_norm import HistNorm

        mask = lungs[None, ..., None].astype(np.float32)
        image = answer.masked_film[None, ..., None]
        return np.asarray(HistNorm(over="lungs")(image, mask))[0, ..., 0]
    if variant == "mask_shape":
        changed = np.where(lungs, 255.0, 0.0)
    elif variant == "background_only":
        changed = np.where(lungs, 0.0, small)
    else:  # lungs_black: for a masked model nothing is left
        changed = np.zeros_like(small) if predictor.architecture.masked else small * ~lungs
    levels = np.rint(changed).clip(0, 255).astype(np.uint8)
    if predictor.architecture.masked:
        return cv2.equalizeHist(levels).astype(np.float32) / np.float32(255)
    return levels.astype(np.float32)


def write_lettering(image: np.ndarray, lungs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Paint a word such as a technician's mark where no lung lies, near a corner or the top.

    ``lungs``: float32 of any size, 1 inside. Where every place touches a lung, the least covered
    one is taken. Returns a copy of the image.
    """
    rows, columns = image.shape
    mask = cv2.resize(lungs, (columns, rows), interpolation=cv2.INTER_NEAREST) > 0.5
    word, scale = rng.choice(LETTERING), rows / 256
    font, thick = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(2 * scale))
    (width, height), _ = cv2.getTextSize(word, font, 0.6 * scale, thick)
    margin = round(6 * scale)
    lefts = (margin, (columns - width) // 2, columns - width - margin)
    places = [(left, base) for base in (height + margin, rows - margin) for left in lefts]
    covered = [
        mask[base - height : base, max(left, 0) : left + width].sum() for left, base in places
    ]
    best = [place for place, c in zip(places, covered, strict=True) if c == min(covered)]
    ink = np.zeros(image.shape, np.uint8)
    where = best[rng.integers(len(best))]
    cv2.putText(ink, str(word), where, font, 0.6 * scale, 255, thick, cv2.LINE_AA)
    return np.maximum(image, ink.astype(np.float32))
