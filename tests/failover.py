"""Two replicas behind docs/deploy/Caddyfile, of which one is killed under load.

    python -m tests.failover --seconds 60

Starts two servers and Caddy (2.11; ``CADDY`` names it if it is not on the path) on this machine.
Programs post synthetic images to ``/v1/diagnose``, and readers read in sessions of their own. After
a third of the time one replica gets SIGKILL, after two thirds it is started again. Prints JSON;
exit status 1 if an image of a program had no answer, if no session was lost, or if readers could
not go on after loading the page again. No part of the ordinary tests.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import httpx
import psutil

from tests.browsing import free_port, running_app, wait_for
from tests.load import ROOT, Visit, films

LOGS = ROOT / ".pytest_cache"


@contextlib.contextmanager
def proxy(replicas: list[str]):
    """Caddy with the configuration that is shipped; yields its address."""
    caddy = os.environ.get("CADDY") or shutil.which("caddy")
    if caddy is None:
        sys.exit("no Caddy: install it, or name its program in CADDY.")
    address = f"http://127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory() as home, (LOGS / "caddy.log").open("w") as log:
        environment = os.environ | {
            "PULMOSCOPE_HOST": address,
            "PULMOSCOPE_REPLICAS": " ".join(r.removeprefix("http://") for r in replicas),
            "CADDY_ADMIN": f"127.0.0.1:{free_port()}",
            "HOME": home,
            "XDG_DATA_HOME": home,
            "XDG_CONFIG_HOME": home,
        }
        command = [caddy, "run", "--adapter", "caddyfile", "--config"]
        process = subprocess.Popen(
            [*command, str(ROOT / "docs/deploy/Caddyfile")], env=environment, stderr=log
        )
        try:
            wait_for(f"{address}/_stcore/health")
            yield address
        finally:
            process.terminate()
            process.wait(20)


async def program(address: str, source, end: float, result: dict) -> None:
    """Post image after image; every answer but 200 is a failure."""
    async with httpx.AsyncClient(base_url=address, timeout=120) as http:
        while time.monotonic() < end:
            _name, data = next(source)
            began = time.monotonic()
            try:
                answer = await http.post("/v1/diagnose", content=data)
                if answer.status_code != 200:
                    result["failures"].append(f"{answer.status_code}: {answer.text[:200]}")
                result["seconds"].append((began, time.monotonic() - began))
            except httpx.HTTPError as error:
                result["failures"].append(f"{type(error).__name__}: {error}"[:200])


async def reader(address: str, source, end: float, result: dict) -> None:
    """Read in one session; where it is lost, load the page again."""
    while time.monotonic() < end:
        visit = Visit(address)
        try:
            async with visit:
                while time.monotonic() < end:
                    await visit.read(*next(source))
                    result["read"] += 1
                    await asyncio.sleep(1)
        except Exception as error:
            result["lost"].append(f"{type(error).__name__}: {error}"[:200])


async def trial(address: str, options, kill, start) -> dict:
    """Programs and readers, and meanwhile a replica that dies and comes back."""
    began = time.monotonic()
    end = began + options.seconds
    result: dict = {"failures": [], "seconds": [], "read": 0, "lost": []}
    source = films()
    async with asyncio.TaskGroup() as group:
        for _ in range(options.programs):
            group.create_task(program(address, source, end, result))
        for _ in range(options.readers):
            group.create_task(reader(address, source, end, result))
        await asyncio.sleep(options.seconds / 3)
        result["killed"], read_before = time.monotonic(), result["read"]
        kill()
        await asyncio.sleep(options.seconds / 3)
        result["read_while_one_was_gone"] = result["read"] - read_before
        await asyncio.to_thread(start)
    return result


def summary(result: dict, options) -> dict:
    times = [seconds for _began, seconds in result["seconds"]]
    caught = [s for began, s in result["seconds"] if began <= result["killed"] <= began + s]
    return {
        "seconds": options.seconds,
        "images_of_programs": len(times),
        "failures": len(result["failures"]),
        "kinds_of_failure": sorted(set(result["failures"]))[:5],
        "under_way_at_the_kill": len(caught),
        "median_seconds": round(statistics.median(times), 2),
        "slowest_seconds": round(max(times), 2),
        "images_of_readers": result["read"],
        "of_them_with_one_replica": result["read_while_one_was_gone"],
        "sessions_lost": len(result["lost"]),
        "kinds_of_loss": sorted(set(result["lost"]))[:5],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--programs", type=int, default=3)
    parser.add_argument("--readers", type=int, default=4)
    options = parser.parse_args()
    ports = [free_port(), free_port()]
    logs = [LOGS / f"replica{number}.log" for number in (1, 2)]
    with contextlib.ExitStack() as stack:
        replicas = [
            stack.enter_context(running_app(log, port))
            for log, port in zip(logs, ports, strict=True)
        ]
        for replica in replicas:
            wait_for(f"{replica}/v1/health", tries=1200)
        address = stack.enter_context(proxy(replicas))

        def kill() -> None:
            for process in psutil.Process().children():
                if f"--server.port={ports[0]}" in process.cmdline():
                    os.kill(process.pid, signal.SIGKILL)

        def start() -> None:
            stack.enter_context(running_app(logs[0], ports[0]))

        result = asyncio.run(trial(address, options, kill, start))
    report = summary(result, options)
    print(json.dumps(report, indent=1))
    went_on = report["of_them_with_one_replica"] > 0
    sys.exit(0 if not report["failures"] and report["sessions_lost"] and went_on else 1)


if __name__ == "__main__":
    main()
