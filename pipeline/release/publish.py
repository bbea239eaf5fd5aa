"""Put a run's best weights into ``weights/`` and describe them in ``registry.json``.

    python -m pipeline.release.publish unet --data DIR
    python -m pipeline.release.publish light --data DIR
    python -m pipeline.release.publish gate --data DIR
    python -m pipeline.release.publish detector --data DIR  the gate's detector alone
    python -m pipeline.release.publish cam --data DIR  every model's default heatmap method
    python -m pipeline.release.publish onnx            every classifier for ONNX Runtime
    python -m pipeline.release.publish card            tables of scores, in both READMEs

Threshold, operating points, calibration, triage limits, heatmap method and the gate are chosen on
validation images; the gate also on pictures that are no chest radiograph, which ``python -m
pipeline.data.negatives`` fetches. Scores are measured afterwards, on test images, by
``python -m pipeline evaluate --part test``.
"""

import argparse
import copy
import json
import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from pipeline.data.database import Film
from pipeline.data.negatives import FOLDER as PICTURES
from pipeline.data.split import films_of, row_of
from pipeline.evaluation.decisions import decide
from pipeline.evaluation.detector import fit, gather, may_fit
from pipeline.evaluation.gate import choosing_half, find_statistics, read_film
from pipeline.evaluation.heatmaps import judge_heatmaps, rank_methods
from pipeline.explain.gradcam import methods_for, raw_map
from pipeline.inference.predictor import Predictor
from pipeline.models import registry
from pipeline.models.spec import ARCHITECTURES
from pipeline.models.unet import build_unet
from pipeline.quality.gate import LungStatistics
from pipeline.quality.limits import open_gate, set_gate
from pipeline.release.compiled import compile_model
from pipeline.release.model_card import write_card
from pipeline.serving import self_check
from pipeline.training.fit import predictor_of
from pipeline.training.recipe import RECIPES, load_recipe
from pipeline.training.tasks import ClassificationTask

DETECTOR = "gate.npz"
CNN1_LABELS = ("COVID", "Normal", "Pneumonia")


def release(name: str, run: Path, data: Path) -> None:
    """Copy the run's best weights, and describe them."""
    folder = registry.weights_folder()
    description = _read(folder)
    recipe = json.loads((run / "recipe.json").read_text())
    recipe["init"] = recipe["init"] and Path(recipe["init"]).name
    history = json.loads((run / "history.json").read_text())
    file = folder / f"{name}.weights.h5"
    folder.mkdir(exist_ok=True)
    shutil.copy(run / "best.weights.h5", file)
    architecture = ARCHITECTURES.get(name)
    model = architecture.build() if architecture else build_unet()
    entry = description["models"].setdefault(name, {})
    entry |= {
        "file": file.name,
        "sha256": registry.file_sha256(file),
        "parameters": model.count_params(),
        "input_size": architecture.input_size if architecture else 256,
        "training": {"recipe": recipe, "history": history},
    }
    if architecture:
        entry["labels"] = ["COVID", "other"] if model.output.shape[-1] < 3 else list(CNN1_LABELS)
        entry["for_reading"] = architecture.for_reading
        entry.setdefault("cam", "hirescam")
        entry.setdefault("cam_scale", dict.fromkeys(methods_for(architecture.pooled), 1.0))
        entry["threshold"] = 0.5
        _write(folder, description)
        entry |= _decisions(name, data)
        _write(folder, description)
        entry["cam_scale"] = _scales(name, data)
    _write(folder, description)
    set_canaries(folder)
    compile_models(COMPILED if name == "unet" else {name} & set(COMPILED))


def set_canaries(folder: Path) -> None:
    """What each model says of the canary image, see `pipeline.serving.self_check`."""
    description = _read(folder)
    for model in registry.classifiers(every=True):
        description["models"][model]["canary"] = round(self_check.score(Predictor(model)), 5)
    _write(folder, description)


# CNN-2 stands beside the others on a page; CNN-1 is not asked there.
COMPILED = ("light", "xception", "cnn2")


def compile_models(models: Collection[str] = COMPILED, folder: Path | None = None) -> None:
    """Compile those of ``models`` whose weights are there beside them, see `compile_model`."""
    folder = folder or registry.weights_folder()
    for model in [m for m in registry.classifiers(folder, every=True) if m in models]:
        files = registry.compiled_names(model, folder)
        made = compile_model(model, *files, folder)
        description = _read(folder)
        description["models"][model]["onnx"] = made
        _write(folder, description)
        for file in files:
            print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB")


def choose_again(data: Path, models: list[str] | None = None) -> None:
    """Choose thresholds, calibration and triage limits anew for weights that are shipped."""
    folder = registry.weights_folder()
    for model in models or registry.classifiers():
        description = _read(folder)
        description["models"][model] |= _decisions(model, data)
        _write(folder, description)


