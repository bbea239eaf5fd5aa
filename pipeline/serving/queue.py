"""One worker for all who ask: models loaded once, and a bounded queue in front of them.

Whoever wants an answer hands in a film under a name of their own ("owner": a browser session, a
work list, a caller of the HTTP interface) and holds a `Ticket`. Owners belong to a party: a
signed-in person, or an address. The worker takes parties in turn, and each party's owners, so that
two hundred films of one do not keep another waiting, and puts films of one size for one model
through the graph together. TensorFlow's own `predict` is not thread-safe; here one thread
runs the forward pass of every reading, and what looks into the graph beside it does not use
`predict` either.
"""

import atexit
import contextlib
import gc
import logging
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, wait
from functools import cache

import numpy as np

from pipeline.io.radiograph import Radiograph
from pipeline.models import registry
from pipeline.serving import telemetry
from pipeline.serving.settings import read_settings
from pipeline.text.messages import Message

log = logging.getLogger(__name__)
STOP_SECONDS = 60.0  # how long the last film, or a model that loads, may take at the end
FORGOTTEN_SECONDS = 20.0  # nobody has asked for a film's answer for so long
PASS_PIXELS = 16_000_000  # of all films in one forward pass, one film excepted
TRIES = 2  # how often a film may be there when the worker dies


class NoAnswer(RuntimeError):
    """Why nobody can answer just now; ``message`` says what to do."""

    def __init__(self, code: str, **values):
        self.message = Message(code, values)
        super().__init__(self.message.sentence())


class Forgotten(NoAnswer):
    """Nobody waited for the answer any more."""

    def __init__(self):
        super().__init__("stopping")


class Models:
    """Predictors by name, each loaded once, in a thread of its own.

    ``load``: name to a predictor; may raise `registry.WeightsError`. A model that failed to load is
    tried again by the next who asks, so that restored weights are enough to recover.
    """

    def __init__(self, load: Callable):
        self._load = load
        self._lock = threading.Lock()
        self._loading: dict[str, Future] = {}

    def prepare(self, name: str) -> Future:
        """Start to load a model, unless that has begun; its future predictor."""
        with self._lock:
            future = self._loading.get(name)
            if future is None or (future.done() and future.exception()):
                future = self._loading[name] = Future()
                run = threading.Thread(
                    target=self._fill, args=(name, future), name=f"load-{name}", daemon=True
                )
                run.start()
            return future

    def _fill(self, name: str, future: Future) -> None:
        try:
            future.set_result(self._load(name))
        except registry.WeightsError as error:
            log.error("%s: %s", name, error.message.sentence())
            future.set_exception(error)
        except Exception as error:  # no memory, damaged file with the right hash
            log.exception("%s cannot be loaded", name)
            failure = NoAnswer("model_failed", model=name)
            failure.__cause__ = error
            future.set_exception(failure)

    def loaded(self) -> list[str]:
        """Names of the models that are ready."""
        with self._lock:
            pairs = list(self._loading.items())
        return [name for name, f in pairs if f.done() and f.exception() is None]

    def wait(self, seconds: float) -> None:
        """Wait until no model is being loaded, at most so long."""
        with self._lock:
            futures = list(self._loading.values())
        wait(futures, seconds)


