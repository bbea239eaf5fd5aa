"""Does the answer survive what happens to films between the detector and the page?

    python -m pipeline evaluate --what changes --data DIR --model light --part test --json FILE

Copies are blurred, shrunk, compressed, turned and brightened on the way; none of that is disease.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from pipeline.data.split import films_of
from pipeline.evaluation.estimates import against_unchanged, mask_agreement, mean_with_interval
from pipeline.inference.predictor import Predictor
from pipeline.io.radiograph import read_radiograph

FILMS = 400  # drawn once from the part, in its own proportions; all of them where there are fewer


def _blurred(sigma: float) -> Callable:
    return lambda film: cv2.GaussianBlur(film, (0, 0), sigma * film.shape[0] / 256)


def _shrunk(share: float) -> Callable:
    def change(film):
        small = cv2.resize(film, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        return cv2.resize(small, film.shape[::-1], interpolation=cv2.INTER_CUBIC)

    return change


def _compressed(quality: int) -> Callable:
    def change(film):
        levels = np.rint(film).astype(np.uint8)
        coded = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE).astype(np.float32)

    return change


def _turned(degrees: float) -> Callable:
    def change(film):
        rows, columns = film.shape
        turn = cv2.getRotationMatrix2D((columns / 2, rows / 2), degrees, 1)
        return cv2.warpAffine(film, turn, (columns, rows), borderMode=cv2.BORDER_REPLICATE)

    return change


def _sharpened(film: np.ndarray) -> np.ndarray:
    return film + 0.8 * (film - cv2.GaussianBlur(film, (0, 0), film.shape[0] / 256))


def _brightened(gamma: float) -> Callable:
    return lambda film: 255 * (film / 255) ** np.float32(gamma)


# Lengths are in pixels of a film of 256 rows.
CHANGES = {
    "none": lambda film: film,
    "mirrored": lambda film: np.ascontiguousarray(film[:, ::-1]),
    "blurred": _blurred(0.7),
    "sharpened": _sharpened,
    "shrunk": _shrunk(0.75),
    "compressed": _compressed(60),
    "turned": _turned(4),
    "brightened": _brightened(0.7),
}


def judge_changes(data: Path, model: str, part: str = "test", seed: int = 0) -> dict:
    """Scores of a sample of a part's films under each of `CHANGES`.

    Per change, next to what `against_unchanged` gives: ``mask_dice``, the mean agreement of the
    lung mask with that of the film as it is (for the mirrored film, mirrored back).
    """
    predictor = Predictor(model)
    films = [film for film in films_of(data, part) if film.label]
    films = [films[i] for i in np.random.default_rng(seed).permutation(len(films))[:FILMS]]
    scores: dict[str, list[float]] = {name: [] for name in CHANGES}
    dice: dict[str, list[float]] = {name: [] for name in CHANGES}
    for film in tqdm(films, desc=f"{model}: changed copies"):
        pixels = read_radiograph(film.path.read_bytes()).pixels
        for name, change in CHANGES.items():
            answer = predictor(change(pixels).clip(0, 255).astype(np.float32))
            mask = answer.mask[:, ::-1] if name == "mirrored" else answer.mask
            if name == "none":
                unchanged = mask
            scores[name].append(float(answer.probabilities[predictor.covid]))
            dice[name].append(mask_agreement(mask > 0.5, unchanged > 0.5)["dice"])
    truth = np.array([film.label == "COVID" for film in films])
    threshold, asis = predictor.entry.threshold, np.array(scores["none"])
    return {
        "what": "changes",
        **predictor.identity(),
        "part": part,
        "n": len(films),
        "changes": {
            name: against_unchanged(truth, np.array(values), asis, threshold)
            | {"mask_dice": mean_with_interval(np.array(dice[name]))}
            for name, values in scores.items()
        },
    }
