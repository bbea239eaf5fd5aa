"""Who this server is to the PACS: nobody, a user with a password, or an OAuth2 client."""

import threading
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import requests
from requests.auth import HTTPBasicAuth

from pipeline.pacs.transport import PacsError
from pipeline.serving.settings import Settings

EARLY = 30.0  # seconds before its end at which a token is asked for anew
SHORTEST = 60.0  # seconds that a token without an end is kept


@dataclass(frozen=True)
class Credentials:
    """``user`` and ``password``; where there is ``token``, an address, they are an OAuth2 client's
    (client credentials, RFC 6749 4.4)."""

    user: str = ""
    password: str = field(default="", repr=False)
    token: str = ""


def read_credentials(settings: Settings) -> Credentials:
    """From the environment, or from the section ``[pacs]`` of a TOML file. Raises PacsError."""
    if not settings.pacs_secrets:
        return Credentials(settings.pacs_user, settings.pacs_password, settings.pacs_token)
    try:
        section = tomllib.loads(Path(settings.pacs_secrets).read_text("utf-8"))["pacs"]
        return Credentials(**{name: str(value) for name, value in section.items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise PacsError("pacs_secrets") from None


class Bearer:
    """The token of an OAuth2 client, asked for when it is needed and kept while it is good."""

    def __init__(self, credentials: Credentials):
        self._credentials = credentials
        self._lock = threading.Lock()
        self._token, self._until = "", 0.0

    def token(self, session: requests.Session) -> str:
        """Raises PacsError."""
        with self._lock:
            if time.monotonic() < self._until:
                return self._token
        mine = HTTPBasicAuth(self._credentials.user.encode(), self._credentials.password.encode())
        form = {"grant_type": "client_credentials"}
        answer = session.post(self._credentials.token, data=form, auth=mine)
        try:
            said = answer.json()
            token, lasts = str(said["access_token"]), float(said.get("expires_in", SHORTEST))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise PacsError("pacs_denied") from None
        with self._lock:
            self._token, self._until = token, time.monotonic() + lasts - EARLY
        return token

    def forget(self) -> None:
        """Ask for another next time: this one was refused."""
        with self._lock:
            self._until = 0.0
