"""The whole path, from bytes to a diagnosis. Read this file first."""

import time
from dataclasses import replace

import cv2
import numpy as np

from pipeline.inference.base_predictor import BasePredictor
from pipeline.inference.diagnosis import Diagnosis
from pipeline.io.orientation import repaired
from pipeline.io.radiograph import Radiograph, read_radiograph
from pipeline.models.site import decisions_of
from pipeline.quality.gate import REASONS, Verdict, judge
from pipeline.text.messages import Message

MOST_PIXELS = 16_000_000


def diagnose_bytes(data: bytes, predictor: BasePredictor, **settings) -> Diagnosis:
    """Read a film and diagnose it. Raises UnreadableRadiograph for what is no film."""
    return diagnose(read_radiograph(data), predictor, **settings)


def explain(radiograph: Radiograph, verdict: Verdict, predictor: BasePredictor) -> Verdict:
    """Where no lungs were found, try whether they are found on the negative or the turned film.

    Of several that would pass, the one with the surest mask counts. Such a film gets that one
    reason, which tells the reader what to do, instead of the others.
    """
    if verdict.may_score or any(r.code not in REASONS.values() for r in verdict.reasons):
        return verdict
    film = radiograph.pixels
    passing = {}
    for code in ("inverted", "turned_left", "turned_right", "upside_down"):
        changed = replace(radiograph, pixels=repaired(film, (code,)))
        (probability,), (context,) = predictor.look(changed.pixels[None])
        tried = judge(changed, probability, predictor.gate, context)
        if tried.may_score:
            passing[code] = tried.statistics.entropy
    if not passing:
        return verdict
    return replace(verdict, reasons=(Message(min(passing, key=passing.get)),))


def _within_bounds(radiograph: Radiograph) -> Radiograph:
    """The film, or one of more than `MOST_PIXELS` shrunk by area: the graph and the gate hold
    several copies of it."""
    rows, columns = radiograph.shape
    scale = (MOST_PIXELS / (rows * columns)) ** 0.5
    if scale >= 1:
        return radiograph
    size = max(1, int(columns * scale)), max(1, int(rows * scale))
    small = cv2.resize(radiograph.pixels, size, interpolation=cv2.INTER_AREA)
    return replace(radiograph, pixels=small)


def diagnose(
    radiograph: Radiograph,
    predictor: BasePredictor,
    threshold: float | None = None,
    cam: str | None = None,
) -> Diagnosis:
    """Ask a model about one film.

    ``threshold``: COVID score from which a film is called positive, 0..1; ``cam``: a method of
    `pipeline.explain.gradcam.methods_for`. Both default to what the registry says of the model,
    the threshold to that of the hospital's site card, where there is one.
    """
    return diagnose_many([radiograph], predictor, threshold, cam)[0]


def diagnose_many(
    radiographs: list[Radiograph],
    predictor: BasePredictor,
    threshold: float | None = None,
    cam: str | None = None,
) -> list[Diagnosis]:
    """Ask a model about films of one size in one forward pass, see `diagnose`.

    Every film's ``seconds`` are those of the pass that it shared.
    """
    started = time.perf_counter()
    seen = [_within_bounds(radiograph) for radiograph in radiographs]
    answers = predictor.many(np.stack([radiograph.pixels for radiograph in seen]))
    entry, looks = predictor.entry, predictor.architecture
    own, limits = decisions_of(entry)
    judged = []
    for radiograph, answer in zip(seen, answers, strict=True):
        verdict = judge(radiograph, answer.mask_probability, predictor.gate, answer.context)
        judged.append(explain(radiograph, verdict, predictor))
    seconds = time.perf_counter() - started
    return [
        Diagnosis(
            radiograph=radiograph,
            answer=answer,
            verdict=verdict,
            model=entry.name,
            weights_sha256=entry.sha256,
            unet_sha256=predictor.unet_entry.sha256,
            threshold=own if threshold is None else threshold,
            geometry=(looks.stride, looks.offset, entry.input_size),
            covid=predictor.covid,
            cam=cam or entry.cam,
            cam_scale=entry.cam_scale,
            seconds=seconds,
            triage_limits=limits,
        )
        for radiograph, answer, verdict in zip(radiographs, answers, judged, strict=True)
    ]
