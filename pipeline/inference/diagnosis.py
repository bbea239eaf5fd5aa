"""The frozen record of one answer: everything a page, a report or a script may show."""

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline import __version__
from pipeline.explain.gradcam import place, raw_map
from pipeline.inference.stability import Stability
from pipeline.io.radiograph import Radiograph
from pipeline.models.spec import CLASSES
from pipeline.models.triage import TriageLimits
from pipeline.quality.gate import Verdict
from pipeline.quality.measures import LungMeasures, lung_measures


@dataclass(frozen=True, eq=False)
class Answer:
    """What one forward pass says of one film; arrays as in `build_graph`, without the batch axis.

    ``gradient`` is that of the evidence on ``features`` and ``cells`` the raw map of the method
    "cellwise", see `pipeline.explain.gradcam`. Only Xception has
    ``class_probabilities``, float32 (4,), see `pipeline.models.spec.CLASSES`.
    """

    mask_probability: np.ndarray
    mask: np.ndarray
    masked_film: np.ndarray
    equalised_film: np.ndarray
    features: np.ndarray
    probabilities: np.ndarray
    gradient: np.ndarray
    context: np.ndarray | None = None
    cells: np.ndarray | None = None
    class_probabilities: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """One film, one model, one answer."""

    radiograph: Radiograph
    answer: Answer
    verdict: Verdict
    model: str
    weights_sha256: str
    unet_sha256: str
    threshold: float
    geometry: tuple[float, float, int]  # stride, offset and input size, see `gradcam.place`
    covid: int
    cam: str
    cam_scale: dict[str, float]  # per method, the raw value that fills the colour scale
    seconds: float
    triage_limits: TriageLimits | None = None
    version: str = __version__
    stability: Stability | None = None  # where it was computed, see `pipeline.inference.copies`

    @property
    def score(self) -> float:
        """The model's COVID score, 0..1, whatever the verdict says; see `covid_probability`."""
        return float(self.answer.probabilities[self.covid])

    @property
    def covid_probability(self) -> float | None:
        """The COVID score, 0..1, or None when the verdict withholds it."""
        return self.score if self.verdict.may_score else None

    @property
    def class_shares(self) -> dict[str, float] | None:
        """What the model gives each of `CLASSES`, 0..1, sum 1; None of a model of two classes, and
        where the score is withheld."""
        shares = self.answer.class_probabilities
        if shares is None or not self.verdict.may_score:
            return None
        return dict(zip(CLASSES, map(float, shares), strict=True))

    @property
    def positive(self) -> bool | None:
        """Whether the score reaches the threshold, or None when it is withheld."""
        return self.score >= self.threshold if self.verdict.may_score else None

    @property
    def triage(self) -> str | None:
        """One of `ANSWERS`, or None where the score is withheld or the model has no limits."""
        if self.triage_limits is None or not self.verdict.may_score:
            return None
        return self.triage_limits.answer(self.score)

    @property
    def status(self) -> str:
        return "ok" if self.verdict.may_score else "abstained"

    @property
    def lung_area_fraction(self) -> float:
        """Share of the film that the lung mask covers, 0..1."""
        return float(self.answer.mask.mean())

    @property
    def measures(self) -> LungMeasures | None:
        """Lengths and areas of the lungs, or None when they are not plausible."""
        if not self.verdict.may_score:
            return None
        film = self.radiograph
        return lung_measures(self.answer.mask_probability, film.shape, film.shown_spacing)

    def lung_mask(self) -> np.ndarray:
        """The mask at the film's size: uint8 (rows, columns), 255 inside a lung, 0 outside."""
        rows, columns = self.radiograph.shape
        probability = cv2.resize(self.answer.mask_probability, (columns, rows))
        return np.where(probability > 0.5, 255, 0).astype(np.uint8)

    def heatmap(self, cam: str | None = None, shape: tuple[int, int] | None = None) -> np.ndarray:
        """The raw map of a method at ``shape`` (default: the film's): float32, not scaled."""
        raw = raw_map(cam or self.cam, self.answer)
        return place(raw, *self.geometry, shape or self.radiograph.shape)

    def as_dict(self) -> dict:
        """The fields that the command line's JSON promises, without ``file``."""
        measures = self.measures
        return {
            "sha256": self.radiograph.sha256,
            "status": self.status,
            "reasons": [reason.code for reason in self.verdict.reasons],
            "model": self.model,
            "weights_sha256": self.weights_sha256,
            "unet_sha256": self.unet_sha256,
            "covid_probability": self.covid_probability,
            "covid_score": self.covid_probability,  # what it is; the other name is promised
            "threshold": self.threshold,
            "positive": self.positive,
            "triage": self.triage,
            "class_shares": self.class_shares,
            "lung_area_fraction": self.lung_area_fraction,
            "measures": measures.as_dict() if measures else None,
            "seconds": round(self.seconds, 4),
            "version": self.version,
            "stability": self._stability_record(),
        }

    def _stability_record(self) -> dict | None:
        if self.stability is None or not self.verdict.may_score:
            return None
        return self.stability.as_dict(self.threshold)
