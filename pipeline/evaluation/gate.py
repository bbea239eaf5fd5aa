"""What the quality gate lets pass, what it refuses, and what it calls it.

    python -m pipeline.data.negatives             fetch pictures that are no chest radiograph
    python -m pipeline evaluate --what gate --data DIR --json weights/gate.json

Images are those of the test part. Pictures that are no chest radiograph are dealt into halves by
source, so that no source is on both sides: one half helps to set the gate
(`pipeline.release.publish`), the other, the larger, is measured here. Turned, inverted and cut
images are of the validation part there and of the test part here. Every picture goes the way of a
reader's: read as grey pixels, judged, and tried inverted and turned where no lungs are found; cut
images are only judged.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from tqdm import tqdm

from pipeline import __version__
from pipeline.data.database import Film
from pipeline.data.drawn_pictures import cut_images, draw_pictures, turned_images
from pipeline.data.gate_examples import deal
from pipeline.data.negatives import FOLDER, Picture, collect
from pipeline.data.split import films_of
from pipeline.evaluation.estimates import Estimate, Result, proportion
from pipeline.inference.diagnose import explain
from pipeline.inference.predictor import Predictor
from pipeline.io.radiograph import Radiograph, read_radiograph
from pipeline.models import registry
from pipeline.quality.gate import LungStatistics, judge, lung_statistics

TURNED = 80  # images that are turned, inverted and cut


def judge_gate(
    data: Path, model: str = "light", part: str = "test", pictures: Path = FOLDER
) -> Result:
    """Tables of what passes: ``films``, ``turned``, ``cut``, ``pictures``.

    A row's ``refused`` is a share with its Wilson interval, ``reasons`` counts what was said, and
    ``named`` is the share of turned and inverted images whose one reason is the right one.
    ``missing``: packages whose pictures are not there.
    """
    gate = _Remembering(Predictor(model))
    images = [image for image in films_of(data, part) if image.label]
    collected, missing = collect(pictures)
    choosing, measuring = deal(collected + draw_pictures())
    spread = list(map(read_film, _some(images)))
    by_class = [Picture(f.label or "", "films", read_film(f)) for f in images]
    rows = {
        "films": _table(by_class, gate),
        "turned": _table((p for image in spread for p in turned_images(image)), gate),
        "cut": _table((p for image in spread for p in cut_images(image)), gate, explained=False),
        "pictures": _table(measuring, gate),
    }
    return {
        "what": "gate",
        "model": model,
        "unet_sha256": registry.entry("unet").sha256,
        "gate_sha256": registry.gate_sha256(),
        "version": __version__,
        "part": part,
        "rows": rows,
        "total": {name: _total(table.values()) for name, table in rows.items()},
        "groups": {"measured": _groups(measuring), "chosen_with": _groups(choosing)},
        "missing": missing,
    }


def choosing_half(images: Sequence[Film], pictures: Path = FOLDER) -> list[Picture]:
    """What the gate may be set with, beside validation images as they are: see above."""
    spread = list(map(read_film, _some(images)))
    made = [p for image in spread for make in (turned_images, cut_images) for p in make(image)]
    return deal(collect(pictures)[0] + draw_pictures())[0] + made


def find_statistics(images: Iterable[np.ndarray], predictor: Predictor) -> Iterator[LungStatistics]:
    """Statistics of images, float32 (rows, columns) in 0..255."""
    for image in tqdm(images, desc=f"{predictor.entry.name}: lungs"):
        yield lung_statistics(image, predictor.find_lungs(image))


def read_film(image: Film) -> np.ndarray:
    """An image's pixels, float32 (rows, columns) in 0..255."""
    return read_radiograph(image.path.read_bytes()).pixels


def _some(images: Sequence[Film]) -> Sequence[Film]:
    return images[:: max(1, len(images) // TURNED)][:TURNED]


class _Remembering:
    """A predictor's eyes that know the images they saw last: a turned image turned back is one."""

    def __init__(self, predictor: Predictor):
        self.gate, self.predictor = predictor.gate, predictor
        self.known: dict[tuple[tuple[int, ...], int], tuple[np.ndarray, np.ndarray]] = {}

    def look(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `Predictor.look`, of one image."""
        key = images.shape, hash(images.tobytes())
        if key not in self.known:
            if len(self.known) >= 8:  # four ways up, each as it is and inverted
                self.known.pop(next(iter(self.known)))
            self.known[key] = self.predictor.look(images)
        return self.known[key]


def _table(
    pictures: Iterable[Picture], gate: _Remembering, explained: bool = True
) -> dict[str, Result]:
    said: dict[str, list[tuple[tuple[str, ...], str | None]]] = defaultdict(list)
    for picture in tqdm(pictures, desc="pictures"):
        radiograph = Radiograph(picture.pixels, "", "")
        (probability,), (context,) = gate.look(picture.pixels[None])
        verdict = judge(radiograph, probability, gate.gate, context)
        if explained:
            # All that it asks of a predictor is here, too.
            verdict = explain(radiograph, verdict, cast(Predictor, gate))
        codes = tuple(reason.code for reason in verdict.reasons)
        said[picture.kind].append((codes, picture.expected))
    return {kind: _row(answers) for kind, answers in said.items()}


def _row(answers: list[tuple[tuple[str, ...], str | None]]) -> Result:
    refused = sum(bool(codes) for codes, _ in answers)
    named = sum(codes == (expected,) for codes, expected in answers)
    counts = Counter(code for codes, _ in answers for code in codes)
    return {
        "refused": proportion(refused, len(answers)),
        "named": proportion(named, len(answers)) if answers[0][1] else None,
        "reasons": dict(counts.most_common()),
    }


def _total(rows: Iterable[Result]) -> Estimate:
    refused: list[Estimate] = [row["refused"] for row in rows]
    hits = sum(round((estimate.value or 0) * estimate.n) for estimate in refused)
    return proportion(hits, sum(estimate.n for estimate in refused))


def _groups(pictures: Sequence[Picture]) -> dict[str, list[str]]:
    kinds = sorted({picture.kind for picture in pictures})
    return {kind: sorted({p.group for p in pictures if p.kind == kind}) for kind in kinds}
