"""How stable an answer is: the scores of slightly changed copies of the very image."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stability:
    """COVID scores, 0..1, of changed copies of an image, by the name of the change."""

    score: float
    scores: dict[str, float]

    @property
    def n(self) -> int:
        """How many copies there are."""
        return len(self.scores)

    @property
    def low(self) -> float:
        """The lowest score, that of the image itself included."""
        return min(self.score, *self.scores.values())

    @property
    def high(self) -> float:
        """The highest score, that of the image itself included."""
        return max(self.score, *self.scores.values())

    def changed(self, threshold: float) -> int:
        """How many copies lie on the other side of the threshold than the image."""
        side = self.score >= threshold
        return sum((score >= threshold) != side for score in self.scores.values())

    def as_dict(self, threshold: float) -> dict:
        """The fields of a record: ``copies, low, high, changed, scores``."""
        return {
            "copies": self.n,
            "low": self.low,
            "high": self.high,
            "changed": self.changed(threshold),
            "scores": self.scores,
        }
