"""``python -m pipeline diagnose``: one line per file, pictures on request."""

import errno
import hashlib
import io
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from pipeline.explain.overlay import draw_contour, overlay_heatmap
from pipeline.inference.base_predictor import BasePredictor
from pipeline.inference.diagnose import diagnose_bytes
from pipeline.inference.diagnosis import Diagnosis
from pipeline.io.orientation import as_stored
from pipeline.io.radiograph import UnreadableRadiograph
from pipeline.text.messages import Message

MAX_FILE_MB = 1_000
ENDINGS = (".mask.png", ".overlay.png", ".heatmap.npy")
STEM_BYTES = 200  # file systems allow 255 with the ending


def diagnose_files(options, predictor: BasePredictor) -> int:
    """Diagnose every file; exit status 1 when at least one of them was an error."""
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    return int(sum(not _diagnose_file(path, options, predictor) for path in options.files) > 0)


def _diagnose_file(path: Path, options, predictor: BasePredictor) -> bool:
    """Say what becomes of one file; whether all went well."""
    data = None
    try:
        data = _read(path)
        diagnosis = diagnose_bytes(data, predictor, threshold=options.threshold, cam=options.cam)
    except UnreadableRadiograph as error:
        _print_error(path, data, error.message, predictor, options)
        return False
    written, problem = None, None
    if options.out:
        try:
            written = _write_pictures(diagnosis, options.out, path.stem)
        except OSError as error:
            problem = Message("not_written", {"reason": error.strerror})
    _print(path, diagnosis, options, written, problem)
    return problem is None


def _read(path: Path) -> bytes:
    """The bytes of an ordinary file. A pipe is not opened: it might never answer."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableRadiograph("no_file")
        if status.st_size > MAX_FILE_MB * 1_000_000:
            raise UnreadableRadiograph("upload_large", megabytes=MAX_FILE_MB)
        return path.read_bytes()
    except OSError as error:
        raise UnreadableRadiograph("unreadable_path", reason=error.strerror) from error
    except ValueError as error:  # a NUL in the name
        if isinstance(error, UnreadableRadiograph):
            raise
        raise UnreadableRadiograph("unreadable_path", reason=str(error)) from error


# -- what is printed --------------------------------------------------------------------------


def _print(
    path: Path, diagnosis: Diagnosis, options, written: str | None, problem: Message | None
) -> None:
    said = [*diagnosis.radiograph.notes, *([problem] if problem else [])]
    sentences = [message.sentence() for message in said]
    if options.format == "json":
        record = {"file": str(path)} | diagnosis.as_dict()
        record |= {"repairs": list(diagnosis.radiograph.repairs), "notes": sentences}
        if options.out:
            record["stem"] = written
        _print_line(json.dumps(record))
        return
    if diagnosis.status == "ok":
        sign = ">=" if diagnosis.positive else "<"
        word = "COVID-19 suspected" if diagnosis.positive else "COVID-19 not suspected"
        text = (
            f"{word}, score {diagnosis.score:.3f} {sign} threshold {diagnosis.threshold:.3f} "
            f"({diagnosis.model}, {diagnosis.seconds:.2f} s). Not for diagnostic use."
        )
    else:
        reasons = (reason.sentence() for reason in diagnosis.verdict.reasons)
        text = " ".join(["no score.", *reasons])
    _print_line(" ".join([f"{_shown(path)}: {text}", *sentences]))


def _print_error(
    path: Path, data: bytes | None, message: Message, predictor: BasePredictor, options
) -> None:
    if options.format == "text":
        _print_line(f"{_shown(path)}: {message.sentence()}")
        return
    threshold = predictor.entry.threshold if options.threshold is None else options.threshold
    record = {
        "file": str(path),
        "sha256": None if data is None else hashlib.sha256(data).hexdigest(),
        "status": "error",
        "reasons": [message.code],
        "message": message.sentence(),
        "model": predictor.entry.name,
        "weights_sha256": predictor.entry.sha256,
        "covid_probability": None,
        "covid_score": None,
        "threshold": threshold,
        "positive": None,
        "triage": None,
        "lung_area_fraction": None,
        "measures": None,
        "seconds": None,
    }
    if options.out:
        record["stem"] = None
    _print_line(json.dumps(record))


def _print_line(text: str) -> None:
    """What the terminal's encoding has no letters for is escaped."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def _shown(path: Path) -> str:
    """A file's name on one line, without anything that would steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(path))


# -- what is written --------------------------------------------------------------------------


def _write_pictures(diagnosis: Diagnosis, folder: Path, stem: str) -> str:
    """Write mask, overlay and heatmap over the pixels of the file; returns the stem that they got.

    Nothing that is there is overwritten, be it a source or an earlier result: a number is added to
    the stem instead.
    """
    repairs = diagnosis.radiograph.repairs
    heatmap, lungs = diagnosis.heatmap(), diagnosis.lung_mask()
    scale = diagnosis.cam_scale[diagnosis.cam]
    overlay = draw_contour(overlay_heatmap(diagnosis.radiograph.pixels, heatmap, scale), lungs)
    array = io.BytesIO()
    np.save(array, as_stored(heatmap, repairs))
    contents = (
        cv2.imencode(".png", as_stored(lungs, repairs))[1].tobytes(),
        cv2.imencode(".png", as_stored(overlay, repairs)[..., ::-1])[1].tobytes(),
        array.getvalue(),
    )
    for candidate in _stems(stem):
        names = [folder / f"{candidate}{ending}" for ending in ENDINGS]
        if any(os.path.lexists(name) for name in names):
            continue
        for name, content in zip(names, contents, strict=True):
            with name.open("xb") as file:
                file.write(content)
        return candidate
    raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))


def _stems(stem: str) -> Iterator[str]:
    """The stem, then the stem with numbers, none longer than a file system allows."""
    while len(os.fsencode(stem)) > STEM_BYTES:
        stem = stem[:-1]
    yield stem
    for number in range(2, 100_000):
        yield f"{stem}-{number}"
