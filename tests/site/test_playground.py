"""The playground on the built site, by pointer, by keyboard, by finger and by link."""

import re

import numpy as np
import pytest

from optimlib.explore import playground
from optimlib.explore.playground import RACING
from optimlib.objectives import OBJECTIVES
from tests.site.page import CONTRAST, OVERFLOW, PHONE, Visit, ask

pytestmark = pytest.mark.browser
PAGE = "playground.html"
FIGURE = "SecondMoments.figures.get(document.querySelector('figure.playground'))"
DRAWN = f"""() => new Promise((resolve) => setTimeout(() => requestAnimationFrame(() => {{
  const fig = {FIGURE};
  const data = fig.plots.flatMap((plot) => plot.renderers.map((r) => r.data_source.data));
  const ends = fig.plots.flatMap((p) => [p.x_range.start, p.x_range.end, p.y_range.end]);
  const rows = [...document.querySelectorAll('.playground tr[data-rule]')]
    .filter((row) => !row.hidden).map((row) => row.textContent);
  resolve(JSON.stringify([data, ends, rows, fig.state.at]));
}}), 20))"""
NUMBERS = {
    name: [key for key, value in rule.defaults.items() if not isinstance(value, bool)]
    for name, rule in RACING.items()
}
# A value of each number that every race shows, far from its default.
OTHER = {
    "lr": "0.0123",
    "momentum": "0.35",
    "dampening": "0.5",
    "rho": "0.3",
    "eps": "2",
    "eps_x": "0.01",
    "beta1": "0.2",
    "beta2": "0.4",
    "weight_decay": "0.3",
    "momentum_decay": "3",
    "lr_decay": "0.2",
    "initial": "5",
    "eta_minus": "0.3",
    "eta_plus": "1.7",
    "step_min": "0.02",
    "step_max": "0.03",
}


class Playing(Visit):
    """The playground, awake; reduced motion, so that it stands still until it is told."""

    def __init__(self, browser, home, link="", **context):
        super().__init__(browser, home + PAGE + link, **{"reduced_motion": "reduce", **context})
        self.page.wait_for_selector("figure.playground.alive")
        self.page.wait_for_function(f"{FIGURE}.drawn")

    def drawn(self):
        """Return all that is drawn, as text."""
        return self.page.evaluate(DRAWN)

    def state(self):
        """Return what is set."""
        return self.page.evaluate(f"{FIGURE}.state")

    def said(self):
        """Return the words of the status line."""
        return self.page.locator("#race-said").inner_text()

    def find(self, selector):
        """Return an element of the figure."""
        return self.page.locator(f"figure.playground {selector}")

    def changes(self, what, act):
        """Do something, and demand that it changes the picture."""
        before, shot = self.drawn(), self.shot()
        act()
        after = self.drawn()
        assert after != before, what
        assert self.shot() != shot, what
        return after

    def shot(self):
        """Return the panels as pixels."""
        self.page.wait_for_timeout(40)
        return self.find(".playground-panels").screenshot()

    def address(self):
        """Return the link once it stands in the address."""
        self.page.wait_for_timeout(450)
        return self.page.evaluate("location.hash")


@pytest.fixture
def arena(browser, home):
    with Playing(browser, home) as visit:
        yield visit
        assert visit.wrong == []


def test_it_begins_with_the_race_that_optimlib_runs(arena):
    race = playground().race()
    ends = arena.page.evaluate(
        f"Object.fromEntries(Object.entries({FIGURE}.ran).map(([k, v]) => [k, v.x.at(-1)]))"
    )
    for name, taken in race.run().items():
        np.testing.assert_allclose(ends.pop(name), taken.x[-1], rtol=1e-6)
    assert ends == {}
    rows = arena.find("tbody tr:visible").all_inner_texts()
    assert [row.split()[0] for row in rows] == list(race.rules)
    assert arena.said() == "From (−1.2, 1), step 200 of 200: Momentum has the lowest f, 0.00113."
    assert arena.page.evaluate("location.hash") == ""


