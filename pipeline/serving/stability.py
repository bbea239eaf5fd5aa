"""How stable answers are, computed beside the queue when nobody waits in it.

One thread of its own, so that a reader's next image never waits for the eight copies of another's.
What was computed is known for as long as its answer lives.
"""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from weakref import WeakKeyDictionary

from pipeline.inference.copies import stability_of
from pipeline.inference.diagnosis import Answer, Diagnosis
from pipeline.inference.stability import Stability
from pipeline.serving.queue import Service, service

PAUSE = 0.05  # seconds until the queue is looked at anew
PATIENCE = 10.0  # seconds after which it is computed although others wait


class Background:
    """Computes the `Stability` of answers, one at a time, when the service's queue is empty."""

    def __init__(self, service: Service):
        self._service = service
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="stability")
        self._lock = threading.Lock()
        self._known: WeakKeyDictionary[Answer, Future] = WeakKeyDictionary()

    def ask(self, diagnosis: Diagnosis) -> "Future[Stability]":
        """The stability of an answer; computed once, whoever asks."""
        with self._lock:
            known = self._known.get(diagnosis.answer)
            if known is None or (known.done() and known.exception() is not None):
                known = self._pool.submit(self._compute, diagnosis)
                self._known[diagnosis.answer] = known
            return known

    def known(self, diagnosis: Diagnosis) -> Stability | None:
        """The same where it has been computed already."""
        future = self._known.get(diagnosis.answer)
        return future.result() if future and future.done() and not future.exception() else None

    def _compute(self, diagnosis: Diagnosis) -> Stability:
        until = time.monotonic() + PATIENCE
        while self._service.queue.depth() and time.monotonic() < until:
            time.sleep(PAUSE)
        return stability_of(diagnosis, self._service.models.prepare(diagnosis.model).result())


@cache
def background() -> Background:
    """The one of this process."""
    return Background(service())
