"""What the environment decides: every variable, its default and its range, in one place."""

import os
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from functools import cache, lru_cache, partial
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

from annotated_types import Ge, Le
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

PREFIX = "PULMOSCOPE_"


def _digits(value: Any) -> Any:
    """Digits and nothing else: pydantic alone takes "+1", "1_0" and "1.0" for whole numbers."""
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise ValueError("not digits")
    return value


def _without_gaps(names: str) -> str:
    return ",".join(filter(None, (name.strip() for name in names.split(","))))


Whole = Annotated[int, BeforeValidator(_digits)]
Switch = Annotated[Whole, Field(ge=0, le=1)]
Names = Annotated[str, AfterValidator(_without_gaps)]


class Settings(BaseSettings):
    """The server's settings; docs/operations.md has a row for each, which a test compares.

    A field is the variable of its name in capitals after `PREFIX`. Read with `read_settings`.
    ``PULMOSCOPE_DATA``, ``PULMOSCOPE_WEIGHTS`` and ``PULMOSCOPE_ENGINE`` are read anew whenever
    they are needed, the others once, when the server starts.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    data: str = Field("", description="folder of the database, for its images")
    weights: str = Field("", description="folder of weights and registry")
    site: str = Field("", description="site card: threshold and triage of a hospital")
    preload: Names = Field("light", description="models loaded at the start, by commas")
    engine: Literal["auto", "keras", "onnx"] = Field("auto", description="auto, keras or onnx")
    queue: Whole = Field(64, ge=1, le=10_000, description="images that may wait at a time")
    batch: Whole = Field(4, ge=1, le=256, description="images of one size per forward pass")
    patience: Whole = Field(120, ge=1, le=3600, description="seconds an image may wait")
    memory: Whole = Field(0, ge=0, le=1_000_000, description="MB for images; 0: a third")
    proxies: str = Field("", description="addresses whose X-Forwarded-For counts")
    log: Switch = Field(1, description="1: a JSON line per diagnosis, 0: none")
    metrics_port: Whole = Field(0, ge=0, le=65535, description="Prometheus; 0: none")
    metrics_address: str = Field("127.0.0.1", description="who may ask it")
    gpu: Switch = Field(0, description="1: warn where no graphics card is found")
    sign_in: Switch = Field(0, description="1: signing in is required")
    pacs: str = Field("", description="address of a PACS's DICOMweb service")
    pacs_user: str = Field("", description="user, or client id of OAuth2")
    pacs_password: str = Field("", repr=False, description="its password or secret")
    pacs_token: str = Field("", description="where OAuth2 gives a token")
    pacs_secrets: str = Field("", description="TOML file with those, [pacs]")
    pacs_ca: str = Field("", description="certificates that its TLS is checked by")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        **_others: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What `read_settings` gives, and no file of variables that happens to lie about."""
        return (init_settings,)


@cache
def variables() -> dict[str, dict[str, Any]]:
    """Every variable by name, with ``default``, ``about``, ``low``, ``high`` and ``choices``."""
    found = {}
    for name, field in Settings.model_fields.items():
        about = {"default": field.default, "about": field.description, "low": None, "high": None}
        chosen = get_origin(field.annotation) is Literal
        about["choices"] = get_args(field.annotation) if chosen else ()
        for limit in field.metadata:
            if isinstance(limit, Ge | Le):
                about |= {"low": limit.ge} if isinstance(limit, Ge) else {"high": limit.le}
        found[PREFIX + name.upper()] = about
    return found


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings. Raises ValueError with a sentence for a value that does not fit."""
    given = ((name, environment.get(name, "").strip()) for name in variables())
    return _settings(tuple((name, text) for name, text in given if text))


@lru_cache(maxsize=8)
def _settings(given: tuple[tuple[str, str], ...]) -> Settings:
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): text for name, text in given}
    try:
        return Settings(**source())
    except ValidationError as error:
        name = PREFIX + str(error.errors()[0]["loc"][0]).upper()
        about = variables()[name]
        wanted = f"a whole number from {about['low']} to {about['high']}"
        if about["choices"]:
            wanted = f"one of {', '.join(about['choices'])}"
        raise ValueError(f"{name} is {dict(given)[name]!r}: give {wanted}.") from None


def check_settings(
    environment: Mapping[str, str] = os.environ, models: Collection[str] | None = None
) -> Settings:
    """The settings, for a server that is about to start.

    Raises ValueError also for a variable that there is not, which may be a slip of the pen that
    opens what should be closed, for folders and addresses that are none, and for a model to preload
    that is not among ``models``.
    """
    known = variables()
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known:
            ends = [one.removeprefix(PREFIX) for one in known]
            near = get_close_matches(name.removeprefix(PREFIX), ends, 1)
            hint = f"did you mean {PREFIX}{near[0]}?" if near else "README lists them all."
            raise ValueError(f"There is no setting {name}: {hint}")
    settings = read_settings(environment)
    for name, folder in (("DATA", settings.data), ("WEIGHTS", settings.weights)):
        if folder and not Path(folder).is_dir():
            raise ValueError(f"PULMOSCOPE_{name} is {folder!r}: there is no such folder.")
    for name, file in (("SECRETS", settings.pacs_secrets), ("CA", settings.pacs_ca)):
        if file and not Path(file).is_file():
            raise ValueError(f"PULMOSCOPE_PACS_{name} is {file!r}: there is no such file.")
    for name, address in (("PACS", settings.pacs), ("PACS_TOKEN", settings.pacs_token)):
        if address:
            _check_web_address(f"PULMOSCOPE_{name}", address)
    if settings.pacs and find_spec("dicomweb_client") is None:
        raise ValueError("PULMOSCOPE_PACS needs the extra 'pacs': pip install 'pulmoscope[pacs]'.")
    _check_address("PULMOSCOPE_METRICS_ADDRESS", settings.metrics_address, ip_address)
    for one in filter(None, settings.proxies.split(",")):
        _check_address("PULMOSCOPE_PROXIES", one.strip(), partial(ip_network, strict=False))
    for one in filter(None, settings.preload.split(",")):
        if models is not None and one not in models:
            raise ValueError(
                f"PULMOSCOPE_PRELOAD names {one!r}: choose from {', '.join(sorted(models))}."
            )
    return settings


def _check_address(name: str, text: str, read: Callable[[str], Any]) -> None:
    try:
        read(text)
    except ValueError as error:
        raise ValueError(f"{name} names {text!r}: give an address such as 10.0.0.1.") from error


def _check_web_address(name: str, text: str) -> None:
    """What names patients goes over TLS, but within this machine or a network of containers."""
    parts = urlsplit(text)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.query:
        raise ValueError(f"{name} is no address: give one such as https://pacs.example/dicom-web.")
    near = host == "::1" or host.startswith("127.") or not {".", ":"} & set(host)
    if parts.scheme == "http" and not near:
        raise ValueError(f"{name} sends patients' names unencrypted to {host}: give https://.")
