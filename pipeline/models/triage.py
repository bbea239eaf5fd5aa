"""Three answers instead of two: what a model's triage limits say of a score."""

from dataclasses import fields
from typing import Any, Self

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

LIKELY, UNLIKELY, UNCERTAIN = "likely", "unlikely", "uncertain"
ANSWERS = (LIKELY, UNLIKELY, UNCERTAIN)


@dataclass(frozen=True, config=ConfigDict(strict=True))
class TriageLimits:
    """From ``high`` on an image is "likely", below ``low`` "unlikely", between them "uncertain".

    Scores and limits are in 0..1; a limit of None is one that no score reaches. With at least
    ``confidence``, at most ``rate`` of the images called likely or unlikely are called wrongly, if
    they are like the ``n`` calibration images, see `pipeline.evaluation.triage`.
    """

    low: float | None
    high: float | None
    rate: float
    confidence: float
    n: int

    @classmethod
    def of(cls, record: dict[str, Any]) -> Self:
        """The limits that a record holds, whatever else it says."""
        return cls(**{field.name: record[field.name] for field in fields(cls)})

    def answer(self, score: float) -> str:
        """One of `ANSWERS`."""
        if self.high is not None and score >= self.high:
            return LIKELY
        if self.low is not None and score < self.low:
            return UNLIKELY
        return UNCERTAIN
