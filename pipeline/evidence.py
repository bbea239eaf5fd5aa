"""Scores that `evaluate` wrote, handed out only while they fit the weights that are there."""

import json
from pathlib import Path

from pipeline import registry


def scores_on_test_films(model: str, folder: Path | None = None) -> dict | None:
    """``<model>.test.json`` of the weights folder: scores on test films.

    None when there is no such file or when the weights are not those it was measured with.
    """
    folder = folder or registry.weights_folder()
    path = folder / f"{model}.test.json"
    if not path.is_file():
        return None
    scores = json.loads(path.read_text(encoding="utf-8"))
    hashes = registry.entry(model, folder).sha256, registry.entry("unet", folder).sha256
    fits = (scores["weights_sha256"], scores["unet_sha256"]) == hashes
    return scores if fits and scores["part"] == "test" else None
