"""Batches, splits, and a run that goes on exactly where it stopped."""

import contextlib
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models.architectures import ARCHITECTURES
from pipeline.models.light_cnn import build_light_cnn
from pipeline.models.unet import build_unet
from pipeline.training import batches, keras_engine
from pipeline.training.batches import (
    BalancedBatches,
    SegmentationBatches,
    augment_pair,
    jitter_film,
    shift_film,
)
from pipeline.training.config import Stage, TrainingConfig, load_config
from pipeline.training.database import CLASSES, load_masks, read_database
from pipeline.training.keras_engine import KerasEngine
from pipeline.training.loop import Run
from pipeline.training.release import joined
from pipeline.training.split import group_near_duplicates, split_groups
from pipeline.training.train import CONFIGS

GROUPS = {"COVID": ("COVID",), "other": ("Normal", "Lung_Opacity", "Viral Pneumonia")}


# -- balanced batches -------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=4, max_size=4), st.integers(0, 5), st.integers(1, 4))
def test_every_batch_has_exact_proportions(counts, epoch, sixths):
    labels = np.repeat(CLASSES, counts)
    films = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    batches = BalancedBatches(films, labels, GROUPS, batch_size=6 * sixths)
    batches.on_epoch(epoch)
    shown = Counter()
    for i in range(len(batches)):
        x, y = batches[i]
        here = Counter(labels[np.rint(x[:, 0, 0, 0] * 255).astype(int)])
        expected = {"COVID": 3 * sixths} | dict.fromkeys(GROUPS["other"], sixths)
        assert here == expected
        assert y.sum(0).tolist() == [3 * sixths, 3 * sixths]
        shown.update(np.rint(x[:, 0, 0, 0] * 255).astype(int).tolist())
    assert set(shown) == set(range(len(labels))), "an epoch shows the whole data set"
    for label in CLASSES:
        repeats = [shown[i] for i in np.flatnonzero(labels == label)]
        assert max(repeats) - min(repeats) <= 1, "films of a class come equally often"


def test_four_classes_in_quarters():
    labels = np.repeat(CLASSES, (5, 9, 2, 3))
    groups = {label: (label,) for label in CLASSES}
    batches = BalancedBatches(np.zeros((19, 2, 2, 1), np.uint8), labels, groups, batch_size=8)
    assert batches[0][1].sum(0).tolist() == [2, 2, 2, 2]
    assert len(batches) == 5


def test_batches_are_seeded():
    films = np.random.default_rng(0).integers(0, 255, (40, 8, 8, 1), np.uint8)
    labels = np.repeat(CLASSES, 10)

    def draw(seed, epoch):
        batches = BalancedBatches(films, labels, GROUPS, 12, seed=seed, jitters=[jitter_film])
        batches.on_epoch(epoch)
        return batches[1][0]

    np.testing.assert_array_equal(draw(1, 3), draw(1, 3))
    assert not np.array_equal(draw(1, 3), draw(1, 4))
    assert not np.array_equal(draw(1, 3), draw(2, 3))


def test_unequal_shares_are_refused():
    films = np.zeros((4, 2, 2, 1), np.uint8)
    with pytest.raises(ValueError, match=r"batch_size 8 cannot be shared .* take a multiple of 6"):
        BalancedBatches(films, CLASSES, GROUPS, 8)
    with pytest.raises(ValueError, match="no film is labelled 'Viral Pneumonia'"):
        BalancedBatches(films, ["COVID", "Normal", "Lung_Opacity", "Normal"], GROUPS, 6)


def test_shifting_neither_blurs_nor_leaves_the_film(monkeypatch):
    """Every level of the shifted film is one of the film's own, under the one change of gamma."""
    monkeypatch.setattr(batches, "SHARPNESS_CHANGED", 0)
    rng = np.random.default_rng(0)
    film = rng.integers(0, 2, (64, 64), np.uint8) * 255
    for _ in range(20):
        shifted = shift_film(film, rng)
        assert shifted.shape == film.shape
        assert set(np.unique(shifted)) <= {0, 255}
        assert 0.2 < (shifted > 0).sum() / (film > 0).sum() <= 1


def test_sharpness_changes_inside_the_lungs_only(films):
    film, lungs = films["clear"]
    masked = cv2.resize(film * (lungs > 0), (256, 256), interpolation=cv2.INTER_AREA)
    rng = np.random.default_rng(0)
    spreads = []
    for _ in range(40):
        changed = batches._change_sharpness(masked, rng)
        assert not changed[masked == 0].any()
        spreads.append(cv2.Laplacian(changed, cv2.CV_32F)[masked > 0].std())
    own = cv2.Laplacian(masked, cv2.CV_32F)[masked > 0].std()
    assert min(spreads) < own < max(spreads)


