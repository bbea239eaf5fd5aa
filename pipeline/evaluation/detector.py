"""Fit the gate's detector, and measure it on sources that it was not fitted with.

    python -m pipeline.evaluation.detector --data DIR --json weights/detector.json

Contexts of all examples are computed once and kept below `CACHE`; remove them after a change of
`pipeline.data.gate_examples`. One detector serves the input sizes of all models for reading: each
example is seen by one of them in turn.
"""

import argparse
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from pipeline import __version__
from pipeline.data.drawn_pictures import draw_pictures
from pipeline.data.gate_examples import COPY, RADIOGRAPH, deal, example_sets
from pipeline.data.negatives import FOLDER, Picture, collect
from pipeline.data.split import PARTS
from pipeline.evaluation.estimates import Estimate, Result, plain, proportion
from pipeline.inference.predictor import Predictor
from pipeline.models import registry
from pipeline.quality.detector import Detector, read_gate
from pipeline.quality.gate import LUNGS, lung_statistics, measure, passes
from pipeline.quality.limits import detector_limits, fit_detector

CACHE = Path(".cache/contexts")
BATCH = 16
Limits = dict[str, list[float]]
UNSEEN = ("radiographs validation", "radiographs test")
# Sources outside the database; every other source of radiographs is one of the database's.
OUTSIDE = ("siim", "shenzhen", "covid_qu_ex", "phantom")


@dataclass(frozen=True, eq=False)
class Examples:
    """Arrays over examples: ``contexts`` float32 (example, n), ``kind``, ``group``, ``set`` and
    ``model`` str (example,), ``plausible``: whether the mask alone passes the gate."""

    contexts: np.ndarray
    kind: np.ndarray
    group: np.ndarray
    set: np.ndarray
    model: np.ndarray
    plausible: np.ndarray

    def __getitem__(self, chosen: np.ndarray) -> "Examples":
        return Examples(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @property
    def chest(self) -> np.ndarray:
        return self.kind == RADIOGRAPH

    @property
    def trained(self) -> np.ndarray:
        """What is no image of the validation or the test part."""
        return np.array([not name.endswith(PARTS[1:]) for name in self.set])

    @property
    def origin(self) -> np.ndarray:
        """What is held out as a whole: a source of radiographs, or of other pictures."""
        return np.array([_origin(*pair) for pair in zip(self.set, self.group, strict=True)])


def _origin(name: str, group: str) -> str:
    if name.startswith("radiographs"):
        return group.removesuffix(COPY)
    return name


def gather(data: Path, pictures: Path, cache: Path = CACHE) -> Examples:
    """The examples of every set, as the models for reading see them."""
    models = registry.classifiers()
    parts = []
    for number, model in enumerate(models):
        predictor = Predictor(model)
        for name, make in example_sets(data, pictures).items():
            seen = islice(make(), number, None, len(models))
            parts.append(_kept(cache, name, predictor, seen))
    return Examples(
        *(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Examples))
    )


def _kept(cache: Path, name: str, predictor: Predictor, pictures: Iterable[Picture]) -> Examples:
    """A set's examples from the cache, or looked at now and put there."""
    limits = {name: predictor.gate["limits"][name] for name in (*LUNGS, "spread")}
    settings = predictor.unet_entry.sha256, limits
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    file = cache / f"{name}-{predictor.entry.name}-{key}.npz"
    if not file.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(file, **vars(_look(name, predictor, pictures)))
    with np.load(file, allow_pickle=False) as arrays:
        return Examples(**arrays)


def _look(name: str, predictor: Predictor, pictures: Iterable[Picture]) -> Examples:
    rows = []
    named = tqdm(pictures, desc=f"{predictor.entry.name}: {name}")
    for _, alike in groupby(named, key=lambda picture: picture.pixels.shape):
        while batch := list(islice(alike, BATCH)):
            looked = predictor.look(np.stack([picture.pixels for picture in batch]))
            for picture, probability, context in zip(batch, *looked, strict=True):
                statistics = lung_statistics(picture.pixels, probability)
                plausible = passes(measure(statistics, predictor.gate), predictor.gate)
                rows.append((context, picture.kind, picture.group, plausible))
    contexts, kinds, groups, passing = map(np.array, zip(*rows, strict=True))
    same = np.full(len(rows), name), np.full(len(rows), predictor.entry.name)
    return Examples(contexts, kinds, groups, *same, passing)


