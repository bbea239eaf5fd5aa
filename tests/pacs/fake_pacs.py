"""A DICOMweb server on loopback that answers as it is told, also badly."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

BOUNDARY = "part-of-the-answer"


class FakePacs:
    """``answer``: what is sent next, set by a test: a function of the handler. ``asked``: method,
    path, query and headers of what came."""

    def __init__(self):
        self.answer = None
        self.asked: list[tuple[str, str, dict, dict]] = []
        self.bodies: list[bytes] = []
        self.released = threading.Event()


def send(handler, body: bytes, kind: str, status: int = 200, length: int | None = None) -> None:
    """An ordinary answer; ``length``: what it says that it has."""
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)


def send_json(handler, value, status: int = 200) -> None:
    send(handler, json.dumps(value).encode(), "application/dicom+json; charset=utf-8", status)


def send_parts(handler, *parts: bytes, closed: bool = True) -> None:
    """Parts of a multipart answer; not ``closed``: without its end."""
    head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    body = b"".join(head + part + b"\r\n" for part in parts)
    body += f"--{BOUNDARY}--\r\n".encode() if closed else b""
    kind = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'
    send(handler, body, kind)


@contextmanager
def fake_pacs():
    """The server and its address."""
    fake = FakePacs()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            fake.asked.append((self.command, parts.path, parse_qs(parts.query), headers))
            fake.answer(self)

        def do_POST(self):
            fake.bodies.append(self._body())
            self.do_GET()

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield fake, f"http://127.0.0.1:{server.server_port}/dicom-web"
    finally:
        fake.released.set()
        server.shutdown()
        server.server_close()