def test_targets_of_classes_and_of_a_teacher():
    films = np.zeros((4, 2, 2, 1), np.uint8)
    taught = BalancedBatches(
        films, CLASSES, GROUPS, 6, smoothing=0.1, classes=CLASSES, teacher=np.full((4, 2), 0.5)
    )
    _, targets = taught[0]
    assert targets.shape == (6, 6)
    np.testing.assert_allclose(targets[:, :2].sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(targets[:, 2:].sum(1), 1, rtol=1e-6)
    covid = targets[targets[:, 0] > 0.5]
    assert len(covid) == 3
    np.testing.assert_allclose(covid[:, 0], 0.5 * 0.95 + 0.5 * 0.5, rtol=1e-6)
    np.testing.assert_allclose(covid[:, 2], 0.9 + 0.1 / 4, rtol=1e-6)


def test_film_and_mask_move_together(films):
    """A film that is its own mask must still be its own mask after augmentation."""
    _, lungs = films["clear"]
    rng = np.random.default_rng(3)
    for _ in range(10):
        film, mask = augment_pair(lungs, lungs, rng)
        inside = film > (int(film.min()) + int(film.max())) / 2
        overlap = 2 * (inside & (mask > 127)).sum() / (inside.sum() + (mask > 127).sum())
        assert overlap > 0.9


# -- database and split -----------------------------------------------------------------------


def make_database(root: Path, films, per_class: int = 6) -> Path:
    """A tiny folder in the database's layout, of varied synthetic films."""
    rng = np.random.default_rng(0)
    picked = list(films.values())
    for c, label in enumerate(CLASSES):
        folder = root / "COVID-19_Radiography_Dataset" / label
        (folder / "images").mkdir(parents=True)
        (folder / "masks").mkdir()
        lines = ["FILE NAME,FORMAT,SIZE,URL"]
        for i in range(per_class):
            film, mask = picked[(c + i) % len(picked)]
            noise = rng.normal(0, 60, (16, 16)).astype(np.float32)
            film = np.clip(film + cv2.resize(noise, film.shape), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / "images" / f"{label}-{i}.png"), film[::4, ::4])
            if i % 2 == 0:
                cv2.imwrite(str(folder / "masks" / f"{label}-{i}.png"), mask[::2, ::2])
            lines.append(f"{label}-{i},PNG,128*128,https://bimcv.cipf.es/x")
        (folder.parent / f"{label}.metadata.csv").write_text("\n".join(lines))
    return root


@pytest.fixture
def database(tmp_path, films) -> Path:
    return make_database(tmp_path, films)


def test_reading_the_layout(database):
    films = read_database(database)
    assert Counter(f.label for f in films) == dict.fromkeys(CLASSES, 6)
    assert {f.source for f in films} == {"bimcv"}
    assert sum(f.mask is not None for f in films) == 12
    assert films == read_database(database / "COVID-19_Radiography_Dataset")
    masks = load_masks([f for f in films if f.mask], 64)
    assert set(np.unique(masks)) == {0, 255}


def test_empty_folder_names_the_layout(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected <class>/images"):
        read_database(tmp_path)


def test_near_duplicates_are_grouped(films):
    film = films["clear"][0]
    other = films["rotated"][0]
    copies = np.stack([film, np.clip(film * 0.7 + 30, 0, 255).astype(np.uint8), other])[..., None]
    groups = group_near_duplicates(copies)
    assert groups[0] == groups[1] != groups[2]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 150), st.sampled_from("ab")), min_size=40, max_size=300))
def test_no_group_is_split_and_shares_are_kept(pairs):
    groups = [g for g, _ in pairs]
    strata = ["ab"[g % 2] for g in groups]
    parts = split_groups(groups, strata, seed=1)
    for group in set(groups):
        assert len({p for p, g in zip(parts, groups, strict=True) if g == group}) == 1
    np.testing.assert_array_equal(parts, split_groups(groups, strata, seed=1))
    for stratum in "ab":
        own = np.array([s == stratum for s in strata])
        if own.sum() > 60:
            assert abs((parts[own] == 0).mean() - 0.75) < 0.15


# -- runs -------------------------------------------------------------------------------------


def engines() -> list:
    try:
        from pipeline.training.torch_engine import TorchEngine
    except ImportError:
        return [KerasEngine]
    return [KerasEngine, TorchEngine]


