"""What becomes of a film on its way through the graph, stage by stage."""

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.inference.base_predictor import BasePredictor
from pipeline.inference.diagnosis import Diagnosis

NAMES = ("raw", "resized", "seen", "probability", "mask", "masked", "equalised")
BINS = 64


@dataclass(frozen=True, eq=False)
class Stage:
    """One picture on the way: float32 (rows, columns) in 0..1.

    ``counted``: which pixels its histogram counts, bool (rows, columns); behind the mask only
    those of the lungs, since the rest is 0.
    """

    name: str
    pixels: np.ndarray
    counted: np.ndarray

    def histogram(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Bins' centres in 0..1, share of the counted pixels in each, and the shares' sums."""
        values = self.pixels[self.counted]
        counts, edges = np.histogram(values, BINS, (0, 1))
        shares = counts / max(len(values), 1)
        return (edges[1:] + edges[:-1]) / 2, shares, shares.cumsum()


def stages_of(diagnosis: Diagnosis, predictor: BasePredictor) -> list[Stage]:
    """The stages of `NAMES`, from the answer itself where it holds them."""
    film, answer = diagnosis.radiograph.pixels, diagnosis.answer
    resized, seen = predictor.before_unet(film)
    pictures = {
        "raw": film / np.float32(255),
        "resized": resized,
        "seen": seen,
        "probability": answer.mask_probability,
        "mask": answer.mask,
        "masked": answer.masked_film,
        "equalised": answer.equalised_film,
    }
    lungs = answer.mask > 0.5
    return [
        Stage(
            name,
            pictures[name].clip(0, 1),
            lungs if name in ("masked", "equalised") else np.ones(pictures[name].shape, bool),
        )
        for name in NAMES
    ]


@dataclass(frozen=True)
class Equalised:
    """HistNorm against OpenCV, and over the image against over the lungs, on one film.

    ``different``: pixels in which HistNorm differs from ``cv2.equalizeHist`` on the same levels, of
    ``pixels``; ``moved``: pixels of the lungs, of ``lungs``, which the choice of ``over`` changes,
    by ``mean_move`` levels of 255 on average and ``largest_move`` at most.
    """

    pixels: int
    different: int
    lungs: int
    moved: int
    mean_move: float
    largest_move: int


def compare_equalisation(masked: np.ndarray, lungs: np.ndarray) -> Equalised:
    """Compare on a masked film, float32 (rows, columns) in 0..1, and its mask, bool.

    Loads Keras, which computes HistNorm.
    """
    from pipeline.layers.hist_norm import HistNorm

    levels = np.rint(masked * 255).astype(np.uint8)
    over_image = _levels(HistNorm()(masked[None, ..., None]))
    mask = lungs[None, ..., None].astype(np.float32)
    over_lungs = _levels(HistNorm(over="lungs")(masked[None, ..., None], mask))
    change = np.abs(over_image.astype(int) - over_lungs)[lungs]
    return Equalised(
        pixels=levels.size,
        different=int((over_image != cv2.equalizeHist(levels)).sum()),
        lungs=int(lungs.sum()),
        moved=int((change > 0).sum()),
        mean_move=float(change.mean()) if len(change) else 0.0,
        largest_move=int(change.max(initial=0)),
    )


def _levels(film) -> np.ndarray:
    return np.rint(np.asarray(film)[0, ..., 0] * 255).astype(np.uint8)
