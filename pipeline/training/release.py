"""Put a run's best weights into ``weights/`` and describe them in ``registry.json``.

    python -m pipeline.training.release unet --data DIR
    python -m pipeline.training.release light --data DIR
    python -m pipeline.training.release gate --data DIR
    python -m pipeline.training.release card            the table of scores in weights/README.md

``unet`` also writes ``test_films.txt``, the names of the films that no model trains on. The
classifier's threshold and the quality gate's limits are chosen on validation films. Scores are
measured afterwards, on test films, by ``python -m pipeline evaluate --part test``.
"""

import argparse
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline import registry
from pipeline.evaluation.calibration import fit_temperature
from pipeline.evaluation.curves import operating_thresholds
from pipeline.evaluation.metrics import choose_threshold
from pipeline.gradcam import methods_for, raw_map
from pipeline.models.architectures import ARCHITECTURES
from pipeline.models.unet import build_unet
from pipeline.predictor import Predictor
from pipeline.quality import lung_statistics
from pipeline.radiograph import read_radiograph
from pipeline.training.card import write_card
from pipeline.training.config import load_config
from pipeline.training.engines import predictor_of
from pipeline.training.split import films_of
from pipeline.training.tasks import ClassificationTask
from pipeline.training.train import CONFIGS

# Statistics in which only one side is suspicious keep their natural other end.
ENDS = {"two_largest": (None, 1.0), "symmetry": (None, 1.0), "beside": (None, 1.0)}
ENDS |= {"border": (0.0, None), "entropy": (0.0, None), "brightness": (-1.0, None)}
ENDS |= {"spread": (None, 128.0), "area": (None, None)}


def release(name: str, run: Path, data: Path) -> None:
    """Copy the run's best weights, and describe them."""
    folder = registry.weights_folder()
    description = _read(folder)
    config = json.loads((run / "config.json").read_text())
    history = json.loads((run / "run.json").read_text())["history"]
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
        "training": {"config": config, "history": history},
    }
    if name == "unet":
        description["equalise_first"] = config["equalise"]
        names = sorted(film.name for film in films_of(data, "test"))
        (folder / registry.TEST_FILMS).write_text("\n".join(names) + "\n")
    else:
        entry["labels"] = list(config["groups"])[: model.output.shape[-1]]
        entry["for_reading"] = architecture.for_reading
        entry.setdefault("cam", "hirescam")
        entry.setdefault("cam_scale", dict.fromkeys(methods_for(architecture.pooled), 1.0))
        entry["threshold"] = 0.5
        _write(folder, description)
        entry |= _decisions(name, data)
    _write(folder, description)


def _decisions(name: str, data: Path) -> dict:
    """Threshold, operating points and temperature: chosen on validation films, at full size."""
    task = ClassificationTask(load_config(CONFIGS / f"{name}.py"), data)
    entry = registry.entry(name)
    task.model.load_weights(entry.checked_file())
    scores = task.predict(predictor_of(task.model), "validation", entry.input_size)[:, 0]
    truth = np.array([film.label == "COVID" for film in task.parts["validation"]])
    decisions = {
        "threshold": round(choose_threshold(truth, scores, *GOALS.get(name, GOALS["light"])), 4),
        "operating_points": {
            key: round(value, 4) for key, value in operating_thresholds(truth, scores).items()
        },
        "temperature": round(fit_temperature(truth, scores), 4),
    }
    print(decisions)
    return decisions


# Sensitivity and specificity that the threshold is to reach, or to miss by as little as it can.
GOALS = {"light": (0.94, 0.96), "xception": (0.95, 0.986)}


# Share of the validation films beyond an end: most for the statistic that tells most.
TAILS = {"entropy": 0.003, "two_largest": 0.0015}
TAIL = 0.0005


def fit_gate(data: Path) -> None:
    """Set the gate's limits and the heatmaps' colour scales from validation films.

    Of each statistic, `TAILS` of the films lie beyond each end. A method's scale ends at the 90th
    percentile of its maps' maxima over COVID films that the model calls COVID.
    """
    folder = registry.weights_folder()
    description = _read(folder)
    films = [film for film in films_of(data, "validation") if film.label]
    for model in registry.classifiers(every=True):
        statistics, peaks = _measure(films, Predictor(model))
        scale = {method: float(np.percentile(values, 90)) for method, values in peaks.items()}
        description["models"][model]["cam_scale"] = scale
    description["gate_limits"] = {name: _limits(name, statistics) for name in ENDS}
    _write(folder, description)
    print(json.dumps(description["gate_limits"], indent=1), scale)


def _measure(films, predictor: Predictor) -> tuple[list[dict], dict[str, list[float]]]:
    methods = methods_for(predictor.architecture.pooled)
    statistics, peaks = [], {method: [] for method in methods}
    for film in tqdm(films, desc=predictor.entry.name):
        pixels = read_radiograph(film.path.read_bytes()).pixels
        answer = predictor(pixels)
        statistics.append(asdict(lung_statistics(pixels, answer.mask_probability)))
        called = answer.probabilities[predictor.covid] >= predictor.entry.threshold
        if film.label == "COVID" and called:
            for name in methods:
                peaks[name].append(float(raw_map(name, answer).max()))
    return statistics, peaks


def _limits(name: str, statistics: list[dict]) -> list[float]:
    values = np.array([row[name] for row in statistics])
    tail = TAILS.get(name, TAIL)
    first, last = np.quantile(values, (tail, 1 - tail))
    margin = 0.05 * (last - first)  # other hospitals' films differ more than these do
    low, high = ENDS[name]
    return [
        round(float(first - margin), 4) if low is None else low,
        round(float(last + margin), 4) if high is None else high,
    ]


def _read(folder: Path) -> dict:
    if (folder / "registry.json").is_file():
        return registry.read_registry(folder)
    open_limits = {name: [-1e9, 1e9] for name in ENDS}
    return {"equalise_first": True, "gate_limits": open_limits, "models": {}}


def _write(folder: Path, description: dict) -> None:
    (folder / "registry.json").write_text(json.dumps(description, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["unet", *ARCHITECTURES, "gate", "card"])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--run", type=Path)
    arguments = parser.parse_args()
    if arguments.what == "card":
        write_card()
    elif arguments.data is None:
        parser.error("--data is needed")
    elif arguments.what == "gate":
        fit_gate(arguments.data)
    else:
        run = arguments.run or Path("runs") / arguments.what
        release(arguments.what, run, arguments.data)
