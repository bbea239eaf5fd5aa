"""A PACS over DICOMweb: search (QIDO-RS), one image into memory (WADO-RS), results back (STOW-RS).

Every method ends within `SECONDS` and raises PacsError, whose sentence says nothing of a patient,
and nothing else. What comes in has its place in the server's budget of memory before it comes.
"""

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

import pydicom
from dicomweb_client import DICOMwebClient

from pipeline.pacs.credentials import Bearer, Credentials, read_credentials
from pipeline.pacs.found import FoundImage, found_image
from pipeline.pacs.transport import BoundedSession, Deadline, PacsError
from pipeline.serving import budget
from pipeline.serving.settings import read_settings

# It retries nothing here, and would print the trace of every failure.
logging.getLogger("retrying").setLevel(logging.CRITICAL)
SECONDS = 25.0  # for one operation, whatever it takes
MOST_FOUND = 100  # images of one search
MOST_BYTES = 100_000_000  # of one answer
LIST_BYTES = 20_000_000  # of a list, or a picture for it
MODALITIES = ("CR", "DX", "RG")
ONE_ALONE = ("pacs_missing", "pacs_status", "pacs_large")  # what the next picture need not have
# What a search asks of each image beside its UIDs.
FIELDS = (
    "StudyDate",
    "StudyTime",
    "Modality",
    "AccessionNumber",
    "PatientID",
    "IssuerOfPatientID",
    "PatientName",
    "StudyDescription",
    "BodyPartExamined",
    "ViewPosition",
    "Rows",
    "Columns",
)


@dataclass(frozen=True, repr=False)
class Criteria:
    """What to search for; what is empty is not asked. Wildcards as in PS3.4 C.2.2.2.4: ``*?``."""

    begin: date | None = None
    end: date | None = None
    modalities: Sequence[str] = MODALITIES
    accession: str = ""
    patient_id: str = ""

    def filters(self) -> dict[str, str]:
        """Attributes and values, without the modality."""
        asked = {}
        if self.begin or self.end:
            days = (day.strftime("%Y%m%d") if day else "" for day in (self.begin, self.end))
            asked["StudyDate"] = "-".join(days)
        for name, text in (("AccessionNumber", self.accession), ("PatientID", self.patient_id)):
            value = re.sub(r"[\\\x00-\x1f]", "", text).strip()[:64]
            if value:
                asked[name] = value
        return asked


