"""The score as a bar with its threshold: words first, colour never alone."""

from html import escape


def score_bar(score: float, threshold: float, label: str, mark_text: str) -> str:
    """HTML of a bar from 0 to 1; ``score`` and ``threshold`` in 0..1.

    ``label`` is read aloud, ``mark_text`` stands below the threshold's mark.
    """
    left, mark = f"{100 * score:.1f}%", f"{100 * threshold:.1f}%"
    return f"""
<div role="img" aria-label="{escape(label)}" style="margin:.3rem 0 1.6rem">
  <div style="position:relative;height:1.1rem;border:1px solid currentColor;border-radius:.3rem">
    <div style="position:absolute;inset:0 auto 0 0;width:{left};background:currentColor;
      opacity:.55;border-radius:.2rem 0 0 .2rem"></div>
    <div style="position:absolute;top:-.3rem;bottom:-.3rem;left:{mark};
      border-left:3px dashed"></div>
    <div style="position:absolute;top:1.25rem;left:{mark};transform:translateX(-50%);
      font-size:.8rem">▲ {escape(mark_text)}</div>
  </div>
</div>"""
