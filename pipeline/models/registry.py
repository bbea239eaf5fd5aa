"""What travels with the weights: files, hashes, labels, thresholds, input size, scores."""

import csv
import hashlib
import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from pydantic.dataclasses import dataclass

from pipeline.models.records import (
    FileName,
    Finite,
    Frozen,
    Schema,
    Sha256,
    Share,
    read_record,
)
from pipeline.models.triage import TriageLimits
from pipeline.text.messages import Message

ROOT = Path(__file__).resolve().parents[2]
SPLIT = "split.csv"


class WeightsError(RuntimeError):
    """The weights are missing or are not those of the registry; ``message`` says which and what
    to do."""

    def __init__(self, code: str, **values: Any):
        self.message = Message(code, values)
        super().__init__(self.message.sentence())


class _Epoch(Schema):
    epoch: PositiveInt
    size: PositiveInt
    loss: Finite
    validation: dict[str, Any]


class _Training(Schema):
    history: list[_Epoch]


class _Model(Schema):
    """What `Entry` says of a model, as the file has it."""

    file: FileName
    sha256: Sha256
    parameters: NonNegativeInt
    input_size: Annotated[int, Field(ge=32, le=4096)]
    labels: tuple[str, ...] = ()
    for_reading: bool = False
    threshold: Share | None = None
    operating_points: dict[str, Share] | None = None
    calibration: tuple[Finite, Finite] = (1.0, 0.0)
    triage: TriageLimits | None = None
    cam: str = "gradcam"
    cam_scale: dict[str, Finite] | None = None
    canary: Share | None = None
    training: _Training

    @model_validator(mode="after")
    def _classifies(self) -> Self:
        if self.labels and ("COVID" not in self.labels or self.threshold is None):
            raise ValueError("a classifier tells COVID from the rest, from a threshold on")
        if self.labels and self.cam not in (self.cam_scale or {}):
            raise ValueError("the default heatmap has a scale")
        return self


class _Detector(Schema):
    file: FileName
    sha256: Sha256


class _Ordinary(Schema):
    mean: list[Finite]
    inverse_covariance: list[list[Finite]]


class _Gate(Schema):
    limits: dict[str, tuple[Finite, Finite]]
    shape: list[Annotated[str, Field(pattern=r"^\d+$")]]
    ordinary: _Ordinary
    detector: _Detector | None = None


class _Registry(Schema):
    equalise_first: bool
    gate: _Gate
    models: dict[str, _Model]

    @model_validator(mode="after")
    def _finds_lungs(self) -> Self:
        if "unet" not in self.models:
            raise ValueError("there is a U-Net")
        return self


@dataclass(frozen=True)
class Entry:
    """One model of the registry.

    ``threshold`` is the one that the app starts with, ``operating_points`` gives others by name,
    ``calibration`` (slope, intercept) makes a score a probability, see
    `pipeline.evaluation.calibration`, ``triage`` limits to three answers; all four are chosen on
    validation images. ``canary``: see `pipeline.serving.self_check`. ``onnx``: the compiled model,
    see `compiled_files`. ``training`` is shown as it is.
    """

    name: str
    file: Path
    sha256: str
    parameters: int
    input_size: int
    labels: tuple[str, ...] = ()
    for_reading: bool = False
    threshold: float | None = None
    operating_points: dict[str, Any] | None = None
    calibration: tuple[float, float] = (1.0, 0.0)
    triage: TriageLimits | None = None
    cam: str = "gradcam"
    cam_scale: dict[str, Any] | None = None
    canary: float | None = None
    onnx: dict[str, str] | None = None
    training: dict[str, Any] | None = None

    def decision_threshold(self) -> float:
        """``threshold``. Raises ValueError for a model without one, such as the U-Net."""
        if self.threshold is None:
            raise ValueError(f"{self.name} has no threshold: it is no classifier.")
        return self.threshold

    def is_available(self) -> bool:
        """Whether the weights file is there (its hash is checked when it is loaded)."""
        return self.file.is_file()

    def checked_file(self) -> Path:
        """The weights file, after its sha256 was compared. Raises WeightsError."""
        return check_file(self.file, self.sha256)


def weights_folder() -> Path:
    """``PULMOSCOPE_WEIGHTS``, or the repository's ``weights/``."""
    return Path(os.environ.get("PULMOSCOPE_WEIGHTS") or ROOT / "weights")


