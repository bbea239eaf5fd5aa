"""The training loop: what is kept, how the rate runs, a killed run that goes on."""

import json
import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import torch
from keras import layers

from pipeline.cli.main import main
from pipeline.models.light_cnn import build_light_cnn
from pipeline.models.registry import ROOT
from pipeline.training import fit
from pipeline.training.fit import Trainer, predictor_of
from pipeline.training.losses import cross_entropy
from pipeline.training.recipe import Recipe
from pipeline.training.train import train


def tiny_model() -> keras.Model:
    keras.utils.set_random_seed(1)
    image = keras.Input((None, None, 1))
    x = layers.Conv2D(4, 3, use_bias=False, name="trunk_conv")(image)
    x = layers.BatchNormalization(momentum=0.9, name="trunk_norm")(x)
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    return keras.Model(image, layers.Dense(2, activation="softmax", name="head_dense")(x))


class Noise(torch.utils.data.Dataset):
    """Batches of noise, each a function of its number."""

    def __getitem__(self, number):
        rng = np.random.default_rng(number)
        return rng.random((4, 9, 9, 1), np.float32), np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]


def tiny_trainer(model=None, head=None, **changed) -> Trainer:
    settings = {"stages": ((9, 4),), "steps": 6, "learning_rate": 1e-2} | changed
    return Trainer(Recipe("light", **settings), model or tiny_model(), cross_entropy, head)


def state_of(module) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in module.state_dict().items()}


# -- what is kept -------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_best_epoch_at_the_last_size_is_kept(tmp_path):
    model = tiny_model()
    trainer = tiny_trainer(model, stages=((7, 1), (9, 4)))
    choices, seen = iter([0.99, 0.2, 0.9, 0.5, 0.9]), []

    def score(predict, size):
        seen.append(state_of(trainer.average.module))
        return {"choice": next(choices)}

    history = trainer.fit(lambda size: Noise(), score, tmp_path)
    kept = tiny_model()
    kept.load_weights(tmp_path / "best.weights.h5")
    best = seen[2]
    np.testing.assert_array_equal(
        kept.get_layer("trunk_conv").get_weights()[0], best["twins.trunk_conv.halves.0"]
    )
    norm = kept.get_layer("trunk_norm").get_weights()
    np.testing.assert_array_equal(norm[2], best["twins.trunk_norm.norm.running_mean"])
    np.testing.assert_array_equal(norm[3], best["twins.trunk_norm.norm.running_var"])
    assert [record["size"] for record in history] == [7, 9, 9, 9, 9]
    assert [record["validation"]["choice"] for record in history] == [0.99, 0.2, 0.9, 0.5, 0.9]
    assert json.loads((tmp_path / "history.json").read_text()) == history


@pytest.mark.parametrize("decay", [0.15, 0.995])
def test_weights_and_batch_statistics_are_running_averages(decay):
    trainer = tiny_trainer(averaging=decay)
    batch = Noise()[0]
    trainer.step(*batch)
    expected = state_of(trainer.twin)
    for number in (1, 2, 3):
        trainer.step(*batch)
        latest = state_of(trainer.twin)
        share = min(decay, (1 + number) / (10 + number))
        expected = {
            name: share * value + (1 - share) * latest[name] for name, value in expected.items()
        }
        average = state_of(trainer.average.module)
        for name, value in average.items():
            if name.endswith("num_batches_tracked"):
                assert value == latest[name]
            else:
                np.testing.assert_allclose(value, expected[name], atol=1e-6, err_msg=name)
    for name in ("twins.trunk_conv.halves.0", "twins.trunk_norm.norm.running_mean"):
        assert np.abs(average[name] - latest[name]).max() > 1e-5, name


def test_what_is_scored_is_what_is_kept(tmp_path):
    model, answers = tiny_model(), []
    trainer = tiny_trainer(model, stages=((9, 1),))
    images = Noise()[99][0]

    def score(predict, size):
        answers.append(predict(images))
        return {"choice": 1.0}

    trainer.fit(lambda size: Noise(), score, tmp_path)
    model.load_weights(tmp_path / "best.weights.h5")
    np.testing.assert_allclose(answers[0], model.predict_on_batch(images), atol=0.01)
    assert answers[0].dtype == np.float32


def test_predictor_of_is_float32_also_where_training_is_in_bfloat16(monkeypatch):
    monkeypatch.setattr(fit, "has_bfloat16", lambda: True)
    model, rng = build_light_cnn(), np.random.default_rng(0)
    for layer in model.layers:
        layer.set_weights([w + rng.normal(0, 0.1, w.shape) for w in layer.get_weights()])
    images = rng.random((4, 64, 64, 1), np.float32)
    exact = model.predict_on_batch(images)
    np.testing.assert_allclose(predictor_of(model)(images), exact, atol=1e-5)
    halved = tiny_trainer(model).predict(images)
    assert np.abs(halved - exact).max() > 2e-5, "or the bound above would say nothing"


# -- how it learns ------------------------------------------------------------------------------


def test_the_rate_rises_to_its_peak_and_falls_to_nothing(tmp_path):
    trainer = tiny_trainer(stages=((9, 5),), steps=8, learning_rate=2e-3)
    rates, step = [], trainer.step

    def recorded(*batch):
        rates.append(trainer.optimizer.param_groups[0]["lr"])
        return step(*batch)

    trainer.step = recorded
    trainer.fit(lambda size: Noise(), lambda *_: {"choice": 0.0}, tmp_path)
    peak = int(np.argmax(rates))
    assert len(rates) == 40 and 5 <= peak <= 9
    assert rates[peak] == pytest.approx(2e-3)
    assert (np.diff(rates[: peak + 1]) > 0).all() and (np.diff(rates[peak:]) < 0).all()
    assert rates[0] == pytest.approx(2e-3 / 25) and rates[-1] < 1e-6


