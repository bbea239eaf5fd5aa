"""What a reader's session has of the PACS: who may see it, and its images as cases of the session.

Of what was searched for and found nothing is in an address, a log or a file's name.
"""

from functools import partial

import streamlit as st
from streamlit import config

from app.session import cases
from pipeline.io.archive import Source
from pipeline.pacs.archive import Archive, Criteria, archive
from pipeline.pacs.found import FoundImage
from pipeline.serving.settings import read_settings

LOOPBACK = ("127.0.0.1", "::1", "localhost")
MOST_PRIORS = 3


def may_be_shown() -> bool:
    """Whether who opens the page is known, or sits at this machine.

    Behind a proxy others come from this machine, too.
    """
    settings = read_settings()
    near = config.get_option("server.address") in LOOPBACK and not settings.proxies
    return bool(settings.sign_in) or near


def open_image(image: FoundImage) -> cases.Case:
    """Bring one image and select it. Raises PacsError, NoAnswer, UnreadableRadiograph."""
    mine = cases.party()
    with archive().image(image, mine) as data:
        case = cases.read_case(image.name, "pacs", data)
    cases.open_case(case)
    return case


def sources(images: list[FoundImage]) -> list[Source]:
    """The images for the work list, each brought when it is its turn."""
    mine, from_here = cases.party(), archive()
    return [Source(one.name, partial(_bring, from_here, one, mine), "pacs") for one in images]


def _bring(from_here: Archive, image: FoundImage, party: str) -> bytes:
    with from_here.image(image, party) as data:
        return data


def open_with_priors(image: FoundImage) -> tuple[str, str] | None:
    """Bring an image and the same patient's frontal ones before it (or after it, where there are
    none before), in the order of their dates.

    Returns the keys of the two to compare, the earlier first; None where there is no other.
    """
    found, _more = archive().search(Criteria(patient_id=image.patient_id))
    same = [one for one in found if _same_patient(one, image) and one.may_be_frontal_chest]
    others = sorted((o for o in same if o.instance != image.instance), key=_when)
    before = [one for one in others if _when(one) <= _when(image)]
    chosen = before[-MOST_PRIORS:] or others[:MOST_PRIORS]
    if not chosen:
        return None
    ordered = sorted([*chosen, image], key=_when)
    keys = [open_image(one).radiograph.key for one in ordered]
    return (keys[-2], keys[-1]) if before else (keys[0], keys[1])


def _same_patient(one: FoundImage, other: FoundImage) -> bool:
    """Wildcards and letters' case in a search find more than one patient."""
    return (one.patient_id, one.issuer) == (other.patient_id, other.issuer)


def _when(image: FoundImage) -> tuple[str, str]:
    return image.date, image.time


def remember(found: list[FoundImage], more: bool, pictures: dict[str, str]) -> None:
    """Keep what was found for the session. ``pictures``: data URLs by instance."""
    turn = st.session_state.get("pacs_turn", 0) + 1
    st.session_state.update(pacs_found=(found, more), pacs_pictures=pictures, pacs_turn=turn)
