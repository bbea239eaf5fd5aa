"""Many readers at once: sessions that drop films on the reading page, over Streamlit's protocol.

    python -m tests.load --sessions 32 --seconds 300
    python -m tests.load --sessions 4 --films 2000       whether memory stays flat

Starts the app on this machine and asks nothing else. Every session drops synthetic films, each with
a pixel of its own so that none is answered from memory, and waits until the page shows the score.
Sessions end after `FILMS_PER_VISIT` films and new ones begin. Prints JSON: answers, errors, median
and 95th percentile of a diagnosis from drop to score, the same for one session alone, films per
forward pass, what reading together gains over reading one by one, and the server's resident memory
as it went. No part of the ordinary tests.
"""

import argparse
import asyncio
import itertools
import json
import random
import re
import statistics
import time
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import httpx
import numpy as np
import psutil
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from pipeline.data.phantom import EXAMPLES, draw_film
from tests.browsing import free_port, running_app

ROOT = Path(__file__).resolve().parent.parent
FILMS_PER_VISIT = 10
FINISHED = "script_finished"
XSRF = "_streamlit_xsrf"
ANSWERED = re.compile(r"COVID score|No score for this image")


class Visit:
    """One browser session: a WebSocket, and what the page shows."""

    def __init__(self, address: str):
        self.address = address
        # As browsers do, drop a connection before the server does, after 5 s.
        kept = httpx.Limits(keepalive_expiry=2)
        self.http = httpx.AsyncClient(base_url=address, timeout=300, limits=kept)
        self.rerun = BackMsg()  # the last that was sent, with the widgets as they stand
        self.rerun.rerun_script.query_string = ""

    async def __aenter__(self):
        await self.http.get("/_stcore/host-config")
        await self.http.get("/_stcore/health")
        await self.connect()
        await self.send(self.rerun)
        await self.page_drawn()
        return self

    async def connect(self) -> None:
        """Open a WebSocket with the cookies that there are: a proxy may have set one, too."""
        self.token = self.http.cookies.get(XSRF, "")
        cookies = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        self.socket = await websockets.connect(
            f"ws://{urlsplit(self.address).netloc}/_stcore/stream",
            additional_headers={"Cookie": cookies, "Origin": self.address},
            subprotocols=["streamlit", self.token],
            max_size=None,
            ping_interval=None,
        )
        self.uploader = self.session = self.said = ""

    async def __aexit__(self, *_):
        await self.socket.close()
        await self.http.aclose()

    async def send(self, message: BackMsg) -> None:
        await self.socket.send(message.SerializeToString())

    async def receive(self) -> ForwardMsg:
        message = ForwardMsg()
        message.ParseFromString(await self.socket.recv())
        return message

    async def page_drawn(self) -> None:
        """Take messages until the script has ended."""
        self.said = ""
        while True:
            message = await self.receive()
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self.session = message.new_session.initialize.session_id
            elif kind == "delta":
                element = message.delta.new_element
                if element.WhichOneof("type") == "file_uploader":
                    self.uploader = element.file_uploader.id
                self.said += str(element.markdown.body) + str(element.alert.body)
                if element.HasField("exception"):
                    raise AssertionError(element.exception.message)
            elif message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY and kind == FINISHED:
                return  # an interrupted run is followed by another

    async def read(self, name: str, data: bytes) -> float:
        """Drop a film and wait for its score; seconds."""
        began = time.perf_counter()
        message = BackMsg()
        message.file_urls_request.request_id = name
        message.file_urls_request.file_names.append(name)
        message.file_urls_request.session_id = self.session
        await self.send(message)
        while (answer := await self.receive()).WhichOneof("type") != "file_urls_response":
            pass
        (place,) = answer.file_urls_response.file_urls
        sent = await self.http.put(
            place.upload_url, files={"file": (name, data)}, headers={"X-Xsrftoken": self.token}
        )
        sent.raise_for_status()
        self.rerun = BackMsg()
        widget = self.rerun.rerun_script.widget_states.widgets.add(id=self.uploader)
        info = widget.file_uploader_state_value.uploaded_file_info.add()
        info.file_id, info.name, info.size = place.file_id, name, len(data)
        info.file_urls.CopyFrom(place)
        await self.send(self.rerun)
        await self.page_drawn()
        if not ANSWERED.search(self.said):
            raise AssertionError(f"no answer: {self.said[-300:]!r}")
        return time.perf_counter() - began


