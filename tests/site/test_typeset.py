"""Formulas are typeset while building: what a page receives, and what ends a build."""

import re

import pytest
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

pytest.importorskip("py_mini_racer")

from _ext.typeset import Typesetter
from tests.site.page import Visit


@pytest.fixture(scope="module")
def typesetter():
    typesetter = Typesetter({"R": r"\mathbb{R}", "norm": [r"\lVert #1 \rVert", 1]})
    yield typesetter
    typesetter.close()


def test_a_formula_is_drawn_and_said(typesetter):
    html = typesetter.html(r"\beta_1^t", display=False)
    assert "<mjx-math" in html
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML">' in html
    assert "<mi>β</mi>" in html
    assert r"\beta" not in html


def test_display_and_inline_differ(typesetter):
    assert 'display="true"' in typesetter.html("x", display=True)
    assert 'display="true"' not in typesetter.html("x", display=False)


LONG = "aaaaaaaaaaaaaaaaaaaa"


@pytest.mark.parametrize(
    ("tex", "breaks"),
    [
        (f"{LONG} = b + c", 2),
        (f"{LONG} = (b + c)", 1),
        (f"{LONG} = [b + {{c}}] + -1", 2),
        (f"f(x, -1), {LONG}", 0),
        (rf"\frac{{a + b}}{{c}} {LONG}", 0),
        ("a = b + c", 0),
    ],
)
def test_a_long_inline_formula_breaks_after_operators(typesetter, tex, breaks):
    assert typesetter.html(tex).count("<wbr>") == breaks
    assert "<wbr>" not in typesetter.html(tex, display=True)


def test_macros(typesetter):
    assert "R" in typesetter.html(r"x \in \R")
    assert "‖" in typesetter.html(r"\norm{x}")


@pytest.mark.parametrize(
    "tex",
    [
        r"\begin{align} a &= b, & c &= d \\ e &= f \end{align}",
        r"\begin{aligned} a &= b \\ c &= d \end{aligned}",
        r"\begin{cases} 1 & x > 0 \\ 0 & \text{else, $x \le 0$} \end{cases}",
        r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}",
        r"\underbrace{x}_{\text{why}} \overset{!}{=} \operatorname{sign}\boldsymbol{x} \tag{1}",
        r"\mathbb{E}\bigl[\lVert g\rVert^2\bigr] \xrightarrow{t \to \infty} \cancel{0}",
    ],
)
def test_environments_and_commands_of_the_book(typesetter, tex):
    assert "mjx-math" in typesetter.html(tex, display=True)


@pytest.mark.parametrize(
    ("tex", "reason"),
    [
        (r"\frac{a", "close brace"),
        (r"\nothing", "Undefined control sequence"),
        ("a^b^c", "exponent"),
    ],
)
def test_unreadable_tex_is_an_error_that_says_why(typesetter, tex, reason):
    with pytest.raises(ValueError, match=reason):
        typesetter.html(tex)


def test_the_style_sheet_serves_fonts_from_the_site(typesetter):
    style = typesetter.style()
    assert 'url("mathjax/MathJax_Main-Regular.woff")' in style
    assert "http" not in style


def build(folder, text):
    """Build one page with the extension alone; return the exit status and the page."""
    (folder / "index.rst").write_text("Page\n====\n\n" + text, encoding="utf-8")
    with docutils_namespace():  # a second application in one process warns of the first's nodes
        app = Sphinx(
            *(folder, None, folder / "html", folder / "doctrees", "html"),
            confoverrides={
                "extensions": ["_ext.typeset"],
                "html_math_renderer": "typeset",
                "html_theme": "basic",
            },
            status=None,
            warning=None,
            warningiserror=True,
            keep_going=True,
        )
        app.build()
    return app.statuscode, (folder / "html" / "index.html").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_a_page_with_numbered_equations(tmp_path):
    text = (
        ".. math::\n   :label: one\n\n   a &= b \\\\\n   c &= d\n\nSee :eq:`one`, :math:`x < 1`.\n"
    )
    status, page = build(tmp_path, text)
    assert status == 0
    assert page.count("<mjx-math") == 2
    assert 'class="eqno">(1)' in page
    assert 'href="#equation-one">(1)</a>' in page
    assert "MathJax-script" not in page
    static = tmp_path / "html" / "_static"
    assert (static / "typeset.css").is_file()
    assert (static / "mathjax" / "MathJax_Main-Regular.woff").is_file()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_an_inline_page_has_no_warning(tmp_path):
    assert build(tmp_path, ":math:`a`\n")[0] == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_an_unreadable_formula_ends_the_build(tmp_path):
    status, page = build(tmp_path, ":math:`\\frac{a`\n")
    assert status == 1
    assert "<code>\\frac{a</code>" in page


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_signs_beside_a_formula_stay_with_it(tmp_path):
    status, page = build(tmp_path, "See (:math:`a`), :math:`b` and :math:`c`.\n")
    assert status == 0
    assert page.count('class="glued"') == 2
    assert re.search(r'See <span class="glued">\(<span class="math.*?</span>\),</span> <span', page)
    assert re.search(r' and <span class="glued"><span class="math.*?</span>\.</span></p>', page)


@pytest.mark.browser
def test_no_line_begins_with_the_sign_after_a_formula(browser, home, site):
    """At any width: the sign and the end of its formula are on one line."""
    path = next(p for p in site.rglob("*.html") if 'class="glued"' in p.read_text("utf-8"))
    tops = """() => [...document.querySelectorAll('.glued')].map((e) => {
      const last = e.lastChild;
      if (last.nodeType !== Node.TEXT_NODE) return 0;
      const range = document.createRange();
      range.selectNodeContents(last);
      const pieces = [...e.querySelectorAll('.math mjx-math > *')].filter((p) => p.offsetWidth);
      const sign = range.getBoundingClientRect();
      return pieces.at(-1).getBoundingClientRect().right > sign.left + 2;
    }).filter(Boolean).length"""
    with Visit(browser, home + path.relative_to(site).as_posix()) as visit:
        for width in range(320, 900, 20):
            visit.page.set_viewport_size({"width": width, "height": 800})
            assert visit.page.evaluate(tops) == 0, width