def read_registry(folder: Path | None = None) -> Frozen:
    """Read ``registry.json``, see `pipeline.models.records`.

    Raises WeightsError when there is none, or when it is not what a registry has to be.
    """
    path = (folder or weights_folder()) / "registry.json"
    try:
        return read_record(path, _Registry)
    except (OSError, ValueError) as error:
        raise WeightsError("weights_registry", file=path.name) from error


def entry(name: str, folder: Path | None = None) -> Entry:
    """One model's entry. Raises WeightsError for a model that the registry does not name."""
    folder = folder or weights_folder()
    models = read_registry(folder)["models"]
    if name not in models:
        raise WeightsError("model_unknown", model=name, known=", ".join(sorted(models)))
    values = {f.name: models[name][f.name] for f in fields(Entry) if f.name in models[name]}
    values["file"] = folder / values["file"]
    if values.get("triage"):
        values["triage"] = TriageLimits.of(values["triage"])
    return Entry(name, **values)


def classifiers(
    folder: Path | None = None, every: bool = False, installed: bool = True
) -> list[str]:
    """Names of the classifiers for reading, or of ``every`` one.

    ``installed``: only of those whose weights file is there.
    """
    folder = folder or weights_folder()
    models = read_registry(folder)["models"]
    names = [
        name for name, m in models.items() if m.get("labels") and (every or m.get("for_reading"))
    ]
    return [name for name in names if not installed or entry(name, folder).is_available()]


def known_classifiers() -> list[str] | None:
    """Names of all classifiers that there may be; None where the registry cannot be read."""
    try:
        return classifiers(every=True, installed=False)
    except WeightsError:
        return None


def unseen_films(folder: Path | None = None) -> set[str]:
    """Names of the database's images that no model was trained or tuned on.

    Raises WeightsError where the list of them is damaged; there are none where it is missing.
    """
    path = (folder or weights_folder()) / SPLIT
    if not path.is_file():
        return set()
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            return {row["image"] for row in csv.DictReader(lines) if row["part"] == "test"}
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise WeightsError("record_damaged", file=path.name) from error


def gate_sha256(folder: Path | None = None) -> str:
    """Hex sha256 of the quality gate's settings."""
    gate = json.dumps(read_registry(folder)["gate"], sort_keys=True)
    return hashlib.sha256(gate.encode()).hexdigest()


def compiled_names(name: str, folder: Path | None = None) -> tuple[Path, Path]:
    """Where a classifier's compiled model lies: up to the classifier, and from there on."""
    beside = entry(name, folder).file.parent
    return beside / f"{name}.front.onnx", beside / f"{name}.onnx"


def compiled_files(name: str, folder: Path | None = None) -> tuple[Path, Path]:
    """A classifier's compiled model, see `pipeline.release.compiled`, after a look at its sha256.

    Raises WeightsError where there is none, or none that was made from the registry's weights.
    """
    model, unet = entry(name, folder), entry("unet", folder)
    files, made = compiled_names(name, folder), model.onnx or {}
    if (made.get("weights_sha256"), made.get("unet_sha256")) == (model.sha256, unet.sha256):
        hashes = [file_sha256(file) for file in files if file.is_file()]
        if hashes == [made["front_sha256"], made["sha256"]]:
            return files
    raise WeightsError("not_compiled", file=files[1].name)


def check_file(file: Path, sha256: str) -> Path:
    """The file, after its sha256 was compared. Raises WeightsError."""
    if not file.is_file():
        raise WeightsError("weights_missing", file=file.name)
    if file_sha256(file) != sha256:
        raise WeightsError("weights_differ", file=file.name)
    return file


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def main() -> int:
    """Check every weights file against its hash; exit status 1 when one does not fit."""
    try:
        for name in read_registry()["models"]:
            checked = entry(name)
            print(f"{name}: {checked.checked_file().name}, {checked.parameters:,} parameters, ok")
        for name in classifiers(every=True):
            try:
                print(f"{name}: {', '.join(file.name for file in compiled_files(name))}, ok")
            except WeightsError as error:  # Keras answers as well
                print(f"{name}: {error}")
        if detector := read_registry()["gate"].get("detector"):
            check_file(weights_folder() / detector["file"], detector["sha256"])
            print(f"gate: {detector['file']}, ok")
    except WeightsError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