def light_run(folder: Path, engine_class, epochs: int, films, resume: bool = False) -> list[dict]:
    config = TrainingConfig(
        "light", (Stage(64, epochs, 6, steps=2), Stage(96, 1, 6, 1e-3, 1e-4, steps=1))
    )
    arrays = np.stack([film[::8, ::8] for film, _ in films.values()])[..., None]
    labels = [*CLASSES, "COVID", "Normal"]
    keras.utils.set_random_seed(1)
    model = build_light_cnn()
    engine = engine_class(model, "categorical_cross_entropy", seed=1, averaging=0.5)
    run = Run(config, folder, model)
    if resume:
        assert run.resume(engine)

    def batches_for(stage):
        sized = np.stack([cv2.resize(f, (stage.size,) * 2)[..., None] for f in arrays])
        return BalancedBatches(
            sized, labels, GROUPS, stage.batch_size, seed=1, jitters=[jitter_film]
        )

    def score(engine, stage):
        x, y = batches_for(stage)[0]
        return {"loss": engine.evaluate(x, y)[1]}

    return run.train(engine, batches_for, score)


@pytest.mark.parametrize("engine_class", engines())
def test_resume_is_exact(tmp_path, films, engine_class, monkeypatch):
    whole = light_run(tmp_path / "whole", engine_class, 3, films)

    save = Run._save

    def stop_after_two(self, engine):
        save(self, engine)
        if len(self.state["history"]) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Run, "_save", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        light_run(tmp_path / "halves", engine_class, 3, films)
    monkeypatch.undo()
    halves = light_run(tmp_path / "halves", engine_class, 3, films, resume=True)

    assert len(whole) == len(halves) == 4
    for a, b in zip(whole, halves, strict=True):
        assert a["learning_rate"] == b["learning_rate"]
        assert a["loss"] == pytest.approx(b["loss"], rel=2e-4)
        assert a["validation"]["loss"] == pytest.approx(b["validation"]["loss"], rel=2e-3)
    assert len(list((tmp_path / "halves").glob("checkpoint-*.bin"))) == 1
    record = json.loads((tmp_path / "halves" / "run.json").read_text())
    assert [h["size"] for h in record["history"]] == [64, 64, 64, 96]


@pytest.mark.parametrize("engine_class", engines())
def test_what_is_scored_and_kept_is_the_running_average(engine_class):
    def weights_after_each_step(averaging):
        keras.utils.set_random_seed(1)
        model = build_light_cnn()
        engine = engine_class(model, "categorical_cross_entropy", seed=1, averaging=averaging)
        x = np.random.default_rng(0).random((4, 64, 64, 1), np.float32)
        y = np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]
        kept = []
        for _ in range(3):
            engine.step(x, y, 1e-3)
            with engine.averaged():
                kept.append(model.get_weights()[0].copy())
                scores = model.predict_on_batch(x)
            np.testing.assert_allclose(engine.predict(x), scores, atol=1e-5)
        return kept

    latest = weights_after_each_step(0.0)
    first, second, third = weights_after_each_step(0.15)
    np.testing.assert_allclose(second, 0.15 * first + 0.85 * latest[1], atol=1e-4)
    np.testing.assert_allclose(third, 0.15 * second + 0.85 * latest[2], atol=1e-4)
    assert np.abs(third - latest[2]).max() > 1e-4


def test_a_training_that_was_gone_on_with_keeps_its_first_epochs():
    first = {"config": {"stages": [1, 2], "averaging": 0.0}, "history": ["a", "b"]}
    more = {"config": {"stages": [3], "averaging": 0.9}, "history": ["c"]}
    whole = joined(first, more)
    assert whole["config"] == {"stages": [1, 2, 3], "averaging": 0.9}
    assert whole["history"] == ["a", "b", "c"]


def test_plateau_halves_the_rate_and_stops_early(tmp_path):
    class Still:
        """An engine that never gets better."""

        def step(self, films, targets, rate):
            return 1.0

        def stream(self, batches, keys):
            return (batches[i] for _, i in keys)

        def rotate(self, on):
            pass

        def averaged(self):
            return contextlib.nullcontext()

        def save(self, path):
            Path(path).write_bytes(b"")

    config = TrainingConfig("unet", (Stage(8, 30, 2, 1e-3, patience=7),))
    pairs = np.zeros((4, 8, 8, 1), np.uint8)
    history = Run(config, tmp_path, build_unet((1, 1))).train(
        Still(), lambda stage: SegmentationBatches(pairs, pairs, 2, False), lambda *_: {"loss": 1.0}
    )
    rates = [h["learning_rate"] for h in history]
    assert rates == [1e-3] * 4 + [5e-4] * 3 + [2.5e-4]


