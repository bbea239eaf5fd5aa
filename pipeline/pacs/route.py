"""Radiographs that a modality or a PACS sends (DICOM C-STORE), answered and passed on at once.

A sender is told that an image is stored when its results have arrived where they go: nothing waits
here that could be lost, and nothing is written to disk. Where that fails for want of room, of time
or of a receiver, the status says so (A700, out of resources) and the sender tries again; an image
that cannot be read, or whose header allows no results, is refused for good (C000).
"""

import io
import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pydicom
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    Verification,
)

from pipeline.inference.diagnosis import Diagnosis
from pipeline.io.dicom import DECODERS
from pipeline.io.radiograph import Radiograph, UnreadableRadiograph
from pipeline.models.registry import WeightsError
from pipeline.pacs.transport import PacsError
from pipeline.report.dicom.results import result_objects
from pipeline.report.dicom.source import NotExportable
from pipeline.serving import films, telemetry
from pipeline.serving.private_log import kind_and_place
from pipeline.serving.queue import NoAnswer

log = logging.getLogger(__name__)
SUCCESS, TRY_AGAIN, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xC000  # PS3.4 B.2.3
TAKEN = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)
PLAIN = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
ASSOCIATIONS = 8  # at a time; further senders are refused for now
SECONDS = 25.0  # for a receiver's answer

Send = Callable[[Sequence[bytes]], None]


@dataclass(frozen=True)
class Router:
    """``ask``: a film and its party to a `Diagnosis`; ``send``: files to where results go, raises
    PacsError."""

    ask: Callable[[Radiograph, str], Diagnosis]
    send: Send

    def take(self, data: bytes, party: str) -> pydicom.Dataset:
        """Answer one image and pass its results on; the status that its sender gets."""
        try:
            diagnosis = self.ask(films.read(data, party), party)
            self.send(list(result_objects(data, diagnosis).values()))
        except (UnreadableRadiograph, NotExportable) as error:
            return _status(NOT_UNDERSTOOD, error.message.code)
        except (NoAnswer, WeightsError) as error:
            return _status(TRY_AGAIN, error.message.code)
        except Exception as error:  # its text may hold what the film says of a patient
            log.error("an image failed: %s", kind_and_place(error))
            return _status(NOT_UNDERSTOOD, "film_failed")
        return _status(SUCCESS, "")


def _status(value: int, code: str) -> pydicom.Dataset:
    status = pydicom.Dataset()
    status.Status = value
    if code:
        telemetry.count_refused(code)
        status.ErrorComment = code  # of `pipeline.text.messages`, at most 64 characters
    return status


def listen(
    router: Router,
    title: str,
    callers: Sequence[str],
    address: tuple[str, int],
    tls: ssl.SSLContext | None = None,
    block: bool = True,
) -> Any:
    """Serve C-STORE and C-ECHO under an AE title, to these callers alone.

    Returns the server, to be shut down, unless it blocks.
    """
    entity = AE(title)
    entity.require_called_aet = True
    entity.require_calling_aet = list(callers)
    entity.maximum_associations = ASSOCIATIONS
    entity.add_supported_context(Verification)
    for kind in TAKEN:
        entity.add_supported_context(kind, [*PLAIN, *map(str, DECODERS)])

    def store(event: evt.Event) -> pydicom.Dataset:
        caller = event.assoc.requestor.ae_title
        return router.take(event.encoded_dataset(), f"aet:{caller.strip()}")

    handlers = [(evt.EVT_C_STORE, store), (evt.EVT_C_ECHO, lambda event: SUCCESS)]
    return entity.start_server(address, block=block, evt_handlers=handlers, ssl_context=tls)


def to_node(title: str, host: str, port: int, mine: str) -> Send:
    """Send files by C-STORE to the AE ``title`` at ``host``, as the AE ``mine``."""

    def send(files: Sequence[bytes]) -> None:
        datasets = [pydicom.dcmread(io.BytesIO(data)) for data in files]
        entity = AE(mine)
        entity.connection_timeout = entity.acse_timeout = 5
        entity.dimse_timeout = entity.network_timeout = SECONDS
        for kind in sorted({str(one.SOPClassUID) for one in datasets}):
            entity.add_requested_context(kind, list(PLAIN))
        association = entity.associate(host, port, ae_title=title)
        if not association.is_established:
            raise PacsError("pacs_unreachable")
        try:
            taken = [_stored(association, one) for one in datasets]
        finally:
            association.release()
        if not all(taken):
            raise PacsError("pacs_not_stored", count=taken.count(False), total=len(taken))

    return send


def _stored(association: Any, dataset: pydicom.Dataset) -> bool:
    """Whether the receiver took it; a warning (Bxxx) means that it did."""
    try:
        status = association.send_c_store(dataset).get("Status")
    except (ValueError, RuntimeError):  # a kind that it does not take, or the connection is gone
        return False
    return status is not None and (status == SUCCESS or status >> 12 == 0xB)
