"""Eight changed copies of an image and what they say of its answer."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.evaluation.robustness import score_changes
from pipeline.inference.copies import COPIES, MASKS, moved, stability_of
from pipeline.inference.diagnose import diagnose
from pipeline.inference.stability import Stability
from pipeline.io.radiograph import Radiograph


@pytest.fixture(scope="module")
def read(films, predictor):
    film = films["clear"][0].astype(np.float32)
    return diagnose(Radiograph(film, "0" * 64, "synthetic"), predictor)


def test_the_two_passes_give_what_the_whole_graph_gives(read, predictor):
    stability = stability_of(read, predictor)
    assert set(stability.scores) == {*COPIES, *MASKS}
    assert stability.score == read.score
    whole = score_changes(read.radiograph.pixels, predictor)
    for name, score in stability.scores.items():
        assert score == pytest.approx(whole[name][0], abs=1e-3), name


def test_large_images_are_shrunk_first(read, predictor):
    film = np.kron(read.radiograph.pixels, np.ones((4, 4), np.float32))
    large = replace(read, radiograph=replace(read.radiograph, pixels=film))
    near, far = (stability_of(d, predictor).scores["mirrored"] for d in (read, large))
    assert near == pytest.approx(far, abs=0.1)


def test_an_answer_changes_where_a_copy_lies_on_the_other_side():
    stability = Stability(0.55, {"mirrored": 0.45, "blurred": 0.6, "turned": 0.2})
    assert (stability.low, stability.high, stability.n) == (0.2, 0.6, 3)
    assert [stability.changed(t) for t in (0.5, 0.58, 0.1)] == [2, 1, 0]
    assert stability.as_dict(0.5)["changed"] == 2


def test_only_the_model_that_answered_is_asked(read, predictor):
    with pytest.raises(ValueError, match="no lung mask of xception"):
        stability_of(replace(read, model="xception"), predictor)


def test_the_record_holds_it_only_beside_a_score(read):
    known = replace(read, stability=Stability(read.score, {"mirrored": read.score}))
    assert known.as_dict()["stability"]["copies"] == 1
    assert read.as_dict()["stability"] is None


def test_a_mask_moves_by_its_margin():
    mask = np.zeros((256, 256), bool)
    mask[100:150, 100:150] = True
    grown, shrunk = (moved(mask, change).sum() for change in MASKS.values())
    assert shrunk < mask.sum() < grown
    assert grown < 56 * 56 + 1