def _decisions(name: str, data: Path) -> dict[str, Any]:
    """What is chosen on validation images, at full size; see `decide`."""
    task = ClassificationTask(replace(load_recipe(RECIPES / f"{name}.py"), init=None), data)
    entry = registry.entry(name)
    task.model.load_weights(entry.checked_file())
    scores = task.predict(predictor_of(task.model), "validation", entry.input_size)
    rows = [task.rows[i] for i in task.chosen["validation"]]
    decisions = decide(rows, scores, *GOALS.get(name, GOALS["light"]))
    print(decisions)
    return decisions


# Sensitivity and specificity that the threshold is to reach, or to miss by as little as it can.
GOALS = {"light": (0.94, 0.96), "xception": (0.95, 0.986)}


def fit_gate(data: Path, pictures: Path) -> None:
    """Set the gate, which serves every model for reading, see `pipeline.quality.limits`."""
    folder = registry.weights_folder()
    description = _read(folder)
    images = [film for film in films_of(data, "validation", siim=True) if _to_be_scored(film)]
    choosing = choosing_half([image for image in images if image.label], pictures)
    inside: list[LungStatistics] = []
    outside: list[LungStatistics] = []
    for model in registry.classifiers():
        predictor = Predictor(model)
        inside += find_statistics((read_film(image) for image in images), predictor)
        outside += find_statistics((picture.pixels for picture in choosing), predictor)
    description["gate"] = set_gate(inside, outside)
    _write(folder, description)
    fit_detector(data, pictures)


def _to_be_scored(film: Film) -> bool:
    """Whether it is of a class, of SIIM-COVID19 or of Shenzhen: no set for lung masks only."""
    return bool(film.label) or row_of(film).source in ("siim", "shenzhen")


def fit_detector(data: Path, pictures: Path) -> None:
    """Set the gate's detector and its limits, see `pipeline.evaluation.detector`."""
    folder = registry.weights_folder()
    description = _read(folder)
    examples = gather(data, pictures)
    detector, limits = fit(examples, may_fit(examples, pictures))
    detector.save(folder / DETECTOR)
    sha256 = registry.file_sha256(folder / DETECTOR)
    description["gate"]["detector"] = {"file": DETECTOR, "sha256": sha256}
    description["gate"]["limits"] |= limits
    _write(folder, description)


def _scales(name: str, data: Path) -> dict[str, float]:
    """Where each method's colour scale ends: at the 90th percentile of its maps' maxima over COVID
    images of the validation part that the model calls COVID."""
    predictor = Predictor(name)
    peaks: dict[str, list[float]] = {
        method: [] for method in methods_for(predictor.architecture.pooled)
    }
    covid = [image for image in films_of(data, "validation") if image.label == "COVID"]
    for image in tqdm(covid, desc=f"{name}: maps"):
        answer = predictor(read_film(image))
        if answer.probabilities[predictor.covid] >= predictor.entry.threshold:
            for method, values in peaks.items():
                values.append(float(raw_map(method, answer).max()))
    return {m: float(np.percentile(v, 90)) if v else 1.0 for m, v in peaks.items()}


def choose_cam(data: Path, models: list[str] | None = None) -> None:
    """Make the method that wins on validation images each model's default, see `rank_methods`."""
    folder = registry.weights_folder()
    for model in models or registry.classifiers():
        ranked = rank_methods(judge_heatmaps(data, model, "validation"))
        print(model, ranked)
        description = _read(folder)
        description["models"][model]["cam"] = ranked[0]
        _write(folder, description)


def _read(folder: Path) -> dict[str, Any]:
    if (folder / "registry.json").is_file():
        return copy.deepcopy(registry.read_registry(folder))
    return {"equalise_first": True, "gate": open_gate(), "models": {}}


def _write(folder: Path, description: dict[str, Any]) -> None:
    (folder / "registry.json").write_text(json.dumps(description, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    others = ["decisions", "gate", "detector", "cam", "onnx", "card"]
    parser.add_argument("what", choices=["unet", *ARCHITECTURES, *others])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--model", action="append", help="for cam, decisions, onnx: this alone")
    parser.add_argument("--pictures", type=Path, default=PICTURES, help="for gate, see not_chest")
    arguments = parser.parse_args()
    if arguments.what == "card":
        write_card()
    elif arguments.what == "onnx":
        compile_models(arguments.model or COMPILED)
    elif arguments.data is None:
        parser.error("--data is needed")
    elif arguments.what == "gate":
        fit_gate(arguments.data, arguments.pictures)
    elif arguments.what == "detector":
        fit_detector(arguments.data, arguments.pictures)
    elif arguments.what == "decisions":
        choose_again(arguments.data, arguments.model)
    elif arguments.what == "cam":
        choose_cam(arguments.data, arguments.model)
    else:
        run = arguments.run or Path("runs") / arguments.what
        release(arguments.what, run, arguments.data)
