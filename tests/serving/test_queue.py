"""The queue that all readers share: turns, limits, and what happens when something breaks."""

import logging
import re
import threading
import time
from concurrent.futures import Future
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inference import diagnose as diagnosing
from pipeline.models import registry
from pipeline.serving import telemetry
from pipeline.serving.queue import InferenceQueue, Models, NoAnswer, Service
from pipeline.serving.settings import Settings, check_settings, read_settings, variables
from tests.conftest import ROOT, radiograph_of

SECONDS = 30


class Machine:
    """Stands in for the graph: notes every batch, and waits before it until it may go on."""

    def __init__(self):
        self.batches: list[list] = []
        self.go = threading.Event()
        self.entered = threading.Event()
        self.go.set()
        self.error: BaseException | None = None
        self.bad: set[int] = set()

    def __call__(self, radiographs, _predictor):
        self.entered.set()
        assert self.go.wait(SECONDS)
        if self.error:
            error, self.error = self.error, None
            raise error
        names = [int(radiograph.pixels[0, 0]) for radiograph in radiographs]
        if self.bad & set(names):
            raise ValueError("the patient's name")
        self.batches.append(names)
        return [f"answer {name}" for name in names]


@pytest.fixture
def machine(monkeypatch) -> Machine:
    """Every test waits for what it put into the graph: afterwards the real one is there again."""
    made = Machine()
    monkeypatch.setattr(diagnosing, "diagnose_many", made)
    monkeypatch.setattr(telemetry, "note", lambda *_, **__: None)
    return made


def film(name: int, side: int = 64):
    pixels = np.zeros((side, side), np.float32)
    pixels[0, 0] = name
    return radiograph_of(pixels)


def ready(value=None) -> Future:
    future: Future = Future()
    future.set_result(value)
    return future


def answer(ticket):
    assert ticket.wait(SECONDS)
    return ticket.result()


def code_of(ticket) -> str:
    with pytest.raises(NoAnswer) as caught:
        answer(ticket)
    return caught.value.message.code


def hold(machine, queue, model) -> object:
    """Put one film into the graph and keep it there."""
    machine.go.clear()
    machine.entered.clear()
    ticket = queue.submit("first", film(0), model)
    assert machine.entered.wait(SECONDS)
    return ticket


def test_owners_take_turns(machine):
    queue, model = InferenceQueue(batch=1), ready()
    hold(machine, queue, model)
    list_of_many = [queue.submit("list", film(n), model) for n in (1, 2, 3, 4)]
    reader = queue.submit("page", film(9), model)
    assert reader.ahead == 2  # the film in the graph and one of the list
    assert list_of_many[3].ahead == 5
    machine.go.set()
    assert answer(list_of_many[3]) == "answer 4"
    assert [name for batch in machine.batches for name in batch] == [0, 1, 9, 2, 3, 4]


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12))
def test_a_ticket_knows_how_many_come_first(owners):
    queue = InferenceQueue(batch=1)
    never: Future = Future()  # its model never loads: nothing moves
    tickets = [queue.submit(owner, film(n), never) for n, owner in enumerate(owners)]
    said = {id(ticket): ticket.ahead for ticket in tickets}
    order = []
    while queue.depth():
        with queue._changed:
            order += queue._take(next(iter(queue._waiting.values()))[0])
    assert [said[id(ticket)] for ticket in order] == list(range(len(owners)))
    queue.stop()


def test_films_of_one_size_and_model_share_a_pass(machine):
    queue, model, other = InferenceQueue(batch=3), ready("light"), ready("xception")
    hold(machine, queue, model)
    tickets = [queue.submit(f"{n}", film(n), model) for n in (1, 2, 3, 4)]
    tickets += [queue.submit("5", film(5, side=80), model), queue.submit("6", film(6), other)]
    machine.go.set()
    assert [answer(ticket) for ticket in tickets] == [f"answer {n}" for n in range(1, 7)]
    assert machine.batches == [[0], [1, 2, 3], [4], [5], [6]]


