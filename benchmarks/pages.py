"""From a control that is moved to the picture that has followed, on pages of the built site."""

from __future__ import annotations

import atexit
import functools
from contextlib import ExitStack

from benchmarks.measure import Case

# Seconds from an event until the last frame that paints what it changed has been handed over.
_MEASURE = """
window.painted = 0;
for (const name of ["clearRect", "fillRect", "stroke", "drawImage"]) {
  const draw = CanvasRenderingContext2D.prototype[name];
  CanvasRenderingContext2D.prototype[name] = function (...given) {
    window.painted = performance.now();
    return draw.apply(this, given);
  };
}
// A message that is sent in a frame arrives when the frame is done.
window.frame = () => new Promise((done) => requestAnimationFrame(() => {
  const {port1, port2} = new MessageChannel();
  port2.onmessage = () => done(performance.now());
  port1.postMessage(0);
}));
window.redrawn = async (change) => {
  for (let still = 0; still < 3; still++) {  // what an earlier change began is over
    const before = window.painted;
    await window.frame();
    if (window.painted !== before) still = -1;
  }
  await new Promise((done) => setTimeout(done, 16 * Math.random()));
  let seen = window.painted, end = NaN;
  const begun = performance.now();
  change();
  for (let still = 0; still < 3; still++) {
    const now = await window.frame();
    if (now > begun + 10000) break;
    if (window.painted !== seen) [seen, end, still] = [window.painted, now, -1];
  }
  return (end - begun) / 1000;
};
window.frames = async (count) => {
  const begun = await window.frame();
  for (let n = 0; n < count; n++) await window.frame();
  return (performance.now() - begun) / 1000;
};
"""
# A figure of one rule whose walk is made as long as it is to be.
_LENGTHEN = """(steps) => {
  window.figure = [...SecondMoments.figures.values()][0];
  figure.spec.walks[0].steps = steps;
  const field = figure.fields[0], start = Number(field.value);
  window.change = () => {
    field.value = Number(field.value) === start ? start - 1 : start;
    field.dispatchEvent(new Event("input", {bubbles: true}));
  };
}"""
_CHOOSE = """(steps) => {
  window.figure = SecondMoments.figures.get(document.querySelector("figure.playground"));
  figure.find('[data-do="all"]').click();
  const type = (name, value) => {
    const field = figure.find(`[name="${name}"]`);
    field.value = value;
    field.dispatchEvent(new Event("input", {bubbles: true}));
  };
  type("steps", steps);
  window.change = () => type("x", figure.state.start[0] === 0.5 ? -1 : 0.5);
  return figure.state.rules.length;
}"""


def cases(tiny):
    """Return the cases of a moving figure and of the playground."""
    long, many = (20, 10) if tiny else (500, 200)
    look = dict(needs=("playwright",), lacks=_lacks, own_clock=True)
    return [
        Case(
            f"one rule, {long} steps: control to redrawn / two frames",
            functools.partial(_figure, long),
            target=1.0,
            **look,
        ),
        Case(
            f"playground, every rule, {many} steps: control to redrawn / 50 ms",
            functools.partial(_playground, many),
            target=1.0,
            **look,
        ),
    ]


def _lacks():
    from tests.site.page import SITE, browser_path

    found = {"a Chromium": browser_path(), "the built site": (SITE / "index.html").is_file()}
    return [name for name, there in found.items() if not there]


def _figure(steps):
    page = _page("chapters/adam.html", "figure.explorable.alive")
    page.evaluate(_LENGTHEN, steps)
    return _change(page), lambda: page.evaluate("frames(2)")


def _playground(steps):
    page = _page("playground.html", "figure.playground.alive")
    page.wait_for_function(
        "SecondMoments.figures.get(document.querySelector('figure.playground')).drawn"
    )
    if page.evaluate(_CHOOSE, steps) < 14:
        raise RuntimeError("the playground does not race every rule")
    return _change(page), lambda: 0.05


def _change(page):
    def seconds():
        taken = page.evaluate("redrawn(change)")
        if taken is None or taken != taken:
            raise RuntimeError("a control was moved and nothing was redrawn")
        return taken

    return seconds


def _page(path, awake):
    """Open a page of the site in a browser that lives as long as this process."""
    from playwright.sync_api import sync_playwright

    from tests.site.conftest import serving
    from tests.site.page import DESKTOP, FLAGS, SITE, browser_path

    stack = ExitStack()
    atexit.register(stack.close)
    home = stack.enter_context(serving(SITE))
    playwright = stack.enter_context(sync_playwright())
    browser = playwright.chromium.launch(executable_path=browser_path(), args=list(FLAGS))
    stack.callback(browser.close)
    page = browser.new_page(viewport=DESKTOP, reduced_motion="reduce")
    page.add_init_script(_MEASURE)
    page.goto(home + path)
    page.locator("figure.explorable, figure.playground").first.scroll_into_view_if_needed()
    page.wait_for_selector(awake)
    return page
