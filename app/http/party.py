"""Whose request it is: a signed-in person, or else an address, which a proxy may tell."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.serving.settings import read_settings

FORWARDED = "forwarded"  # all together who name an address that nobody here believes
LOCAL = "127.0.0.1"


def address_of(scope: Scope, proxies: str) -> str:
    """The client's address; X-Forwarded-For is believed from ``proxies`` alone.

    ``proxies``: addresses and networks, separated by commas. The last address in the header that is
    no proxy itself counts: what stands before it the client may have written.
    """
    address, port = scope.get("client") or (LOCAL, 0)
    hops = Headers(scope=scope).getlist("x-forwarded-for")
    hops = [hop.strip() for hop in ",".join(hops).split(",") if hop.strip()]
    if not hops:
        return address
    known = [ip_network(one.strip(), strict=False) for one in proxies.split(",") if one.strip()]
    # uvicorn puts the forwarded address in the place of a local peer's, and 0 for its port.
    peer = address if port else LOCAL
    if not _within(peer, known):
        return peer if port else FORWARDED
    return next((hop for hop in reversed(hops) if not _within(hop, known)), peer)


def _within(address: str, networks: Iterable) -> bool:
    try:
        return any(ip_address(address) in network for network in networks)
    except ValueError:
        return False


class Addresses:
    """Middleware: everything behind it sees the client's address as `address_of` finds it."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            address = address_of(scope, read_settings().proxies)
            scope = dict(scope, client=(address, 1))
        await self.app(scope, receive, send)
