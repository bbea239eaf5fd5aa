"""What becomes of a film on its way through the graph, and what its layers make of it."""

import cv2
import numpy as np
import pytest

from app.views import stages as views
from pipeline.inference.diagnose import diagnose
from pipeline.inference.layer_outputs import nodes, output_of
from pipeline.inference.stages import NAMES, compare_equalisation, stages_of
from tests.conftest import radiograph_of


@pytest.fixture(scope="module")
def diagnosis(predictor, films):
    return diagnose(radiograph_of(films["opacities"][0]), predictor)


@pytest.fixture(scope="module")
def stages(diagnosis, predictor):
    return {stage.name: stage for stage in stages_of(diagnosis, predictor)}


def test_each_stage_follows_from_the_one_before(stages):
    assert tuple(stages) == NAMES
    picture = {name: stage.pixels for name, stage in stages.items()}
    levels = np.rint(picture["resized"] * 255).astype(np.uint8)
    np.testing.assert_array_equal(
        np.rint(picture["seen"] * 255).astype(np.uint8), cv2.equalizeHist(levels)
    )
    np.testing.assert_array_equal(picture["mask"], np.rint(picture["probability"]))
    np.testing.assert_allclose(picture["masked"], picture["resized"] * picture["mask"], rtol=1e-6)
    masked = np.rint(picture["masked"] * 255).astype(np.uint8)
    np.testing.assert_array_equal(
        np.rint(picture["equalised"] * 255).astype(np.uint8), cv2.equalizeHist(masked)
    )


def test_histograms_count_lungs_behind_the_mask(stages):
    for stage in stages.values():
        centres, shares, sums = stage.histogram()
        assert len(centres) == len(shares) == len(sums)
        assert sums[-1] == pytest.approx(1)
    _, _, even = stages["equalised"].histogram()
    steps = np.linspace(0, 1, len(even) + 1)[1:]
    assert np.abs(even - steps).max() < 0.1  # equalised lungs: close to a straight line
    _, _, raw = stages["masked"].histogram()
    assert np.abs(raw - steps).max() > 0.2


def test_histnorm_against_opencv_and_over_lungs(stages):
    lungs = stages["mask"].pixels > 0.5
    found = compare_equalisation(stages["masked"].pixels, lungs)
    assert found.different == 0
    assert found.lungs == lungs.sum()
    assert 0 <= found.moved <= found.lungs
    assert found.mean_move <= found.largest_move


def test_the_graph_taken_apart(predictor):
    found = nodes(predictor)
    names = [node.name for node in found]
    assert len(set(names)) == len(names)
    known = set()
    for node in found:  # by depth: what feeds a layer comes before it
        assert set(node.inputs) <= known, node
        known.add(node.name)
    assert sum(node.parameters for node in found if node.part == "unet") == 599_073
    assert sum(node.parameters for node in found if node.part == "light") == 79_410
    assert {views.kind_of(node) for node in found} <= set(views.KINDS)


@pytest.mark.parametrize("name", ["equalise_film", "down2_conv1", "mask", "stage2_sepconv2"])
def test_outputs_have_the_shape_that_is_announced(predictor, films, name):
    film = films["clear"][0].astype(np.float32)
    announced = {node.name: node.shape for node in nodes(predictor)}
    output = output_of(predictor, film, name)
    assert output.shape == announced[name]
    grid = views.channel_grid(output)
    assert grid.dtype == np.uint8 and grid.shape[2] == 3


def test_the_last_layer_says_what_the_predictor_says(predictor, films):
    film = films["clear"][0].astype(np.float32)
    np.testing.assert_allclose(
        output_of(predictor, film, "probabilities"), predictor(film).probabilities, atol=1e-5
    )


def test_unknown_layer(predictor, films):
    with pytest.raises(ValueError, match="no layer 'nowhere'"):
        output_of(predictor, films["clear"][0].astype(np.float32), "nowhere")


@pytest.mark.slow
@pytest.mark.parametrize(("form", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_slide(stages, form, start):
    slide = views.stages_slide(list(stages.values()), dict.fromkeys(NAMES, "x"), "note", form)
    assert slide.startswith(start)
