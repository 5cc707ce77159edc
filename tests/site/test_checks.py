"""The checks of pages find what they are for: each is shown a page with one thing wrong."""

import pytest

from tests.site.conftest import serving
from tests.site.page import HEAVIEST, dead_links, other_hosts, problems

GOOD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Page</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><link rel="license" href="https://example.org/deed">
<style>body { margin: 8px; color: #222; background: #fff; font: 16px serif; }
@media (prefers-color-scheme: dark) { body { color: #eee; background: #111; }
  a { color: #9cf; } }</style></head>
<body><main><article><h1 id="top">Title</h1><input type="search" aria-label="Search">
<p>Text with <code>$HOME</code>, <a href="#top">a link</a> and
<span class="math"><mjx-math>x</mjx-math><math><mi>x</mi></math></span>.</p>
<img alt="A dot" src="dot.svg"><!--here--></article></main></body></html>
"""
DOT = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="9"/></svg>'
HERE = "<!--here-->"

TAMPERED = {
    "a script of another host": (
        (HERE, '<script src="https://example.org/x.js"></script>'),
        "request to another host: https://example.org/x.js",
    ),
    "a script that asks another host": (
        (HERE, "<script>fetch('http://example.org/data').catch(() => 0)</script>"),
        "request to another host: http://example.org/data",
    ),
    "a console error": ((HERE, "<script>console.error('lost')</script>"), "console error: lost"),
    "a console warning": ((HERE, "<script>console.warn('old')</script>"), "console warning: old"),
    "a script that fails": ((HERE, "<script>nowhere()</script>"), "script error: "),
    "a missing file": ((HERE, '<script src="missing.js"></script>'), "status 404: "),
    "a missing image": (("dot.svg", "missing.svg"), "broken image: "),
    "an image without alt text": ((' alt="A dot"', ""), "image without alt text: "),
    "an image with an empty alt text": (('"A dot"', '""'), "image without alt text: "),
    "no h1": (("h1", "h2"), "0 visible h1 headings"),
    "two h1": ((HERE, "<h1>Again</h1>"), "2 visible h1 headings"),
    "no search box": (('type="search"', 'type="text"'), "0 visible search boxes"),
    "two search boxes": ((HERE, '<input type="search">'), "2 visible search boxes"),
    "TeX between dollars": ((HERE, "<p>where $x$ is</p>"), "raw TeX in the text: "),
    "a TeX command": ((HERE, r"<p>\frac{1}{2}</p>"), "raw TeX in the text: "),
    "a formula that was not set": (("<mjx-math>x</mjx-math>", "x"), "formula not set: "),
    "a formula without MathML": (("<math><mi>x</mi></math>", ""), "formula not set: "),
    "an element wider than a phone": (
        (HERE, '<div style="width: 500px">wide</div>'),
        "the page is wider than 390 px",
    ),
    "grey on white": ((HERE, '<p style="color: #aaa">faint</p>'), "contrast of rgb(170, 170, 170)"),
    "dark on dark": (("a { color: #9cf; }", "a { color: #009; }"), "dark: contrast of "),
    "an icon that is not in the font": ((HERE, '<i class="fa-ghost"></i>'), "icon without a pic"),
    "a heavy page": (
        (HERE, "<script>/*{}*/</script>".format("".join(map(chr, range(33, 42))))),
        "bytes compressed",
    ),
}


def write(folder, change=None):
    page = GOOD.replace(*change) if change else GOOD
    (folder / "index.html").write_text(page, encoding="utf-8")
    (folder / "dot.svg").write_text(DOT, encoding="utf-8")
    return folder / "index.html"


@pytest.mark.browser
def test_a_good_page_passes(browser, tmp_path):
    write(tmp_path)
    with serving(tmp_path) as home:
        assert problems(browser, home) == []


@pytest.mark.browser
@pytest.mark.parametrize("fault", TAMPERED)
def test_a_tampered_page_is_found(browser, tmp_path, monkeypatch, fault):
    change, sentence = TAMPERED[fault]
    if fault == "a heavy page":
        monkeypatch.setattr("tests.site.page.HEAVIEST", 400)
    assert change[0] in GOOD
    write(tmp_path, change)
    with serving(tmp_path) as home:
        found = problems(browser, home)
    assert any(sentence in problem for problem in found), found


def test_the_limit_is_half_a_megabyte():
    assert HEAVIEST == 500_000


@pytest.mark.parametrize(
    "fetch",
    [
        '<script src="https://example.org/x.js"></script>',
        '<script src="//example.org/x.js"></script>',
        '<link rel="stylesheet" href="http://example.org/x.css">',
        '<link rel="preload" href="https://example.org/x.woff2">',
        '<img alt="x" srcset="https://example.org/x.png 2x">',
        '<iframe src="https://example.org/"></iframe>',
        '<div style="background: url(https://example.org/x.png)"></div>',
    ],
)
def test_an_address_of_another_host_is_found(tmp_path, fetch):
    assert other_hosts(write(tmp_path)) == []
    assert len(other_hosts(write(tmp_path, (HERE, fetch)))) == 1


@pytest.mark.parametrize("rule", ['@import "https://x.org/a.css";', "a { b: url('//x.org/a') }"])
def test_a_style_sheet_of_another_host_is_found(tmp_path, rule):
    sheet = tmp_path / "a.css"
    sheet.write_text("a { b: url(c.png) }", encoding="utf-8")
    assert other_hosts(sheet) == []
    sheet.write_text(rule, encoding="utf-8")
    assert len(other_hosts(sheet)) == 1


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("gone.html", "no such file"),
        ("#gone", "no such place"),
        ("index.html#gone", "no such place"),
    ],
)
def test_a_dead_link_is_found(tmp_path, link, reason):
    write(tmp_path)
    assert dead_links(tmp_path) == []
    write(tmp_path, (HERE, f'<a href="{link}">x</a><a href="https://example.org/">y</a>'))
    (found,) = dead_links(tmp_path)
    assert link in found
    assert reason in found