class Archive:
    """The DICOMweb service at ``address``. ``verify``: a file of certificates, or True."""

    def __init__(
        self,
        address: str,
        credentials: Credentials = Credentials(),  # noqa: B008, it is frozen
        verify: str | bool = True,
        seconds: float = SECONDS,
    ):
        self._address, self._credentials = address.rstrip("/"), credentials
        self._verify, self._seconds = verify, seconds
        self._bearer = Bearer(credentials) if credentials.token else None

    def search(self, criteria: Criteria) -> tuple[list[FoundImage], bool]:
        """Images, the latest first, and whether there are more than `MOST_FOUND`."""
        found: dict[str, FoundImage] = {}
        more = False
        with self._operation(lambda size: LIST_BYTES) as client:
            for modality in criteria.modalities:
                answers = client.search_for_instances(
                    search_filters=criteria.filters() | {"Modality": modality},
                    fields=FIELDS,
                    limit=MOST_FOUND + 1,
                )
                more = more or len(answers) > MOST_FOUND
                images = filter(None, map(found_image, answers))
                found |= {image.instance: image for image in images}
        latest = sorted(found.values(), key=lambda one: (one.date, one.time), reverse=True)
        return latest[:MOST_FOUND], more or len(latest) > MOST_FOUND

    def thumbnails(self, images: Sequence[FoundImage]) -> dict[str, bytes]:
        """The PACS's own renderings, JPEGs, by instance; as many as come in time.

        Their size is the PACS's choice. One that it cannot render is left out.
        """
        came: dict[str, bytes] = {}
        with self._operation(lambda size: LIST_BYTES) as client:
            for image in images:
                try:
                    jpeg = client.retrieve_instance_rendered(*image.uids, ("image/jpeg",))
                except PacsError as error:
                    if error.message.code not in ONE_ALONE:
                        break
                    continue
                came[image.instance] = bytes(jpeg)
        return came

    @contextlib.contextmanager
    def image(self, image: FoundImage, party: str) -> Iterator[bytes]:
        """The image's file as it is stored. Its bytes count in the budget inside ``with``.

        Raises PacsError, and NoAnswer where there is no room for it.
        """
        places: list[budget.Place] = []

        def room(size: int | None) -> int:
            if size is not None and size > MOST_BYTES:
                raise PacsError("pacs_large", megabytes=MOST_BYTES // budget.MEGABYTE)
            bodies = budget.bodies()
            most = min(MOST_BYTES if size is None else max(size, 1), bodies.total)
            places.append(bodies.ask(most, party).wait(self._seconds / 2))
            return most

        address = "{}/studies/{}/series/{}/instances/{}".format(self._address, *image.uids)
        kind = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        try:
            with self._session(room) as session, _only_pacs_errors():
                data = _only_part(session.get(address, headers={"Accept": kind}))
            for place in places:
                place.shrink(len(data))
            yield data
        finally:
            for place in places:
                place.release()

    def store(self, files: Sequence[bytes]) -> None:
        """Send DICOM files, and be sure that the PACS took each. Sent again, they stay the same."""
        datasets = [pydicom.dcmread(io.BytesIO(data)) for data in files]
        with self._operation(lambda size: LIST_BYTES) as client:
            said = client.store_instances(datasets)
            refused = len(said.get("FailedSOPSequence") or ())
            taken = said.get("ReferencedSOPSequence")
        missing = max(refused, 0 if taken is None else len(files) - len(taken))
        if missing:
            raise PacsError("pacs_not_stored", count=missing, total=len(files))

    @contextlib.contextmanager
    def _operation(self, room: Callable[[int | None], int]) -> Iterator[DICOMwebClient]:
        with self._session(room) as session, _only_pacs_errors():
            client = DICOMwebClient(self._address, session=session, permissive_uid=True)
            client.set_http_retry_params(retry=False)
            yield client

    @contextlib.contextmanager
    def _session(self, room: Callable[[int | None], int]) -> Iterator[BoundedSession]:
        """A session with this server's credentials, for `SECONDS` in all."""
        with Deadline(self._seconds) as deadline:
            session = BoundedSession(deadline, room, self._verify)
            session.headers["Accept"] = "application/dicom+json"
            with session, self._signed_in(session, deadline):
                yield session

    @contextlib.contextmanager
    def _signed_in(self, session: BoundedSession, deadline: Deadline) -> Iterator[None]:
        if self._bearer is None:
            if self._credentials.user:
                one = self._credentials
                session.auth = (one.user.encode(), one.password.encode())  # requests: latin-1
            yield
            return
        with BoundedSession(deadline, lambda size: budget.MEGABYTE, self._verify) as asking:
            session.headers["Authorization"] = f"Bearer {self._bearer.token(asking)}"
        try:
            yield
        except PacsError as error:
            if error.message.code == "pacs_denied":
                self._bearer.forget()
            raise


@contextlib.contextmanager
def _only_pacs_errors() -> Iterator[None]:
    """What cannot be made sense of is said so; the text of the error may name a patient."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an answer's oddities
            yield
    except PacsError:
        raise
    except Exception as error:
        if isinstance(error, budget.NoAnswer):
            raise
        raise PacsError("pacs_answer") from None


def _only_part(response: Any) -> bytes:
    """The one part of a multipart answer (PS3.18 8.7.1), whole. Raises PacsError."""
    kind, data = response.headers.get("Content-Type", ""), response.content
    if kind.lower().startswith("application/dicom") and "json" not in kind:
        return data  # some send it without an envelope
    boundary = re.search(r'boundary="?([^";]+)"?', kind)
    if not kind.lower().startswith("multipart/related") or boundary is None:
        raise PacsError("pacs_answer")
    mark = b"--" + boundary[1].encode()
    begin = data.find(mark)
    head, end = data.find(b"\r\n\r\n", begin), data.rfind(b"\r\n" + mark + b"--")
    if begin < 0 or head < 0 or end < head:
        raise PacsError("pacs_cut")
    if b"\r\n" + mark + b"\r\n" in data[head:end]:
        raise PacsError("pacs_answer")
    return data[head + 4 : end]


@cache
def archive() -> Archive:
    """The PACS that the environment names. Raises PacsError where its secrets cannot be read."""
    settings = read_settings()
    return Archive(settings.pacs, read_credentials(settings), settings.pacs_ca or True)
