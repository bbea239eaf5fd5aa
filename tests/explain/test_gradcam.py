"""Each method against its formula on arrays small enough to work out, and the map's place."""

import keras
import numpy as np
import pytest

from pipeline.explain.gradcam import METHODS, methods_for, place, raw_map
from pipeline.models.graph import head_of

FEATURES = np.array([[[1.0, 0.0], [2.0, 1.0]], [[0.0, 3.0], [4.0, 0.5]]], np.float32)
GRADIENT = np.array([[[0.0, 0.0], [0.0, 0.0]], [[0.0, -1.0], [2.0, 0.0]]], np.float32)


def test_gradcam_golden():
    # Mean gradients are 0.5 and -0.25.
    expected = [[0.5, 0.75], [0.0, 1.875]]
    np.testing.assert_allclose(METHODS["gradcam"](FEATURES, GRADIENT), expected)


def test_hirescam_and_layercam_stay_where_the_gradient_is():
    np.testing.assert_allclose(METHODS["hirescam"](FEATURES, GRADIENT), [[0, 0], [0, 8]])
    np.testing.assert_allclose(METHODS["layercam"](FEATURES, GRADIENT), [[0, 0], [0, 8]])


def test_gradcam_plus_plus_golden():
    # Channel 1: alpha = 4 / (2 * 4 + 7 * 8) = 1/16, weight = 2/16; channel 2's gradient is clipped.
    expected = FEATURES[..., 0] / 8
    np.testing.assert_allclose(METHODS["gradcam++"](FEATURES, GRADIENT), expected)


@pytest.mark.parametrize("name", METHODS)
def test_no_gradient_no_map(name):
    raw = METHODS[name](FEATURES, np.zeros_like(GRADIENT))
    assert raw.shape == (2, 2)
    assert not raw.any()


@pytest.mark.parametrize("name", METHODS)
def test_raw_scale_is_not_normalised(name):
    single = METHODS[name](FEATURES, GRADIENT)
    double = METHODS[name](FEATURES, 2 * GRADIENT)
    assert single.min() >= 0
    if name != "gradcam++":  # its second-order weights are not linear in the gradient
        np.testing.assert_allclose(double, 2 * single)


def test_gradient_of_the_shipped_model(predictor, films):
    """The traced gradient equals finite differences of the evidence -log(1 - p)."""
    answer = predictor(films["opacities"][0].astype(np.float32))
    head = head_of(_classifier(predictor), "stage4_relu2")

    def evidence(features):
        p = np.asarray(head(features[None].astype(np.float32))["probabilities"])[0, predictor.covid]
        return -np.log1p(-float(p))

    cells = np.argwhere(np.abs(answer.gradient) > np.abs(answer.gradient).max() / 4)[:4]
    for cell in map(tuple, cells):
        step = np.zeros_like(answer.features)
        step[cell] = 0.02 * answer.features[cell]
        slope = (evidence(answer.features + step) - evidence(answer.features)) / step[cell]
        assert slope == pytest.approx(answer.gradient[cell], rel=0.1, abs=1e-4)


def _classifier(predictor) -> keras.Model:
    from pipeline.models.light_cnn import build_light_cnn

    model = build_light_cnn()
    model.load_weights(predictor.entry.checked_file())
    return model


def test_cellwise_is_what_the_head_says_of_one_cell(predictor, films):
    answer = predictor(films["opacities"][0].astype(np.float32))
    head = head_of(_classifier(predictor), "stage4_relu2")
    assert answer.cells.shape == (27, 27)
    assert answer.cells.min() >= 0

    def evidence(features):
        p = np.asarray(head(features)["probabilities"])[0, predictor.covid]
        return -np.log1p(-float(p))

    nothing = evidence(np.zeros((1, 1, 1, 128), np.float32))
    for row, column in ((13, 8), (5, 20), (0, 0)):
        alone = evidence(answer.features[None, row : row + 1, column : column + 1])
        expected = max(alone - nothing, 0)
        assert answer.cells[row, column] == pytest.approx(expected, abs=1e-4)


def test_one_pass_serves_every_method(predictor, films, monkeypatch):
    answer = predictor(films["opacities"][0].astype(np.float32))
    monkeypatch.setattr(predictor, "_traced", None)
    for name in methods_for(pooled=True):
        assert raw_map(name, answer).shape == (27, 27)


def test_place_puts_a_cell_where_it_looks():
    raw = np.zeros((27, 27), np.float32)
    raw[10, 4] = 3.0
    for shape in ((256, 256), (512, 1024), (100, 300)):
        placed = place(raw, 8, 33.5, 256, shape)
        assert placed.shape == shape
        row, column = np.unravel_index(placed.argmax(), shape)
        assert row == pytest.approx((33.5 + 80 + 0.5) * shape[0] / 256 - 0.5, abs=4)
        assert column == pytest.approx((33.5 + 32 + 0.5) * shape[1] / 256 - 0.5, abs=4)
        assert placed.max() == pytest.approx(3.0, rel=0.15)
