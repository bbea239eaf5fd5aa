"""A site card: the threshold and triage limits that one hospital chose on its own images."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.models.registry import Entry, WeightsError, read_json
from pipeline.models.triage import TriageLimits


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
        record = read_json(path)
        if record["sha256"] != content_sha256(record):
            raise WeightsError("site_card", file=path.name)
        return SiteCard(
            site=record["site"],
            model=record["model"],
            weights_sha256=record["weights_sha256"],
            threshold=record["threshold"],
            triage=TriageLimits(**record["triage"]),
            record=record,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError("site_card", file=path.name) from error


def decisions_of(entry: Entry) -> tuple[float | None, TriageLimits | None]:
    """Threshold and triage limits: the site's where its card fits the model, else the model's own.

    Raises WeightsError, see `site_card`.
    """
    card = site_card()
    if card is not None and card.fits(entry):
        return card.threshold, card.triage
    return entry.threshold, entry.triage
