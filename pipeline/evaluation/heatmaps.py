"""Is the heatmap true? Maps against infection masks, against chance, and against the model itself.

    python -m pipeline evaluate --what heatmaps --data DIR --model light --part test --json FILE

Infection masks (COVID-QU-Ex) judge the maps only; no model is trained on them.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from scipy.stats import spearmanr
from tqdm import tqdm

from pipeline.data.database import Film
from pipeline.data.split import films_of
from pipeline.evaluation.estimates import Estimate, Result, mean_with_interval, proportion
from pipeline.explain.gradcam import methods_for, place, raw_map
from pipeline.explain.significance import SIGNIFICANT, delete_into, heatmap_p
from pipeline.inference.diagnosis import Answer
from pipeline.inference.predictor import Predictor
from pipeline.io.radiograph import read_radiograph

RANDOM = "random"
STEPS = 10
Judged = list[tuple[Film, Answer]]
Regions = tuple[np.ndarray, np.ndarray]  # see `_regions`


def judge_heatmaps(
    data: Path, model: str, part: str = "test", curve_images: int = 60, seed: int = 0
) -> Result:
    """Every method of a model on the COVID images of a part that have an infection mask.

    Only images that the model calls COVID count: the map of any other is meant to be empty.
    ``curve_images`` of them, evenly spaced, serve the deletion and insertion curves and the check
    with randomised weights, which cost many forward passes. ``gradient_reaches``: share of the
    last feature map's ``cells`` in which any channel's gradient is not 0. ``better_than_random``:
    share of those images on which the default method's map passes `heatmap_p`.
    """
    predictor = Predictor(model)
    judged = _called_covid(data, part, predictor)
    chosen = judged[:: max(1, len(judged) // curve_images)][:curve_images]
    methods = (*methods_for(predictor.architecture.pooled), RANDOM)
    places = {
        m: [_placed(m, a, predictor, seed + i) for i, (_, a) in enumerate(judged)] for m in methods
    }
    truths = [_regions(image, answer) for image, answer in judged]
    curves = _curves(chosen, methods, predictor, seed)
    changed = _randomised(chosen, methods[:-1], predictor, seed)
    return {
        "what": "heatmaps",
        **predictor.identity(),
        "part": part,
        "n": len(judged),
        "n_curves": len(chosen),
        "infected_share_of_lungs": mean_with_interval([_share(t, lungs) for t, lungs in truths]),
        "lungs_share_of_film": mean_with_interval([lungs.mean() for _, lungs in truths]),
        "cells": int(np.prod(judged[0][1].gradient.shape[:2])),
        "gradient_reaches": mean_with_interval(
            [(answer.gradient != 0).any(-1).mean() for _, answer in judged]
        ),
        "better_than_random": _better_than_random(chosen, predictor, seed),
        "methods": {
            m: _agreement(places[m], truths) | curves[m] | {"randomised_weights": changed.get(m)}
            for m in methods
        },
    }


def rank_methods(result: Result) -> list[str]:
    """Methods, best first, by their mean rank over the five questions that have an answer."""
    methods = [m for m in result["methods"] if m != RANDOM]
    scored = {
        m: [
            result["methods"][m]["infection_over_chance"].value,
            result["methods"][m]["pointing_game"].value,
            result["methods"][m]["energy_in_lungs"].value,
            -result["methods"][m]["deletion"].value,
            result["methods"][m]["insertion"].value,
        ]
        for m in methods
    }
    columns = np.array([scored[m] for m in methods])
    ranks = (-columns).argsort(0).argsort(0).mean(1)
    return [methods[i] for i in np.argsort(ranks, kind="stable")]


def _called_covid(data: Path, part: str, predictor: Predictor) -> Judged:
    images = [image for image in films_of(data, part) if image.infection_mask]
    judged = []
    for image in tqdm(images, desc=f"{predictor.entry.name}: images with an infection mask"):
        answer = predictor(read_radiograph(image.path.read_bytes()).pixels)
        infected, lungs = _regions(image, answer)
        called = answer.probabilities[predictor.covid] >= predictor.entry.threshold
        if called and infected.any() and lungs.any():
            judged.append((image, answer))
    if not judged:
        raise ValueError("no image with an infection mask is called COVID: nothing to judge.")
    return judged


def _regions(image: Film, answer: Answer) -> Regions:
    """Infected region and predicted lungs, bool (rows, columns) at the network's input size."""
    size = answer.mask.shape
    infected = cv2.imread(str(image.infection_mask), cv2.IMREAD_GRAYSCALE)
    infected = cv2.resize(infected, size[::-1], interpolation=cv2.INTER_AREA) > 127
    return infected, answer.mask > 0.5


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    return float((part & whole).sum() / whole.sum())


def _placed(method: str, answer: Answer, predictor: Predictor, seed: int) -> np.ndarray:
    looks, size = predictor.architecture, predictor.entry.input_size
    if method == RANDOM:
        raw = np.random.default_rng(seed).random(answer.features.shape[:2], np.float32)
    else:
        raw = raw_map(method, answer)
    return place(raw, looks.stride, looks.offset, size, (size, size))


