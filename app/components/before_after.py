"""Two pictures of one film, one over the other, with a slider that uncovers."""

import streamlit as st

_mount = st.components.v2.component(
    "pulmoscope_before_after",
    html="""
<div class="all" hidden>
  <div class="pair"><img class="under" alt=""><img class="over" alt=""><i class="edge"></i></div>
  <label><span class="name"></span><input type="range" min="0" max="100" value="50"></label>
  <p class="ends"><span class="left"></span><span class="right"></span></p>
</div>
""",
    css="""
:host, .pair, label, .ends { font-family: var(--st-font); color: var(--st-text-color); }
.pair { position: relative; max-width: 32rem; background: #000; line-height: 0; }
.pair img { width: 100%; border-radius: 0.4rem; }
.pair .over { position: absolute; inset: 0; height: 100%;
  clip-path: inset(0 calc(100% - var(--cut, 50%)) 0 0); }
.pair .edge { position: absolute; top: 0; bottom: 0; left: var(--cut, 50%);
  border-left: 2px solid var(--st-primary-color); }
label { display: block; max-width: 32rem; margin-top: 0.5rem; font-size: 0.875rem; }
input { width: 100%; accent-color: var(--st-primary-color); }
input:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 2px; }
.ends { display: flex; justify-content: space-between; max-width: 32rem; margin: 0;
  font-size: 0.875rem; }
""",
    js="""
export default function ({ parentElement, data }) {
  const find = (name) => parentElement.querySelector(name);
  const slider = find("input");
  const cut = () => find(".pair").style.setProperty("--cut", slider.value + "%");
  find(".over").src = data.before;
  find(".under").src = data.after;
  find(".over").alt = find(".left").textContent = data.words.before;
  find(".under").alt = find(".right").textContent = data.words.after;
  find(".name").textContent = data.words.slider;
  slider.oninput = cut;
  cut();
  find(".all").hidden = false;  // until now there was nothing to see and nothing had a name
}
""",
)


def show_before_after(before: str, after: str, words: dict[str, str], key: str) -> None:
    """Show two pictures, data URLs; ``words``: what the slider and both pictures are called."""
    _mount(data={"before": before, "after": after, "words": words}, key=key, height="content")
