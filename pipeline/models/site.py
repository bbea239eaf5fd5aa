"""A site card: the threshold and triage limits that one hospital chose on its own images."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import NonNegativeInt

from pipeline.models.records import Finite, Measured, Schema, Sha256, Share, read_record
from pipeline.models.registry import Entry, WeightsError
from pipeline.models.triage import TriageLimits


class _Rates(Schema):
    sensitivity: Measured
    specificity: Measured


class _Own(_Rates):
    threshold: Finite


class _Answered(Schema):
    uncertain: Measured


class _Card(Schema):
    """What `pipeline.report.site_card` writes for people, and what is used here."""

    site: str
    model: str
    sha256: Sha256
    weights_sha256: Sha256
    n: NonNegativeInt
    positive: NonNegativeInt
    withheld: Measured
    auc: Measured
    at_own_threshold: _Own
    threshold: Share
    cross_validated: _Rates
    triage: TriageLimits
    triage_here: _Answered


@dataclass(frozen=True, eq=False)
class SiteCard:
    """What `pipeline.evaluation.site.judge_site` found; ``record`` is the card as it is."""

    site: str
    model: str
    weights_sha256: str
    threshold: float
    triage: TriageLimits
    record: dict[str, Any]

    def fits(self, entry: Entry) -> bool:
        """Whether the card is of this model with these very weights."""
        return (self.model, self.weights_sha256) == (entry.name, entry.sha256)


def content_sha256(record: dict[str, Any]) -> str:
    """Hex sha256 of a card's content, its own field ``sha256`` left out."""
    content = {key: value for key, value in record.items() if key != "sha256"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def site_card() -> SiteCard | None:
    """The card that ``PULMOSCOPE_SITE`` names, None where it names none.

    Raises WeightsError for a card that cannot be read, or whose content is not what was signed.
    """
    name = os.environ.get("PULMOSCOPE_SITE")
    if not name:
        return None
    path = Path(name)
    try:
        record = read_record(path, _Card)
        if record["sha256"] != content_sha256(record):
            raise WeightsError("site_card", file=path.name)
        return SiteCard(
            site=record["site"],
            model=record["model"],
            weights_sha256=record["weights_sha256"],
            threshold=record["threshold"],
            triage=TriageLimits.of(record["triage"]),
            record=record,
        )
    except (OSError, ValueError) as error:
        raise WeightsError("site_card", file=path.name) from error


def decisions_of(entry: Entry) -> tuple[float | None, TriageLimits | None]:
    """Threshold and triage limits: the site's where its card fits the model, else the model's own.

    Raises WeightsError, see `site_card`.
    """
    card = site_card()
    if card is not None and card.fits(entry):
        return card.threshold, card.triage
    return entry.threshold, entry.triage
