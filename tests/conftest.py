"""Films that the tests draw, models that they share, and where the real films may lie."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import cv2
import numpy as np
import pytest
from hypothesis import settings

from pipeline.phantom import EXAMPLES, draw_film
from pipeline.radiograph import Radiograph

# A deadline would time the machine, not the code.
settings.register_profile("pulmoscope", deadline=None)
settings.load_profile("pulmoscope")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def films() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Every built-in synthetic film and its lung mask, uint8 (512, 512)."""
    return {name: draw_film(phantom, 512) for name, phantom in EXAMPLES.items()}


@pytest.fixture(scope="session")
def clear_png(films) -> bytes:
    return cv2.imencode(".png", films["clear"][0])[1].tobytes()


@pytest.fixture(scope="session")
def predictor():
    """The shipped light model."""
    from pipeline.predictor import Predictor

    return Predictor("light")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real films; tests that need it are skipped where there is none."""
    named = os.environ.get("PULMOSCOPE_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real films: set PULMOSCOPE_DATA to the database's folder")
    return folder


def radiograph_of(film: np.ndarray) -> Radiograph:
    return Radiograph(film.astype(np.float32), "0" * 64, "PNG")