# ---------------------------------------------------------------- every control, by both hands


def test_fields_by_keyboard(arena):
    press = arena.page.keyboard.press
    arena.changes("seedless noise", lambda: arena.find("#race-noise").press("ArrowRight"))
    for key in ("x", "y", "seed", "steps"):
        arena.changes(key, lambda key=key: (arena.find(f"#race-{key}").focus(), press("ArrowUp")))
    arena.changes("objective", lambda: arena.find("#race-objective").press("ArrowDown"))
    assert arena.state()["objective"] == "Beale"
    assert arena.state()["start"] == list(OBJECTIVES["Beale"].start)
    arena.changes("at", lambda: arena.find("#race-at").press("ArrowLeft"))
    for name in RACING:
        arena.changes(name, lambda name=name: arena.find(f'[value="{name}"]').press("Space"))
    arena.changes("none", lambda: arena.find('[data-do="none"]').press("Enter"))
    arena.changes("all", lambda: arena.find('[data-do="all"]').press("Enter"))


def test_fields_by_pointer(arena):
    def click_on(selector, share):
        box = arena.find(selector).bounding_box()
        x, y = box["x"] + share * box["width"], box["y"] + box["height"] / 2
        arena.page.mouse.click(x, y)

    def type_in(key, text):
        arena.find(f"#race-{key}").click(click_count=3)
        arena.page.keyboard.type(text)

    arena.find("#race-noise").scroll_into_view_if_needed()
    arena.changes("noise", lambda: click_on("#race-noise", 0.5))
    for key, text in (("x", "0.5"), ("y", "2"), ("seed", "7"), ("steps", "150")):
        arena.changes(key, lambda key=key, text=text: type_in(key, text))
    for name in OBJECTIVES:
        if name != "Rosenbrock":
            arena.changes(name, lambda name=name: arena.find("#race-objective").select_option(name))
    for name in RACING:
        label = arena.find(f'label:has([value="{name}"])')
        arena.changes(name, label.click)
        assert label.inner_text() == name
    arena.changes("none", lambda: arena.find('[data-do="none"]').click())
    assert arena.find("tbody tr:visible").count() == 0
    arena.changes("all", lambda: arena.find('[data-do="all"]').click())
    assert arena.find("tbody tr:visible").count() == 14
    arena.find("#race-at").scroll_into_view_if_needed()
    arena.changes("at", lambda: click_on("#race-at", 0.3))
    assert 20 < arena.state()["at"] < 70


@pytest.mark.parametrize("name", RACING)
def test_every_number_of_a_rule(browser, home, name):
    with Playing(browser, home, f"#race=ravine&rules={name}&start=-5,1.5") as arena:
        summary = arena.find(f'details[data-rule="{name}"] summary')
        summary.press("Enter")
        for key in NUMBERS[name]:
            field = arena.find(f"#race-{name}-{key}")
            assert field.is_visible()
            before = arena.drawn()
            field.focus()
            arena.page.keyboard.press("Control+A")
            arena.page.keyboard.type(OTHER[key])
            after = arena.drawn()
            assert after != before, key
            field.press("ArrowUp")
            # Pointers open the same fields; a click and a digit are enough to change the picture.
            field.click(click_count=3)
            arena.page.keyboard.type(OTHER[key] + "1")
            assert arena.drawn() != after, key
            assert field.get_attribute("aria-invalid") is None
        summary.click()
        assert not field.is_visible()
        assert arena.wrong == []


def test_the_map_by_keyboard(arena):
    pad = arena.find(".explorable-pad")
    pad.focus()
    for key, start in {
        "ArrowRight": [-1.18, 1],
        "ArrowUp": [-1.18, 1.02],
        "Shift+ArrowLeft": [-1.38, 1.02],
        "Shift+ArrowDown": [-1.38, 0.82],
    }.items():
        arena.changes(key, lambda key=key: arena.page.keyboard.press(key))
        assert arena.state()["start"] == start
    assert arena.find("#race-x").input_value() == "-1.38"
    for _ in range(20):
        arena.page.keyboard.press("Shift+ArrowLeft")
    assert arena.state()["start"] == [-2, 0.82]
    before = arena.state()
    arena.page.keyboard.press("a")
    assert arena.state() == before
    arena.page.wait_for_function("document.querySelector('#race-said').innerText.includes('−2')")
    assert arena.said().startswith("From (−2, 0.82), step 200 of 200: ")


