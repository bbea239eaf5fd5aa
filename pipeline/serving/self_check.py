"""Whether a loaded model still says what it said when it was released.

The canary is the built-in synthetic film with clear lungs, whose score `pipeline.release.publish`
writes into the registry.
"""

import time

import numpy as np

from pipeline.data.phantom import EXAMPLES, draw_film
from pipeline.models import registry

FILM = "clear"
TOLERANCE = 0.01  # processors, and graphics cards more so, add in other orders
EVERY = 60.0  # seconds between two looks

_states: dict[str, tuple[float, str]] = {}


def score(predictor) -> float:
    """The COVID score of the canary film, 0..1."""
    film, _mask = draw_film(EXAMPLES[FILM])
    answer = predictor(film.astype(np.float32))
    return float(answer.probabilities[predictor.covid])


def state(name: str, models) -> str:
    """ "ok", "loading", or a sentence that says what is wrong. ``models``: `serving.Models`.

    The film is read again when the last look is `EVERY` seconds old.
    """
    future = models.prepare(name)
    if not future.done():
        return "loading"
    if future.exception():
        return str(future.exception())
    when, said = _states.get(name, (-EVERY, ""))
    if time.monotonic() - when >= EVERY:
        said = _look(name, future.result())
        _states[name] = time.monotonic(), said
    return said


def _look(name: str, predictor) -> str:
    try:
        golden, found = registry.entry(name).canary, score(predictor)
    except registry.WeightsError as error:
        return str(error)
    if golden is None or abs(found - golden) > TOLERANCE:
        return f"the synthetic film {FILM!r} gets {found:.4f} instead of {golden}"
    return "ok"