def _agreement(maps: list[np.ndarray], truths: list[Regions]) -> dict[str, Estimate]:
    """How maps agree with infected regions and lungs; an image whose map is empty counts nowhere.

    ``infection_over_chance``: share of the heat inside the lungs that lies in the infected region,
    over that region's share of the lungs' area. A map spread evenly over the lungs has 1.
    """
    pairs = [(m, t) for m, t in zip(maps, truths, strict=True) if m.any()]
    over_chance = [
        float((m * (infected & lungs)).sum() / (m * lungs).sum()) / _share(infected, lungs)
        for m, (infected, lungs) in pairs
        if (m * lungs).any() and (infected & lungs).any()
    ]
    hits = sum(bool(infected.flat[m.argmax()]) for m, (infected, _) in pairs)
    in_lungs = [float((m * lungs).sum() / m.sum()) for m, (_, lungs) in pairs]
    return {
        "maps_not_empty": proportion(len(pairs), len(maps)),
        "infection_over_chance": mean_with_interval(over_chance),
        "pointing_game": proportion(hits, len(pairs)),
        "energy_in_lungs": mean_with_interval(in_lungs),
    }


def _curves(
    chosen: Judged, methods: Sequence[str], predictor: Predictor, seed: int
) -> dict[str, Result]:
    """Deletion and insertion (Petsiuk et al. 2018): COVID score while lung pixels go or come.

    Pixels of the lungs, the hottest first, are replaced by the blurred image, or put back into it.
    Areas under the curves, 0..1: deletion is better low, insertion better high.
    """
    rows: dict[str, list[np.ndarray]] = {m: [] for m in methods}
    for i, (_, answer) in enumerate(tqdm(chosen, desc="deletion and insertion")):
        for method in methods:
            heat = _placed(method, answer, predictor, seed + i)
            rows[method].append(_deleted_and_inserted(answer, heat, predictor, seed + i))
    result = {}
    for method in methods:
        curves = np.array(rows[method])  # image, deletion or insertion, step
        against = curves.mean(2) - np.array(rows[RANDOM]).mean(2)
        result[method] = {
            "deletion": mean_with_interval(curves[:, 0].mean(1)),
            "insertion": mean_with_interval(curves[:, 1].mean(1)),
            "deletion_against_random": mean_with_interval(against[:, 0]),
            "insertion_against_random": mean_with_interval(against[:, 1]),
            "deletion_curve": curves[:, 0].mean(0).round(4).tolist(),
            "insertion_curve": curves[:, 1].mean(0).round(4).tolist(),
        }
    return result


def _deleted_and_inserted(
    answer: Answer, heat: np.ndarray, predictor: Predictor, seed: int
) -> np.ndarray:
    image = answer.equalised_film
    blurred = delete_into(image, answer.mask > 0.5)
    pixels = np.flatnonzero(answer.mask > 0.5)
    noise = np.random.default_rng(seed).random(len(pixels))  # among equals, any order
    order = pixels[np.lexsort((noise, -heat.flat[pixels]))]
    shown = []
    for start, put in ((image, blurred), (blurred, image)):
        for step in range(STEPS + 1):
            changed = start.copy()
            some = order[: round(len(order) * step / STEPS)]
            changed.flat[some] = put.flat[some]
            shown.append(changed)
    return predictor.classify(np.stack(shown)).reshape(2, -1)


def _better_than_random(chosen: Judged, predictor: Predictor, seed: int) -> Estimate:
    looks, cam = predictor.architecture, predictor.entry.cam
    values = [
        heatmap_p(
            answer.equalised_film,
            answer.mask > 0.5,
            raw_map(cam, answer),
            looks.stride,
            looks.offset,
            predictor.classify,
            seed + i,
        )
        for i, (_, answer) in enumerate(tqdm(chosen, desc="against random cells"))
    ]
    return proportion(sum(p <= SIGNIFICANT for p in values), len(values))


def _randomised(
    chosen: Judged, methods: Sequence[str], predictor: Predictor, seed: int
) -> dict[str, Estimate]:
    """Rank correlation of maps with those of the same network with shuffled weights.

    Adebayo et al. 2018: a map that stays the same although nothing is left of what the model
    learnt shows the image's edges, not the model's reasons. Near 0 is as it should be.
    """
    rng = np.random.default_rng(seed)
    weights = predictor.classifier.get_weights()
    predictor.classifier.set_weights([rng.permutation(w.ravel()).reshape(w.shape) for w in weights])
    try:
        others = [predictor(read_radiograph(image.path.read_bytes()).pixels) for image, _ in chosen]
    finally:
        predictor.classifier.set_weights(weights)
    result = {}
    for method in methods:
        correlations = [
            spearmanr(raw_map(method, mine).ravel(), raw_map(method, other).ravel()).statistic
            for (_, mine), other in zip(chosen, others, strict=True)
            if np.ptp(raw_map(method, mine)) and np.ptp(raw_map(method, other))
        ]
        result[method] = mean_with_interval(correlations)
    return result
