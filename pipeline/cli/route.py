"""``python -m pipeline route``: receive radiographs by C-STORE, send their results on."""

import re
import ssl
from functools import partial

from pipeline.pacs.archive import archive
from pipeline.pacs.route import Router, Send, listen, to_node
from pipeline.serving import telemetry
from pipeline.serving.private_log import keep_identity_out
from pipeline.serving.queue import service
from pipeline.serving.settings import check_settings


def route(options) -> None:
    """Serve until the process is ended. Raises ValueError for settings that make no sense."""
    keep_identity_out()
    settings = check_settings()
    if settings.log:
        telemetry.start_log()
    if settings.metrics_port:
        telemetry.start_metrics(settings.metrics_port, settings.metrics_address)
    send = _receiver(options.to, options.title, bool(settings.pacs))
    service().models.prepare(options.model).result()
    router = Router(partial(_ask, options.model), send)
    print(f"{options.title} listens on {options.address}:{options.port}.", flush=True)
    address = options.address, options.port
    listen(router, options.title, options.allow, address, _tls(options))


def _ask(model: str, radiograph, party: str):
    return service().ask(f"route:{party}", radiograph, model, party=party)


def _receiver(to: str | None, mine: str, has_pacs: bool) -> Send:
    """An AE as TITLE@HOST:PORT, or the PACS that the environment names."""
    if to is None:
        if not has_pacs:
            raise ValueError("say where results go: --to TITLE@HOST:PORT, or set PULMOSCOPE_PACS.")
        return archive().store
    found = re.fullmatch(r"([^@\\]{1,16})@([^@:]+|\[[^]]+\]):(\d{1,5})", to)
    if found is None:
        raise ValueError(f"--to is {to!r}: give TITLE@HOST:PORT.")
    return to_node(found[1], found[2].strip("[]"), int(found[3]), mine)


def _tls(options) -> ssl.SSLContext | None:
    """Certificates come from files; senders must have one of the authority, where it is given."""
    if options.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=options.tls_ca)
    context.load_cert_chain(options.tls_cert, options.tls_key)
    if options.tls_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context
