"""Bearer tokens for the HTTP interface of a server that asks for a sign-in.

What is accepted is a token (JWT) that the provider under ``[auth]`` in ``.streamlit/secrets.toml``
has signed for this client: its ID token, for one.
"""

import json
import threading
import time
from base64 import urlsafe_b64decode

import httpx
import streamlit as st
from anyio import CapacityLimiter, to_thread
from fastapi import Request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from pipeline.serving.settings import read_settings

ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "PS256", "EdDSA"]
SECONDS = 3.0  # that the provider may take
KEPT = 600.0  # seconds that its answers hold
FAILED = 30.0  # seconds for which it is not asked again after a failure
OLD_ENOUGH = 60.0  # seconds after which keys are fetched anew for a key that is not among them
LEEWAY = 60  # seconds that two clocks may differ
LONGEST = 16_000  # characters of a token

# Pages, fonts and health share another pool of threads: a slow provider keeps none of them.
ASKING = CapacityLimiter(1)
CHECKING = CapacityLimiter(2)


class NoProvider(RuntimeError):
    """The provider cannot be asked, or has failed a moment ago."""


class Provider:
    """The provider's description and keys, fetched by one thread at a time and kept a while."""

    def __init__(self):
        self._lock = threading.Lock()
        self._url = self._issuer = ""
        self._keys: KeySet | None = None
        self._known: frozenset[str | None] = frozenset()
        self._fetched = self._failed = -1e9

    def holds(self, url: str, key: str | None) -> bool:
        """Whether a token of this key can be judged now, or refused, without asking anybody."""
        with self._lock:
            now = time.monotonic()
            if url != self._url or self._keys is None or now - self._fetched > KEPT:
                return False
            unknown = key is not None and key not in self._known
            return not unknown or now - self._fetched < OLD_ENOUGH

    def keys(self) -> tuple[str, KeySet]:
        """Issuer and keys as they are held. Raises NoProvider."""
        with self._lock:
            if self._keys is None:
                raise NoProvider
            return self._issuer, self._keys

    def fetch(self, url: str) -> None:
        """Ask the provider, unless it failed a moment ago. Raises NoProvider."""
        with self._lock:
            if url == self._url and time.monotonic() - self._failed < FAILED:
                raise NoProvider
        try:
            about = _fetch(url)
            keys = KeySet.import_key_set(_fetch(about["jwks_uri"]))
            issuer = about["issuer"]
        except (JoseError, ValueError, KeyError, TypeError, httpx.HTTPError) as error:
            with self._lock:
                self._url, self._failed = url, time.monotonic()
            raise NoProvider from error
        with self._lock:
            self._url, self._issuer, self._keys = url, issuer, keys
            self._known = frozenset(key.kid for key in keys.keys)
            self._fetched, self._failed = time.monotonic(), -1e9


provider = Provider()


async def caller(request: Request) -> str | None:
    """The party that asks: its token's subject, or its address where no token is asked for.

    None: a token is asked for, and there is no valid one.
    """
    if not read_settings().sign_in:
        return request.client.host if request.client else ""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    header = _header(token) if kind.lower() == "bearer" else None
    if header is None:
        return None
    try:
        settings = st.secrets["auth"]
        url, client = settings["server_metadata_url"], settings["client_id"]
        if not provider.holds(url, header.get("kid")):
            await to_thread.run_sync(_fetch_once, url, header.get("kid"), limiter=ASKING)
        return await to_thread.run_sync(_subject, token, client, limiter=CHECKING)
    except (NoProvider, KeyError, FileNotFoundError):
        return None


def _header(token: str) -> dict | None:
    """The header of what may be a token of the provider's, before anybody is asked."""
    parts = token.split(".")
    if len(token) > LONGEST or len(parts) != 3 or not all(parts):
        return None
    try:
        header = json.loads(urlsafe_b64decode(parts[0] + "=" * (-len(parts[0]) % 4)))
        claims = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    shaped = isinstance(header, dict) and isinstance(claims, dict)
    if not shaped or header.get("alg") not in ALGORITHMS or "exp" not in claims:
        return None
    return header if isinstance(header.get("kid"), str | None) else None


def _fetch_once(url: str, key: str | None) -> None:
    if not provider.holds(url, key):  # another may have asked meanwhile
        provider.fetch(url)


def _subject(token: str, client: str) -> str | None:
    """Whom a valid token names, else None."""
    issuer, keys = provider.keys()
    try:
        claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
        rules = jwt.JWTClaimsRegistry(
            leeway=LEEWAY,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": client},
            exp={"essential": True},
        )
        rules.validate(claims)
    except (JoseError, ValueError):
        return None
    return f"sub:{claims.get('sub', '')}"


def _fetch(url: str) -> dict:
    answer = httpx.get(url, timeout=SECONDS)
    answer.raise_for_status()
    return answer.json()
