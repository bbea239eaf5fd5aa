"""What `evaluate` measured on test images, handed out while it fits the weights that are there.

``<model>.<what>.json`` of the weights folder, with ``what`` one of `KINDS`; ``together.json`` for
two models at once, ``gate.json`` for the quality gate, which all models share.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.models import registry
from pipeline.models.records import Frozen, Schema, read_record
from pipeline.models.registry import WeightsError
from pipeline.release import schemas

KINDS: dict[str, type[Schema]] = {
    "test": schemas.Scores,
    "heatmaps": schemas.Heatmaps,
    "lungs": schemas.Lungs,
    "changes": schemas.Changes,
    "sources": schemas.Sources,
}
TOGETHER, GATE, DATABASE = "together.json", "gate.json", "database.json"


def measured(model: str, what: str, folder: Path | None = None) -> dict[str, Any] | None:
    """What was measured of a model on test images, as `evaluate` wrote it.

    None when there is no such file or when the weights are not those it was measured with. Raises
    WeightsError, as all do here, where the file is not what its schema asks for.
    """
    result = _on_test_images(f"{model}.{what}.json", KINDS[what], folder)
    if not result:
        return None
    # What trains models of its own ("sources") rests on the U-Net's weights only.
    own = registry.entry(model, folder).sha256
    return result if result.get("weights_sha256", own) == own else None


def scores_on_test_films(model: str, folder: Path | None = None) -> dict[str, Any] | None:
    """The scores of a model, see `measured`."""
    return measured(model, "test", folder)


def measured_together(folder: Path | None = None) -> dict[str, Any] | None:
    """What two models say of one image, as `judge_together` wrote it; else None, as `measured`."""
    result = _on_test_images(TOGETHER, schemas.Together, folder)
    if not result:
        return None
    models = registry.read_registry(folder)["models"]
    hashes = result["weights_sha256"].items()
    fits = all(m in models and models[m]["sha256"] == sha for m, sha in hashes)
    return result if fits else None


def measured_gate(folder: Path | None = None) -> dict[str, Any] | None:
    """What the quality gate lets pass, as `judge_gate` wrote it.

    None when there is no such file or when U-Net or gate are not those it was measured with.
    """
    result = _on_test_images(GATE, schemas.Gate, folder)
    return result if result and result["gate_sha256"] == registry.gate_sha256(folder) else None


def database_statistics(folder: Path | None = None) -> dict[str, Any] | None:
    """What ``python -m pipeline explore`` counted; None where it did not."""
    return _read((folder or registry.weights_folder()) / DATABASE, schemas.Database)


def damaged(folder: Path | None = None) -> dict[str, str]:
    """Every record that is not what it should be, with a sentence that says what to do."""
    folder = folder or registry.weights_folder()
    records: dict[str, type[Schema]] = {
        TOGETHER: schemas.Together,
        GATE: schemas.Gate,
        DATABASE: schemas.Database,
    }
    found = {}
    try:
        for model in registry.read_registry(folder)["models"]:
            records |= {f"{model}.{what}.json": schema for what, schema in KINDS.items()}
    except WeightsError as error:
        found["registry.json"] = str(error)
    checks: dict[str, Callable[[], object]] = {
        file: partial(_read, folder / file, schema) for file, schema in records.items()
    }
    for file, check in (checks | {registry.SPLIT: partial(registry.unseen_films, folder)}).items():
        try:
            check()
        except WeightsError as error:
            found[file] = str(error)
    return found


def _read(path: Path, schema: type[Schema]) -> Frozen | None:
    try:
        return read_record(path, schema)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise WeightsError("record_damaged", file=path.name) from error


def _on_test_images(file: str, schema: type[Schema], folder: Path | None) -> dict[str, Any] | None:
    """A file of the weights folder, if measured on test images with the U-Net that is there."""
    result = _read((folder or registry.weights_folder()) / file, schema)
    if result is None:
        return None
    fits = result["unet_sha256"] == registry.entry("unet", folder).sha256
    return result if fits and result["part"] == "test" else None
