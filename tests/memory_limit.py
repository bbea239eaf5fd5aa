"""Whether the server lives under a limit of memory while it is attacked from pages and over HTTP.

    python -m tests.memory_limit --megabytes 2048 --uploads 200

Starts the app on this machine in a control group of so many megabytes (version 1 or 2; needs the
right to make one) and asks nothing else. Half of the uploads come over HTTP, half through pages,
all at once: PNGs of 60 kB and 64 or 25 megapixels, whole and cut off, DICOM files of 24, bodies
that never end, and what is no film. Meanwhile a reader with another address sends an ordinary film
again and again. Prints JSON: what every caller was told, the reader's longest wait, and the most
memory that the group had. No part of the ordinary tests.
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import cv2
import httpx
import numpy as np
import psutil

from pipeline.data.phantom import EXAMPLES, draw_film
from tests.browsing import free_port, wait_for
from tests.load import ROOT, Visit
from tests.serving.test_budget import flat_png, source

ADDRESS = "127.0.0.2"  # the reader's; Linux answers on all of 127.0.0.0/8
CLOSE = 120.0  # seconds that the last answers may take


class Group:
    """A control group with a limit of memory."""

    def __init__(self, megabytes: int):
        root = Path("/sys/fs/cgroup")
        first = (root / "memory").is_dir()
        self.folder = (root / "memory" if first else root) / f"pulmoscope-{os.getpid()}"
        limit = "memory.limit_in_bytes" if first else "memory.max"
        self.peak = self.folder / ("memory.max_usage_in_bytes" if first else "memory.peak")
        self.folder.mkdir()
        (self.folder / limit).write_text(str(megabytes * 2**20))

    def take(self, process: subprocess.Popen) -> None:
        """From now on what the process asks for counts here."""
        (self.folder / "cgroup.procs").write_text(str(process.pid))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.folder.rmdir()


PNG = flat_png(8000)
SMALLER = flat_png(5000)
DICOM = source(np.zeros((6000, 4000), np.uint8))
HOSTILE = (PNG, DICOM, SMALLER, SMALLER[:-40], b"no film" * 1000)


def hostile(number: int) -> bytes:
    """One of five attacks; over HTTP and through pages come all of them."""
    return HOSTILE[number // 2 % len(HOSTILE)] + number.to_bytes(4, "big")


READERS = cv2.imencode(".png", draw_film(EXAMPLES["clear"], 1024)[0])[1].tobytes()


async def over_http(address: str, number: int) -> str:
    async def endless():
        yield b"\0" * 1_000_000
        await asyncio.sleep(CLOSE)

    content = endless() if number % 8 == 0 else hostile(number)
    async with httpx.AsyncClient(timeout=CLOSE) as client:
        try:
            answer = await client.post(f"{address}/v1/diagnose", content=content)
            said = answer.json()
            return f"http {answer.status_code} {' '.join(said['reasons']) or said['status']}"
        except (httpx.HTTPError, ValueError) as error:
            return f"http {type(error).__name__}"


async def over_a_page(address: str, number: int) -> str:
    try:
        async with asyncio.timeout(CLOSE), Visit(address) as visit:
            try:
                await visit.read(f"{number}.png", hostile(number))
            except AssertionError:
                if not visit.said:
                    raise
                return "page a sentence"
            return "page an answer"
    except Exception as error:
        return f"page {type(error).__name__}"


async def reader(address: str, waits: list, told: Counter, stop: asyncio.Event) -> None:
    transport = httpx.AsyncHTTPTransport(local_address=ADDRESS)
    async with httpx.AsyncClient(transport=transport, timeout=CLOSE) as client:
        while not stop.is_set():
            began = time.monotonic()
            answer = await client.post(f"{address}/v1/diagnose", content=READERS)
            waits.append(round(time.monotonic() - began, 2))
            told[f"{answer.status_code} {answer.json()['status']}"] += 1
            await asyncio.sleep(0.5)


async def attack(address: str, uploads: int) -> dict:
    waits, told, stop = [], Counter(), asyncio.Event()
    reading = asyncio.create_task(reader(address, waits, told, stop))
    began = time.monotonic()
    calls = [(over_http, over_a_page)[n % 2](address, n) for n in range(uploads)]
    outcomes = Counter(await asyncio.gather(*calls))
    lasted = time.monotonic() - began
    stop.set()
    await reading
    return {
        "told": dict(sorted(outcomes.items())),
        "reader_told": dict(told),
        "reader_waited_most_seconds": max(waits),
        "reader_films": len(waits),
        "seconds": round(lasted),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--megabytes", type=int, default=2048)
    parser.add_argument("--uploads", type=int, default=200)
    asked = parser.parse_args()
    group, port = Group(asked.megabytes), free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app/server.py", f"--server.port={port}"]
    log = ROOT / ".pytest_cache" / "memory.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--server.address=127.0.0.1", "--server.headless=true"],
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )
        try:
            group.take(process)
            address = f"http://127.0.0.1:{port}"
            wait_for(f"{address}/_stcore/health")
            for _ in range(600):
                if httpx.get(f"{address}/v1/health", timeout=60).status_code == 200:
                    break
                time.sleep(0.5)
            before = psutil.Process(process.pid).memory_info().rss
            result = asyncio.run(attack(address, asked.uploads))
            result |= {
                "megabytes_allowed": asked.megabytes,
                "megabytes_before": before // 2**20,
                "megabytes_most": int(group.peak.read_text()) // 2**20,
                "lives": process.poll() is None,
                "ready": httpx.get(f"{address}/v1/health", timeout=60).status_code == 200,
            }
            print(json.dumps(result, indent=1))
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()
            group.close()
    return 0 if result["lives"] and result["ready"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
