"""Checks of built pages: with a parser alone, and in a browser.

Each check returns what is wrong, as sentences; a clean page gives an empty list. `test_checks.py`
shows every check failing on a page that was tampered with.
"""

import gzip
import re
import shutil
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tools.frontdoor import ROOT

SITE = ROOT / "_build" / "html"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
HEAVIEST = 500_000
COMPRESSED = (".html", ".css", ".js", ".svg", ".json")
# What a browser fetches by itself, by tag; `a href` is the reader's choice.
FETCHED = {
    "audio": ("src",),
    "embed": ("src",),
    "form": ("action",),
    "iframe": ("src",),
    "img": ("src", "srcset"),
    "input": ("src",),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "video": ("src", "poster"),
}
# These name a page; nothing is fetched.
NAMES_ONLY = {"author", "canonical", "license", "next", "prev", "search", "index", "genindex"}


def browser_path():
    """Return the path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


# --- without a browser ----------------------------------------------------------------------------


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.ids = set()
        self.links = []
        self.fetched = []

    def handle_starttag(self, tag, attributes):
        given = {name: value or "" for name, value in attributes}
        if "id" in given:
            self.ids.add(given["id"])
        if tag == "a":
            self.ids.add(given.get("name", ""))
            if "href" in given:
                self.links.append(given["href"])
        if tag == "link" and set(given.get("rel", "").split()) <= NAMES_ONLY:
            return
        self.fetched += [given[name] for name in FETCHED.get(tag, ()) if given.get(name)]
        self.fetched += re.findall(r"url\(['\"]?([^'\")]+)", given.get("style", ""))


def read(path):
    """Return the ids, links and fetched addresses of an HTML file."""
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


def other_hosts(path):
    """Return the addresses on other hosts that an HTML file or style sheet makes browsers fetch."""
    if path.suffix == ".css":
        text = path.read_text(encoding="utf-8")
        addresses = re.findall(r"(?:url\(|@import\s+)\s*['\"]?([^'\")\s;]+)", text)
    else:
        addresses = read(path).fetched
    return [
        f"{path.name} fetches {address}"
        for address in addresses
        if re.match(r"\s*(?:https?:)?//", address)
    ]


def dead_links(root):
    """Return each link from page to page that leads to no file or to no place in it."""
    pages = {path: read(path) for path in root.rglob("*.html") if "_static" not in path.parts}
    wrong = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            where = f"{path.relative_to(root)} links to {link}"
            if not target.is_file():
                wrong.append(f"{where}: no such file")
            elif parts.fragment.startswith("race="):
                continue  # a state of the playground, read by its script
            elif target in pages and parts.fragment:
                found = unquote(parts.fragment) in pages[target].ids
                wrong += [] if found else [f"{where}: no such place on the page"]
    return wrong


# --- in a browser ---------------------------------------------------------------------------------

VISIBLE = """
const visible = (e) => e.checkVisibility({checkOpacity: true, checkVisibilityCSS: true})
  && e.getBoundingClientRect().width > 1;
const all = (selector) => [...document.querySelectorAll(selector)];
const name = (e) => e.outerHTML.replace(/\\s+/g, ' ').slice(0, 90);
"""

CONTENT = """() => {
  const wrong = [];
  const h1 = all('h1').filter(visible);
  if (h1.length !== 1) wrong.push(`${h1.length} visible h1 headings, not one`);

  const boxes = all('input[type=search], .search-button-field').filter(visible);
  if (boxes.length !== 1) wrong.push(`${boxes.length} visible search boxes, not one`);

  for (const image of all('img')) {
    const decoration = !image.closest('article') && image.getAttribute('alt') === '';
    if (!image.alt.trim() && !decoration) wrong.push(`image without alt text: ${name(image)}`);
    if (image.complete && !image.naturalWidth) wrong.push(`broken image: ${name(image)}`);
  }

  for (const formula of all('.math')) {
    const drawn = formula.querySelector('mjx-math');
    if (!drawn || !formula.querySelector('math')) wrong.push(`formula not set: ${name(formula)}`);
    else if (visible(formula.parentElement) && !drawn.getBoundingClientRect().width)
      wrong.push(`formula without width: ${name(formula)}`);
  }
  const text = document.body.cloneNode(true);
  text.querySelectorAll('pre, code, kbd, script, style, .math').forEach((e) => e.remove());
  const raw = text.textContent.match(/.{0,20}(\\$|\\\\[a-zA-Z]{2,}|\\\\[()[\\]]).{0,20}/);
  if (raw) wrong.push(`raw TeX in the text: ${raw[0].trim()}`);

  for (const face of document.fonts)
    if (face.status === 'error') wrong.push(`font not loaded: ${face.family}`);
  for (const icon of all('i[class*="fa-"]'))
    if (getComputedStyle(icon, '::before').content === 'none')
      wrong.push(`icon without a picture: ${name(icon)}`);
  return wrong;
}"""

OVERFLOW = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const scrolls = (e) => getComputedStyle(e).overflowX !== 'visible';
  const wide = all('body *').filter((e) => {
    if (e.getBoundingClientRect().right <= width + 1) return false;
    for (let a = e.parentElement; a; a = a.parentElement)
      if (scrolls(a) || getComputedStyle(a).position === 'fixed') return false;
    return getComputedStyle(e).position !== 'fixed';
  });
  return [`the page is wider than ${width} px: ${wide.slice(-1).map(name)}`];
}"""

