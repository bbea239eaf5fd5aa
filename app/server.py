"""The server: the pages, the HTTP interface beside them, metrics, and an orderly end.

    streamlit run app/server.py

``streamlit run app/main.py`` shows the same pages without the HTTP interface.
"""

import os
import sys
import threading
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # streamlit puts only app/ there

import streamlit as st
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route

from app.api import api
from pipeline import operations
from pipeline.serving import service
from pipeline.settings import read_settings

LAST_SECONDS = 9.0  # whatever still runs then is left behind


@asynccontextmanager
async def _life(_app):
    settings = read_settings()
    if settings.log:
        operations.start_log()
    metrics = None
    if settings.metrics_port:
        metrics = operations.start_metrics(settings.metrics_port, settings.metrics_address)
    for name in filter(None, settings.preload.split(",")):
        service().models.prepare(name)
    yield
    service().queue.refuse()
    if metrics:
        metrics.shutdown()
    last = threading.Timer(LAST_SECONDS, os._exit, (0,))
    last.daemon = True
    last.start()


async def _docs(_request):
    return RedirectResponse("/v1/docs")


app = st.App(ROOT / "app/main.py", routes=[Mount("/v1", api), Route("/v1", _docs)], lifespan=_life)
