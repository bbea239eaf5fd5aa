"""``python -m pipeline evaluate``: a folder in the database's layout in, scores out."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from pipeline.data.database import WHOLE, Film
from pipeline.data.split import films_of
from pipeline.evaluation.calibration import calibration_report
from pipeline.evaluation.curves import (
    at_threshold,
    confusion_by_threshold,
    precision_recall_with_band,
    roc_with_band,
)
from pipeline.evaluation.elsewhere import (
    Answered,
    find_findings,
    judge_elsewhere,
    judge_triage,
)
from pipeline.evaluation.estimates import (
    Result,
    classification_scores,
    mask_agreement,
    mean_with_interval,
    plain,
    proportion,
    weighted_mean_with_interval,
)
from pipeline.inference.diagnosis import Answer
from pipeline.inference.predictor import Predictor
from pipeline.io.radiograph import Radiograph, UnreadableRadiograph, read_radiograph
from pipeline.models import registry
from pipeline.models.spec import CLASSES
from pipeline.quality.gate import judge

BATCH = 16
AGREEMENT = ("dice", "iou", "accuracy")  # of a lung mask with the true one


@dataclass(frozen=True)
class Scored:
    """What evaluation keeps of one image."""

    image: Film
    score: float
    said: str | None  # the likeliest of the four classes, where the model tells them apart
    reasons: tuple[str, ...]
    agreement: dict[str, float] | None


def evaluate(
    data: Path, model: str = "light", part: str = "all", threshold: float | None = None
) -> Result:
    """Score a model and the U-Net on every image below ``data``.

    ``part``: "all", or "train", "validation" or "test" of the project's own split, for the folder
    that the models were trained from. The top-level figures count every image with a class, also
    those that the quality gate would withhold; ``gated`` repeats them for those that pass.
    ``elsewhere`` and ``triage``: see `pipeline.evaluation.elsewhere`, with SIIM-COVID19's and
    Shenzhen's images where the folder has them. An image that cannot be read is listed under
    ``unreadable``.
    """
    predictor = Predictor(model)
    images = films_of(data, part, siim=True)
    unreadable: list[dict[str, str]] = []
    scored = list(score_images(images, predictor, unreadable))
    threshold = predictor.entry.decision_threshold() if threshold is None else threshold
    classed = [s for s in scored if s.image.label]
    passed = [s for s in classed if not s.reasons]
    answered = Answered(
        [s.image for s in scored],
        find_findings([s.image for s in scored], data),
        np.array([s.score for s in scored], np.float64),
        np.array([bool(s.reasons) for s in scored], bool),
    )
    return {
        **predictor.identity(),
        "part": part,
        **_scores(classed, threshold),
        **_explored(classed, predictor.entry),
        "by_source": _by_source(classed, threshold),
        "by_class": _by_class(classed, threshold),
        "elsewhere": judge_elsewhere(answered, threshold),
        "triage": judge_triage(answered, predictor.entry.triage),
        "segmentation": _segmentation(classed),
        "segmentation_by_class": {
            name: _segmentation([s for s in classed if s.image.label == name])
            for name in _classes(classed)
        },
        "segmentation_as_database": _as_database(classed),
        "segmentation_by_set": {
            name: _segmentation([s for s in scored if s.image.source == name])
            for name in sorted(
                {s.image.source for s in scored if s.agreement and not s.image.label}
            )
        },
        "abstained": {
            **plain(proportion(len(classed) - len(passed), len(classed))),
            "reasons": Counter(code for s in classed for code in s.reasons),
        },
        "gated": _scores(passed, threshold),
        "unreadable": unreadable,
    }


def score_images(
    images: Sequence[Film], predictor: Predictor, unreadable: list[dict[str, str]]
) -> Iterator[Scored]:
    """Ask a model about images, in their order; what cannot be read goes to ``unreadable``."""

    def readable() -> Iterator[tuple[Film, Radiograph]]:
        for image in tqdm(images, desc=f"{predictor.entry.name}: images"):
            try:
                yield image, read_radiograph(image.path.read_bytes())
            except (UnreadableRadiograph, OSError) as error:
                unreadable.append({"file": image.path.name, "error": str(error)})

    for _, same_shape in groupby(readable(), key=lambda pair: pair[1].shape):
        yield from _score_batches(same_shape, predictor)


def _score_batches(
    pairs: Iterator[tuple[Film, Radiograph]], predictor: Predictor
) -> Iterator[Scored]:
    while batch := list(islice(pairs, BATCH)):
        answers = predictor.many(np.stack([radiograph.pixels for _, radiograph in batch]))
        for (image, radiograph), answer in zip(batch, answers, strict=True):
            yield _scored(image, radiograph, answer, predictor)


def _scored(image: Film, radiograph: Radiograph, answer: Answer, predictor: Predictor) -> Scored:
    verdict = judge(radiograph, answer.mask_probability, predictor.gate, answer.context)
    agreement = None
    if image.mask:
        truth = cv2.imread(str(image.mask), cv2.IMREAD_GRAYSCALE) > 127
        probability = cv2.resize(answer.mask_probability, truth.shape[::-1])
        agreement = mask_agreement(probability > 0.5, truth)
    codes = tuple(reason.code for reason in verdict.reasons)
    classes = answer.class_probabilities
    said = CLASSES[int(classes.argmax())] if classes is not None else None
    return Scored(image, float(answer.probabilities[predictor.covid]), said, codes, agreement)


def _scores(scored: Sequence[Scored], threshold: float) -> Result:
    truth = np.array([s.image.label == "COVID" for s in scored], bool)
    return classification_scores(truth, np.array([s.score for s in scored]), threshold)


def _explored(scored: Sequence[Scored], entry: registry.Entry) -> Result:
    """Curves, operating points, calibration and the table of classes."""
    truth = np.array([s.image.label == "COVID" for s in scored], bool)
    score = np.array([s.score for s in scored])
    if not truth.any() or truth.all():
        return {"curves": None}  # one class alone has no curve
    points = entry.operating_points or {}
    return {
        "curves": {
            "roc": roc_with_band(truth, score),
            "precision_recall": precision_recall_with_band(truth, score),
            "confusion": confusion_by_threshold(truth, score),
        },
        "operating_points": {k: at_threshold(truth, score, t) for k, t in points.items()},
        "calibration": calibration_report(truth, score, *entry.calibration),
        "classes": _class_table(scored) if scored[0].said else None,
    }


def _class_table(scored: Sequence[Scored]) -> Result:
    """Rows: what an image is; columns: which of the four classes the model finds likeliest."""
    counts = {
        own: {
            said: sum(s.image.label == own and s.said == said for s in scored) for said in CLASSES
        }
        for own in CLASSES
    }
    right = sum(counts[name][name] for name in CLASSES)
    recall = {name: proportion(counts[name][name], sum(counts[name].values())) for name in CLASSES}
    return {"counts": counts, "accuracy": proportion(right, len(scored)), "recall": recall}


def _by_source(scored: Sequence[Scored], threshold: float) -> dict[str, Result]:
    """Per source and class: how many images, and the share that is called COVID."""
    keys = sorted({(s.image.source, s.image.label or "") for s in scored})
    return {
        f"{source}/{label}": _called(
            [s for s in scored if (s.image.source, s.image.label) == (source, label)], threshold
        )
        for source, label in keys
    }


def _by_class(scored: Sequence[Scored], threshold: float) -> dict[str, Result]:
    return {
        x: _called([s for s in scored if s.image.label == x], threshold) for x in _classes(scored)
    }


def _classes(scored: Sequence[Scored]) -> list[str]:
    return sorted({s.image.label for s in scored if s.image.label})


def _called(scored: Sequence[Scored], threshold: float) -> Result:
    called = sum(s.score >= threshold for s in scored)
    return {
        "called_covid": proportion(called, len(scored)),
        "mean_score": float(np.mean([s.score for s in scored])),
    }


def _segmentation(scored: Sequence[Scored]) -> Result:
    agreements = [s.agreement for s in scored if s.agreement]
    return {
        "n": len(agreements),
        **{k: mean_with_interval([a[k] for a in agreements]) for k in AGREEMENT},
    }


def _as_database(scored: Sequence[Scored]) -> Result:
    """Agreement of the masks, each class weighing as much as in the whole database."""
    by_class = {
        name: [s.agreement for s in scored if s.agreement and s.image.label == name]
        for name in WHOLE
    }
    return {
        "n": sum(bool(s.agreement) for s in scored),
        **{
            k: weighted_mean_with_interval(
                {name: [a[k] for a in own] for name, own in by_class.items()}, WHOLE
            )
            for k in AGREEMENT
        },
    }