def test_head_and_trunk_learn_at_rates_of_their_own():
    moved = {}
    for trunk_rate in (1e-2, 1e-6):
        trainer = tiny_trainer(head={"head_dense"}, trunk_rate=trunk_rate, weight_decay=0.0)
        before = state_of(trainer.twin)
        for _ in range(3):
            trainer.step(*Noise()[0])
        after = state_of(trainer.twin)
        moved[trunk_rate] = {
            name: np.abs(after[name] - before[name]).max()
            for name in ("twins.trunk_conv.halves.0", "twins.head_dense.kernel")
        }
    assert moved[1e-6]["twins.trunk_conv.halves.0"] < 1e-5
    assert moved[1e-2]["twins.trunk_conv.halves.0"] > 1e-4
    assert moved[1e-6]["twins.head_dense.kernel"] > 1e-4
    alike = tiny_trainer(head={"head_dense"}).optimizer.param_groups
    assert alike[0]["max_lr"] == alike[1]["max_lr"] == 1e-2


def test_the_loss_of_an_epoch_is_the_mean_of_its_batches(tmp_path):
    trainer = tiny_trainer(stages=((9, 1),))
    losses, step = [], trainer.step
    trainer.step = lambda *batch: losses.append(step(*batch)) or losses[-1]
    (record,) = trainer.fit(lambda size: Noise(), lambda *_: {"choice": 0.0}, tmp_path)
    assert record["loss"] == pytest.approx(np.mean([float(loss) for loss in losses]), rel=1e-6)
    assert record["loss"] == pytest.approx(np.log(2), abs=0.2)


# -- stopping and going on ----------------------------------------------------------------------


def test_a_checkpoint_is_whole_or_not_there(tmp_path, monkeypatch):
    trainer = tiny_trainer()
    trainer.save(tmp_path / "checkpoint.pt")
    whole = (tmp_path / "checkpoint.pt").read_bytes()

    def full_disk(state, path):
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="no space"):
        trainer.save(tmp_path / "checkpoint.pt")
    assert (tmp_path / "checkpoint.pt").read_bytes() == whole


RECIPE = """
from pipeline.training.recipe import Recipe
RECIPE = Recipe(
    model="light",
    stages=((64, 1), (72, 2)),
    steps=3,
    learning_rate=3e-3,
    shares={"COVID": 2, "siim typical": 1, "Normal": 1, "Viral Pneumonia": 1, "siim negative": 1},
    smoothing=0.02,
    averaging=0.6,
)
"""
KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.training.fit import Trainer
from pipeline.training.train import train
step, last = Trainer.step, int(sys.argv[4])
def killed(self, *batch):
    global last
    last -= 1
    if last == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, *batch)
Trainer.step = killed
train("light", Path(sys.argv[1]), recipe_file=Path(sys.argv[2]), folder=Path(sys.argv[3]))
"""


@pytest.fixture
def recipe_file(tmp_path):
    (tmp_path / "recipe.py").write_text(RECIPE)
    return tmp_path / "recipe.py"


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_it_had_never_stopped(tiny, tmp_path, recipe_file):
    """Killed in the second step of the second epoch, resumed by the command line."""
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    unbroken = train("light", tiny, recipe_file=recipe_file, folder=whole)
    command = [sys.executable, "-c", KILLED, tiny, recipe_file, halves, "5"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()[-2000:]
    assert len(json.loads((halves / "history.json").read_text())) == 1
    command = ["train", "light", "--data", str(tiny), "--config", str(recipe_file)]
    assert main([*command, "--run", str(halves), "--resume"]) == 0

    ours, theirs = (torch.load(f / "checkpoint.pt", weights_only=True) for f in (halves, whole))
    for part in ("twin", "average"):
        for name, value in theirs[part].items():
            assert torch.equal(ours[part][name], value), (part, name)
    keep = [build_light_cnn() for _ in range(2)]
    for model, folder in zip(keep, (halves, whole), strict=True):
        model.load_weights(folder / "best.weights.h5")
    for a, b in zip(*(model.get_weights() for model in keep), strict=True):
        np.testing.assert_array_equal(a, b)
    history = json.loads((halves / "history.json").read_text())
    for mine, other in zip(history, unbroken.history, strict=True):
        assert mine | {"seconds": 0} == other | {"seconds": 0}


@pytest.mark.slow
def test_a_run_is_not_overwritten_and_not_gone_on_with_under_another_recipe(
    tiny, tmp_path, recipe_file, capsys
):
    recipe_file.write_text(RECIPE.replace("((64, 1), (72, 2))", "((64, 1),)"))
    train("light", tiny, recipe_file=recipe_file, folder=tmp_path / "run")
    written = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    command = ["train", "light", "--data", str(tiny), "--run", str(tmp_path / "run")]
    assert main([*command, "--config", str(recipe_file)]) == 2
    assert "add --resume" in capsys.readouterr().err
    recipe_file.write_text(RECIPE)
    assert main([*command, "--config", str(recipe_file), "--resume"]) == 2
    assert "another recipe" in capsys.readouterr().err
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == written


def test_weights_that_are_not_the_parent_are_refused(tiny, tmp_path, recipe_file):
    text = RECIPE.replace("averaging=0.6", f"parent={'0' * 64!r}")
    recipe_file.write_text(text)
    with pytest.raises(ValueError, match="goes on from weights 000000000000"):
        train("light", tiny, recipe_file=recipe_file, folder=tmp_path / "run")
