"""Films that the tests draw, models that they share, and where the real films may lie."""

import os
import shutil
from contextlib import ExitStack, suppress
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import cv2
import numpy as np
import pytest
from hypothesis import settings

from pipeline.data.phantom import EXAMPLES, draw_film
from pipeline.io.radiograph import Radiograph
from tests.browsing import chromium, running_app, window

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
    """The shipped light model on Keras."""
    from pipeline.inference.predictor import Predictor

    return Predictor("light")


@pytest.fixture(scope="session")
def compiled_weights(tmp_path_factory):
    """A function from a model's name to a weights folder in which it is compiled.

    That is the shipped folder, or a copy where its compiled model does not fit its weights.
    """
    from pipeline.models import registry

    copy = tmp_path_factory.mktemp("compiled") / "weights"

    def folder(name: str) -> Path:
        for found in (registry.weights_folder(), copy):
            with suppress(registry.WeightsError):
                registry.compiled_files(name, found)
                return found
        pytest.importorskip("tf2onnx")
        from pipeline.release.publish import compile_models

        if not copy.is_dir():
            shutil.copytree(registry.weights_folder(), copy)
        compile_models([name], copy)
        return copy

    return folder


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real films; tests that need it are skipped where there is none."""
    named = os.environ.get("PULMOSCOPE_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real films: set PULMOSCOPE_DATA to the database's folder")
    return folder


@pytest.fixture(scope="session")
def server():
    """The running app's address, and its log for the privacy tests."""
    log = ROOT / ".pytest_cache" / "server.log"
    with running_app(log) as address:
        yield address, log


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(chromium())
        except playwright.Error as error:
            hint = "no Chromium: apt-get install chromium, or playwright install chromium"
            if os.environ.get("CI"):
                pytest.fail(f"{hint} ({error})")
            pytest.skip(hint)
        yield opened


@pytest.fixture
def page(browser, server):
    with window(browser, server[0]) as page:
        yield page


def radiograph_of(film: np.ndarray) -> Radiograph:
    return Radiograph(film.astype(np.float32), "0" * 64, "PNG")