def test_the_map_by_pointer(arena):
    mouse = arena.page.mouse
    arena.find(".explorable-pad").scroll_into_view_if_needed()
    box = arena.find(".playground-handle").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    mouse.move(x, y)
    mouse.down()
    start = arena.state()["start"]
    assert abs(start[0] + 1.2) < 0.02 > abs(start[1] - 1)  # the handle is where the start is
    arena.changes("drag", lambda: mouse.move(x + 60, y - 20, steps=4))
    mouse.up()
    moved = arena.state()["start"]
    assert moved[0] > start[0] + 0.5
    assert moved[1] > start[1] + 0.1
    mouse.move(x, y)
    assert arena.state()["start"] == moved
    arena.changes("click", lambda: mouse.click(x + 10, y + 30))
    clicked = arena.state()["start"]
    mouse.click(x, y, button="right")
    assert arena.state()["start"] == clicked != start


def test_reset_restores_everything(arena):
    first = arena.drawn()
    arena.find("#race-objective").select_option("saddle")
    arena.find("#race-noise").press("ArrowRight")
    arena.find('[value="Nadam"]').press("Space")
    arena.find("#race-steps").fill("90")
    assert arena.drawn() != first
    arena.find('button[type="reset"]').click()
    assert arena.drawn() == first
    assert arena.find("#race-seed").is_disabled()
    assert arena.find("#race-steps").input_value() == "200"


# ---------------------------------------------------------------- steps


def test_start_step_and_slider(arena):
    arena.find('[data-do="first"]').click()
    assert arena.state()["at"] == 0
    assert arena.said().startswith("From (−1.2, 1), step 0 of 200: ")
    arena.changes("step", lambda: arena.find('[data-do="step"]').press("Enter"))
    arena.changes("step", lambda: arena.find('[data-do="step"]').click())
    assert arena.said().startswith("From (−1.2, 1), step 2 of 200: ")
    slider = arena.find("#race-at")
    arena.changes("slider", lambda: slider.press("PageUp"))
    assert slider.get_attribute("aria-valuetext") == f"{arena.state()['at']} of 200"
    assert arena.find("output[for='race-at']").inner_text() == f"{arena.state()['at']} of 200"
    slider.press("End")
    arena.find('[data-do="step"]').click()
    assert arena.state()["at"] == 200


def test_play_and_pause(arena):
    arena.page.evaluate("""() => {
      window.words = [];
      new MutationObserver(() => words.push(document.querySelector('#race-said').textContent))
        .observe(document.querySelector('#race-said'), {childList: true, characterData: true,
          subtree: true});
    }""")
    button = arena.find('[data-do="play"]')
    button.press("Enter")
    assert button.inner_text() == "Pause"
    arena.page.wait_for_function(f"{FIGURE}.state.at > 5 && {FIGURE}.state.at < 150")
    button.click()
    assert button.inner_text() == "Play"
    at = arena.state()["at"]
    assert 5 < at < 200
    still = arena.drawn()
    arena.page.wait_for_timeout(150)
    assert arena.drawn() == still
    button.click()
    arena.page.wait_for_function(f"{FIGURE}.playing === null")
    assert arena.state()["at"] == 200
    words = [text for text in arena.page.evaluate("words") if text]
    assert len(words) == 2  # the pause and the finish, not each frame
    assert f"step {at} of 200" in words[0]
    assert "step 200 of 200" in words[1]
    button.click()
    arena.page.wait_for_function(f"{FIGURE}.state.at < 100")  # from the start again
    arena.find('[data-do="step"]').click()
    assert button.inner_text() == "Play"