class Ticket:
    """A film that waits for a model's answer. Made by `InferenceQueue.submit`."""

    def __init__(
        self,
        queue: "InferenceQueue",
        owner: str,
        radiograph: Radiograph,
        model: Future,
        party: str,
    ):
        self._queue = queue
        self._outcome: Future = Future()
        self.owner, self.party = owner, party
        self.radiograph = radiograph
        self.pixels = radiograph.pixels  # which it may otherwise let go while it waits
        self.model = model
        self.born = self.awaited_until = time.monotonic()
        self.tries = 0

    def wait(self, seconds: float) -> bool:
        """Wait for the answer at most so long; whether it is `done`.

        Whose answer nobody waits for any more is `forgotten` before its turn comes.
        """
        self.awaited_until = time.monotonic() + seconds
        self._queue.look_after(self)
        wait([self._outcome], seconds)
        return self.done

    def result(self):
        """The `Diagnosis`. Raises NoAnswer or WeightsError; to be asked after `wait`."""
        return self._outcome.result(0)

    def when_done(self, call: Callable[[], None]) -> None:
        """Call so, from whatever thread, once the answer has come."""
        self._outcome.add_done_callback(lambda _outcome: call())

    @property
    def done(self) -> bool:
        """Whether the answer has come, or will never come."""
        return self._outcome.done()

    @property
    def forgotten(self) -> bool:
        """Whether it was dropped because nobody waited for it."""
        return self.done and isinstance(self._outcome.exception(), Forgotten)

    @property
    def ahead(self) -> int:
        """How many films come before this one."""
        return self._queue.ahead_of(self)

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self._queue.withdraw(self)

    def settle(self, answer=None, error: Exception | None = None) -> None:
        """Give the answer or the reason for none; the first one counts."""
        self.pixels = None
        with contextlib.suppress(InvalidStateError):
            if error is None:
                self._outcome.set_result(answer)
            else:
                self._outcome.set_exception(error)

    @property
    def key(self) -> tuple:
        """What films must share to go through the graph together."""
        return id(self.model), self.radiograph.shape


