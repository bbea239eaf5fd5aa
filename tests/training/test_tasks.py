"""What models are trained on and scored by: which images, shown how, which targets."""

from collections import Counter
from dataclasses import replace

import cv2
import keras
import numpy as np
import pytest

from pipeline.data.database import Film, load_films, read_grey
from pipeline.data.split import read_split
from pipeline.layers.hist_norm import HistNorm
from pipeline.models import registry
from pipeline.models.graph import build_graph
from pipeline.models.spec import ARCHITECTURES
from pipeline.models.unet import build_unet
from pipeline.models.xception import TRUNK_LAYERS, build_xception, load_imagenet_trunk
from pipeline.training import augment, prepared, tasks
from pipeline.training.fit import Trainer
from pipeline.training.prepared import Prepared, prepare
from pipeline.training.recipe import Recipe
from pipeline.training.tasks import ClassificationTask, SegmentationTask
from pipeline.training.train import train
from tests.drawn import write_split
from tests.training.test_augment import Still

SHARES = {"COVID": 2, "siim typical": 1, "Normal": 1, "Viral Pneumonia": 1, "siim negative": 1}
LIGHT = Recipe("light", ((64, 1),), 2, 1e-3, shares=SHARES, smoothing=0.1)
UNET = Recipe("unet", ((64, 1), (96, 1)), 2, 3e-3, batch=6)
IMAGENET = registry.ROOT.parent / "shared" / "pretrained" / "xception_trunk46_imagenet.npz"


def names(task, part) -> list[str]:
    return [task.rows[i].image for i in task.chosen[part]]


def fixed(values):
    """A predictor that gives these COVID scores, in the order in which it is asked."""
    left = iter(values)
    return lambda images: np.array([[next(left), 0] for _ in images], np.float32)


# -- which images -------------------------------------------------------------------------------


def test_training_takes_the_shares_strata_and_validation_all_that_have_a_target(tiny):
    task = ClassificationTask(LIGHT, tiny)
    kinds = ("COVID", "Normal", "Viral Pneumonia")
    assert Counter(names(task, "train")) == Counter(
        [f"{k}-{i}" for k in kinds for i in (0, 1, 3, 4)]
        + [f"{k}-{i}" for k in ("typical", "negative") for i in (0, 1, 3)]
    )
    assert Counter(names(task, "validation")) == Counter(
        [f"{k}-{i}" for k in (*kinds, "Lung_Opacity") for i in (2, 5)]
        + [f"{k}-2" for k in ("typical", "negative", "atypical")]
    )


def test_an_image_that_was_not_dealt_is_refused(tiny, tmp_path, monkeypatch):
    rows = [
        (r.image, r.source, r.label, r.finding, r.group, r.part)
        for r in read_split().values()
        if r.image != "Normal-3"
    ]
    write_split(tmp_path / "split.csv", rows)
    monkeypatch.setenv("PULMOSCOPE_WEIGHTS", str(tmp_path))
    with pytest.raises(ValueError, match="Normal-3 is not in"):
        ClassificationTask(LIGHT, tiny)
    with pytest.raises(ValueError, match="Normal-3 is not in"):
        SegmentationTask(UNET, tiny)


def test_leaving_a_source_out(tiny):
    task = ClassificationTask(LIGHT, tiny)
    task.leave_out("siim")
    assert not {r for r in names(task, "train") + names(task, "validation") if r[0].islower()}
    assert task.recipe.shares == {"COVID": 2, "Normal": 1, "Viral Pneumonia": 1}


def test_the_control_lacks_as_many_images_of_each_stratum(tiny):
    whole, task = ClassificationTask(LIGHT, tiny), ClassificationTask(LIGHT, tiny)
    task.leave_out("as many as sirm")
    for part in ("train", "validation"):
        gone = [i for i in whole.chosen[part] if i not in task.chosen[part]]
        sirm = [i for i in whole.chosen[part] if whole.rows[i].source == "sirm"]
        assert Counter(whole.rows[i].stratum for i in gone) == Counter(
            whole.rows[i].stratum for i in sirm
        )
        assert not set(gone) & set(sirm)


