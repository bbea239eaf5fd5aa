"""ONNX Runtime says what Keras says, and serves without TensorFlow."""

import json
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from pipeline.explain.gradcam import methods_for, raw_map
from pipeline.inference import engine
from pipeline.inference.engine import load_predictor, on_keras
from pipeline.models import registry
from tests.conftest import ROOT

SCORES, HEATMAPS, PIXELS = 1e-4, 1e-3, 1e-4


@pytest.fixture(
    scope="module", params=["light", "xception", pytest.param("cnn2", marks=pytest.mark.slow)]
)
def both(request, compiled_weights):
    """A model on ONNX Runtime and on Keras."""
    if not registry.entry(request.param).is_available():
        pytest.skip(f"no weights of {request.param}")
    folder = compiled_weights(request.param)
    return tuple(load_predictor(request.param, engine, folder) for engine in ("onnx", "keras"))


def assert_same(predictor, answers, wanted) -> None:
    for answer, want in zip(answers, wanted, strict=True):
        assert (answer.mask != want.mask).mean() <= PIXELS
        np.testing.assert_allclose(answer.probabilities, want.probabilities, atol=SCORES)
        np.testing.assert_allclose(answer.context, want.context, rtol=1e-3, atol=1e-3)
        if want.class_probabilities is not None:
            np.testing.assert_allclose(
                answer.class_probabilities, want.class_probabilities, atol=SCORES
            )
        for method in methods_for(predictor.architecture.pooled):
            found, right = raw_map(method, answer), raw_map(method, want)
            scale = max(predictor.entry.cam_scale[method], right.max())
            np.testing.assert_allclose(found, right, atol=HEATMAPS * scale, err_msg=method)


def test_both_engines_say_the_same_of_drawn_images(both, films):
    onnx, keras = both
    assert (onnx.engine, keras.engine) == ("onnx", "keras")
    drawn = [film.astype(np.float32) for film, _ in films.values()]
    drawn += [drawn[0][::3, ::2], np.zeros((80, 90), np.float32)]
    assert_same(onnx, [onnx(film) for film in drawn], [keras(film) for film in drawn])


def test_a_batch_says_what_each_image_says(both, films):
    onnx, _ = both
    drawn = np.stack([film for film, _ in films.values()][:3]).astype(np.float32)
    assert_same(onnx, onnx.many(drawn), [onnx(film) for film in drawn])


def test_parts_of_the_graph(both, films):
    onnx, keras = both
    film = films["opacities"][0].astype(np.float32)
    np.testing.assert_array_equal(onnx.find_lungs(film), onnx(film).mask_probability)
    np.testing.assert_array_equal(onnx.look(film[None])[1][0], onnx(film).context)
    for found, right in zip(onnx.before_unet(film), keras.before_unet(film), strict=True):
        np.testing.assert_allclose(found, right, atol=1 / 255 + 1e-6)  # one level, where it rounds
    shown = np.random.default_rng(0).random((3, *onnx.find_lungs(film).shape), np.float32)
    np.testing.assert_allclose(onnx.classify(shown), keras.classify(shown), atol=SCORES)


