"""How a model does beyond the database's own classes: other hospitals, adults, doubtful labels.

In the database the hospital tells the class. In SIIM-COVID19 and in the Shenzhen set it does not:
all labels come from the same hospitals there.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from pipeline.data.database import Film
from pipeline.data.split import read_split
from pipeline.evaluation.estimates import (
    Estimate,
    Result,
    auc_with_interval,
    classification_scores,
    mean_with_interval,
    proportion,
)
from pipeline.evaluation.triage import triage_report
from pipeline.models.triage import TriageLimits

CHILDREN = "kermany"  # whose images are of patients of one to five years
DRAWS = 1000


@dataclass(frozen=True, eq=False)
class Answered:
    """What a model said of images: ``score`` float (image,) in 0..1, ``withheld`` bool (image,)."""

    images: Sequence[Film]
    findings: Sequence[tuple[str, str]]
    score: np.ndarray
    withheld: np.ndarray

    def only(self, chosen: ArrayLike) -> "Answered":
        """The images that are chosen."""
        kept = np.flatnonzero(chosen).tolist()
        return Answered(
            [self.images[i] for i in kept],
            [self.findings[i] for i in kept],
            self.score[kept],
            self.withheld[kept],
        )

    def __len__(self) -> int:
        return len(self.images)


def find_findings(images: Sequence[Film], data: Path) -> list[tuple[str, str]]:
    """What a radiologist read on each image, and the patient: two words per image, "" if unknown.

    From SIIM-COVID19's own tables where the folder has them, else from the split; Shenzhen's file
    names end in ``_1`` for tuberculosis and ``_0`` for none.
    """
    folder = data / "siim_covid19"
    tables = {
        **_read_table(folder / "labels.csv", "image"),
        **_read_table(folder / "database_films.csv", "database film"),
    }
    try:
        split = read_split()
    except FileNotFoundError:
        split = {}
    found = []
    for image in images:
        if image.name in tables:
            found.append(tables[image.name])
        elif image.source == "shenzhen":
            finding = {"1": "tuberculosis", "0": "negative"}.get(image.name[-1:], "")
            found.append((finding, image.name))
        elif image.name in split:
            found.append((split[image.name].finding, split[image.name].group))
        else:
            found.append(("", image.name))
    return found


def _read_table(path: Path, key: str) -> dict[str, tuple[str, str]]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as lines:
        return {row[key]: (row["label"], row["patient"]) for row in csv.DictReader(lines)}


def judge_elsewhere(answered: Answered, threshold: float) -> Result:
    """The blocks that the images allow, of ``siim``, ``shenzhen``, ``adults``, ``contradictory``.

    ``adults``: the database without `CHILDREN`. ``contradictory``: images of the database's COVID
    class on which a radiologist saw no pneumonia.
    """
    label = np.array([image.label or "" for image in answered.images])
    source = np.array([image.source for image in answered.images])
    finding = np.array([finding for finding, _ in answered.findings])
    blocks = {
        "siim": _siim(answered.only((label == "") & (source == "siim")), threshold),
        "shenzhen": _shenzhen(answered.only((label == "") & (source == "shenzhen")), threshold),
        "adults": _adults(answered.only((label != "") & (source != CHILDREN)), threshold),
        "contradictory": _contradictory(
            answered.only((label == "COVID") & (finding == "negative")), threshold
        ),
    }
    return {name: block for name, block in blocks.items() if block}


def judge_triage(answered: Answered, limits: TriageLimits | None) -> Result | None:
    """`triage_report` of the database, of SIIM-COVID19, of Shenzhen, and of each source and class.

    Images whose class nobody knows (indeterminate) and those that get no score are left out.
    """
    if limits is None:
        return None
    groups: dict[str, list[int]] = {}
    for i, (image, (finding, _)) in enumerate(zip(answered.images, answered.findings, strict=True)):
        if (image.label or finding in KNOWN) and not answered.withheld[i]:
            groups.setdefault("database" if image.label else image.source, []).append(i)
            groups.setdefault(f"{image.source}/{image.label or finding}", []).append(i)
    truth = _is_covid(answered)
    return {
        "limits": {"low": limits.low, "high": limits.high, "rate": limits.rate},
        "groups": {
            name: triage_report(truth[own], answered.score[own], limits)
            for name, own in sorted(groups.items())
        },
    }


KNOWN = {"typical", "negative", "atypical", "tuberculosis"}


def _is_covid(answered: Answered) -> np.ndarray:
    """The database's class, or what SIIM-COVID19 calls typical: bool (image,)."""
    pairs = zip(answered.images, answered.findings, strict=True)
    return np.array(
        [f.label == "COVID" if f.label else seen == "typical" for f, (seen, _) in pairs], bool
    )


