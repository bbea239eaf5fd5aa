"""One reader of shards: its own model, and a row for every file whatever becomes of it."""

import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2

from pipeline.inference.diagnose import diagnose_many
from pipeline.inference.diagnosis import Diagnosis
from pipeline.inference.engine import load_predictor
from pipeline.io.orientation import as_stored
from pipeline.io.radiograph import Radiograph, UnreadableRadiograph, read_radiograph
from pipeline.models import registry
from pipeline.screening.shards import SCHEMA, Run
from pipeline.screening.sources import acquisition, read_image

Waiting = tuple[str, Radiograph, tuple[str, str]]  # file, image, scanner and month
BATCH = 8  # images of one size that share a forward pass


class Screener:
    """Answers shards. ``threads``: of the engine; every reader of a machine has its share."""

    def __init__(self, run: Run, model: str, threshold: float | None, masks: bool, threads: int):
        for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            os.environ[name] = str(threads)
        cv2.setNumThreads(threads)
        self.run, self.threshold, self.masks = run, threshold, masks
        self.predictor = load_predictor(model)
        self.gate_sha256 = registry.gate_sha256()

    def screen(self, shard: list[str]) -> dict[str, int]:
        """Answer a shard and write its rows; how many of each status."""
        deadly = self.run.deadly(shard)  # files that killed their reader are not read again
        rows: list[dict[str, Any]] = []
        waiting: list[Waiting] = []
        for file in shard:
            if file in deadly:
                rows.append(self._failed(file, "film_failed"))
                continue
            self.run.begin(shard, file, deadly)
            try:
                data = read_image(file)
                waiting.append((file, read_radiograph(data), acquisition(data)))
            except UnreadableRadiograph as error:
                rows.append(self._failed(file, error.message.code))
            except Exception:  # one file's failure costs a row and never the run
                rows.append(self._failed(file, "film_failed"))
            if len(waiting) >= 4 * BATCH:
                rows += self._answer(waiting)
                waiting = []
        rows += self._answer(waiting)
        self.run.write(shard, rows)
        said = [row["status"] for row in rows]
        return {status: said.count(status) for status in ("ok", "abstained", "error")}

    def _answer(self, waiting: list[Waiting]) -> Iterator[dict[str, Any]]:
        by_shape = sorted(waiting, key=lambda item: item[1].pixels.shape)
        for _, alike in groupby(by_shape, key=lambda item: item[1].pixels.shape):
            same = list(alike)
            for start in range(0, len(same), BATCH):
                yield from self._answer_batch(same[start : start + BATCH])

    def _answer_batch(self, batch: list[Waiting]) -> Iterator[dict[str, Any]]:
        try:
            images = [radiograph for _, radiograph, _ in batch]
            said = diagnose_many(images, self.predictor, self.threshold)
            rows = [
                self._row(file, diagnosis, about)
                for (file, _, about), diagnosis in zip(batch, said, strict=True)
            ]
        except Exception:
            if len(batch) == 1:
                yield self._failed(batch[0][0], "film_failed")
                return
            for item in batch:  # which of them it was
                yield from self._answer_batch([item])
            return
        yield from rows

    def _row(self, file: str, diagnosis: Diagnosis, about: tuple[str, str]) -> dict[str, Any]:
        row = {name: value for name, value in diagnosis.as_dict().items() if name in SCHEMA.names}
        row |= {"file": file, "gate_sha256": self.gate_sha256, "scanner": about[0]}
        return row | {"month": about[1], "mask": self._mask(diagnosis)}

    def _mask(self, diagnosis: Diagnosis) -> str | None:
        if not self.masks:
            return None
        folder = self.run.folder / "masks"
        folder.mkdir(exist_ok=True)
        name = f"{diagnosis.radiograph.sha256}.png"
        mask = as_stored(diagnosis.lung_mask(), diagnosis.radiograph.repairs)
        (folder / name).write_bytes(cv2.imencode(".png", mask)[1].tobytes())
        return str(Path("masks") / name)

    def _failed(self, file: str, code: str) -> dict[str, Any]:
        entry = self.predictor.entry
        return {
            "file": file,
            "status": "error",
            "reasons": [code],
            "model": entry.name,
            "weights_sha256": entry.sha256,
            "gate_sha256": self.gate_sha256,
            "threshold": entry.threshold if self.threshold is None else self.threshold,
            "scanner": "",
            "month": "",
        }