def may_fit(examples: Examples, pictures: Path) -> np.ndarray:
    """Which examples the shipped detector may be fitted with, bool (example,).

    Images of the training part; of the packages and the drawn pictures the half that
    `pipeline.evaluation.gate` does not measure.
    """
    measured = {(p.kind, p.group) for p in deal(collect(pictures)[0] + draw_pictures())[1]}
    named = zip(examples.kind, examples.group, strict=True)
    return examples.trained & [pair not in measured for pair in named]


def fit(examples: Examples, chosen: np.ndarray) -> tuple[Detector, Limits]:
    """The detector of the chosen examples, bool (example,), and its limits.

    Limits are those of the validation part's radiographs, sources that were not chosen left out,
    and of the synthetic ones; not of copies, some of which are spoilt beyond use.
    """
    fitted = examples[chosen]
    detector = fit_detector(fitted.contexts, fitted.chest, fitted.group)
    known = np.isin(examples.origin, fitted.origin[fitted.chest])
    known &= np.isin(examples.set, ("radiographs validation", "phantoms"))
    limiting = examples[known & ~np.char.endswith(examples.group, COPY)]
    return detector, detector_limits(detector, limiting.contexts, _collections(limiting))


def _collections(examples: Examples) -> np.ndarray:
    """The database as one, each other source, and all copies."""
    return np.array(
        [
            "copies" if group.endswith(COPY) else group if group in OUTSIDE else "database"
            for group in examples.group
        ]
    )


def held_out(examples: Examples) -> dict[str, dict[str, Any]]:
    """Whole sources held out: for each, a detector is fitted without it and shown all of it.

    ``radiographs``: a row per source, images of the validation and the test part. ``others``: for
    each origin, and for CT of whatever origin, a row per kind and group. A row has ``passed``,
    the share that passes the whole gate, ``detector`` and ``mask``, the shares that pass either.
    """
    trained = examples.trained
    origin = examples.origin
    measured = np.isin(examples.set, UNSEEN)
    radiographs: dict[str, Result] = {}
    others: dict[str, dict[str, Result]] = {}
    for source in tqdm(np.unique(origin[measured & examples.chest]), desc="radiographs held out"):
        detector, limits = fit(examples, trained & (origin != source))
        shown = examples[measured & (origin == source)]
        radiographs |= _rows(shown, shown.group, detector, limits)
    slices = np.isin(examples.kind, ("CT", "drawn CT"))
    for name, out in (
        *((name, origin == name) for name in ("mednist", "packages", "drawn CT", "drawn pictures")),
        ("every CT", slices),
    ):
        detector, limits = fit(examples, trained & ~out)
        shown = examples[out]
        names = shown.kind if name == "packages" else np.char.add(shown.kind + ": ", shown.group)
        others[name] = _rows(shown, names, detector, limits)
    return {"radiographs": radiographs, "others": others}


def measure_detector(examples: Examples, detector: Detector, limits: Limits) -> dict[str, Result]:
    """What passes of the radiographs of the test part, and of those spoilt: rows as above."""
    shown = examples[np.char.endswith(examples.set, " test")]
    names = np.where(shown.chest, _collections(shown), shown.kind)
    return _rows(shown, np.char.add(np.char.add(names, ", "), shown.model), detector, limits)


def _rows(
    shown: Examples, names: np.ndarray, detector: Detector, limits: Limits
) -> dict[str, dict[str, Estimate]]:
    gate = {"limits": limits}
    passing = np.array([passes(detector.measure(c), gate) for c in shown.contexts])
    rows = {}
    for name in np.unique(names):
        here = names == name
        rows[str(name)] = {
            key: proportion(int((here & passed).sum()), int(here.sum()))
            for key, passed in (
                ("passed", passing & shown.plausible),
                ("detector", passing),
                ("mask", shown.plausible),
            )
        }
    return rows


def judge_detector(data: Path, pictures: Path = FOLDER) -> Result:
    """Rows of `measure_detector` and `held_out`, with what they were measured with."""
    examples = gather(data, pictures)
    gate = read_gate()
    return {
        "what": "detector",
        "unet_sha256": registry.entry("unet").sha256,
        "gate_sha256": registry.gate_sha256(),
        "version": __version__,
        "test": measure_detector(examples, gate["detector"], gate["limits"]),
        "held_out": held_out(examples),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, default=FOLDER)
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    result = judge_detector(arguments.data, arguments.pictures)
    arguments.json.write_text(json.dumps(plain(result), indent=1) + "\n")
