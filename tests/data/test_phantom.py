"""The synthetic films of the demonstration, as the shipped models see them."""

import numpy as np
import pytest

from pipeline.data.phantom import EXAMPLES, draw_film
from pipeline.inference.predictor import Predictor


@pytest.mark.parametrize("model", ["light", "xception"])
def test_the_examples_answers_make_sense(model):
    predictor = Predictor(model)
    answers = {
        name: predictor(draw_film(EXAMPLES[name])[0].astype(np.float32)).probabilities
        for name in ("clear", "lettering", "opacities")
    }
    called = {
        name: bool(p[predictor.covid] >= predictor.entry.threshold) for name, p in answers.items()
    }
    assert called == {"clear": False, "lettering": False, "opacities": True}
