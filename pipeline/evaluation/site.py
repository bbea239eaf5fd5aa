"""A kit for one's own hospital: how a model does on local images, and what to set there.

    python -m pipeline evaluate --data DIR --site NAME [--model light] [--json FILE]

``DIR`` holds the folders ``positive`` and ``negative``, or one table ``*.csv`` with the columns
``file`` and ``label``. Some 100 images will do. Nothing leaves the machine: the card names no file
and no patient, only how many images there were and one hash over theirs.
"""

import csv
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedKFold

from pipeline.data.database import Film
from pipeline.evaluation.curves import at_threshold, choose_threshold
from pipeline.evaluation.estimates import (
    Estimate,
    Result,
    auc_with_interval,
    plain,
    proportion,
    sensitivity_and_specificity,
)
from pipeline.evaluation.evaluate import score_images
from pipeline.evaluation.triage import choose_limits, triage_report
from pipeline.inference.predictor import Predictor
from pipeline.models.site import content_sha256

FEWEST = 20  # images of either kind
FOLDS = 10
LABELS = {"positive": True, "negative": False, "1": True, "0": False}


def read_labelled(folder: Path) -> list[Film]:
    """The images of a site, labelled "COVID" where positive and "other" where not, in order.

    Raises ValueError, with the layout that was expected, where there is none.
    """
    tables = sorted(folder.glob("*.csv"))
    if len(tables) == 1:
        with tables[0].open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
        if not rows or not {"file", "label"} <= rows[0].keys():
            raise ValueError(f"{tables[0].name} lacks the columns file and label.")
        unknown = {row["label"] for row in rows} - LABELS.keys()
        if unknown:
            raise ValueError(
                f"{tables[0].name} has the label {min(unknown)!r}: give positive, negative, 1 or 0."
            )
        pairs = [(folder / row["file"], LABELS[row["label"]]) for row in rows]
    else:
        pairs = [
            (path, ill)
            for name, ill in (("positive", True), ("negative", False))
            for path in sorted((folder / name).rglob("*"))
            if path.is_file()
        ]
    if not pairs:
        raise ValueError(
            f"{folder} holds no labelled image: expected the folders positive and negative, or one "
            "table *.csv with the columns file and label."
        )
    return [Film(path, "COVID" if ill else "other", "site") for path, ill in pairs]


def judge_site(data: Path, model: str, site: str) -> Result:
    """The site's card, as JSON: what the model's own threshold gives there, and what to set.

    Images that cannot be read, or that get no score, count in ``unreadable`` and ``withheld`` only.
    ``at_own_threshold`` is measured on images that nothing was chosen on; ``cross_validated`` is
    what the site's ``threshold`` can be expected to give on further images: each tenth of the
    images is judged by a threshold chosen on the others. ``triage`` are limits from the site's
    images, ``triage_here`` is how they answer those. Raises ValueError for too few images.
    """
    predictor = Predictor(model)
    images = read_labelled(data)
    unreadable: list[dict[str, str]] = []
    scored = list(score_images(images, predictor, unreadable))
    passed = [s for s in scored if not s.reasons]
    truth = np.array([s.image.label == "COVID" for s in passed], bool)
    score = np.array([s.score for s in passed], np.float64)
    fewest = min(int(truth.sum()), int((~truth).sum()))
    if fewest < FEWEST:
        raise ValueError(
            f"{truth.sum()} positive and {(~truth).sum()} negative images got a score: a site "
            f"needs at least {FEWEST} of either."
        )
    threshold = round(_choose(truth, score), 4)
    limits = choose_limits(truth, score, truth.tolist(), threshold)
    record = plain(
        {
            "site": site,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            **predictor.identity(),
            "images_sha256": _hash_of([s.image for s in scored]),
            "n": len(truth),
            "positive": int(truth.sum()),
            "withheld": proportion(len(scored) - len(passed), len(scored)),
            "unreadable": len(unreadable),
            "auc": auc_with_interval(truth, score),
            "at_own_threshold": at_threshold(truth, score, predictor.entry.decision_threshold()),
            "threshold": threshold,
            "cross_validated": cross_validate(truth, score),
            "triage": vars(limits),
            "triage_here": triage_report(truth, score, limits),
        }
    )
    return record | {"sha256": content_sha256(record)}


def cross_validate(truth: np.ndarray, score: np.ndarray) -> dict[str, Estimate]:
    """``sensitivity`` and ``specificity`` where every threshold is chosen on other images."""
    called = np.zeros(len(truth), bool)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for others, held in folds.split(score, truth):
        called[held] = score[held] >= _choose(truth[others], score[others])
    return sensitivity_and_specificity(truth, called)


def _choose(truth: np.ndarray, score: np.ndarray) -> float:
    """Where the lower of sensitivity and specificity is highest."""
    return choose_threshold(truth, score, 1.0, 1.0)


def _hash_of(images: Sequence[Film]) -> str:
    """One hash for a set of images, whatever their names and order."""
    hashes = sorted(hashlib.sha256(image.path.read_bytes()).hexdigest() for image in images)
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()
