"""Packs: the training images in a small file, for a machine that has no data."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pipeline.data.split import films_of, row_of
from pipeline.training import pack
from pipeline.training.pack import Pack
from pipeline.training.prepared import prepare
from pipeline.training.recipe import RECIPES
from pipeline.training.tasks import ClassificationTask
from pipeline.training.train import train
from tests.training.test_tasks import LIGHT, SHARES, names


@pytest.fixture
def packs(tiny, tmp_path):
    files = [tmp_path / "a.pack", tmp_path / "b.pack"]
    pack.write(tiny, files)
    return files


def test_a_pack_gives_what_prepare_gives_but_for_compression(tiny, packs):
    packed = Pack(packs)
    known = {film.name: film for film in films_of(tiny, siim=True)}
    films = packed.films[::-1]
    for model, size in pack.SIZES.items():
        found = packed.prepared(films, size)
        exact = prepare([known[film.name] for film in films], model)
        np.testing.assert_array_equal(found.masks, exact.masks)
        assert found.images.dtype == np.uint8 and found.images.shape == exact.images.shape
        difference = np.abs(found.images.astype(int) - exact.images).mean((1, 2))
        quality = [row_of(film).part == "validation" for film in films]
        assert difference.max() < 6
        assert difference[quality].mean() < difference[~np.array(quality)].mean()


def test_a_pack_holds_what_is_trained_on_and_validated_and_nothing_of_the_test_part(tiny, packs):
    rows = [row_of(film) for film in Pack(packs).films]
    assert len({row.image for row in rows}) == len(rows)
    assert {row.part for row in rows} == {"train", "validation"}
    kinds = Counter(row.stratum for row in rows if row.part == "train")
    assert kinds["siim indeterminate"] == 3 and kinds["COVID"] == 4
    assert "siim indeterminate" not in {row.stratum for row in rows if row.part == "validation"}


def test_a_task_is_the_same_with_a_folder_and_with_packs(tiny, packs):
    one, other = ClassificationTask(LIGHT, tiny), ClassificationTask(LIGHT, packs)
    for part in ("train", "validation"):
        assert sorted(names(one, part)) == sorted(names(other, part))
    inputs, targets = other.batches(64)[0]
    assert inputs.shape == (sum(SHARES.values()), 64, 64, 1)
    assert targets.shape == (sum(SHARES.values()), 2)
    assert other._seen("train").key != other._seen("validation").key


def test_another_file_is_refused_and_so_is_the_unet(packs, tmp_path, tiny):
    np.savez(tmp_path / "other.npz", images=np.zeros(3))
    with pytest.raises(ValueError, match="no pack"):
        Pack([tmp_path / "other.npz"])
    with pytest.raises(ValueError, match="give the data's folder"):
        train("unet", packs, folder=tmp_path / "run")


# -- folds --------------------------------------------------------------------------------------


def test_folds_part_the_training_images_and_keep_patients_together(tiny, monkeypatch):
    def patient(film):
        row = row_of(film)
        return replace(
            row, group=row.image.rpartition("-")[0] if row.source == "siim" else row.group
        )

    monkeypatch.setattr("pipeline.training.tasks.row_of", patient)
    whole = ClassificationTask(LIGHT, tiny)
    left_out = []
    for fold in range(3):
        task = ClassificationTask(replace(LIGHT, folds=3, fold=fold), tiny)
        out = set(names(whole, "train")) - set(names(task, "train"))
        assert names(task, "validation") == names(whole, "validation")
        left_out.append(out)
    assert sum(map(len, left_out)) == len(set.union(*left_out)) == len(names(whole, "train"))
    assert max(map(len, left_out)) < len(names(whole, "train"))
    for finding in ("typical", "negative"):
        assert sum(any(finding in name for name in out) for out in left_out) == 1


def test_an_image_is_taught_by_the_teacher_that_never_saw_it(tiny, monkeypatch):
    shares = SHARES | {"siim indeterminate": 1}
    recipe = replace(LIGHT, shares=shares, teachers=("t{fold}",), teacher_share=1.0, folds=3)
    task = ClassificationTask(recipe, tiny)
    says = {"t0": 0.1, "t1": 0.3, "t2": 0.8}
    monkeypatch.setattr(task, "_taught", lambda t: np.full(len(task.chosen["train"]), says[t]))
    found = dict(zip(names(task, "train"), task._targets()[:, 0], strict=True))
    for fold in range(3):
        seen = set(names(ClassificationTask(replace(recipe, fold=fold), tiny), "train"))
        for name in set(found) - seen:
            expected = 0.4 if "indeterminate" in name else says[f"t{fold}"]
            assert found[name] == pytest.approx(expected)
    assert found["indeterminate-0"] == pytest.approx(0.4)


def test_a_fold_that_the_recipe_does_not_have_is_refused(tiny, tmp_path):
    with pytest.raises(ValueError, match="there is no fold 4"):
        train("xception", tiny, False, RECIPES / "teacher.py", tmp_path / "run", fold=4)