def test_a_change_does_not_stop_the_race(arena):
    arena.find('[data-do="first"]').click()
    arena.find('[data-do="play"]').click()
    arena.find('[value="Nadam"]').check()
    arena.find("#race-objective").select_option("ravine")
    assert arena.page.evaluate(f"{FIGURE}.playing !== null")
    arena.page.wait_for_function(f"{FIGURE}.playing === null")
    assert arena.state()["at"] == 200
    assert "Nadam" in arena.state()["rules"]


def test_it_plays_once_by_itself_unless_motion_is_reduced(browser, home):
    with Playing(browser, home, reduced_motion="no-preference") as arena:
        arena.find(".explorable-pad").scroll_into_view_if_needed()
        arena.page.wait_for_function(f"{FIGURE}.state.at < 150")
        arena.page.wait_for_function(f"{FIGURE}.state.at === 200 && {FIGURE}.playing === null")
        assert arena.address() == ""
        assert arena.wrong == []
    with Playing(browser, home) as arena:
        arena.find(".explorable-pad").scroll_into_view_if_needed()
        arena.page.wait_for_timeout(400)
        assert arena.state()["at"] == 200
    with Playing(browser, home, "#race=ravine&at=9", reduced_motion="no-preference") as arena:
        arena.find(".explorable-pad").scroll_into_view_if_needed()
        arena.page.wait_for_timeout(400)
        assert arena.state()["at"] == 9


# ---------------------------------------------------------------- wrong input


def test_a_wrong_number_is_refused_with_its_range_and_nothing_is_lost(arena):
    before = arena.drawn()
    for selector, text, why in (
        ("#race-x", "9", "x=9 is out of range; expected -2 <= x <= 2."),
        ("#race-steps", "0", "steps=0 is out of range; expected a whole number, 1 <= steps"),
        ("#race-steps", "", "steps is empty; expected a whole number, 1 <= steps <= 500."),
    ):
        field = arena.find(selector)
        field.fill(text)
        assert field.get_attribute("aria-invalid") == "true"
        assert arena.find(f"{selector}-wrong").inner_text().startswith(why)
        assert field.input_value() == text
        assert arena.drawn() == before
    arena.find("#race-x").fill("1")
    assert arena.find("#race-x").get_attribute("aria-invalid") is None
    assert arena.find("#race-x-wrong").inner_text() == ""
    assert arena.drawn() != before
    arena.find('details[data-rule="Adam"] summary').click()
    arena.find("#race-Adam-beta1").fill("1.5")
    assert arena.find("#race-Adam-beta1-wrong").inner_text() == (
        "Adam: beta1=1.5 is out of range; expected 0 <= beta1 < 1."
    )


def test_two_numbers_that_do_not_fit_are_refused_until_they_do(browser, home):
    with Playing(browser, home, "#race=ravine&rules=Rprop") as arena:
        arena.find('details[data-rule="Rprop"] summary').click()
        arena.find("#race-Rprop-step_max").fill("0.5")
        before = arena.drawn()
        arena.find("#race-Rprop-step_min").fill("0.7")
        wrong = arena.find("#race-Rprop-step_min-wrong")
        assert wrong.inner_text() == "Rprop: step_min=0.7 is above step_max=0.5; swap them."
        assert arena.drawn() == before
        arena.find("#race-Rprop-step_max").fill("0.9")
        assert wrong.inner_text() == ""
        hyper = arena.state()["hyper"]["Rprop"]
        assert (hyper["step_min"], hyper["step_max"]) == (0.7, 0.9)
        assert arena.wrong == []


# ---------------------------------------------------------------- links


