"""A running average of the weights (Polyak and Juditsky 1992), which is what gets scored and kept.

Both engines keep one: after every step, ``average = decay * average + (1 - decay) * weights``, for
BatchNorm's moving averages too. While the rate is high the average is worth more than the weights
of any one step. A decay of 0 is no averaging.
"""


def decay_at(step: int, decay: float) -> float:
    """The decay after ``step`` (from 0) steps: small at first, so that the start is forgotten."""
    return min(decay, (1 + step) / (10 + step))
