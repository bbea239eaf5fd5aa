"""The same graph for other programs: ``POST /v1/diagnose``, described at ``/v1/docs``.

A film comes as the body of the request, as it lies on disk; it is read in memory and kept nowhere.
The answer is the command line's record, errors are the page's sentences, and films wait in the
page's queue.
"""

import hashlib
from typing import Annotated, Literal

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel, Field
from streamlit import config

from app.http import auth
from pipeline import __version__
from pipeline.io.radiograph import UnreadableRadiograph, read_radiograph
from pipeline.models import registry
from pipeline.models.registry import WeightsError
from pipeline.serving import self_check
from pipeline.serving.queue import NoAnswer, service
from pipeline.serving.settings import read_settings
from pipeline.text.messages import Message

NOTE = "Not for diagnostic use."
# HTTP statuses of what is nobody's fault but the server's, by code of `pipeline.text.messages`.
BUSY = {"queue_full": 429, "queue_patience": 503, "stopping": 503, "model_unknown": 404}

api: FastAPI = FastAPIOffline(
    title="Pulmoscope",
    version=__version__,
    description=f"Lung mask and COVID score of a chest radiograph. **{NOTE}**",
    openapi_url="/openapi.json",
)


class Record(BaseModel):
    """What a model says of a film, or why it says nothing."""

    sha256: str | None = Field(description="Of the bytes that were sent, hexadecimal")
    status: Literal["ok", "abstained", "error"]
    reasons: list[str] = Field(description="Codes: why there is no score")
    sentences: list[str] = Field(description="The same in words: what, why, what to do")
    notes: list[str] = Field([], description="What to know of how the file was read")
    model: str | None
    weights_sha256: str | None = None
    unet_sha256: str | None = None
    covid_probability: float | None = Field(None, description="0..1, null unless ok")
    threshold: float | None = Field(None, description="Positive at or above this score, 0..1")
    positive: bool | None = None
    triage: Literal["likely", "unlikely", "uncertain"] | None = None
    lung_area_fraction: float | None = Field(None, description="Share of the image, 0..1")
    seconds: float | None = Field(None, description="Time of the forward pass")
    version: str = __version__
    note: str = NOTE


class Refused(Exception):
    """An answer that is an error: HTTP status, and the record that says why."""

    def __init__(self, status: int, message: Message, model: str | None = None, data: bytes = b""):
        super().__init__(message.code)
        self.status = status
        self.record = Record(
            sha256=hashlib.sha256(data).hexdigest() if data else None,
            status="error",
            reasons=[message.code],
            sentences=[message.sentence()],
            model=model,
        )


@api.exception_handler(Refused)
async def _say_why(_request: Request, error: Refused) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
    return JSONResponse(error.record.model_dump(), error.status, headers)


@api.exception_handler(RequestValidationError)
async def _say_what_is_wrong(_request: Request, error: RequestValidationError) -> JSONResponse:
    """A query that makes no sense, in the shape and the words of all other errors."""
    name = str(error.errors()[0]["loc"][-1])
    refused = Refused(422, Message("query_invalid", {"name": name}))
    return JSONResponse(refused.record.model_dump(), refused.status)


FILM = {
    "requestBody": {
        "required": True,
        "description": "PNG, JPEG, BMP, TIFF, WebP or DICOM, as the file's bytes",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
ERRORS = {
    status: {"model": Record, "description": text}
    for status, text in {
        400: "These bytes are not a readable image",
        401: "This server requires a bearer token",
        404: "Unknown model",
        413: "Larger than the server accepts",
        415: "A form or a compressed body instead of the image's bytes",
        422: "Invalid value in the query",
        429: "Too many images are waiting",
        503: "No model, no time left, or the server is stopping",
    }.items()
}


# Streamlit's pages, static files and /health share a small pool of threads; films that wait for an
# answer have places of their own, more than the queue has.
PLACES = CapacityLimiter(read_settings().queue + 8)


@api.post("/diagnose", tags=["Films"], openapi_extra=FILM, responses=ERRORS)
async def diagnose(
    request: Request,
    model: Annotated[str, Query(description="light or xception")] = "light",
    threshold: Annotated[float | None, Query(ge=0, le=1, description="instead of ours")] = None,
) -> Record:
    """Lung area, COVID score and verdict of one film."""
    if not await auth.allow(request):
        raise Refused(401, Message("token_needed"))
    if not PLACES.available_tokens:
        raise Refused(429, Message("queue_full", {"count": PLACES.borrowed_tokens}))
    _check_kind(request)
    data = await _body(request)
    return await to_thread.run_sync(_answer, request, model, threshold, data, limiter=PLACES)


def _check_kind(request: Request) -> None:
    """The film itself is the body: no form around it, no packing."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    packing = request.headers.get("content-encoding", "identity").strip().lower()
    if kind.startswith("multipart/") or packing not in ("", "identity"):
        what = kind if kind.startswith("multipart/") else packing
        shown = "".join(c for c in what if c.isascii() and c.isprintable())[:40]
        raise Refused(415, Message("body_kind", {"kind": shown}))


async def _body(request: Request) -> bytes:
    """The body, refused as soon as it is longer than an upload may be."""
    megabytes = config.get_option("server.maxUploadSize")
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > megabytes * 1024 * 1024:
            raise Refused(413, Message("upload_large", {"megabytes": megabytes}))
    return bytes(data)


def _answer(request: Request, model: str, threshold: float | None, data: bytes) -> Record:
    who = f"http:{request.client.host if request.client else ''}"
    try:
        _must_be_installed(model)
        diagnosis = service().ask(who, read_radiograph(data), model)
    except UnreadableRadiograph as error:
        raise Refused(400, error.message, model, data) from error
    except (NoAnswer, WeightsError) as error:
        raise Refused(BUSY.get(error.message.code, 503), error.message, model, data) from error
    said = diagnosis.as_dict()
    if threshold is not None and said["covid_probability"] is not None:
        said |= {"threshold": threshold, "positive": said["covid_probability"] >= threshold}
    sentences = [reason.sentence() for reason in diagnosis.verdict.reasons]
    notes = [note.sentence() for note in diagnosis.radiograph.notes]
    return Record(**said, sentences=sentences, notes=notes)


def _must_be_installed(model: str) -> None:
    if model in registry.classifiers():
        return
    known = registry.classifiers(installed=False)
    if model not in known:
        raise NoAnswer("model_unknown", model=model, known=", ".join(known))
    registry.entry(model).checked_file()  # which says what is missing


class Health(BaseModel):
    """Whether films can be diagnosed."""

    ready: bool
    models: dict[str, str] = Field(description='"ok", "loading", or what is wrong')


@api.get(
    "/health",
    tags=["Server"],
    responses={503: {"model": Health, "description": "Not, or not yet"}},
)
def health(response: Response) -> Health:
    """Ready when every model named in PULMOSCOPE_PRELOAD gives its canary film's golden answer."""
    names = [name for name in read_settings().preload.split(",") if name]
    states = {name: self_check.state(name, service().models) for name in names}
    ready = all(state == "ok" for state in states.values())
    response.status_code = 200 if ready else 503
    return Health(ready=ready, models=states)