def _siim(answered: Answered, threshold: float) -> Result | None:
    """Typical against negative, with intervals by patients, and what is called COVID by finding."""
    if not len(answered):
        return None
    finding = np.array([finding for finding, _ in answered.findings])
    judged = answered.only(np.isin(finding, ["typical", "negative"]))
    patients = np.array([patient for _, patient in judged.findings])
    truth = _is_covid(judged)
    return {
        "n": len(judged),
        "patients": len(set(patients)),
        "threshold": threshold,
        **by_patient(truth, judged.score, patients, threshold),
        "called_covid": _called_by_finding(answered, threshold),
        "withheld": proportion(int(answered.withheld.sum()), len(answered)),
    }


def by_patient(
    truth: np.ndarray, score: np.ndarray, patients: np.ndarray, threshold: float, seed: int = 0
) -> dict[str, Estimate]:
    """``auc``, ``sensitivity`` and ``specificity`` with intervals that know of the patients.

    Images of one patient are alike, so that patients are drawn again and not images: 95 %
    percentile bootstrap of whole patients. ``n`` of each estimate counts images.
    """
    found = {
        "auc": auc_with_interval(truth, score),
        "sensitivity": proportion(int((score[truth] >= threshold).sum()), int(truth.sum())),
        "specificity": proportion(int((score[~truth] < threshold).sum()), int((~truth).sum())),
    }
    members = [np.flatnonzero(patients == patient) for patient in np.unique(patients)]
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(DRAWS if members else 0):
        own = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        t, s = truth[own], score[own]
        drawn["auc"].append(_auc(s[t], s[~t]))
        drawn["sensitivity"].append(np.mean(s[t] >= threshold) if t.any() else np.nan)
        drawn["specificity"].append(np.mean(s[~t] < threshold) if not t.all() else np.nan)
    for name, estimate in found.items():
        if estimate.value is not None:
            low, high = np.nanpercentile(drawn[name], (2.5, 97.5))
            found[name] = replace(estimate, low=float(low), high=float(high))
    return found


def _auc(positives: np.ndarray, negatives: np.ndarray) -> float:
    if not len(positives) or not len(negatives):
        return np.nan
    ranked = np.sort(negatives)
    wins = np.searchsorted(ranked, positives, "left") + np.searchsorted(ranked, positives, "right")
    return float(wins.mean() / (2 * len(ranked)))


def _adults(answered: Answered, threshold: float) -> Result | None:
    if not len(answered):
        return None
    scores = classification_scores(_is_covid(answered), answered.score, threshold)
    return {key: scores[key] for key in ("n", "auc", "threshold", "sensitivity", "specificity")}


def _shenzhen(answered: Answered, threshold: float) -> Result | None:
    return {"called_covid": _called_by_finding(answered, threshold)} if len(answered) else None


def _contradictory(answered: Answered, threshold: float) -> Result | None:
    if not len(answered):
        return None
    return {
        "called_covid": _called(answered, threshold),
        "mean_score": mean_with_interval(answered.score),
    }


def _called_by_finding(answered: Answered, threshold: float) -> dict[str, Estimate]:
    finding = np.array([finding or "unknown" for finding, _ in answered.findings])
    return {
        str(name): _called(answered.only(finding == name), threshold) for name in np.unique(finding)
    }


def _called(answered: Answered, threshold: float) -> Estimate:
    return proportion(int((answered.score >= threshold).sum()), len(answered))
