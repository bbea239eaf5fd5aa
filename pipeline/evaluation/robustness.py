"""Does the answer survive what happens to images between the detector and the page?

    python -m pipeline evaluate --what changes --data DIR --model light --part test --json FILE

Copies are blurred, shrunk, compressed, turned and brightened on the way, and the lung mask may lie
some pixels further out or in; none of that is disease.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import keras
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
from pipeline.inference.predictor import Predictor
from pipeline.io.radiograph import read_radiograph

IMAGES = 300  # drawn once from either set, in its own proportions; all where there are fewer
MARGIN = 3  # pixels of a mask of 256 rows
Change = Callable[[np.ndarray], np.ndarray]


def _blurred(sigma: float) -> Change:
    return lambda image: cv2.GaussianBlur(image, (0, 0), sigma * image.shape[0] / 256)


def _shrunk(share: float) -> Change:
    def change(image: np.ndarray) -> np.ndarray:
        small = cv2.resize(image, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        return cv2.resize(small, image.shape[::-1], interpolation=cv2.INTER_CUBIC)

    return change


def _compressed(quality: int) -> Change:
    def change(image: np.ndarray) -> np.ndarray:
        levels = np.rint(image).astype(np.uint8)
        coded = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE).astype(np.float32)

    return change


def _turned(degrees: float) -> Change:
    def change(image: np.ndarray) -> np.ndarray:
        rows, columns = image.shape
        turn = cv2.getRotationMatrix2D((columns / 2, rows / 2), degrees, 1)
        return cv2.warpAffine(image, turn, (columns, rows), borderMode=cv2.BORDER_REPLICATE)

    return change


def _sharpened(image: np.ndarray) -> np.ndarray:
    return image + 0.8 * (image - cv2.GaussianBlur(image, (0, 0), image.shape[0] / 256))


def _brightened(gamma: float) -> Change:
    return lambda image: 255 * (image / 255) ** np.float32(gamma)


# Lengths are in pixels of an image of 256 rows.
CHANGES: dict[str, Change] = {
    "none": lambda image: image,
    "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
    "blurred": _blurred(0.7),
    "sharpened": _sharpened,
    "shrunk": _shrunk(0.75),
    "compressed": _compressed(60),
    "turned": _turned(3),
    "brightened": _brightened(0.7),
}
# What is done to the lung mask of a classifier that is shown the lungs alone.
MASKS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "mask_grown": cv2.dilate,
    "mask_shrunk": cv2.erode,
}


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
    front = keras.Model(predictor.graph.input, predictor.graph.get_layer("rescale").output)
    rows = [
        score_changes(read_radiograph(known[i][0].path.read_bytes()).pixels, predictor, front)
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


def score_changes(
    image: np.ndarray, predictor: Predictor, front: keras.Model
) -> dict[str, tuple[float, float]]:
    """Of each change: the COVID score, and the Dice of the lung mask with the unchanged image's.

    ``image``: float32 (rows, columns) in 0..255; ``front``: the graph up to the resized image.
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
        resized = front.predict_on_batch(image[None, ..., None])[0, ..., 0]
        levels = np.rint(resized * 255).clip(0, 255).astype(np.uint8)
        masks = {name: _moved(lungs, change) for name, change in MASKS.items()}
        shown = [cv2.equalizeHist(levels * mask) for mask in masks.values()]
        scores = predictor.classify(np.stack(shown).astype(np.float32) / np.float32(255))
        for score, (name, mask) in zip(scores, masks.items(), strict=True):
            found[name] = (float(score), mask_agreement(mask > 0, lungs)["dice"])
    return found


def _moved(lungs: np.ndarray, change: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    side = 2 * max(1, round(MARGIN * len(lungs) / 256)) + 1
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return change(lungs.astype(np.uint8), brush)