def films():
    """Synthetic films without end, no two alike."""
    drawn = draw_film(EXAMPLES["clear"])[0]
    for number in itertools.count():
        film = drawn.copy()
        film.flat[:4] = np.frombuffer(number.to_bytes(4, "big"), np.uint8)
        yield f"{number}.png", cv2.imencode(".png", film)[1].tobytes()


async def reader(address: str, source, goes_on, result: dict) -> None:
    """Visit after visit, until it is enough."""
    while goes_on():
        try:
            async with Visit(address) as visit:
                for _ in range(FILMS_PER_VISIT):
                    if not goes_on():
                        return
                    seconds = await visit.read(*next(source))
                    result["seconds"].append(seconds)
        except Exception as error:
            result["errors"].append(f"{type(error).__name__}: {error}"[:300])
            await asyncio.sleep(random.random())


async def watch_memory(process: psutil.Process, result: dict) -> None:
    """Note resident megabytes and answers every two seconds."""
    while True:
        resident = process.memory_info().rss / 2**20
        result["memory"].append((len(result["seconds"]), round(resident)))
        await asyncio.sleep(2)


async def run(address: str, process, sessions: int, seconds: float, count: int) -> dict:
    """So many sessions for so long, or until so many films are answered."""
    result = {"seconds": [], "errors": [], "memory": []}
    began = time.monotonic()
    end = began + seconds

    def goes_on() -> bool:
        enough = count and len(result["seconds"]) >= count
        return not enough and time.monotonic() < end and len(result["errors"]) < 100

    source = films()
    watcher = asyncio.create_task(watch_memory(process, result))
    async with asyncio.TaskGroup() as group:
        for _ in range(sessions):
            group.create_task(reader(address, source, goes_on, result))
    watcher.cancel()
    result["lasted"] = time.monotonic() - began
    return result


def summary(result: dict) -> dict:
    """Answers, errors, median and 95th percentile."""
    times = sorted(result["seconds"])
    if not times:
        return {"answers": 0, "errors": result["errors"][:5]}
    return {
        "answers": len(times),
        "errors": len(result["errors"]),
        "kinds_of_error": sorted(set(result["errors"]))[:5],
        "median_seconds": round(statistics.median(times), 3),
        "p95_seconds": round(times[int(0.95 * (len(times) - 1))], 3),
    }


def batching(metrics: str) -> dict[str, float]:
    """Films per pass, from the metrics."""

    def value(name: str) -> float:
        found = re.search(rf"^{name}(?:{{[^}}]*}})? ([\d.e+-]+)$", metrics, re.MULTILINE)
        return float(found[1]) if found else 0.0

    films_read = value("pulmoscope_batch_count")
    return {"films_per_pass": round(value("pulmoscope_batch_sum") / max(films_read, 1), 2)}


def flatness(memory: list[tuple[int, int]]) -> dict:
    """Resident megabytes around 40 % of the answers, and at the end.

    Not from the start: Streamlit keeps a session for two minutes after its browser has gone, so
    memory grows until as many sessions end as begin.
    """
    total = memory[-1][0]

    def mean(low: float, high: float) -> float:
        return statistics.mean(m for answers, m in memory if low * total <= answers <= high * total)

    begin, end = mean(0.35, 0.45), mean(0.9, 1)
    return {"mb_begin": round(begin), "mb_end": round(end), "growth": round(end / begin - 1, 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--films", type=int, default=0, help="stop after so many answers")
    options = parser.parse_args()
    seconds = 1e6 if options.films else options.seconds
    metrics_port = free_port()
    log = ROOT / ".pytest_cache" / "load.log"
    with running_app(log, PULMOSCOPE_METRICS_PORT=str(metrics_port)) as address:
        (process,) = [
            p for p in psutil.Process().children() if "streamlit" in " ".join(p.cmdline())
        ]
        warm = asyncio.run(run(address, process, 1, 1e6, 5))
        alone = asyncio.run(run(address, process, 1, 1e6, 20))
        many = asyncio.run(run(address, process, options.sessions, seconds, options.films))
        metrics = httpx.get(f"http://127.0.0.1:{metrics_port}/metrics").text
    alone_seconds, together = summary(alone)["median_seconds"], summary(many)
    per_second = together["answers"] / many["lasted"]
    report = {
        "warming_up": summary(warm),
        "alone": summary(alone),
        "sessions": options.sessions,
        "together": together,
        "answers_per_second": round(per_second, 2),
        "gain_over_alone": round(per_second * alone_seconds, 2),
        "p95_over_median_alone": round(together["p95_seconds"] / alone_seconds, 2),
        **batching(metrics),
        "memory": flatness(many["memory"]),
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