def test_the_unet_takes_what_has_a_mask(tiny):
    task = SegmentationTask(UNET, tiny)
    assert sorted(film.name[-1] for film in task.films["train"]) == ["0"] * 4 + ["4"] * 4
    assert [film.name[-1] for film in task.films["validation"]] == ["2"] * 4
    assert task.batches(64).share == 1 and task.batches(96).share == 0.5
    assert task.batches(96)[0][0].shape == (6, 96, 96, 1)


# -- as the graph shows them --------------------------------------------------------------------


@pytest.fixture(scope="module")
def graph():
    """The shipped U-Net's part of the graph for the light CNN: image and what is shown."""
    unet = build_unet()
    unet.load_weights(registry.entry("unet", registry.ROOT / "weights").checked_file())
    whole = build_graph(unet, ARCHITECTURES["light"].build(), "stage4_relu2", 256)
    return keras.Model(whole.input, whole.output["equalised_film"])


def shown_by(graph, task, part) -> list[bytes]:
    images = [read_grey(task.films[i].path) for i in task.chosen[part]]
    shown = {}
    for size in {image.shape for image in images}:
        alike = np.stack([image for image in images if image.shape == size])
        shown[size] = iter(graph.predict_on_batch(alike[..., None].astype(np.float32)))
    return [next(shown[image.shape]).tobytes() for image in images]


@pytest.mark.slow
def test_classifiers_are_validated_on_what_the_graph_shows(tiny, graph):
    task, seen = ClassificationTask(LIGHT, tiny), []

    def predict(images):
        seen.extend(image.tobytes() for image in images)
        return np.zeros((len(images), 2), np.float32)

    task.predict(predict, "validation", 256)
    assert seen == shown_by(graph, task, "validation")


@pytest.mark.slow
def test_classifiers_are_trained_on_what_the_graph_shows(tiny, graph, monkeypatch):
    task, vary = ClassificationTask(LIGHT, tiny), augment.vary
    monkeypatch.setattr(tasks, "vary", lambda image, mask, rng: vary(image, mask, Still()))
    batches = task.batches(256)
    drawn = [image.tobytes() for number in range(4) for image in batches[number][0]]
    assert set(drawn) == set(shown_by(graph, task, "train"))
    monkeypatch.setattr(tasks, "vary", vary)
    changed = [image.tobytes() for number in range(4) for image in task.batches(256)[number][0]]
    assert not set(changed) & set(drawn)


def test_cnn2_is_trained_and_validated_on_whole_images_of_0_to_255(tiny, monkeypatch):
    task = ClassificationTask(replace(LIGHT, model="cnn2"), tiny)
    monkeypatch.setattr(tasks, "vary", lambda image, mask, rng: augment.vary(image, mask, Still()))
    images, targets = task.batches(256)[0]
    assert images.dtype == np.float32 and 100 < images.max() <= 255
    assert (images > 0).mean() > 0.5, "nothing is cut out"
    assert targets.shape == (6, 1)
    seen = []
    task.predict(lambda x: seen.append(x) or np.zeros((len(x), 1)), "validation", 256)
    assert 100 < seen[0].max() <= 255


def test_prepared_images_are_equalised_as_hist_norm_does():
    rng = np.random.default_rng(0)
    images = rng.integers(30, 200, (3, 40, 40)).astype(np.uint8)
    masks = (rng.random((3, 40, 40)) < 0.4).astype(np.uint8)
    images[2] = 77
    ready = Prepared(images, masks)
    unit = (images * masks)[..., None].astype(np.float32) / np.float32(255)
    expected = np.rint(np.asarray(HistNorm()(unit)) * 255)[..., 0]
    for i in range(len(ready)):
        np.testing.assert_array_equal(ready.shown(i), expected[i])