def test_the_compiled_equalisation_is_opencv_bit_for_bit(both, films):
    onnx, _ = both
    for film, _mask in films.values():
        answer = onnx(film.astype(np.float32))
        levels = np.rint(answer.masked_film * 255).astype(np.uint8)
        np.testing.assert_array_equal(
            answer.equalised_film, cv2.equalizeHist(levels) / np.float32(255)
        )


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["light", "xception"])
def test_both_engines_say_the_same_of_radiographs(name, data, compiled_weights):
    """Where a pixel on a mask's edge falls to the other side, its image is equalised otherwise and
    the score may move a little more; that is rare."""
    from pipeline.data.database import load_films, read_database

    labelled = [film for film in read_database(data) if film.label]
    sample = labelled[:: len(labelled) // 200][:200]
    folder = compiled_weights(name)
    onnx, keras = (load_predictor(name, engine, folder) for engine in ("onnx", "keras"))
    farther = []
    for start in range(0, len(sample), 8):
        batch = load_films(sample[start : start + 8], 299)[..., 0].astype(np.float32)
        for answer, want in zip(onnx.many(batch), keras.many(batch), strict=True):
            change = np.abs(answer.probabilities - want.probabilities).max()
            if change > SCORES and not np.array_equal(answer.mask, want.mask):
                assert (answer.mask != want.mask).mean() <= PIXELS
                farther.append(change)
            else:
                assert_same(onnx, [answer], [want])
    assert len(farther) <= 0.05 * len(sample) and max(farther, default=0) <= 0.005


def alter(folder, change) -> None:
    path = folder / "registry.json"
    described = json.loads(path.read_text())
    change(described["models"])
    path.write_text(json.dumps(described))


def test_auto_takes_onnx_runtime_where_there_is_no_graphics_card(compiled_weights, monkeypatch):
    folder = compiled_weights("light")
    monkeypatch.delenv("PULMOSCOPE_ENGINE", raising=False)
    monkeypatch.setattr(engine, "sees_graphics_card", lambda: False)
    assert load_predictor("light", folder=folder).engine == "onnx"
    monkeypatch.setattr(engine, "sees_graphics_card", lambda: True)
    assert load_predictor("light", folder=folder).engine == "keras"
    monkeypatch.setenv("PULMOSCOPE_ENGINE", "onnx")
    assert load_predictor("light", folder=folder).engine == "onnx"
    with pytest.raises(ValueError, match="one of auto, keras, onnx, received 'torch'"):
        load_predictor("light", "torch", folder)


@pytest.mark.parametrize("fault", ["other weights", "other U-Net", "damaged", "missing", "unknown"])
def test_a_compiled_model_that_does_not_fit_is_never_asked(
    fault, compiled_weights, tmp_path, monkeypatch, caplog
):
    folder = tmp_path / "weights"
    shutil.copytree(compiled_weights("light"), folder)
    if fault == "damaged":
        with (folder / "light.onnx").open("ab") as file:
            file.write(b"0")
    elif fault == "missing":
        (folder / "light.front.onnx").unlink()
    elif fault == "unknown":
        alter(folder, lambda models: models["light"].pop("onnx"))
    else:
        key = "weights_sha256" if fault == "other weights" else "unet_sha256"
        alter(folder, lambda models: models["light"]["onnx"].update({key: "0" * 64}))
    assert load_predictor("light", "onnx", folder).engine == "keras"
    (record,) = caplog.records
    assert "light.onnx" in record.message and "Keras answers instead" in record.message
    monkeypatch.setattr(engine, "keras_is_installed", lambda: False)
    with pytest.raises(registry.WeightsError, match=r"no compiled model light\.onnx"):
        load_predictor("light", "onnx", folder)


def test_layers_are_looked_at_on_keras(compiled_weights):
    onnx = load_predictor("light", "onnx", compiled_weights("light"))
    found = on_keras(onnx)
    assert found.engine == "keras"
    assert on_keras(onnx) is found and on_keras(found) is found


SERVES = """
import importlib, json, os, pkgutil, sys
import numpy as np
import app.sections
from fastapi.testclient import TestClient
from app.http.api import api
from pipeline.cli.main import main
from pipeline.evaluation.ablation import score_replaced
from pipeline.inference.diagnose import diagnose_bytes
from pipeline.inference.engine import load_predictor
from pipeline.inference.stages import stages_of
png, out = sys.argv[1:]
data = open(png, "rb").read()
said = TestClient(api).post("/diagnose", content=data)
assert said.status_code == 200, said.text
assert main(["diagnose", png, "--format", "json", "--out", out]) == 0
predictor = load_predictor("light")
diagnosis = diagnose_bytes(data, predictor)
assert len(stages_of(diagnosis, predictor)) == 7
score_replaced(diagnosis.radiograph.pixels, diagnosis.answer, predictor)
import app.server
for section in pkgutil.iter_modules(app.sections.__path__):
    importlib.import_module(f"app.sections.{section.name}")
print(json.dumps([name for name in ("tensorflow", "keras", "torch") if name in sys.modules]))
"""


def test_serving_imports_no_tensorflow(compiled_weights, films, tmp_path):
    """A diagnosis through HTTP, one on the command line, the server and every page's parts, in a
    process of their own."""
    film = tmp_path / "film.png"
    cv2.imwrite(str(film), films["opacities"][0])
    environment = os.environ | {
        "PULMOSCOPE_WEIGHTS": str(compiled_weights("light")),
        "PULMOSCOPE_ENGINE": "onnx",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", SERVES, str(film), str(tmp_path / "out")],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
