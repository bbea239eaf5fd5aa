"""What `evaluate` measured on test images, handed out while it fits the weights that are there.

``<model>.<what>.json`` of the weights folder, with ``what`` one of `KINDS`; ``together.json`` for
two models at once, ``gate.json`` for the quality gate, which all models share.
"""

from pathlib import Path
from typing import Any

from pipeline.models import registry

KINDS = ("test", "heatmaps", "lungs", "changes", "sources")


def measured(model: str, what: str, folder: Path | None = None) -> dict[str, Any] | None:
    """What was measured of a model on test images, as `evaluate` wrote it.

    None when there is no such file or when the weights are not those it was measured with.
    """
    result = _on_test_images(f"{model}.{what}.json", folder)
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
    result = _on_test_images("together.json", folder)
    if not result:
        return None
    hashes = result["weights_sha256"].items()
    return result if all(registry.entry(m, folder).sha256 == sha for m, sha in hashes) else None


def measured_gate(folder: Path | None = None) -> dict[str, Any] | None:
    """What the quality gate lets pass, as `judge_gate` wrote it.

    None when there is no such file or when U-Net or gate are not those it was measured with.
    """
    result = _on_test_images("gate.json", folder)
    return result if result and result["gate_sha256"] == registry.gate_sha256(folder) else None


def _on_test_images(file: str, folder: Path | None) -> dict[str, Any] | None:
    """A file of the weights folder, if measured on test images with the U-Net that is there."""
    path = (folder or registry.weights_folder()) / file
    if not path.is_file():
        return None
    result = registry.read_json(path)
    fits = result["unet_sha256"] == registry.entry("unet", folder).sha256
    return result if fits and result["part"] == "test" else None