def test_a_full_queue_says_so_and_takes_films_again_later(machine):
    queue, model = InferenceQueue(capacity=2, batch=1), ready()
    first = hold(machine, queue, model)
    waiting = [queue.submit(owner, film(n), model) for n, owner in ((1, "a"), (2, "b"))]
    with pytest.raises(NoAnswer) as caught:
        queue.submit("a", film(3), model)
    assert caught.value.message.code == "queue_full"
    assert caught.value.message.values == {"count": 2}
    machine.go.set()
    assert answer(first) == "answer 0"
    assert answer(waiting[1]) == "answer 2"
    assert answer(queue.submit("b", film(3), model)) == "answer 3"


def test_one_party_does_not_fill_the_queue_for_others(machine):
    """SECURITY.md: "no party keeps more than a quarter of a full queue from others"."""
    queue, model = InferenceQueue(capacity=8, batch=1), ready()
    hold(machine, queue, model)
    greedy = [queue.submit("http:1", film(n), model, "1") for n in range(1, 9)]
    readers = [queue.submit(f"page:{n}", film(n), model, f"{n}") for n in range(10, 16)]
    assert [ticket.done for ticket in greedy] == [False] * 2 + [True] * 6
    with pytest.raises(NoAnswer) as caught:
        greedy[-1].result()
    assert caught.value.message.code == "queue_full"
    with pytest.raises(NoAnswer):
        queue.submit("page:16", film(16), model, "16")  # all have their share
    machine.go.set()
    assert [answer(t) for t in readers] == [f"answer {n}" for n in range(10, 16)]


def test_a_party_of_many_sessions_has_one_turn(machine):
    queue, model = InferenceQueue(batch=1), ready()
    hold(machine, queue, model)
    many = [queue.submit(f"page:{n}", film(n), model, "1") for n in range(1, 6)]
    reader = [queue.submit("page:9", film(n), model, "2") for n in (7, 8)]
    machine.go.set()
    for ticket in [*many, *reader]:
        answer(ticket)
    order = [name for batch in machine.batches for name in batch][1:]
    assert order[:4] in ([1, 7, 2, 8], [7, 1, 8, 2])


def test_very_large_films_pass_one_by_one(machine, monkeypatch):
    monkeypatch.setattr("pipeline.serving.queue.PASS_PIXELS", 2 * 64 * 64)
    queue, model = InferenceQueue(batch=4), ready()
    hold(machine, queue, model)
    small = [queue.submit(f"{n}", film(n), model) for n in (1, 2, 3)]
    large = [queue.submit(f"{n}", film(n, side=128), model) for n in (4, 5)]
    machine.go.set()
    for ticket in [*small, *large]:
        answer(ticket)
    assert machine.batches[1:] == [[1, 2], [3], [4], [5]]


def test_a_settled_ticket_lets_its_pixels_go(machine):
    queue = InferenceQueue(batch=1)
    ticket = queue.submit("a", film(1), ready())
    answer(ticket)
    assert ticket.pixels is None


def test_who_insists_waits_for_a_place(machine):
    queue = InferenceQueue(capacity=1, batch=1)
    made = Service(Models(lambda name: name), queue)
    model = made.models.prepare("light")
    hold(machine, queue, model)
    queue.submit("a", film(1), model)
    with pytest.raises(NoAnswer):
        made.ask("b", film(2), "light")
    said = []
    thread = threading.Thread(
        target=lambda: said.append(made.ask("b", film(3), "light", insist=True))
    )
    thread.start()
    machine.go.set()
    thread.join(SECONDS)
    assert said == ["answer 3"]


def test_what_waits_too_long_is_given_up(machine):
    queue, model = InferenceQueue(batch=1, patience=0), ready()
    first = hold(machine, queue, model)
    late = queue.submit("a", film(1), model)
    assert code_of(late) == "queue_patience"
    assert queue.depth() == 0
    machine.go.set()
    assert first._outcome.result(SECONDS) == "answer 0"