def test_a_link_holds_the_race_and_history_keeps_the_ones_before(browser, home):
    with Playing(browser, home, permissions=["clipboard-read", "clipboard-write"]) as arena:
        page = arena.page
        first = arena.drawn()
        arena.find("#race-objective").select_option("Beale")
        beale, link = arena.drawn(), arena.address()
        assert link.startswith("#race=Beale&rules=SGD,Momentum,AdaGrad,Adam&start=1,1.5&")
        arena.find("#race-noise").press("ArrowRight")
        arena.find('[value="AdaDelta"]').press("Space")
        arena.find('details[data-rule="AdaDelta"] summary').click()
        arena.find("#race-AdaDelta-eps_x").fill("0.001")
        arena.find("#race-seed").fill("12")
        arena.find("#race-at").press("ArrowLeft")
        last, state = arena.drawn(), arena.state()
        arena.find('[data-do="link"]').click()
        page.wait_for_function("document.querySelector('#race-said').innerText.includes('copied')")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == page.url
        page.reload()
        page.wait_for_function(f"window.SecondMoments && {FIGURE}?.drawn")
        assert arena.drawn() == last
        page.go_back()
        page.wait_for_function(f"{FIGURE}.state.noise === 0")
        assert arena.drawn() == beale
        page.go_back()
        page.wait_for_function(f"{FIGURE}.state.objective === 'Rosenbrock'")
        assert arena.drawn() == first
        page.go_forward()
        page.go_forward()
        page.wait_for_function(f"{FIGURE}.state.noise > 0")
        assert arena.drawn() == last
        assert arena.wrong == []
    with Playing(browser, home, "#" + copied.split("#")[1]) as arena:
        assert arena.state() == state
        assert arena.drawn() == last
        assert arena.wrong == []


def test_steps_of_one_race_are_one_entry_of_the_history(arena):
    length = arena.page.evaluate("history.length")
    for _ in range(3):
        arena.find("#race-at").press("ArrowLeft")
        assert f"at={arena.state()['at']}" in arena.address()
    assert arena.page.evaluate("history.length") == length


@pytest.mark.parametrize("link", ["#race=bowl", "#race=ravine&noise=%", "#race=ravine&Adam.lr=-1"])
def test_a_broken_link_shows_the_first_race_and_says_so(browser, home, arena, link):
    with Playing(browser, home, link) as broken:
        assert broken.said().startswith("The link cannot be read: ")
        assert broken.said().endswith("This is the first race instead.")
        assert broken.drawn() == arena.drawn()
        assert broken.wrong == []


def test_an_anchor_of_the_page_is_no_link_to_a_race(arena):
    arena.find('[value="Nadam"]').press("Space")
    arena.address()
    before = arena.drawn()
    arena.page.evaluate("location.hash = '#how-to-use-it'")
    arena.page.wait_for_timeout(100)
    assert arena.drawn() == before


def test_a_browser_that_does_not_let_pages_copy_is_no_dead_end(arena):
    arena.page.evaluate(
        "() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }"
    )
    arena.find('[data-do="link"]').click()
    arena.page.wait_for_function("document.querySelector('#race-said').innerText.match('copy')")
    assert arena.said().endswith("the address of this page is the link.")


def test_the_races_of_the_text_run(browser, home):
    with Playing(browser, home) as arena:
        links = arena.page.locator('article a[href^="#race="]')
        count = links.count()
        assert count >= 5
        seen = set()
        for i in range(count):
            links.nth(i).click()
            arena.page.wait_for_function(f"{FIGURE}.state.at === 0")
            assert not arena.said().startswith("The link")
            assert arena.find(".explorable-pad").is_visible()
            state = arena.state()
            seen.add(str(state))
            arena.find("#race-at").press("ArrowRight")
            arena.address()
        assert len(seen) == count
        assert arena.wrong == []
    with Playing(browser, home, reduced_motion="no-preference") as arena:
        arena.page.locator('article a[href^="#race=saddle"]').first.click()
        arena.page.wait_for_function(f"{FIGURE}.state.objective === 'saddle'")
        arena.page.wait_for_function(f"{FIGURE}.state.at === 200")


# ---------------------------------------------------------------- Python