def test_the_unet_learns(films):
    """Ten steps on the synthetic films lower the loss clearly."""
    engine = KerasEngine(build_unet(), "cross_entropy_and_dice", seed=0)
    x = np.stack([f[::8, ::8] for f, _ in films.values()])[..., None]
    y = np.stack([m[::8, ::8] for _, m in films.values()])[..., None]
    batches = SegmentationBatches(x, y, 6, equalise=True)
    losses = [engine.step(*batches[0], 3e-3) for _ in range(12)]
    assert losses[-1] < 0.75 * losses[0]


def test_losses():
    target = np.array([1.0, 0.0, 1.0, 1.0], np.float32).reshape(1, 2, 2, 1)
    perfect = float(keras_engine.cross_entropy_and_dice(target, target))
    half = float(keras_engine.cross_entropy_and_dice(target, np.full_like(target, 0.5)))
    assert perfect == pytest.approx(0, abs=1e-5)
    assert half == pytest.approx(np.log(2) + 1 - (2 * 1.5 + 1) / (2 + 3 + 1), abs=1e-5)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("[a-z]*.py")), ids=lambda p: p.stem)
def test_shipped_configurations_load(path):
    assert load_config(path).model == path.stem.split("_")[0]


def test_unknown_key_in_a_configuration_is_an_error(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from pipeline.training.config import *\nCONFIG = TrainingConfig('unet', (), speed=2)\n"
    )
    with pytest.raises(TypeError, match="speed"):
        load_config(file)


def test_trained_weights_reach_keras_on_its_torch_backend():
    pytest.importorskip("torch")
    code = """
import numpy as np
from pipeline.models.light_cnn import build_light_cnn
from pipeline.training.torch_engine import TorchEngine
model = build_light_cnn()
before = model.get_weights()[0].copy()
engine = TorchEngine(model, "categorical_cross_entropy", seed=1, averaging=0.5)
x = np.random.default_rng(0).random((4, 64, 64, 1), np.float32)
engine.step(x, np.eye(2, dtype=np.float32)[[0, 1, 0, 1]], 1e-2)
with engine.averaged():
    kept, scores = model.get_weights()[0], model.predict_on_batch(x)
assert np.abs(kept - before).max() > 1e-4
np.testing.assert_allclose(engine.predict(x), scores, atol=1e-5)
"""
    environment = os.environ | {"KERAS_BACKEND": "torch"}
    subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=CONFIGS.parents[2], check=True
    )


def test_mixup_blends_films_and_targets_alike(films):
    arrays = np.stack([np.full((32, 32, 1), 255 * (i % 2), np.uint8) for i in range(12)])
    labels = [*CLASSES * 3]
    groups = {"odd": ("Normal", "Viral Pneumonia"), "even": ("COVID", "Lung_Opacity")}
    plain = BalancedBatches(arrays, labels, groups, 12)[0]
    x, y = BalancedBatches(arrays, labels, groups, 12, mixup=0.4)[0]
    np.testing.assert_array_equal(plain[0][:, 0, 0, 0], plain[1][:, 0])
    np.testing.assert_allclose(x[:, 5, 7, 0], y[:, 0], atol=1e-6)
    np.testing.assert_allclose(y.sum(1), 1, atol=1e-6)
    assert ((y > 0.01) & (y < 0.99)).any()


# -- the PyTorch twin -------------------------------------------------------------------------


def test_twin_computes_what_keras_computes():
    torch = pytest.importorskip("torch")
    from pipeline.training import torch_engine

    rng = np.random.default_rng(0)
    builders = [(build_unet, 96), *((a.build, a.input_size) for a in ARCHITECTURES.values())]
    for build, size in builders:
        model = build()
        for layer in model.layers:  # statistics and offsets away from their initial 0 and 1
            layer.set_weights([w + rng.uniform(0, 0.1, w.shape) for w in layer.get_weights()])
        x = rng.random((2, size, size, 1), np.float32)
        engine = torch_engine.TorchEngine(model, "categorical_cross_entropy", seed=0)
        np.testing.assert_allclose(engine.predict(x), model(x, training=False), atol=2e-5)
        before = [w.copy() for w in model.get_weights()]
        with engine.averaged():
            pass
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    for name, loss in torch_engine.LOSSES.items():
        shape = (2, 8, 8, 1) if name == "cross_entropy_and_dice" else (4, 6)
        y = rng.random(shape, np.float32)
        t = np.rint(rng.random(shape, np.float32))
        ours = float(loss(torch.from_numpy(y), torch.from_numpy(t)))
        assert ours == pytest.approx(float(keras_engine.LOSSES[name](t, y)), rel=1e-5)