class InferenceQueue:
    """Films in, diagnoses out, one forward pass at a time.

    ``capacity``: films that may wait; ``batch``: films per forward pass; ``patience``: seconds
    after which a film that waits is given up. Of a full queue one party may hold a quarter: what
    it has beyond gives way to a party that has less.
    """

    def __init__(self, capacity: int = 64, batch: int = 4, patience: float = 120):
        self.capacity, self.batch, self.patience = capacity, batch, patience
        self._changed = threading.Condition()
        self._waiting: dict[str, deque[Ticket]] = {}  # in the order of their turn
        self._served: dict[str, int] = {}  # by party: its last turn
        self._turns = 0
        self._running: list[Ticket] = []
        self._worker: threading.Thread | None = None
        self._stopped = False

    def submit(
        self, owner: str, radiograph: Radiograph, model: Future, party: str | None = None
    ) -> Ticket:
        """Queue a film for a model that may still be loading. Raises NoAnswer when full.

        ``party``: whom the owner belongs to; by default it is a party of its own.
        """
        ticket = Ticket(self, owner, radiograph, model, party or owner)
        with self._changed:
            if self._stopped:
                raise NoAnswer("stopping")
            self._forget()
            if self.depth() >= self.capacity and not self._make_room(ticket.party):
                telemetry.count_refused("queue_full")
                raise NoAnswer("queue_full", count=self.depth())
            self._waiting.setdefault(owner, deque()).append(ticket)
            self._served.setdefault(ticket.party, self._turns)
            self._show()
            self._start()
            self._changed.notify_all()
        model.add_done_callback(self._wake)
        return ticket

    def depth(self) -> int:
        """How many films wait."""
        return sum(map(len, self._waiting.values()))

    def _make_room(self, party: str) -> bool:
        """Whether the party that has the most has given up its youngest film for this one."""
        waiting = [ticket for tickets in self._waiting.values() for ticket in tickets]
        counts = Counter(ticket.party for ticket in waiting)
        if not counts or counts[party] >= max(1, self.capacity // 4):
            return False
        most, count = counts.most_common(1)[0]
        if count <= max(1, self.capacity // 4):
            return False
        youngest = max((t for t in waiting if t.party == most), key=lambda t: t.born)
        self._remove(youngest)
        telemetry.count_refused("queue_full")
        youngest.settle(error=NoAnswer("queue_full", count=self.capacity))
        return True

    def ahead_of(self, ticket: Ticket) -> int:
        """How many films come before this one, those in the graph included."""
        with self._changed:
            if ticket not in self._waiting.get(ticket.owner, ()):
                return 0
            mine = self._waiting[ticket.owner].index(ticket)
            before, count = True, mine + len(self._running)
            for owner, tickets in self._waiting.items():
                if owner == ticket.owner:
                    before = False
                else:
                    count += min(len(tickets), mine + before)
            return count

    def look_after(self, ticket: Ticket) -> None:
        """Give up a film that has waited too long, and start a worker where the last one died."""
        with self._changed:
            if ticket.done:
                return
            if time.monotonic() - ticket.born > self.patience and not self._stopped:
                self._remove(ticket)
                telemetry.count_refused("queue_patience")
                ticket.settle(error=NoAnswer("queue_patience", seconds=round(self.patience)))
            elif self._worker is not None and not self._worker.is_alive():
                self._start()

    def withdraw(self, ticket: Ticket) -> None:
        """Take a film out; what is in the graph already is finished for nobody."""
        with self._changed:
            self._remove(ticket)
        ticket.settle(error=Forgotten())

    def refuse(self) -> None:
        """Refuse what waits and what still comes; the film in the graph goes on."""
        with self._changed:
            self._stopped = True
            left = [ticket for tickets in self._waiting.values() for ticket in tickets]
            self._waiting.clear()
            self._changed.notify_all()
        for ticket in left:
            ticket.settle(error=NoAnswer("stopping"))

    def stop(self, seconds: float = STOP_SECONDS) -> bool:
        """`refuse`, and wait for the film in the graph; whether it ended in time."""
        self.refuse()
        if self._worker is not None:
            self._worker.join(seconds)
        return self._worker is None or not self._worker.is_alive()

    def _remove(self, ticket: Ticket) -> None:
        tickets = self._waiting.get(ticket.owner, deque())
        if ticket in tickets:
            tickets.remove(ticket)
            if not tickets:
                del self._waiting[ticket.owner]
            self._forget_turns()
            self._show()

    def _start(self) -> None:
        """Start the worker where there is none; films that the last one left are tried again."""
        if self._stopped or (self._worker is not None and self._worker.is_alive()):
            return
        left, self._running = self._running, []
        for ticket in reversed(left):
            if ticket.tries < TRIES:
                self._waiting.setdefault(ticket.owner, deque()).appendleft(ticket)
            else:
                ticket.settle(error=NoAnswer("worker_failed"))
        self._worker = threading.Thread(target=self._work, name="inference", daemon=True)
        self._worker.start()

    def _show(self) -> None:
        telemetry.show_depth(self.depth(), len(self._running))

    def _wake(self, _model: Future) -> None:
        with self._changed:
            self._changed.notify_all()

    def _work(self) -> None:
        while batch := self._next():
            _answer(batch)
            with self._changed:
                self._running = []
                self._show()

    def _next(self) -> list[Ticket]:
        """Wait for films whose model is there; empty when the queue has stopped."""
        with self._changed:
            while not self._stopped:
                self._forget()
                heads = (self._waiting[owner][0] for owner in self._in_turn())
                first = next((ticket for ticket in heads if ticket.model.done()), None)
                if first is not None:
                    self._running = self._take(first)
                    self._show()
                    return self._running
                self._changed.wait()
            return []

    def _forget(self) -> None:
        """Drop films whose reader has gone or has turned to another film."""
        limit = time.monotonic() - FORGOTTEN_SECONDS
        for ticket in [t for tickets in self._waiting.values() for t in tickets]:
            if ticket.awaited_until < limit:
                self._remove(ticket)
                telemetry.count_refused("forgotten")
                ticket.settle(error=Forgotten())

    def _take(self, first: Ticket) -> list[Ticket]:
        """The batch that begins with ``first``: whose film is taken then goes to the end."""
        batch: list[Ticket] = []
        rows, columns = first.radiograph.shape
        most = max(1, min(self.batch, PASS_PIXELS // (rows * columns)))
        while len(batch) < most:
            same = (o for o in self._in_turn() if self._waiting[o][0].key == first.key)
            owner = next(same, None)
            if owner is None:
                break
            tickets = self._waiting.pop(owner)
            batch.append(tickets.popleft())
            batch[-1].tries += 1
            self._turns += 1
            self._served[batch[-1].party] = self._turns
            if tickets:
                self._waiting[owner] = tickets
        self._forget_turns()
        return batch

    def _in_turn(self) -> list[str]:
        """Owners by the last turn of their party, and of one party by their own."""
        return sorted(self._waiting, key=lambda o: self._served.get(self._waiting[o][0].party, 0))

    def _forget_turns(self) -> None:
        """Parties that wait for nothing come in at the end when they come again."""
        waiting = {tickets[0].party for tickets in self._waiting.values()}
        self._served = {p: turn for p, turn in self._served.items() if p in waiting}


def _answer(batch: list[Ticket]) -> None:
    """Put films of one size through the graph; where that fails, one by one."""
    from pipeline.inference.diagnose import diagnose_many

    try:
        predictor = batch[0].model.result()
    except Exception as error:
        for ticket in batch:
            ticket.settle(error=error)
        return
    started = time.monotonic()
    try:
        answers = diagnose_many([ticket.radiograph for ticket in batch], predictor)
    except Exception as error:
        if len(batch) > 1:
            for ticket in batch:
                _answer([ticket])
            return
        # The kind only: the text of an error may hold what the film says of a patient.
        log.error("a film failed: %s", type(error).__name__)
        telemetry.count_refused("film_failed")
        batch[0].settle(error=NoAnswer("film_failed"))
        return
    for ticket, answer in zip(batch, answers, strict=True):
        telemetry.note(answer, waited=started - ticket.born, batch=len(batch), who=ticket.owner)
        ticket.settle(answer)


class Service:
    """The models and the queue of this process."""

    def __init__(self, models: Models, queue: InferenceQueue):
        self.models, self.queue = models, queue

    def submit(
        self, owner: str, radiograph: Radiograph, model: str, party: str | None = None
    ) -> Ticket:
        """Queue a film, see `InferenceQueue.submit`. Raises NoAnswer when the queue is full."""
        return self.queue.submit(owner, radiograph, self.models.prepare(model), party)

    def ask(
        self,
        owner: str,
        radiograph: Radiograph,
        model: str,
        given_up: Callable[[], bool] = lambda: False,
        insist: bool = False,
        party: str | None = None,
    ):
        """Queue a film and wait for its `Diagnosis`. Raises NoAnswer or WeightsError.

        ``given_up`` is asked now and then; ``insist``: wait for a place where the queue is full.
        """
        while True:
            try:
                ticket = self.submit(owner, radiograph, model, party)
                break
            except NoAnswer as error:
                if not insist or error.message.code != "queue_full" or given_up():
                    raise
                time.sleep(0.2)
        while not ticket.wait(0.2):
            if given_up():
                ticket.cancel()
        return ticket.result()


@cache
def service() -> Service:
    """The one service of this process, with the limits that the environment sets."""
    settings = read_settings()
    made = Service(Models(_load), InferenceQueue(settings.queue, settings.batch, settings.patience))
    atexit.register(_end, made)
    return made


def _load(name: str):
    from pipeline.inference.engine import load_predictor
    from pipeline.serving.device import prepare_device

    prepare_device()
    predictor, film = load_predictor(name, read_settings().engine), np.zeros((64, 64), np.float32)
    predictor(film)  # Keras traces both before the first film waits for them
    predictor.find_lungs(film)
    _keep_out_of_cleaning()
    return predictor


@cache
def on_keras(predictor):
    """The same model on Keras, see `pipeline.inference.engine.on_keras`; may take seconds."""
    from pipeline.inference import engine

    found = engine.on_keras(predictor)
    _keep_out_of_cleaning()
    return found


def _keep_out_of_cleaning() -> None:
    """Spare the models what Streamlit does after every run of a page, slider moves included.

    It calls `keras.backend.clear_session`, which drops TensorFlow's kernels under the worker's
    feet, and collects garbage twice, 0.3 s each among the half million objects of a loaded model.
    """
    if keras := sys.modules.get("keras"):  # never loaded on another engine's account
        keras.backend.clear_session = lambda: None
    gc.collect()
    gc.freeze()


def _end(made: Service) -> None:
    """Let the last film and the models that are being loaded end: TensorFlow aborts when Python
    goes from under it. `app.server` sets an end to this waiting."""
    made.queue.stop()
    made.models.wait(STOP_SECONDS)