def test_a_film_that_nobody_waits_for_is_not_read(machine):
    queue, model = InferenceQueue(batch=1), ready()
    hold(machine, queue, model)
    gone, stays = queue.submit("a", film(1), model), queue.submit("b", film(2), model)
    gone.cancel()
    machine.go.set()
    assert answer(stays) == "answer 2"
    assert [1] not in machine.batches


def test_a_model_that_loads_keeps_nobody_else_waiting(machine):
    queue, loading = InferenceQueue(), Future()
    slow = queue.submit("a", film(1), loading)
    assert answer(queue.submit("b", film(2), ready())) == "answer 2"
    assert not slow.wait(0)
    loading.set_result("loaded")
    assert answer(slow) == "answer 1"


def test_one_bad_film_does_not_take_its_pass_with_it(machine, caplog):
    queue, model = InferenceQueue(batch=4), ready()
    machine.bad = {2}
    hold(machine, queue, model)
    tickets = {n: queue.submit(f"{n}", film(n), model) for n in (1, 2, 3)}
    machine.go.set()
    assert answer(tickets[1]) == "answer 1"
    assert answer(tickets[3]) == "answer 3"
    assert code_of(tickets[2]) == "film_failed"
    assert "ValueError" in caplog.text
    assert "patient" not in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_worker_is_replaced_and_its_film_tried_once_more(machine):
    queue, model = InferenceQueue(batch=1), ready()
    machine.error = KeyboardInterrupt()  # nothing that a worker survives
    ticket = queue.submit("a", film(1), model)
    while not ticket.wait(0.05):
        pass
    assert ticket.result() == "answer 1"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_film_that_kills_every_worker_is_given_up(machine, monkeypatch):
    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(diagnosing, "diagnose_many", die)
    queue, model = InferenceQueue(batch=1), ready()
    ticket = queue.submit("a", film(1), model)
    while not ticket.wait(0.05):
        pass
    assert code_of(ticket) == "worker_failed"
    monkeypatch.setattr(diagnosing, "diagnose_many", machine)
    assert answer(queue.submit("a", film(2), model)) == "answer 2"


def test_a_film_whose_reader_has_gone_is_dropped(machine, monkeypatch):
    monkeypatch.setattr("pipeline.serving.queue.FORGOTTEN_SECONDS", 0.05)
    queue, model = InferenceQueue(batch=1), ready()
    hold(machine, queue, model)
    gone, awaited = queue.submit("gone", film(1), model), queue.submit("page", film(2), model)
    awaiting = threading.Thread(target=awaited.wait, args=[SECONDS])
    awaiting.start()
    while awaited.awaited_until < time.monotonic() + 1:
        time.sleep(0.01)
    time.sleep(0.1)
    machine.go.set()
    assert answer(awaited) == "answer 2"
    awaiting.join(SECONDS)
    assert gone.forgotten and not awaited.forgotten
    assert machine.batches == [[0], [2]]


def test_stopping_ends_the_film_in_the_graph_and_refuses_the_rest(machine):
    queue, model = InferenceQueue(batch=1), ready()
    running = hold(machine, queue, model)
    waiting = queue.submit("a", film(1), model)
    queue.refuse()
    assert code_of(waiting) == "stopping"
    assert not queue.stop(0.01)  # the film is still in the graph
    machine.go.set()
    assert queue.stop(SECONDS)
    assert answer(running) == "answer 0"
    with pytest.raises(NoAnswer):
        queue.submit("a", film(2), model)


def test_restored_weights_are_enough_to_recover():
    missing = [registry.WeightsError("weights_missing", file="light.weights.h5")]

    def load(name):
        if missing:
            raise missing.pop()
        return name

    models = Models(load)
    with pytest.raises(registry.WeightsError, match=r"light\.weights\.h5 is missing"):
        models.prepare("light").result(SECONDS)
    assert models.loaded() == []
    assert models.prepare("light").result(SECONDS) == "light"
    assert models.prepare("light") is models.prepare("light")
    assert models.loaded() == ["light"]


