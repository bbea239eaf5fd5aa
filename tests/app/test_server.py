"""The server as a whole: health, metrics and log while it runs, and how it ends."""

import json
import re
import signal
import threading
import time

import cv2
import httpx
import psutil
import pytest

from tests.browsing import free_port, running_app
from tests.conftest import ROOT


@pytest.fixture
def watched():
    """A server of its own: its address, process, metrics address and log."""
    log, port, metrics = ROOT / ".pytest_cache" / "watched.log", free_port(), free_port()
    with running_app(log, port, PULMOSCOPE_METRICS_PORT=str(metrics)) as address:
        (process,) = [p for p in psutil.Process().children() if str(port) in " ".join(p.cmdline())]
        yield address, process, f"http://127.0.0.1:{metrics}/metrics", log


def wait_until_ready(address: str) -> None:
    for _ in range(600):
        if httpx.get(f"{address}/v1/health", timeout=60).status_code == 200:
            return
        time.sleep(0.2)
    raise AssertionError("the model is never ready")


def films_inside(metrics: str) -> int:
    """Films that wait or are in the graph."""
    found = re.findall(r"^pulmoscope_(?:waiting|in_graph) (\S+)$", httpx.get(metrics).text, re.M)
    assert len(found) == 2
    return int(sum(map(float, found)))


@pytest.mark.slow
def test_it_is_watched_and_ends_in_order_with_a_film_in_the_graph(watched, films, clear_png):
    address, process, metrics, log = watched
    wait_until_ready(address)
    name = "Secret^Patient"
    answer = httpx.post(
        f"{address}/v1/diagnose", content=clear_png, headers={"X-Name": name}, timeout=60
    )
    assert answer.json()["status"] == "ok"
    counted = httpx.get(metrics).text
    assert 'pulmoscope_diagnoses_total{model="light",verdict="negative"} 1.0' in counted
    assert "pulmoscope_waiting 0.0" in counted
    (line,) = [line for line in log.read_text().splitlines() if line.startswith('{"time"')]
    assert json.loads(line)["from"] == "http"
    assert answer.json()["sha256"] not in log.read_text()
    assert name not in log.read_text()

    slow = cv2.imencode(".png", films["inverted"][0])[1].tobytes()  # tried in four positions
    said = []

    def ask():
        said.append(httpx.post(f"{address}/v1/diagnose", content=slow, timeout=60).json())

    asking = [threading.Thread(target=ask) for _ in range(12)]
    for thread in asking:
        thread.start()
    while len(said) + films_inside(metrics) < 12:  # a later one would find the door closed
        time.sleep(0.01)
    process.terminate()
    for thread in asking:
        thread.join(20)
    reasons = {record["reasons"][0] for record in said}
    assert len(said) == 12
    assert "inverted" in reasons  # what was in the graph has been answered
    assert reasons <= {"inverted", "stopping"}
    assert process.wait(20) in (0, -signal.SIGTERM)
