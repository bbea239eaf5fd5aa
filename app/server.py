"""The server: the pages, the HTTP interface beside them, metrics, and an orderly end.

    streamlit run app/server.py

``streamlit run app/main.py`` shows the same pages without the HTTP interface.
"""

import asyncio
import contextlib
import ctypes
import os
import resource
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

from pipeline.models import registry
from pipeline.serving.settings import check_settings

try:
    check_settings(models=registry.known_classifiers())
except ValueError as error:
    sys.exit(f"Pulmoscope does not start. {error}")

import streamlit as st
from starlette.middleware import Middleware
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route
from streamlit import config

from app.components import failure
from app.http.api import api
from app.http.bodies import Uploads, stored
from app.http.closing import Closing, Guarded
from app.http.party import Addresses
from app.session.forgetting import forget_in_time
from pipeline.serving import budget, telemetry
from pipeline.serving.queue import service
from pipeline.serving.settings import read_settings

PR_SET_DUMPABLE = 4  # prctl(2)
LAST_SECONDS = 9.0  # whatever still runs then is left behind

failure.keep_private()
# What SECURITY.md promises holds wherever the server is started, .streamlit/config.toml or not.
config.set_option("browser.gatherUsageStats", False)
config.set_option("server.enableXsrfProtection", True)
config.set_option("server.maxUploadSize", min(64, config.get_option("server.maxUploadSize")))
# A process that dies leaves no core file with films in it, and no other may look into its memory.
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
with contextlib.suppress(OSError, AttributeError):
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


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
    budget.files().counted = lambda: sum(stored().values())
    forgetting = asyncio.create_task(forget_in_time())
    yield
    forgetting.cancel()
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
    routes=[Mount("/v1", Guarded(api)), Route("/v1", _docs)],
    middleware=[Middleware(Addresses), Middleware(Closing), Middleware(Uploads)],
    lifespan=_life,
    on_script_error=failure.show,
)
