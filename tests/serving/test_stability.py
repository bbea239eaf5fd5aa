"""Stability beside the queue: computed once, after those who wait, and known afterwards."""

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field

import pytest

from pipeline.inference.stability import Stability
from pipeline.serving import stability


@dataclass(eq=False)
class Said:
    """What the thread needs of a diagnosis."""

    model: str = "light"
    answer: object = field(default_factory=threading.Event)


class Waiting:
    """A service in whose queue so many films wait."""

    def __init__(self, depth: int):
        self.waiting = depth
        self.queue, self.models = self, self
        self.looked = threading.Event()

    def depth(self) -> int:
        self.looked.set()
        return self.waiting

    def prepare(self, _model) -> Future:
        future: Future = Future()
        future.set_result("predictor")
        return future


@pytest.fixture
def computed(monkeypatch):
    asked = []

    def compute(diagnosis, _predictor):
        asked.append(diagnosis)
        return Stability(0.5, {"mirrored": 0.4})

    monkeypatch.setattr(stability, "stability_of", compute)
    return asked


def test_it_is_computed_once_and_known_afterwards(computed):
    beside, said = stability.Background(Waiting(0)), Said()
    assert beside.known(said) is None
    first = beside.ask(said).result(30)
    assert beside.ask(said).result(30) is beside.known(said) is first
    assert computed == [said]


def test_those_who_wait_in_the_queue_come_first(computed):
    service = Waiting(1)
    asked = stability.Background(service).ask(Said())
    assert service.looked.wait(30)
    assert not computed
    service.waiting = 0
    assert asked.result(30).n == 1


def test_a_failure_is_no_answer_and_is_tried_again(monkeypatch, computed):
    beside, said = stability.Background(Waiting(0)), Said()
    with monkeypatch.context() as patched:
        patched.setattr(stability, "stability_of", lambda *_: 1 / 0)
        assert isinstance(beside.ask(said).exception(30), ZeroDivisionError)
        assert beside.known(said) is None
    assert beside.ask(said).result(30).n == 1
