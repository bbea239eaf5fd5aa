"""The server: the pages, the HTTP interface beside them, metrics, and an orderly end.

    streamlit run app/server.py

``streamlit run app/main.py`` shows the same pages without the HTTP interface.
"""

import contextlib
import os
import signal
import sys
import threading
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # streamlit puts only app/ there

from pipeline.serving.private_log import keep_identity_out

keep_identity_out()  # before anything else can log

import streamlit as st
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route

from app.components import failure
from app.http.api import api
from pipeline.serving import telemetry
from pipeline.serving.queue import service
from pipeline.serving.settings import read_settings

failure.keep_private()
LAST_SECONDS = 9.0  # whatever still runs then is left behind


@asynccontextmanager
async def _life(_app):
    settings = read_settings()
    if settings.log:
        telemetry.start_log()
    metrics = None
    if settings.metrics_port:
        metrics = telemetry.start_metrics(settings.metrics_port, settings.metrics_address)
    for name in filter(None, settings.preload.split(",")):
        service().models.prepare(name)
    _stop_at_once_on(signal.SIGTERM)
    _stop_at_once_on(signal.SIGINT)
    yield
    if metrics:
        metrics.shutdown()


def _stop_at_once_on(number: signal.Signals) -> None:
    """Refuse films as soon as the signal comes: the server below waits for all who still ask."""
    before = signal.getsignal(number)

    def stop(*arguments):
        threading.Thread(target=service().queue.refuse, daemon=True).start()
        last = threading.Timer(LAST_SECONDS, os._exit, (0,))
        last.daemon = True
        last.start()
        if callable(before):
            before(*arguments)

    with contextlib.suppress(ValueError):  # signals reach the main thread alone
        signal.signal(number, stop)


async def _docs(_request):
    return RedirectResponse("/v1/docs")


app = st.App(
    ROOT / "app/main.py",
    routes=[Mount("/v1", api), Route("/v1", _docs)],
    lifespan=_life,
    on_script_error=failure.show,
)
