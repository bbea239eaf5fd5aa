"""What whoever runs the server may watch: a log line per diagnosis, and Prometheus metrics.

Neither names a film, a file or a patient.
"""

import json
import logging
import sys
import time

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from pipeline.inference.diagnosis import Diagnosis

log = logging.getLogger("pulmoscope.diagnoses")
SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120)

_diagnoses = Counter("pulmoscope_diagnoses", "Films answered", ["model", "verdict"])
_refused = Counter("pulmoscope_refused", "Films without an answer", ["reason"])
_seconds = Histogram("pulmoscope_seconds", "Time in the graph", ["model"], buckets=SECONDS)
_waited = Histogram("pulmoscope_waited_seconds", "Time in the queue", buckets=SECONDS)
_batch = Histogram("pulmoscope_batch", "Films per forward pass", buckets=(1, 2, 4, 8, 16, 32))
_depth = Gauge("pulmoscope_waiting", "Films that wait")
_running = Gauge("pulmoscope_in_graph", "Films in the graph")


def verdict_of(diagnosis: Diagnosis) -> str:
    """ "positive", "negative" or "abstained"."""
    if diagnosis.positive is None:
        return "abstained"
    return "positive" if diagnosis.positive else "negative"


def note(diagnosis: Diagnosis, waited: float, batch: int, who: str) -> None:
    """Log and count one answer. ``waited``: seconds in the queue; ``who``: its owner, of whom the
    part before the first ":" is told ("page", "list", "http")."""
    verdict = verdict_of(diagnosis)
    _diagnoses.labels(diagnosis.model, verdict).inc()
    _seconds.labels(diagnosis.model).observe(diagnosis.seconds)
    _waited.observe(waited)
    _batch.observe(batch)
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "event": "diagnosis",
        "model": diagnosis.model,
        "verdict": verdict,
        "reasons": [reason.code for reason in diagnosis.verdict.reasons],
        "milliseconds": round(1000 * diagnosis.seconds),
        "waited_milliseconds": round(1000 * waited),
        "batch": batch,
        "from": who.split(":", maxsplit=1)[0],
        "version": diagnosis.version,
    }
    log.info(json.dumps(line))


def count_refused(reason: str) -> None:
    """Count a film that got no answer, by a code of `pipeline.text.messages`."""
    _refused.labels(reason).inc()


def show_depth(waiting: int, running: int) -> None:
    """How many films wait, and how many are in the graph."""
    _depth.set(waiting)
    _running.set(running)


def start_log() -> None:
    """Write the lines to standard error, each by itself, whatever other loggers do."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.handlers = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False


def start_metrics(port: int, address: str):
    """Serve ``/metrics`` for Prometheus; returns the server, to be shut down."""
    server, _thread = start_http_server(port, address)
    return server
