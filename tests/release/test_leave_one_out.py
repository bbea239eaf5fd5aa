"""A run without a source, and its control of the same size."""

from collections import Counter

import pytest

from pipeline.data.split import Row
from pipeline.release.leave_one_out import CHEAP, _against, _both_classes

torch = pytest.importorskip("torch")


@pytest.fixture
def task():
    from pipeline.training.tasks import ClassificationTask

    kinds = [("siim", "", "typical"), ("siim", "", "negative"), ("bimcv", "COVID", "")]
    kinds += [("sirm", "COVID", ""), ("rsna", "Normal", ""), ("shenzhen", "", "tuberculosis")]
    rows = [
        Row(f"{source}-{finding}-{i}", source, label, finding, f"{source}{i}", "train")
        for source, label, finding in kinds
        for i in range(10)
    ]
    made = object.__new__(ClassificationTask)
    made.recipe, made.rows = CHEAP, rows
    made.chosen = {"train": list(range(60)), "validation": list(range(0, 60, 2))}
    return made


def strata(task, part="train") -> Counter:
    return Counter(task.rows[i].stratum for i in task.chosen[part])


def test_nothing_of_a_source_is_left(task):
    task.leave_out("siim")
    for part in ("train", "validation"):
        assert "siim" not in {task.rows[i].source for i in task.chosen[part]}
    assert "siim typical" not in task.recipe.shares and task.recipe.shares["COVID"] == 12


def test_the_control_loses_as_many_images_of_other_sources(task):
    task.leave_out("as many as bimcv")
    assert strata(task)["COVID"] == 10
    assert {task.rows[i].source for i in task.chosen["train"]} >= {"bimcv"}
    left = Counter(task.rows[i].source for i in task.chosen["train"])
    assert (left["bimcv"], left["sirm"]) == (10, 0)
    assert task.recipe.shares["siim typical"] == 12


def test_a_source_of_one_class_is_judged_against_the_other_class(task):
    test = list(range(60))
    own = [i for i in test if task.rows[i].source == "rsna"]
    judged = _against(task, test, own)
    assert {task.rows[i].target == "COVID" for i in judged if i not in own} == {True}
    assert not _both_classes([task.rows[i] for i in own])
    assert _both_classes([row for row in task.rows if row.source == "siim"])