@pytest.mark.parametrize(
    "link",
    [
        "",
        "#race=saddle&rules=SGD,Rprop,AdaDelta&start=1,0.1&noise=0.2&seed=4&steps=60",
        "#race=Beale&rules=Momentum&start=2,0&Momentum.dampening=0.5&Momentum.lr=0.004",
    ],
)
def test_the_lines_of_python_compute_what_the_page_shows(browser, home, link):
    with Playing(browser, home, link, permissions=["clipboard-read", "clipboard-write"]) as arena:
        button = arena.find('[data-do="python"]')
        assert not arena.find("#race-python").is_visible()
        button.press("Enter")
        assert button.get_attribute("aria-expanded") == "true"
        code = arena.find("#race-python code").inner_text()
        arena.find('[data-do="copy"]').click()
        arena.page.wait_for_function(
            "document.querySelector('#race-said').innerText.match('copied')"
        )
        assert arena.page.evaluate("navigator.clipboard.readText()") == code
        names = {}
        exec(compile(code, "<shown>", "exec"), names)
        shown = arena.page.evaluate(f"Object.values({FIGURE}.ran).map((v) => v.x)")
        assert len(shown) == len(names["paths"]) > 0
        for path, x in zip(names["paths"], shown, strict=True):
            np.testing.assert_allclose(x, path, rtol=1e-8, atol=1e-8)
        arena.find("#race-x").fill("0.7")
        assert "0.7" in arena.find("#race-python code").inner_text()
        button.click()
        assert not arena.find("#race-python").is_visible()
        assert arena.wrong == []


# ---------------------------------------------------------------- everywhere


def test_on_a_phone(browser, home):
    touch = dict(viewport=PHONE, has_touch=True, is_mobile=True, color_scheme="dark")
    everyone = "#race=ravine&rules=" + ",".join(RACING)
    with Playing(browser, home, everyone, **touch) as arena:
        for details in arena.find("details").all():
            details.locator("summary").click()
        arena.find('[data-do="python"]').click()
        assert ask(arena.page, OVERFLOW) == []
        assert ask(arena.page, CONTRAST) == []
        pad = arena.find(".explorable-pad")
        pad.scroll_into_view_if_needed()
        box = pad.bounding_box()
        tap = (box["x"] + 0.5 * box["width"], box["y"] + 0.3 * box["height"])
        arena.changes("tap", lambda: arena.page.touchscreen.tap(*tap))
        assert arena.find("#race-x").input_value() == str(arena.state()["start"][0])
        handle = arena.find(".playground-handle")
        assert handle.bounding_box()["width"] >= 44
        assert handle.evaluate("(e) => getComputedStyle(e).touchAction") == "none"
        assert pad.evaluate("(e) => getComputedStyle(e).touchAction") == "pan-y"
        small = arena.page.evaluate("""() => [...document.querySelectorAll(
          '.playground button, .playground select, .playground input[type=number]')]
          .filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 24).length""")
        assert small == 0
        assert arena.wrong == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_is_readable_with_an_error_in_a_field(browser, home, theme):
    with Playing(browser, home, color_scheme=theme) as arena:
        arena.find("#race-x").fill("9")
        assert ask(arena.page, CONTRAST) == []


def test_without_scripts_it_is_a_picture(browser, home):
    with Visit(browser, home + PAGE, java_script_enabled=False) as visit:
        picture = visit.page.locator("figure.playground .explorable-still")
        assert picture.is_visible()
        assert "Momentum" in picture.get_attribute("alt")
        assert not visit.page.locator("figure.playground form").is_visible()


def test_in_print_it_is_a_picture(arena):
    arena.page.emulate_media(media="print")
    assert arena.find(".explorable-still").is_visible()
    assert not arena.find("form").is_visible()


def test_only_the_page_that_needs_it_loads_it(site):
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        loads = "explore/playground.js" in text
        assert loads == ('<figure class="playground"' in text), path
        if loads:
            order = re.findall(r'src="[^"]*explore/([^"?]+)', text)
            assert [name.split(".")[0] for name in order] == ["bokeh", "engine", "playground"]


def test_the_page_is_light(arena):
    assert arena.weight() < 1_000_000
