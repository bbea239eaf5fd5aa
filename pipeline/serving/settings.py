"""What the environment decides: every variable, its default and its range, in one place."""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from functools import partial
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit


def _variable(name: str, default, about: str, low=None, high=None, secret=False):
    about = {"name": name, "about": about, "low": low, "high": high}
    return field(default=default, metadata=about, repr=not secret)


@dataclass(frozen=True)
class Settings:
    """The server's settings; docs/operations.md has a row for each, which a test compares.

    Read with `read_settings`. ``PULMOSCOPE_DATA`` and ``PULMOSCOPE_WEIGHTS`` are read anew
    whenever they are needed, the others once, when the server starts.
    """

    data: str = _variable("PULMOSCOPE_DATA", "", "folder of the database, for its images")
    weights: str = _variable("PULMOSCOPE_WEIGHTS", "", "folder of weights and registry")
    site: str = _variable("PULMOSCOPE_SITE", "", "site card: threshold and triage of a hospital")
    preload: str = _variable("PULMOSCOPE_PRELOAD", "light", "models loaded at the start, by commas")
    queue: int = _variable("PULMOSCOPE_QUEUE", 64, "images that may wait at a time", 1, 10_000)
    batch: int = _variable("PULMOSCOPE_BATCH", 4, "images of one size per forward pass", 1, 256)
    patience: int = _variable("PULMOSCOPE_PATIENCE", 120, "seconds an image may wait", 1, 3600)
    memory: int = _variable("PULMOSCOPE_MEMORY", 0, "MB for images; 0: a third", 0, 1_000_000)
    proxies: str = _variable("PULMOSCOPE_PROXIES", "", "addresses whose X-Forwarded-For counts")
    log: int = _variable("PULMOSCOPE_LOG", 1, "1: a JSON line per diagnosis, 0: none", 0, 1)
    metrics_port: int = _variable("PULMOSCOPE_METRICS_PORT", 0, "Prometheus; 0: none", 0, 65535)
    metrics_address: str = _variable("PULMOSCOPE_METRICS_ADDRESS", "127.0.0.1", "who may ask it")
    gpu: int = _variable("PULMOSCOPE_GPU", 0, "1: warn where no graphics card is found", 0, 1)
    sign_in: int = _variable("PULMOSCOPE_SIGN_IN", 0, "1: signing in is required", 0, 1)
    pacs: str = _variable("PULMOSCOPE_PACS", "", "address of a PACS's DICOMweb service")
    pacs_user: str = _variable("PULMOSCOPE_PACS_USER", "", "user, or client id of OAuth2")
    pacs_password: str = _variable(
        "PULMOSCOPE_PACS_PASSWORD", "", "its password or secret", secret=True
    )
    pacs_token: str = _variable("PULMOSCOPE_PACS_TOKEN", "", "where OAuth2 gives a token")
    pacs_secrets: str = _variable("PULMOSCOPE_PACS_SECRETS", "", "TOML file with those, [pacs]")
    pacs_ca: str = _variable("PULMOSCOPE_PACS_CA", "", "certificates that its TLS is checked by")


def variables() -> dict[str, dict]:
    """Every variable by name, with ``default``, ``about``, ``low`` and ``high``."""
    return {f.metadata["name"]: dict(f.metadata) | {"default": f.default} for f in fields(Settings)}


def read_settings(environment=os.environ) -> Settings:
    """The settings. Raises ValueError with a sentence for a value that does not fit."""
    values = {}
    for one in fields(Settings):
        text = environment.get(one.metadata["name"], "").strip()
        if text:
            values[one.name] = text if one.type is str else _whole_number(one.metadata, text)
    settings = Settings(**values)
    names = filter(None, (name.strip() for name in settings.preload.split(",")))
    return replace(settings, preload=",".join(names))


def check_settings(environment=os.environ, models: Collection[str] | None = None) -> Settings:
    """The settings, for a server that is about to start.

    Raises ValueError also for a variable that there is not, which may be a slip of the pen that
    opens what should be closed, for folders and addresses that are none, and for a model to preload
    that is not among ``models``.
    """
    known = variables()
    for name in sorted(environment):
        if name.startswith("PULMOSCOPE_") and name not in known:
            ends = [one.removeprefix("PULMOSCOPE_") for one in known]
            near = get_close_matches(name.removeprefix("PULMOSCOPE_"), ends, 1)
            hint = f"did you mean PULMOSCOPE_{near[0]}?" if near else "README lists them all."
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


def _check_address(name: str, text: str, read: Callable) -> None:
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


def _whole_number(about: dict, text: str) -> int:
    low, high = about["low"], about["high"]
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise ValueError(f"{about['name']} is {text!r}: give a whole number from {low} to {high}.")
    return int(text)
