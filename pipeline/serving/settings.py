"""What the environment decides: every variable, its default and its range, in one place."""

import os
from dataclasses import dataclass, field, fields


def _variable(name: str, default, about: str, low=None, high=None):
    about = {"name": name, "about": about, "low": low, "high": high}
    return field(default=default, metadata=about)


@dataclass(frozen=True)
class Settings:
    """The server's settings; docs/operations.md has a row for each, which a test compares.

    Read with `read_settings`. ``PULMOSCOPE_DATA`` and ``PULMOSCOPE_WEIGHTS`` are read anew
    whenever they are needed, the others once, when the server starts.
    """

    data: str = _variable("PULMOSCOPE_DATA", "", "folder of the database, for its images")
    weights: str = _variable("PULMOSCOPE_WEIGHTS", "", "folder of weights and registry")
    site: str = _variable("PULMOSCOPE_SITE", "", "site card: threshold and triage of a hospital")
    preload: str = _variable("PULMOSCOPE_PRELOAD", "light", "models loaded at the start, by commas")
    queue: int = _variable("PULMOSCOPE_QUEUE", 64, "images that may wait at a time", 1, 10_000)
    batch: int = _variable("PULMOSCOPE_BATCH", 4, "images of one size per forward pass", 1, 256)
    patience: int = _variable("PULMOSCOPE_PATIENCE", 120, "seconds an image may wait", 1, 3600)
    log: int = _variable("PULMOSCOPE_LOG", 1, "1: a JSON line per diagnosis, 0: none", 0, 1)
    metrics_port: int = _variable("PULMOSCOPE_METRICS_PORT", 0, "Prometheus; 0: none", 0, 65535)
    metrics_address: str = _variable("PULMOSCOPE_METRICS_ADDRESS", "127.0.0.1", "who may ask it")
    gpu: int = _variable("PULMOSCOPE_GPU", 0, "1: warn where no graphics card is found", 0, 1)
    sign_in: int = _variable("PULMOSCOPE_SIGN_IN", 0, "1: signing in is required", 0, 1)


def variables() -> dict[str, dict]:
    """Every variable by name, with ``default``, ``about``, ``low`` and ``high``."""
    return {f.metadata["name"]: dict(f.metadata) | {"default": f.default} for f in fields(Settings)}


def read_settings(environment=os.environ) -> Settings:
    """The settings. Raises ValueError with a sentence for a value that does not fit."""
    values = {}
    for one in fields(Settings):
        text = environment.get(one.metadata["name"], "")
        if text:
            values[one.name] = text if one.type is str else _whole_number(one.metadata, text)
    return Settings(**values)


def _whole_number(about: dict, text: str) -> int:
    low, high = about["low"], about["high"]
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise ValueError(f"{about['name']} is {text!r}: give a whole number from {low} to {high}.")
    return int(text)
