"""The score as large type and a bar with its zones: words first, colour never alone."""

from html import escape

from pipeline.models.triage import TriageLimits

# Diagonal lines mark the zone in which nothing is promised.
HATCHED = (
    "repeating-linear-gradient(45deg,transparent 0 5px,"
    "color-mix(in srgb,currentColor 35%,transparent) 5px 6px)"
)


def score_line(score: str, words: list[str]) -> str:
    """HTML of the score in large type with what it amounts to beside it."""
    said = "".join(f"<div>{escape(word)}</div>" for word in words)
    return (
        '<div style="display:flex;align-items:center;gap:.9rem;line-height:1.25">'
        f'<div style="font-size:2.9rem;font-weight:600;line-height:1">{escape(score)}</div>'
        f'<div style="font-weight:600">{said}</div></div>'
    )


def score_bar(
    score: float,
    threshold: float,
    label: str,
    mark_text: str,
    ends: tuple[str, str],
    limits: TriageLimits | None = None,
    zones: tuple[str, str, str] = ("", "", ""),
) -> str:
    """HTML of a bar from 0 to 1; ``score`` and ``threshold`` in 0..1.

    ``label`` is read aloud, ``mark_text`` stands below the threshold's mark, ``ends`` below the
    bar's two ends; ``zones`` name what lies below, between and from the ``limits``, where there
    are any.
    """
    parts = _zones(limits, zones) if limits else ""
    mark = f"{100 * threshold:.1f}%"
    left, right = (escape(end) for end in ends)
    return f"""
<div role="img" aria-label="{escape(label)}" style="margin:.8rem 0 .2rem;font-size:.8rem">
  <div style="position:relative;height:1.6rem;border:1px solid currentColor;border-radius:.3rem">
    {parts}
    <div style="position:absolute;inset:auto auto 0 0;height:.35rem;width:{100 * score:.1f}%;
      background:currentColor"></div>
    <div style="position:absolute;top:-.2rem;bottom:-.2rem;left:{mark};
      border-left:3px dashed"></div>
    <div style="position:absolute;top:-.35rem;bottom:-.1rem;left:calc({100 * score:.1f}% - .2rem);
      width:.4rem;background:currentColor;border-radius:.2rem"></div>
  </div>
  <div style="position:relative;height:1.2rem">
    <div style="position:absolute;left:clamp(2rem,{mark},calc(100% - 2rem));white-space:nowrap;
      transform:translateX(-50%)">▲ {escape(mark_text)}</div>
  </div>
  <div style="display:flex;justify-content:space-between;gap:1rem"><span>{left}</span>
    <span style="text-align:right">{right}</span></div>
</div>"""


def _zones(limits: TriageLimits, names: tuple[str, str, str]) -> str:
    """The bar's ground in three, the uncertain hatched; named where there is room."""
    low = 0.0 if limits.low is None else limits.low
    high = 1.0 if limits.high is None else limits.high
    found = []
    for start, end, name, ground in zip(
        (0.0, low, high), (low, high, 1.0), names, ("none", HATCHED, "none"), strict=True
    ):
        text = escape(name) if end - start > 0.24 else ""
        found.append(
            f'<div title="{escape(name)}" style="position:absolute;top:0;bottom:0;'
            f"left:{100 * start:.1f}%;width:{100 * (end - start):.1f}%;background:{ground};"
            "overflow:hidden;white-space:nowrap;padding-left:.3rem;line-height:1.15rem;"
            f'border-right:1px solid currentColor">{text}</div>'
        )
    return "".join(found)


def share_bars(shares: dict[str, tuple[float, str]], label: str) -> str:
    """HTML of one bar per name; ``shares``: of each its length in 0..1 and how it is written."""
    rows = "".join(
        f"<div>{escape(name)}</div>"
        '<div style="border:1px solid currentColor;border-radius:.2rem;height:.8rem">'
        f'<div style="width:{100 * share:.1f}%;height:100%;background:currentColor;opacity:.6">'
        f'</div></div><div style="text-align:right">{escape(text)}</div>'
        for name, (share, text) in shares.items()
    )
    return (
        f'<div role="img" aria-label="{escape(label)}" style="display:grid;'
        "grid-template-columns:max-content 1fr max-content;gap:.15rem .6rem;align-items:center;"
        f'font-size:.8rem">{rows}</div>'
    )