@pytest.mark.slow
def test_images_are_prepared_at_their_own_size_in_order_and_once(tiny, tmp_path, monkeypatch):
    films = ClassificationTask(LIGHT, tiny).films
    mixed = [films[0], films[-1], films[1], films[2]]  # 128, 256, 128, 128 pixels
    together = prepare(mixed, "light", tmp_path)
    alone = [prepare([film], "light", tmp_path) for film in mixed]
    for i, one in enumerate(alone):
        np.testing.assert_array_equal(together.images[i], one.images[0])
        np.testing.assert_array_equal(together.masks[i], one.masks[0])
    assert set(np.unique(together.masks)) == {0, 1} and 0.05 < together.masks.mean() < 0.5
    monkeypatch.setattr(prepared, "build_unet", None)
    np.testing.assert_array_equal(prepare(mixed, "light", tmp_path).images, together.images)


@pytest.mark.slow
def test_another_image_of_the_same_name_is_prepared_anew(tmp_path, films):
    found = []
    for picture in ("clear", "rotated"):
        path = tmp_path / picture / "COVID-1.png"
        path.parent.mkdir()
        cv2.imwrite(str(path), films[picture][0])
        found.append(prepare([Film(path, "COVID", "sirm")], "light", tmp_path).images)
    assert not np.array_equal(*found)


# -- which targets ------------------------------------------------------------------------------


