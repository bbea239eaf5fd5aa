"""Everyone can use it: axe-core on every page, by keyboard alone, on a telephone's width."""

import json
import re

import pytest

from tests.browsing import ROOT, drop, go_to, pick, settled, upload, window

playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
expect = playwright.expect

pytestmark = pytest.mark.browser
CADDYFILE = ROOT / "docs/deploy/Caddyfile"

ENGLISH = {
    "example": "With opacities",
    "another": "Normal lungs",
    "read": "Read a radiograph",
    "list": "Work list",
    "start": "Read the images (1)",
    "compare": "Compare",
    "films": "Two images of one patient",
    "data": "The data",
    "preprocessing": "Preprocessing",
    "bias": "Why cut out the lungs?",
    "performance": "Performance",
    "about": "About the models",
}
FRENCH = {
    "example": "Avec opacités",
    "another": "Poumons normaux",
    "read": "Lire une radiographie",
    "list": "Liste de travail",
    "start": "Lire les clichés (1)",
    "compare": "Comparer",
    "films": "Deux clichés d’un même patient",
    "data": "Les données",
    "preprocessing": "Prétraitement",
    "bias": "Pourquoi isoler les poumons ?",
    "performance": "Performances",
    "about": "À propos des modèles",
}


def every_page(page, words: dict, film: bytes):
    """Go through the whole app, empty and with films; yields where it is."""
    settled(page)
    yield "read, empty"
    go_to(page, words["compare"])
    yield "compare, empty"
    go_to(page, words["read"])
    for example in ("another", "example"):
        pick(page, words[example])
    yield "read, with a film"
    go_to(page, words["compare"])
    expect(page.locator(".viewer[data-zoom] canvas")).to_have_count(3)
    settled(page)
    yield "compare, with two models"
    page.get_by_text(words["films"], exact=True).click()
    expect(page.locator(".viewer[data-zoom] canvas")).to_have_count(2)
    settled(page)
    yield "compare, with two films"
    go_to(page, words["list"])
    yield "work list, empty"
    drop(page, upload("film.png", film))
    page.get_by_role("button", name=words["start"]).click()
    expect(page.get_by_role("button", name="CSV", exact=True)).to_be_visible(timeout=300_000)
    settled(page)
    yield "work list, read"
    for name in ("data", "preprocessing", "bias", "performance", "about"):
        go_to(page, words[name])
        yield name


def serious(page) -> list[str]:
    """What axe-core calls serious or critical, a line for each element."""
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['target']} {node['any'][:1]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page(browser, server, clear_png, scheme):
    with window(browser, server[0], color_scheme=scheme, reduced_motion="reduce") as page:
        found = {where: serious(page) for where in every_page(page, ENGLISH, clear_png)}
    assert {where: lines for where, lines in found.items() if lines} == {}


def test_no_page_scrolls_sideways_on_a_telephone_and_in_french(browser, server, clear_png):
    with window(browser, server[0], "fr-FR", width=390, height=800) as page:
        expect(page.get_by_role("button", name="Choisir des fichiers")).to_be_visible()
        for where in every_page(page, FRENCH, clear_png):
            assert page.evaluate(WIDEST) <= 390, where
            assert page.evaluate("document.documentElement.lang") == "fr", where


WIDEST = """() => Math.max(document.documentElement.scrollWidth,
  ...[...document.querySelectorAll('[data-testid=stMain]')].map(e => e.scrollWidth))"""


def test_a_film_is_read_by_keyboard_alone(page):
    settled(page)
    tab_to(page, "Normal lungs")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    score = page.get_by_text(re.compile(r"COVID score \d\.\d\d"))
    expect(score).to_be_visible()
    viewer = page.locator(".viewer[data-zoom]")
    expect(viewer).to_be_visible()
    settled(page)
    tab_to(page, "Radiograph viewer")
    page.keyboard.press("i")
    expect(viewer).to_have_attribute("data-invert", "true")
    tab_to(page, "Zoom in")
    page.keyboard.press("Enter")
    expect(viewer).to_have_attribute("data-zoom", "1.250")
    tab_to(page, "Heatmap opacity")
    page.keyboard.press("ArrowLeft")
    expect(viewer).to_have_attribute("data-heat", "0.55")
    tab_to(page, "Heatmap method")
    page.keyboard.press("Home")
    method = viewer.get_attribute("data-method")
    page.keyboard.press("End")
    expect(viewer).not_to_have_attribute("data-method", method)
    before = score.inner_text()
    tab_to(page, "Operating point")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_text(before)).to_have_count(0)  # the score stays, its threshold moves
    settled(page)
    tab_to(page, "Export: PDF")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name=re.compile("JSON$"))).to_be_visible()


def tab_to(page, name: str) -> None:
    """Press Tab until what is called so has the focus, and see to it that one sees it."""
    passed = []
    for _ in range(60):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        if name in focus["name"] and f"Help for {name}" not in focus["name"]:
            assert focus["seen"], f"nothing shows that {name} has the focus"
            return
        passed.append(focus["name"])
    raise AssertionError(f"Tab never comes to {name}, only to {passed}")


# The focused element's name, and whether it, or what Streamlit draws around it, has an outline.
FOCUS = """() => {
  let element = document.activeElement;
  while (element.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
  const text = element.matches("button, a, summary") ? element.innerText : "";
  const name = element.getAttribute("aria-label") || element.labels?.[0]?.innerText || text;
  let around = element, seen = false;
  for (let i = 0; i < 5 && around && !seen; i += 1, around = around.parentElement) {
    const style = getComputedStyle(around);
    seen = (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0)
      || style.boxShadow !== "none";
  }
  return { name, seen };
}"""


def test_the_proxys_content_policy_breaks_no_page(browser, server, clear_png):
    """The policy of docs/deploy/Caddyfile, as if that proxy stood in front."""
    policy = re.search(r'Content-Security-Policy "(.+)"', CADDYFILE.read_text())[1]
    policy = policy.replace("frame-ancestors 'none'; ", "")  # not for a page to say of itself
    refused = []
    with window(browser, "about:blank") as page:
        page.add_init_script(f"const policy = {json.dumps(policy)};" + OBEY)
        page.on("console", lambda m: refused.append(m.text) if "Content Security" in m.text else 0)
        page.goto(server[0])
        for _where in every_page(page, ENGLISH, clear_png):
            pass
        page.evaluate("() => fetch('https://elsewhere.example/').catch(() => 0)")
        page.wait_for_timeout(200)
    assert all("elsewhere.example" in text for text in refused), refused
    assert refused, "the policy is not in force"


# Put the policy at the head of the document before anything is loaded.
OBEY = """new MutationObserver((_, observer) => {
  if (!document.head) return;
  observer.disconnect();
  const meta = document.createElement("meta");
  meta.httpEquiv = "Content-Security-Policy";
  meta.content = policy;
  document.head.prepend(meta);
}).observe(document, { childList: true, subtree: true });"""
