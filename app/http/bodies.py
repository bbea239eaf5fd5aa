"""What comes in: how much of it at a time, how slowly, and from whom.

The HTTP interface takes a body by `take_body`; what browsers send to Streamlit's upload route
passes `Uploads`.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterator

from starlette.datastructures import Headers
from starlette.formparsers import MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config, runtime

from app.session import sign_in
from pipeline.serving import budget
from pipeline.serving.queue import NoAnswer
from pipeline.text.messages import Message as Said

GRACE = 10.0  # seconds that a body may take in any case
RATE = 250_000  # bytes per second that it must make beyond
PATIENCE = 30.0  # seconds that it waits for its place
MULTIPART = 64 * 1024  # what a form adds to a file, more or less
UPLOADS = "/_stcore/upload_file/"

# What is uploaded stays in memory: above a megabyte it would be spooled to a temporary file.
MultiPartParser.spool_max_size = 2**40


class Slow(Exception):
    """A body that does not come."""


class TooLarge(Exception):
    """A body longer than an upload may be."""


def longest() -> int:
    """Bytes that an upload may have."""
    return config.get_option("server.maxUploadSize") * 1024 * 1024


class Requests:
    """How many requests are open: at most ``total``, and of the last quarter none of a party that
    has a quarter already."""

    def __init__(self, total: int):
        self.total = total
        self._open: Counter[str] = Counter()

    @contextlib.contextmanager
    def one(self, party: str) -> Iterator[None]:
        """A request from its first byte to its answer. Raises NoAnswer where there are too many."""
        count, quarter = self._open.total(), self.total // 4
        crowded = self.total - count <= quarter
        if count >= self.total or (crowded and self._open[party] >= quarter):
            raise NoAnswer("queue_full", count=count)
        self._open[party] += 1
        try:
            yield
        finally:
            self._open[party] -= 1
            if not self._open[party]:
                del self._open[party]


class Pace:
    """How long the next part of a body may take."""

    def __init__(self):
        self._began, self._bytes = time.monotonic(), 0

    async def next(self, coming):
        """What ``coming`` gives. Raises Slow."""
        last = self._began + GRACE + self._bytes / RATE
        try:
            async with asyncio.timeout(last - time.monotonic()):
                return await coming
        except TimeoutError as error:
            raise Slow from error

    def count(self, part: bytes) -> None:
        self._bytes += len(part)


async def until_granted(place: budget.Place, request: Request) -> None:
    """Wait for a place. Raises NoAnswer after `PATIENCE`, ClientDisconnect when nobody waits."""
    left = PATIENCE
    try:
        while not place.granted.done() and left > 0:
            if await request.is_disconnected():
                raise ClientDisconnect
            await asyncio.sleep(0.05)
            left -= 0.05
            place.look()
        place.wait(0)
    except BaseException:
        place.release()
        raise


async def let_pass(receive: Receive) -> None:
    """Read what still comes of a refused body and keep none of it.

    A connection that is closed before may take the answer with it, and the caller would not learn
    why it was refused. Ends after `GRACE` seconds or as many bytes as an upload may have.
    """
    left = longest()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


async def take_body(request: Request, party: str) -> tuple[bytes, budget.Place]:
    """A request's body, and the place that it keeps until it is released.

    The place is taken before the first byte: of the length that is stated, or the longest. Raises
    NoAnswer, TooLarge, Slow, ClientDisconnect.
    """
    try:
        return await _take_body(request, party)
    except (NoAnswer, TooLarge):
        await let_pass(request.receive)
        raise


async def _take_body(request: Request, party: str) -> tuple[bytes, budget.Place]:
    stated = request.headers.get("content-length", "")
    size = int(stated) if stated.isdigit() else longest()
    if size > longest():
        raise TooLarge
    shared = budget.bodies()
    place = shared.ask(min(max(size, 1), shared.total), party)
    try:
        # Not `until_granted`: whether somebody waits is asked of the same stream as the body.
        for _ in range(round(PATIENCE / 0.05)):
            if place.granted.done():
                break
            await asyncio.sleep(0.05)
        place.wait(0)
        data, pace, stream = bytearray(), Pace(), aiter(request.stream())
        with contextlib.suppress(StopAsyncIteration):
            while True:
                part = await pace.next(anext(stream))
                pace.count(part)
                data += part
                if len(data) > longest():
                    raise TooLarge
        return bytes(data), place
    except BaseException:
        place.release()
        raise


class Uploads:
    """Middleware for Streamlit's upload route: the same limits, and a bound on what it keeps.

    Streamlit keeps what a session was sent until it ends. All sessions together may keep the
    budget's part for files, and those of one party half of it.
    """

    def __init__(self, app: ASGIApp):
        self.app = app
        self._party: dict[str, str] = {}  # by session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or scope["method"] != "PUT" or not path.startswith(UPLOADS):
            return await self.app(scope, receive, send)
        session, party = path[len(UPLOADS) :].split("/")[0], scope["client"][0]
        if not sign_in.admits(session):
            return await PlainTextResponse("Unauthorized", 401)(scope, receive, send)
        stated = Headers(scope=scope).get("content-length", "")
        size = int(stated) if stated.isdigit() else longest() + MULTIPART
        try:
            place = self._place(size, session, party)
        except NoAnswer as error:
            await let_pass(receive)
            refusal = PlainTextResponse(error.message.sentence(), 429, {"Connection": "close"})
            return await refusal(scope, receive, send)
        with place:
            await self._pass_on(scope, receive, send)

    def _place(self, size: int, session: str, party: str) -> budget.Place:
        kept = stored()
        self._party = {s: p for s, p in self._party.items() if s in kept} | {session: party}
        mine = sum(count for s, count in kept.items() if self._party.get(s) == party)
        shared = budget.files()
        if mine + size > shared.total / 2 and mine:
            raise NoAnswer("no_room")
        return shared.at_once(min(size, shared.total), party)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        pace, begun = Pace(), False

        async def paced() -> Message:
            message = await pace.next(receive())
            pace.count(message.get("body", b""))
            return message

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, paced, watched)
        except Slow:
            if not begun:
                said = Said("body_slow").sentence()
                await PlainTextResponse(said, 408, {"Connection": "close"})(scope, receive, send)


def stored() -> dict[str, int]:
    """Bytes of files that Streamlit keeps, by session."""
    if not runtime.exists():
        return {}
    storage = runtime.get_instance().uploaded_file_mgr.file_storage
    return {
        session: sum(len(file.data) for file in list(files.values()))
        for session, files in list(storage.items())
    }


def give_back(file) -> None:
    """Let Streamlit forget an uploaded file of the session that runs."""
    context = runtime.scriptrunner.get_script_run_ctx()
    if context is not None and runtime.exists():
        manager = runtime.get_instance().uploaded_file_mgr
        manager.remove_file(context.session_id, file.file_id)
