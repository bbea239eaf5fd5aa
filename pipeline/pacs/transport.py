"""HTTP to one PACS that ends in time, whatever the other side does, and brings no more than fits.

`requests` bounds each read, not the whole: a server that sends a byte now and then holds a caller
for hours. Here a timer shuts the connection's socket when the time for the whole is over.
"""

import contextlib
import io
import socket
import threading
from collections.abc import Callable
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from pipeline.serving.queue import NoAnswer

CONNECT, READ = 5.0, 15.0  # seconds for a connection, and between two parts of an answer
CHUNK = 65_536
MEGABYTE = 1_000_000


class PacsError(NoAnswer):
    """Why the PACS gave nothing; ``message`` says what to do."""


class Deadline:
    """So many seconds for all that is done inside ``with``; then its connections are cut."""

    def __init__(self, seconds: float):
        self.seconds, self.passed = seconds, False
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def watch(self, connected: socket.socket) -> None:
        """Cut this connection, too. Its duplicate stays valid when TLS takes the socket over."""
        self._sockets.append(connected.dup())
        if self.passed:
            self._end()

    def _end(self) -> None:
        self.passed = True
        for one in list(self._sockets):
            with contextlib.suppress(OSError):  # closed already
                one.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> "Deadline":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        for one in self._sockets:
            one.close()


class _Adapter(HTTPAdapter):
    """An adapter whose every connection is watched."""

    def __init__(self, watch: Callable[[socket.socket], None]):
        self._watch = watch
        super().__init__(max_retries=0)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {
            "http": _watched(HTTPConnectionPool, HTTPConnection, self._watch),
            "https": _watched(HTTPSConnectionPool, HTTPSConnection, self._watch),
        }


def _watched(pool: type, connection: type, watch: Callable[[socket.socket], None]) -> type:
    class Watched(connection):
        def _new_conn(self) -> socket.socket:
            connected = super()._new_conn()
            watch(connected)
            return connected

    return type(pool.__name__, (pool,), {"ConnectionCls": Watched})


class BoundedSession(requests.Session):
    """A session of one operation. Its answers are there whole, or PacsError says why not.

    ``room``: takes the bytes that an answer says it has, or None, and returns how many may come.
    No redirect is followed, no proxy or password is taken from the environment.
    """

    def __init__(self, deadline: Deadline, room: Callable[[int | None], int], verify: str | bool):
        super().__init__()
        self._deadline, self._room = deadline, room
        self.trust_env = False
        self.verify = verify
        self.headers["Accept-Encoding"] = "identity"
        for scheme in ("https://", "http://"):
            self.mount(scheme, _Adapter(deadline.watch))

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send and read all. Raises PacsError."""
        request.headers.pop("Host", None)  # dicomweb-client writes it without the port
        options |= {"stream": True, "allow_redirects": False, "timeout": (CONNECT, READ)}
        try:
            response = super().send(request, **options)
            with response:
                _check_status(response.status_code)
                data = self._read(response)
        except requests.RequestException as error:
            raise self._why(error) from None  # its text holds the address, and what was asked for
        except OSError as error:
            raise self._why(error) from None
        return _whole(response, data)

    def _read(self, response: requests.Response) -> bytes:
        stated = response.headers.get("Content-Length", "")
        size = int(stated) if stated.isdigit() else None
        most = self._room(size)
        data = bytearray()
        for part in response.iter_content(CHUNK):
            data += part
            if len(data) > most:
                raise PacsError("pacs_large", megabytes=max(1, most // MEGABYTE))
        if self._deadline.passed:  # what a cut connection brought looks like an end
            raise PacsError("pacs_slow", seconds=round(self._deadline.seconds))
        return bytes(data)

    def _why(self, error: Exception) -> PacsError:
        if self._deadline.passed or isinstance(error, requests.Timeout):
            return PacsError("pacs_slow", seconds=round(self._deadline.seconds))
        if isinstance(error, requests.exceptions.SSLError):
            return PacsError("pacs_certificate")
        cut = requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError
        return PacsError("pacs_cut" if isinstance(error, cut) else "pacs_unreachable")


def _whole(came: requests.Response, data: bytes) -> requests.Response:
    """The answer with all of its bytes, which no longer needs a connection."""
    whole = requests.Response()
    whole.status_code, whole.url, whole.request = came.status_code, came.url, came.request
    whole.raw = io.BytesIO(data)
    kind = came.headers.get("Content-Type", "")
    # dicomweb-client knows JSON without parameters only.
    whole.headers["Content-Type"] = kind.split(";")[0].strip() if "json" in kind else kind
    return whole


def _check_status(status: int) -> None:
    if status in (401, 403):
        raise PacsError("pacs_denied")
    if status in (404, 410):
        raise PacsError("pacs_missing")
    if not 200 <= status < 300:
        raise PacsError("pacs_status", status=status)
