"""The guided demonstration in real Chromium: the whole path, left and taken up again."""

import re

import pytest

from tests.browsing import fold_menu, go_to, settled, unfold_menu, window

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect

pytestmark = pytest.mark.browser

PATH = [
    ("Read a radiograph", "Reading a radiograph"),
    ("Read a radiograph", "Lungs, score and threshold"),
    ("Read a radiograph", "What the heatmap shows, and what it does not"),
    ("Read a radiograph", "An image without a score"),
    ("Compare", "Two images side by side"),
    ("Work list", "Several images at once"),
    ("Performance", "What was measured"),
    ("About the models", "What it cannot do"),
]


def at_step(page, number: int, title: str, heading: str) -> None:
    panel = page.locator(".st-key-demonstration")
    expect(panel).to_contain_text(re.compile(rf"{number} (of|sur) 8.*{re.escape(title)}"))
    expect(page.locator("h1")).to_contain_text(heading)


def press(page, name: str, where: str = "stMain") -> None:
    page.get_by_test_id(where).get_by_role("button", name=name, exact=True).click()


def test_the_whole_path(page):
    press(page, "Guided demonstration")
    for number, (heading, title) in enumerate(PATH, 1):
        at_step(page, number, title, heading)
        settled(page)
        SEEN.get(number, lambda page: None)(page)
        press(page, "Next" if number < len(PATH) else "Finish")
    expect(page.locator(".st-key-demonstration")).to_have_count(0)
    expect(page.get_by_role("button", name="Guided demonstration")).to_be_visible()


def _score(page) -> None:
    expect(page.get_by_text(re.compile(r"COVID score \d\.\d\d"))).to_be_visible()
    expect(page.locator(".viewer[data-zoom] canvas")).to_have_count(3)


def _withheld_then_repaired(page) -> None:
    expect(page.get_by_text("No score for this image.")).to_be_visible()
    press(page, "Invert the image")
    _score(page)


def _two_films(page) -> None:
    expect(page.locator(".viewer[data-zoom] canvas")).to_have_count(2)
    expect(page.get_by_text("the score changes by")).to_be_visible()


def _list(page) -> None:
    going = page.get_by_text(re.compile(r"\d of 6 read"))
    done = page.get_by_role("button", name="CSV", exact=True)
    expect(going.or_(done)).to_be_visible()


def _measured(page) -> None:
    expect(page.get_by_text("Decision threshold")).to_be_visible()


SEEN = {
    1: _score,
    2: _score,
    3: _score,
    4: _withheld_then_repaired,
    5: _two_films,
    6: _list,
    7: _measured,
}


def test_french_left_and_taken_up_again(browser, server):
    with window(browser, server[0], "fr-FR", width=390, height=800) as page:
        settled(page)
        press(page, "Démonstration guidée")
        at_step(page, 1, "Lecture d’une radiographie", "Lire une radiographie")
        press(page, "Suivant")
        at_step(page, 2, "Poumons, score et seuil", "Lire une radiographie")
        go_to(page, "À propos des modèles")
        at_step(page, 2, "Poumons, score et seuil", "À propos des modèles")
        press(page, "Aller à cette étape")
        at_step(page, 2, "Poumons, score et seuil", "Lire une radiographie")
        press(page, "Quitter")
        expect(page.locator(".st-key-demonstration")).to_have_count(0)
        unfold_menu(page)
        press(page, "Reprendre la démonstration (2 sur 8)", "stSidebar")
        fold_menu(page)
        at_step(page, 2, "Poumons, score et seuil", "Lire une radiographie")
        press(page, "Précédent")
        at_step(page, 1, "Lecture d’une radiographie", "Lire une radiographie")
        expect(page.get_by_text(re.compile(r"Score COVID \d,\d\d"))).to_be_visible()
