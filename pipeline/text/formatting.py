"""Numbers, dates and percentages as a reader's language writes them."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from babel.dates import format_date, format_time
from babel.numbers import format_decimal, format_percent

from pipeline.text.messages import Message

if TYPE_CHECKING:
    from pipeline.evaluation.estimates import Estimate

MINUS = "\u2212"


def percent(value: float, language: str, digits: int = 0) -> str:
    """0.954 -> "95%" or "95 %"."""
    pattern = "0." + "0" * digits + "%" if digits else "0%"
    if language == "fr":
        pattern = pattern.replace("%", "\u202f%")
    return format_percent(value, format=pattern, locale=language).replace("-", MINUS)


def sentence(
    reason: Message,
    translate: Callable[[str], str],
    language: str,
    write: Callable[[str], str] = str,
) -> str:
    """A reason, with its percentages as the language writes them.

    ``write`` makes of any other text among its values, which may be a file's own, what the place
    takes that shows it (Markdown, for one).
    """

    def written(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        found = re.fullmatch(r"(-?\d+)(\.\d)?%", value)
        if found is None:
            return write(value)
        return percent(float(value[:-1]) / 100, language, int(bool(found[2])))

    values = {key: written(value) for key, value in reason.values.items()}
    return Message(reason.code, values).sentence(translate)


def number(value: float, language: str, digits: int = 2) -> str:
    """A number with the language's decimal sign and grouping."""
    pattern = "#,##0." + "0" * digits if digits else "#,##0"
    return format_decimal(value, format=pattern, locale=language).replace("-", MINUS)


def significant(value: float, language: str) -> str:
    """A number by its first three digits that are not 0: 0.00277, 2.43, 22.8."""
    return format_decimal(value, format="@@@", locale=language).replace("-", MINUS)


def estimate(scored: "Estimate", language: str, digits: int = 1, share: bool = True) -> str:
    """ "91.2% (89.0% – 93.4%)", "0.91 (0.89 – 0.93)" if no ``share``, "–" if nothing is known."""
    limits = [n for n in (scored.value, scored.low, scored.high) if n is not None]
    if len(limits) < 3:
        return "–"
    write = percent if share else number
    value, low, high = (write(limit, language, digits) for limit in limits)
    return f"{value} ({low} – {high})"


def date_and_time(when: datetime, language: str) -> str:
    """Date in words and the time to the minute, with its offset from UTC where ``when`` has one."""
    zone = when.strftime("%z")
    zone = f" UTC{zone[:3]}:{zone[3:]}" if zone else ""
    date = format_date(when, "long", locale=language)
    return f"{date}, {format_time(when.time(), 'HH:mm', locale=language)}{zone}"
