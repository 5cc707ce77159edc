"""Moving figures on the built pages: every control, by pointer and by keyboard, moves them."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.site.page import PHONE, SITE, Visit

MARK = 'class="explorable"'
PAGES = sorted(
    path.relative_to(SITE).as_posix()
    for path in SITE.rglob("*.html")
    if "_static" not in path.parts and MARK in path.read_text(encoding="utf-8")
) or ["index.html"]
HEAVIEST = 1_000_000
# Two frames at sixty a second; a page that is still drawing after so many has hung.
PATIENCE = 60

SETTLE = """() => new Promise((done) => {
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 60)));
})"""
ENDS = """(place) => {
  const figure = SecondMoments.figures.get(document.getElementById(place));
  return [figure.spec.ends, figure.drawn.walks.map((walk) => walk.x[walk.x.length - 1])];
}"""


def differ(one, other):
    """Tell whether two pictures are different to the eye: rounding by a level of grey is not."""
    one, other = (
        np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), int) for png in (one, other)
    )
    return one.shape != other.shape or np.count_nonzero(abs(one - other).max(axis=2) > 16) > 5


class Moving:
    """A moving figure of a loaded page."""

    def __init__(self, page, place):
        self.page = page
        self.figure = page.locator(f"#{place}")
        self.figure.scroll_into_view_if_needed()
        page.wait_for_function(
            "(place) => document.getElementById(place).classList.contains('alive')", arg=place
        )
        self.panels = self.figure.locator(".explorable-panels")
        self.fields = self.figure.locator("form :is(input, select)").all()
        self.pads = self.figure.locator(".explorable-pad").all()

    def picture(self):
        """Return what is drawn, once it stands still."""
        self.page.evaluate("document.activeElement.blur()")  # the ring of focus is no part of it
        before = None
        for _ in range(PATIENCE):
            self.page.evaluate(SETTLE)
            now = self.panels.screenshot()
            if now == before:
                return now
            before = now
        raise AssertionError("the figure does not come to rest")

    def reset(self):
        self.figure.locator("button[type=reset]").click()


def by_keyboard(moving, field):
    """Move a control with the keyboard alone, as far as it goes."""
    field.focus()
    if field.evaluate("e => e.tagName") == "SELECT":
        at = field.evaluate("e => e.selectedIndex")
        moving.page.keyboard.press("ArrowUp" if at else "ArrowDown")
        return
    value, last = (int(field.get_attribute(name) or 0) for name in ("value", "max"))
    moving.page.keyboard.press("Home" if value > last / 2 else "End")


def by_pointer(moving, field):
    """Move a control with the pointer."""
    if field.evaluate("e => e.tagName") == "SELECT":
        at = field.evaluate("e => e.selectedIndex")
        field.select_option(index=0 if at else 1)
        return
    value, last = (int(field.get_attribute(name) or 0) for name in ("value", "max"))
    box = field.bounding_box()
    x = box["x"] + box["width"] * (0.03 if value > last / 2 else 0.97)
    moving.page.mouse.click(x, box["y"] + box["height"] / 2)


def figures(page):
    return page.evaluate("[...document.querySelectorAll('figure.explorable')].map((e) => e.id)")


@pytest.mark.browser
@pytest.mark.parametrize("page", PAGES)
def test_every_control_moves_the_picture_and_reset_restores_it(browser, home, page):
    with Visit(browser, home + page) as visit:
        assert figures(visit.page), "the page has no moving figure"
        for place in figures(visit.page):
            moving = Moving(visit.page, place)
            first = moving.picture()
            for field in moving.fields:
                name = f"{place}: {field.get_attribute('name')}"
                for move in (by_keyboard, by_pointer):
                    move(moving, field)
                    assert differ(moving.picture(), first), f"{name} {move.__name__}"
                    text = field.get_attribute("aria-valuetext")
                    assert text is None or field.locator("+ output").text_content() == text, name
                    moving.reset()
                    assert not differ(moving.picture(), first), f"{name} {move.__name__}: reset"
            for pad in moving.pads:
                box = pad.bounding_box()
                visit.page.mouse.click(
                    box["x"] + 0.7 * box["width"], box["y"] + 0.35 * box["height"]
                )
                assert differ(moving.picture(), first), f"{place}: pointer on the picture"
                moving.reset()
                assert not differ(moving.picture(), first)
                for keys in (
                    ("Shift+ArrowLeft", "Shift+ArrowRight"),
                    ("Shift+ArrowUp", "Shift+ArrowDown"),
                ):
                    pad.focus()
                    visit.page.keyboard.press(keys[0])
                    one = moving.picture()
                    pad.focus()
                    visit.page.keyboard.press(keys[1])
                    visit.page.keyboard.press(keys[1])
                    assert differ(one, first) or differ(moving.picture(), first), f"{place}: {keys}"
                    moving.reset()
        assert visit.wrong == []
        assert visit.weight() <= HEAVIEST


@pytest.mark.browser
@pytest.mark.parametrize("page", PAGES)
def test_the_page_ends_where_optimlib_ends(browser, home, page):
    with Visit(browser, home + page, viewport=PHONE, color_scheme="dark") as visit:
        for place in figures(visit.page):
            Moving(visit.page, place)
            ends, drawn = visit.page.evaluate(ENDS, place)
            for expected, found in zip(ends, drawn, strict=True):
                np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)
        width = visit.page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"]


@pytest.mark.browser
def test_without_scripts_and_in_print_there_is_a_picture(browser, home):
    with Visit(browser, home + PAGES[0], java_script_enabled=False) as visit:
        figure = visit.page.locator("figure.explorable").first
        assert figure.locator("img").is_visible()
        assert not figure.locator("form").is_visible()
    with Visit(browser, home + PAGES[0]) as visit:
        moving = Moving(visit.page, figures(visit.page)[0])
        assert not moving.figure.locator("img").is_visible()
        visit.page.emulate_media(media="print")
        assert moving.figure.locator("img").is_visible()
        assert not moving.panels.is_visible()


@pytest.mark.browser
def test_a_page_without_a_moving_figure_loads_none_of_it(browser, home):
    with Visit(browser, home + "notation.html") as visit:
        assert not [url for url in visit.loaded if "/explore/" in url]
    with Visit(browser, home + PAGES[0]) as visit:
        assert sum("bokeh.min.js" in url for url in visit.loaded) == 1
