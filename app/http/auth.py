"""Bearer tokens for the HTTP interface of a server that asks for a sign-in.

What is accepted is a token (JWT) that the provider under ``[auth]`` in ``.streamlit/secrets.toml``
has signed for this client: its ID token, for one.
"""

import httpx
import streamlit as st
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from pipeline.serving.settings import read_settings

ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "PS256", "EdDSA"]
SECONDS = 10


async def allow(request: Request) -> bool:
    """Whether the request may be answered: it carries a valid token, or none is asked for."""
    if not read_settings().sign_in:
        return True
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return kind.lower() == "bearer" and await run_in_threadpool(_is_valid, token)


def _is_valid(token: str) -> bool:
    try:
        provider = st.secrets["auth"]
        about, keys = _provider(provider["server_metadata_url"])
        claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
        rules = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": about["issuer"]},
            aud={"essential": True, "value": provider["client_id"]},
            exp={"essential": True},
        )
        rules.validate(claims)
    except (JoseError, ValueError, KeyError, FileNotFoundError, httpx.HTTPError):
        return False
    return True


@st.cache_data(ttl=600, show_spinner=False)
def _fetch(url: str) -> dict:
    answer = httpx.get(url, timeout=SECONDS)
    answer.raise_for_status()
    return answer.json()


def _provider(metadata_url: str) -> tuple[dict, KeySet]:
    about = _fetch(metadata_url)
    return about, KeySet.import_key_set(_fetch(about["jwks_uri"]))