def test_what_a_damaged_file_raises_becomes_a_sentence(caplog):
    def load(_name):
        raise OSError("bad superblock")

    with caplog.at_level(logging.CRITICAL), pytest.raises(NoAnswer) as caught:
        Models(load).prepare("light").result(SECONDS)
    assert caught.value.message.code == "model_failed"


def test_the_log_line_names_no_film(caplog):
    diagnosis = SimpleNamespace(
        model="light",
        positive=None,
        seconds=0.25,
        version="1",
        verdict=SimpleNamespace(reasons=[SimpleNamespace(code="inverted")]),
        radiograph=film(1),
    )
    with caplog.at_level(logging.INFO, "pulmoscope.diagnoses"):
        telemetry.note(diagnosis, waited=0.5, batch=2, who="page:secret-session")
    (record,) = caplog.records
    assert '"verdict": "abstained", "reasons": ["inverted"]' in record.message
    assert '"milliseconds": 250, "waited_milliseconds": 500, "batch": 2' in record.message
    assert '"from": "page"' in record.message
    assert "secret" not in record.message
    assert diagnosis.radiograph.sha256 not in record.message


def test_every_variable_is_documented_with_its_default():
    page = (ROOT / "docs/operations.md").read_text()
    rows = re.findall(r"^\| `(PULMOSCOPE_\w+)` \| (\S+) ", page, re.M)
    written = {name: value.strip("`").replace("none", "") for name, value in rows}
    known = {name: str(about["default"]) for name, about in variables().items()}
    assert written == known | {"PULMOSCOPE_WEIGHTS": "weights/"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PULMOSCOPE_QUEUE", "0"),
        ("PULMOSCOPE_BATCH", "many"),
        ("PULMOSCOPE_METRICS_PORT", "65536"),
        *(("PULMOSCOPE_MEMORY", text) for text in ("+7", "1_0", "1.0", "-1", "²")),
    ],
)
def test_a_variable_out_of_range_is_a_sentence(name, value):
    with pytest.raises(
        ValueError, match=re.escape(f"{name} is '{value}': give a whole number from")
    ):
        read_settings({name: value})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PULMOSCOPE_SIGNIN", "1", "did you mean PULMOSCOPE_SIGN_IN?"),
        ("PULMOSCOPE_XYZZY", "1", "README"),
        ("PULMOSCOPE_SIGN_IN", "yes", "give a whole number from 0 to 1"),
        ("PULMOSCOPE_ENGINE", "torch", "give one of auto, keras, onnx"),
        ("PULMOSCOPE_DATA", "/no/such/folder", "there is no such folder"),
        ("PULMOSCOPE_METRICS_ADDRESS", "everywhere", "give an address"),
        ("PULMOSCOPE_PROXIES", "10.0.0.1, caddy", "give an address"),
        ("PULMOSCOPE_PRELOAD", "light,lihgt", "choose from light, xception"),
    ],
)
def test_a_slip_of_the_pen_stops_the_start(name, value, said):
    """SECURITY.md: "A setting that does not exist, or makes no sense, stops the start"."""
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        check_settings({name: value}, ["light", "xception"])
    assert name in str(caught.value)


def test_names_are_stripped():
    assert read_settings({"PULMOSCOPE_PRELOAD": " light , xception,"}).preload == "light,xception"
    assert check_settings({"PULMOSCOPE_SIGN_IN": " 1 ", "PATH": "/bin"}).sign_in == 1


def test_settings_follow_the_environment():
    assert read_settings({}) == Settings()
    assert read_settings({"PULMOSCOPE_QUEUE": "7", "PULMOSCOPE_PRELOAD": ""}).queue == 7