def targets_of(task) -> dict[str, np.ndarray]:
    return dict(zip(names(task, "train"), task.batches(64).targets, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    "model, classes, covid, normal, opacity",
    [
        ("light", False, [0.95, 0.05], [0.05, 0.95], [0.05, 0.95]),
        ("cnn1", False, [0.925, 0.025, 0.05], [0.025, 0.925, 0.05], [0.025, 0.025, 0.95]),
        ("cnn2", False, [0.95], [0.05], [0.05]),
        (
            "xception",
            True,
            [0.95, 0.05, 0.925, 0.025, 0.025, 0.025],
            [0.05, 0.95, 0.025, 0.925, 0.025, 0.025],
            [0.05, 0.95, 0.025, 0.025, 0.925, 0.025],
        ),
    ],
)
def test_targets(tiny, model, classes, covid, normal, opacity):
    shares = SHARES | {"Lung_Opacity": 1, "siim atypical": 1}
    task = ClassificationTask(replace(LIGHT, model=model, classes=classes, shares=shares), tiny)
    assert task.trained.output.shape[-1] == len(covid)
    found = targets_of(task)
    for name, expected in (
        ("COVID-0", covid),
        ("typical-0", covid),
        ("Normal-0", normal),
        ("negative-0", normal),
        ("Lung_Opacity-0", opacity),
        ("atypical-0", opacity),
    ):
        np.testing.assert_allclose(found[name], expected, atol=1e-6, err_msg=name)
    viral = opacity if len(covid) < 6 else [*opacity[:4], opacity[5], opacity[4]]
    np.testing.assert_allclose(found["Viral Pneumonia-0"], viral, atol=1e-6)


@pytest.mark.slow
def test_teachers_speak_for_images_without_a_label_and_have_their_share_of_the_others(
    tiny, tmp_path, monkeypatch
):
    asked = []

    def told(model, half=False):
        asked.append(model.name)
        return lambda images: np.full((len(images), 2), {"light": 0.9, "cnn1": 0.5}[model.name])

    monkeypatch.setattr(tasks, "predictor_of", told)
    monkeypatch.setattr(tasks, "CACHE", tmp_path)
    shares = SHARES | {"siim indeterminate": 1}
    recipe = replace(LIGHT, shares=shares, teachers=("light", "cnn1"), teacher_share=0.6)
    task = ClassificationTask(recipe, tiny)
    found = targets_of(task)
    np.testing.assert_allclose(found["indeterminate-0"], [0.7, 0.3], atol=1e-6)
    np.testing.assert_allclose(
        found["COVID-0"], [0.4 * 0.95 + 0.6 * 0.7, 0.4 * 0.05 + 0.6 * 0.3], atol=1e-6
    )
    np.testing.assert_allclose(found["Normal-0"][0], 0.4 * 0.05 + 0.6 * 0.7, atol=1e-6)
    targets_of(ClassificationTask(recipe, tiny))
    assert asked == ["light", "cnn1"], "once, not once an epoch or once a run"


@pytest.mark.slow
def test_a_teacher_may_be_a_file_of_xceptions_weights(tiny, tmp_path, monkeypatch):
    model = build_xception()
    model.save_weights(tmp_path / "teacher.weights.h5")
    told = []
    monkeypatch.setattr(tasks, "CACHE", tmp_path)
    monkeypatch.setattr(
        tasks,
        "predictor_of",
        lambda model, half: lambda x: told.append((model.name, x.shape)) or np.ones((len(x), 2)),
    )
    recipe = replace(LIGHT, teachers=(str(tmp_path / "teacher.weights.h5"),), teacher_share=1)
    assert all(target[0] == 1 for target in targets_of(ClassificationTask(recipe, tiny)).values())
    assert told == [("xception", (18, 224, 224, 1))]


def test_images_without_a_label_need_a_teacher(tiny):
    task = ClassificationTask(replace(LIGHT, shares=SHARES | {"siim indeterminate": 1}), tiny)
    with pytest.raises(ValueError, match=r"called the images of \['siim indeterminate'\]"):
        task.batches(64)


# -- how they are scored ------------------------------------------------------------------------


@pytest.mark.parametrize("database, siim", [(1, 1), (1, 0), (0, 1)])
def test_the_choice_is_the_mean_of_both_scales(tiny, database, siim):
    task = ClassificationTask(LIGHT, tiny)
    right = {"bimcv": database, "sirm": database, "siim": siim}
    rows = [task.rows[i] for i in task.chosen["validation"]]
    scores = [0.8 if (r.target == "COVID") == right[r.source] else 0.1 for r in rows]
    found = task.score(fixed(scores), 64)
    assert (found["database"], found["siim"]) == (database, siim)
    assert found["choice"] == (database + siim) / 2
    assert found["called"]["COVID"] == database
    assert found["called"]["siim typical"] == siim
    assert found["called"]["Normal"] == 1 - database
    assert set(found["called"]) == {row.stratum for row in rows}


@pytest.mark.slow
def test_one_scale_alone_is_the_choice_where_the_other_is_missing(tiny):
    task = ClassificationTask(LIGHT, tiny)
    task.leave_out("siim")
    rows = [task.rows[i] for i in task.chosen["validation"]]
    found = task.score(fixed([float(r.target == "COVID") for r in rows]), 64)
    assert (found["choice"], found["siim"]) == (1, None)


def test_masks_are_scored_by_dice(tiny):
    task = SegmentationTask(UNET, tiny)
    masks = np.stack([cv2.imread(str(f.mask), 0) for f in task.films["validation"]])
    masks = np.stack([cv2.resize(m, (64, 64), interpolation=cv2.INTER_AREA) for m in masks]) > 127
    seen = []

    def half(images):
        seen.append(images)
        found = masks.copy()
        found[:, :, :32] = False
        return found[..., None].astype(np.float32)

    found = task.score(half, 64)
    kept = masks[:, :, 32:].sum((1, 2))
    dice = 2 * kept / (kept + masks.sum((1, 2)))
    assert found["choice"] == found["dice"] == pytest.approx(dice.mean())
    assert found["accuracy"] == pytest.approx(1 - (masks.sum((1, 2)) - kept).mean() / 64**2)
    images = load_films(task.films["validation"], 64).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(np.asarray(HistNorm()(images)), seen[0])


# -- starting from ImageNet ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def trunk_file(tmp_path_factory):
    """Weights in the file's layout, noise where ImageNet's would be."""
    rng = np.random.default_rng(0)
    source = keras.applications.Xception(include_top=False, weights=None)
    stored = {
        f"{i:03d}_{k}": rng.uniform(0.01, 0.1, w.shape).astype(np.float32)
        for i, layer in enumerate(source.layers[:TRUNK_LAYERS])
        for k, w in enumerate(layer.weights)
    }
    file = tmp_path_factory.mktemp("trunk") / "trunk.npz"
    np.savez(file, **stored)
    return file


@pytest.mark.slow
def test_the_trunk_takes_the_files_weights_and_the_head_stays(trunk_file):
    model = build_xception()
    head = [w.copy() for w in model.get_layer("head_conv1").get_weights()]
    load_imagenet_trunk(model, trunk_file)
    stored = np.load(trunk_file)
    np.testing.assert_array_equal(model.get_layer("block1_conv1").get_weights()[0], stored["001_0"])
    trunk = keras.Model(model.input, model.get_layer("head_conv1").input)
    assert sum(w.size for w in trunk.get_weights()) == sum(stored[k].size for k in stored.files)
    assert sum(w.sum(dtype=float) for w in trunk.get_weights()) == pytest.approx(
        sum(stored[k].sum(dtype=float) for k in stored.files)
    )
    np.testing.assert_array_equal(model.get_layer("head_conv1").get_weights()[0], head[0])


def test_a_file_that_does_not_fit_is_refused(trunk_file, tmp_path):
    stored = dict(np.load(trunk_file))
    stored["001_0"] = stored["001_0"][:2]
    np.savez(tmp_path / "other.npz", **stored)
    with pytest.raises(ValueError, match=r"layer 1 \(block1_conv1\) takes"):
        load_imagenet_trunk(build_xception(), tmp_path / "other.npz")


@pytest.mark.slow
@pytest.mark.parametrize("real", [False, True], ids=["drawn", "imagenet"])
def test_xception_trains_from_a_file_with_a_slower_trunk(tiny, tmp_path, trunk_file, real):
    if real and not IMAGENET.is_file():
        pytest.skip("no ImageNet weights in ../shared/pretrained")
    file = IMAGENET if real else trunk_file
    (tmp_path / "recipe.py").write_text(
        "from pipeline.training.recipe import Recipe\n"
        f"RECIPE = Recipe('xception', ((64, 1),), 1, 1e-3, trunk_rate=1e-7, shares={SHARES},"
        " classes=True, averaging=0.0, init='imagenet')\n"
    )
    trainer = train(
        "xception", tiny, recipe_file=tmp_path / "recipe.py", folder=tmp_path, init=str(file)
    )
    assert trainer.recipe.init == str(file)
    kept = build_xception()
    kept.load_weights(tmp_path / "best.weights.h5")
    stored = np.load(file)
    first = kept.get_layer("block1_conv1").get_weights()[0]
    np.testing.assert_allclose(first, stored["001_0"], atol=1e-5)
    fast, slow = trainer.optimizer.param_groups
    assert fast["max_lr"] == 1e-3 and slow["max_lr"] == 1e-7
    assert len(fast["params"]) == 10 and len(slow["params"]) > 40


# -- both together ------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_unet_learns(tiny, tmp_path):
    """A few dozen steps on synthetic images."""
    keras.utils.set_random_seed(0)
    recipe = replace(UNET, stages=((64, 3),), steps=12, averaging=0.5)
    task = SegmentationTask(recipe, tiny)
    trainer = Trainer(recipe, task.trained, task.loss)
    history = trainer.fit(task.batches, task.score, tmp_path)
    assert history[-1]["loss"] < 0.85 * history[0]["loss"]
    assert history[-1]["validation"]["dice"] > history[0]["validation"]["dice"]
