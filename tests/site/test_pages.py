"""Every page of the built site, and what a reader does with it."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.site.page import (
    CONTRAST,
    DESKTOP,
    PHONE,
    SITE,
    Visit,
    ask,
    dead_links,
    other_hosts,
    problems,
)

PAGES = sorted(
    path.relative_to(SITE).as_posix()
    for path in SITE.rglob("*.html")
    if "_static" not in path.parts
) or ["index.html"]

WHITE = "rgb(255, 255, 255)"


def test_no_file_names_another_host(site):
    """Templates of the theme lie in _static too; no browser opens them."""
    pages = [site / page for page in PAGES]
    assert [w for path in [*pages, *site.rglob("*.css")] for w in other_hosts(path)] == []


def test_links_between_pages_lead_somewhere(site):
    assert dead_links(site) == []


def test_no_sources_are_published(site):
    assert not (site / "_sources").exists()


@pytest.mark.browser
@pytest.mark.parametrize("page", PAGES)
def test_page(browser, home, page):
    assert problems(browser, home + page) == []


@pytest.mark.browser
@pytest.mark.parametrize("page", PAGES)
def test_no_serious_barrier(browser, home, page):
    """Ask axe-core, with every moving figure of the page awake."""
    with Visit(browser, home + page) as visit:
        for figure in visit.page.locator("figure.explorable").all():
            figure.scroll_into_view_if_needed()
            visit.page.wait_for_function("(e) => e.matches('.alive')", arg=figure.element_handle())
        found = Axe().run(visit.page, options={"resultTypes": ["violations"]})
        assert [
            f"{violation['id']}: {node['html'][:160]}"
            for violation in found.response["violations"]
            if violation["impact"] in ("serious", "critical")
            for node in violation["nodes"]
        ] == []


@pytest.mark.browser
def test_search_finds_a_word_without_another_host(browser, home):
    with Visit(browser, home + "search.html?q=moment") as visit:
        visit.page.wait_for_selector("#search-results li a")
        assert visit.page.locator("#search-results li").count() > 1
        assert visit.wrong == []


@pytest.mark.browser
def test_first_tab_shows_the_skip_link(browser, home):
    with Visit(browser, home + "index.html") as visit:
        visit.page.keyboard.press("Tab")
        assert visit.page.locator(":focus").get_attribute("href") == "#main-content"
        visit.page.wait_for_function("document.activeElement.getBoundingClientRect().y >= 0")


FOCUS = """() => {
  const e = document.activeElement, style = getComputedStyle(e);
  if (e === document.body) return null;
  const ring = style.outlineStyle !== 'none' || style.boxShadow !== 'none';
  return [e.outerHTML.slice(0, 80), ring];
}"""


@pytest.mark.browser
def test_focus_is_visible_at_every_stop(browser, home):
    with Visit(browser, home + "notation.html") as visit:
        stops = []
        while len(stops) < 60:
            visit.page.keyboard.press("Tab")
            stop = visit.page.evaluate(FOCUS)
            if stop is None:
                break
            stops.append(stop)
        assert len(stops) > 10
        assert [element for element, ring in stops if not ring] == []


@pytest.mark.browser
def test_theme_switch(browser, home):
    with Visit(browser, home + "index.html", color_scheme="light") as visit:
        theme = "document.documentElement.dataset.theme"
        seen = set()
        for _ in range(3):
            visit.page.locator(".theme-switch-button:visible").click()
            seen.add(visit.page.evaluate(theme))
        assert seen == {"light", "dark"}


@pytest.mark.browser
def test_phone_menu_opens(browser, home):
    with Visit(browser, home + "index.html", viewport=PHONE) as visit:
        link = visit.page.locator(".bd-sidebar-primary a", has_text="Notation")
        assert link.bounding_box()["x"] < 0 or not link.is_visible()
        visit.page.locator(".primary-toggle:visible").click()
        visit.page.wait_for_function(
            "document.querySelector('.bd-sidebar-primary').getBoundingClientRect().x >= 0"
        )
        link.click()
        visit.page.wait_for_url("**/notation.html")


@pytest.mark.browser
def test_a_folded_answer_opens_by_keyboard_and_is_open_in_print(browser, home, site):
    page = next((p for p in PAGES if "solution dropdown" in (site / p).read_text("utf-8")), None)
    assert page, "no page has a folded answer"
    with Visit(browser, home + page, viewport=DESKTOP, color_scheme="dark") as visit:
        answer = visit.page.locator(".admonition.dropdown").first
        inside = answer.locator("p").last
        assert not inside.is_visible()

        visit.page.emulate_media(media="print")
        assert inside.is_visible()
        assert not visit.page.locator(".bd-sidebar-primary").is_visible()
        assert ask(visit.page, CONTRAST) == []  # paper is white, also for a reader in the dark
        assert visit.page.evaluate("getComputedStyle(document.body).backgroundColor") == WHITE
        visit.page.emulate_media(media="screen")

        answer.locator("button.toggle-button").focus()
        visit.page.keyboard.press("Enter")
        assert inside.is_visible()
