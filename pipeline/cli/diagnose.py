"""``python -m pipeline diagnose``: one line per file, pictures on request."""

import hashlib
import json
import sys
from pathlib import Path

import cv2
import numpy as np

from pipeline.explain.overlay import draw_contour, overlay_heatmap
from pipeline.inference.diagnose import diagnose_bytes
from pipeline.inference.diagnosis import Diagnosis
from pipeline.inference.predictor import Predictor
from pipeline.io.radiograph import UnreadableRadiograph
from pipeline.text.messages import Message


def diagnose_files(options, predictor: Predictor) -> int:
    """Diagnose every file; exit status 1 when at least one of them was an error."""
    failed = False
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    for path in options.files:
        try:
            data = path.read_bytes()
        except OSError as error:
            failed = True
            message = Message("unreadable_path", {"reason": error.strerror})
            _print_error(path, None, message, predictor, options)
            continue
        try:
            diagnosis = diagnose_bytes(
                data, predictor, threshold=options.threshold, cam=options.cam
            )
        except UnreadableRadiograph as error:
            failed = True
            _print_error(path, data, error.message, predictor, options)
            continue
        if options.out:
            _write_pictures(diagnosis, _free_stem(options.out, path.stem))
        _print(path, diagnosis, options)
    return int(failed)


def _print(path: Path, diagnosis: Diagnosis, options) -> None:
    if options.format == "json":
        _print_json({"file": str(path)} | diagnosis.as_dict())
    elif diagnosis.status == "ok":
        sign = ">=" if diagnosis.positive else "<"
        word = "COVID-19 suspected" if diagnosis.positive else "COVID-19 not suspected"
        print(
            f"{path}: {word}, score {diagnosis.score:.3f} {sign} threshold "
            f"{diagnosis.threshold:.3f} ({diagnosis.model}, {diagnosis.seconds:.2f} s). "
            "Not for diagnostic use."
        )
    else:
        for reason in diagnosis.verdict.reasons:
            print(f"{path}: no score. {reason.sentence()}")
    sys.stdout.flush()


def _print_error(
    path: Path, data: bytes | None, message: Message, predictor: Predictor, options
) -> None:
    if options.format == "text":
        print(f"{path}: {message.sentence()}", flush=True)
        return
    threshold = predictor.entry.threshold if options.threshold is None else options.threshold
    _print_json(
        {
            "file": str(path),
            "sha256": None if data is None else hashlib.sha256(data).hexdigest(),
            "status": "error",
            "reasons": [message.code],
            "message": message.sentence(),
            "model": predictor.entry.name,
            "weights_sha256": predictor.entry.sha256,
            "covid_probability": None,
            "threshold": threshold,
            "positive": None,
            "triage": None,
            "lung_area_fraction": None,
            "seconds": None,
        }
    )


def _print_json(record: dict) -> None:
    print(json.dumps(record), flush=True)


def _free_stem(folder: Path, stem: str) -> Path:
    """``folder/stem``, or with a number when an earlier file of this name was written there."""
    candidate, number = folder / stem, 2
    while candidate in _written:
        candidate, number = folder / f"{stem}-{number}", number + 1
    _written.add(candidate)
    return candidate


_written: set[Path] = set()


def _write_pictures(diagnosis: Diagnosis, stem: Path) -> None:
    heatmap = diagnosis.heatmap()
    lungs = diagnosis.lung_mask()
    scale = diagnosis.cam_scale[diagnosis.cam]
    overlay = overlay_heatmap(diagnosis.radiograph.pixels, heatmap, scale)
    overlay = draw_contour(overlay, lungs)
    for name, picture in (("mask", lungs), ("overlay", overlay[..., ::-1])):
        coded = cv2.imencode(".png", picture)[1]
        stem.with_name(f"{stem.name}.{name}.png").write_bytes(coded.tobytes())
    np.save(stem.with_name(f"{stem.name}.heatmap.npy"), heatmap)
