"""What a server does not hand out: Streamlit's own metrics, what a cache may keep, open cookies."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http import auth
from pipeline.serving.settings import read_settings

CLOSED = ("/_stcore/metrics", "/_stcore/agent")
MEDIA = ("/media/", "/v1/diagnose")


class Closing:
    """Middleware: pictures and answers may be stored nowhere, cookies are Secure behind TLS, and
    Streamlit's counters, which tell of sessions, and its interface for agents are not there."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path = scope["path"]
        if path.startswith(CLOSED):
            return await PlainTextResponse("Not Found", 404)(scope, receive, send)
        secure = _is_encrypted(scope)

        async def finished(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if path.startswith(MEDIA):
                    headers["Cache-Control"] = "no-store"
                if secure:
                    message["headers"] = [
                        (name, _secured(value) if name.lower() == b"set-cookie" else value)
                        for name, value in message["headers"]
                    ]
            await send(message)

        await self.app(scope, receive, finished)


def _is_encrypted(scope: Scope) -> bool:
    """Whether the browser speaks TLS. A proxy that nobody knows may say so, too: it can only make
    cookies stricter."""
    said = Headers(scope=scope).get("x-forwarded-proto", "")
    return scope.get("scheme") == "https" or said.split(",")[-1].strip() == "https"


def _secured(cookie: bytes) -> bytes:
    parts = [part.strip().lower() for part in cookie.split(b";")]
    return cookie if b"secure" in parts else cookie + b"; Secure"


class Guarded:
    """The HTTP interface where a sign-in is asked for: nothing but its health without a token."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        open_to_all = not read_settings().sign_in or scope["type"] != "http"
        answers_itself = scope["path"].endswith(("/health", "/diagnose"))
        if not open_to_all and not answers_itself and await auth.caller(Request(scope)) is None:
            headers = {"WWW-Authenticate": "Bearer"}
            return await PlainTextResponse("Unauthorized", 401, headers)(scope, receive, send)
        await self.app(scope, receive, send)