CONTRAST = """() => {
  const channels = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b]
    .map((c) => c / 255)
    .map((c) => (c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const over = (top, below) => {
    const alpha = top.length > 3 ? top[3] : 1;
    return [0, 1, 2].map((i) => top[i] * alpha + below[i] * (1 - alpha));
  };
  const ground = (e) => {
    if (!e) return [255, 255, 255];
    const own = channels(getComputedStyle(e).backgroundColor);
    return own.length < 4 || own[3] === 1 ? own : over(own, ground(e.parentElement));
  };
  const wrong = new Map();
  const walk = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !visible(e)) continue;
    if (e.closest('.bk, .math, .headerlink, .copybtn, [data-root-id]')) continue;
    const below = ground(e), style = getComputedStyle(e);
    const [a, b] = [light(over(channels(style.color), below)), light(below)];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5)
      wrong.set(`${style.color} on rgb(${below})`, `${ratio.toFixed(1)}: ${name(e)}`);
  }
  return [...wrong].map(([colours, where]) => `contrast of ${colours} is ${where}`);
}"""


def ask(page, script):
    """Evaluate one of the scripts above in a page."""
    return page.evaluate(f"(() => {{ {VISIBLE} return ({script})(); }})()")


class Visit:
    """A page loaded in a browser, with everything it asked for and complained of.

    Parameters
    ----------
    browser : playwright.sync_api.Browser
    url : str
    **context
        Options of the browser context, e.g. ``viewport`` and ``color_scheme``.
    """

    def __init__(self, browser, url, **context):
        self.url = url
        self.home = "{0.scheme}://{0.netloc}/".format(urlsplit(url))
        self.loaded = {}
        self.wrong = []
        self.context = browser.new_context(**{"viewport": DESKTOP, **context})
        self.context.route("**/*", self._route)
        self.page = self.context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.wrong.append(f"script error: {error}"))
        self.page.on("response", self._response)
        self.page.goto(url, wait_until="networkidle")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()

    def _route(self, route):
        address = route.request.url
        if address.startswith((self.home, "data:", "blob:")):
            route.continue_()
        else:
            self.wrong.append(f"request to another host: {address}")
            route.abort()

    def _console(self, message):
        if message.type in ("error", "warning") and "favicon.ico" not in message.text:
            self.wrong.append(f"console {message.type}: {message.text}")

    def _response(self, response):
        if response.status >= 400:
            self.wrong.append(f"status {response.status}: {response.url}")
        self.loaded[response.url] = response

    def weight(self):
        """Return the bytes of everything the page loaded, text compressed."""
        sizes = defaultdict(int)
        for url, response in list(self.loaded.items()):
            if url.startswith(self.home):
                path = urlsplit(url).path
                body = response.body()
                text = Path(path).suffix in COMPRESSED or path.endswith("/")
                sizes[url] = len(gzip.compress(body)) if text else len(body)
        return sum(sizes.values())

    def explorable(self):
        """Return whether the page holds a moving figure, which may weigh more."""
        return self.page.query_selector("[data-root-id]") is not None


def problems(browser, url):
    """Return everything that is wrong with one page."""
    with Visit(browser, url) as visit:
        wrong = visit.wrong + ask(visit.page, CONTENT) + ask(visit.page, CONTRAST)
        weight = visit.weight()
        if weight > HEAVIEST and not visit.explorable():
            wrong.append(f"{weight} bytes compressed, more than {HEAVIEST}")
    with Visit(browser, url, viewport=PHONE, color_scheme="dark") as visit:
        wrong += visit.wrong + ask(visit.page, OVERFLOW)
        wrong += [f"dark: {sentence}" for sentence in ask(visit.page, CONTRAST)]
    return list(dict.fromkeys(wrong))
