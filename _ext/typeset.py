"""Typeset mathematics while the site is built, so that a page needs no script for it.

MathJax runs here, inside Python (package ``mini-racer``), from the files of the package
``sphinx-mathjax-offline``. A page receives finished HTML for the eye, MathML for a screen reader,
and the site one style sheet and MathJax's fonts.
"""

import importlib.metadata
import json
import re
import shutil
from pathlib import Path

from docutils import nodes
from py_mini_racer import JSEvalException, MiniRacer
from sphinx.locale import _
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)

PACKAGE = "sphinx-mathjax-offline"
# The order matters: each file registers itself with what was loaded before.
COMPONENTS = (
    "loader.js",
    "core.js",
    "adaptors/liteDOM.js",
    "input/tex-full.js",
    "output/chtml.js",
    "output/chtml/fonts/tex.js",
    "a11y/assistive-mml.js",
)
FONTS = "output/chtml/fonts/woff-v2"
STYLE = "typeset.css"
FONT_FOLDER = "mathjax"
SHORT = 20  # signs; a formula of fewer is never broken

PREPARE = """
var console = {log() {}, warn() {}, error() {}};
var MathJax = {loader: {load: []}, startup: {typeset: false, ready() {}}};
"""
# A long inline formula may break after a relation or a binary operator outside of brackets, much as
# in TeX. MathJax 3 keeps it whole, which is too wide for a phone. Such an operator is known by the
# equal spaces on its two sides.
RENDERER = r"""
const adaptor = MathJax._.adaptors.liteAdaptor.liteAdaptor();
const handler = MathJax._.handlers.html_ts.RegisterHTMLHandler(adaptor);
MathJax._.a11y['assistive-mml'].AssistiveMmlHandler(handler);
const input = new MathJax._.input.tex_ts.TeX({
  packages: ['base', 'ams', 'newcommand', 'configmacros', 'boldsymbol', 'cancel', 'color',
             'mathtools', 'textmacros'],
  macros: MACROS, tags: 'none', formatError(jax, error) { throw new Error(error.message); },
});
const {TeXFont} = MathJax._.output.chtml.fonts.tex_ts;
const output = new MathJax._.output.chtml_ts.CHTML({
  font: new TeXFont({fontURL: FONT_URL}), adaptiveCSS: false,
});
const page = MathJax._.mathjax.mathjax.document('', {InputJax: input, OutputJax: output});

function allowBreaks(formula) {
  if (adaptor.tags(formula, 'mjx-c').length < SHORT) return;
  const space = (piece) => piece && adaptor.getAttribute(piece, 'space');
  const pieces = adaptor.childNodes(formula);
  const broken = [];
  let depth = 0;
  pieces.forEach((piece, i) => {
    broken.push(piece);
    const sign = adaptor.getAttribute(adaptor.firstChild(piece) || piece, 'class') || '';
    if (/mjx-c(28|5B|7B)\b/.test(sign)) depth += 1;
    if (/mjx-c(29|5D|7D)\b/.test(sign)) depth -= 1;
    const operator = adaptor.kind(piece) === 'mjx-mo' && ['3', '4'].includes(space(piece));
    if (depth <= 0 && operator && space(pieces[i + 1]) === space(piece)) {
      broken.push(adaptor.node('wbr'));
    }
  });
  if (broken.length > pieces.length) {
    formula.children = [];
    broken.forEach((piece) => adaptor.append(formula, piece));
    adaptor.addClass(formula, 'breaks');
  }
}

function typeset(tex, display) {
  const box = page.convert(tex, {display});
  if (!display) allowBreaks(adaptor.firstChild(box));
  return adaptor.outerHTML(box);
}

function style() { return adaptor.textContent(output.styleSheet(page)); }
0
"""


def package_folder():
    """Return the folder of MathJax's files inside the installed package."""
    for file in importlib.metadata.files(PACKAGE) or []:
        if file.name == "loader.js":
            return Path(file.locate()).parent
    raise FileNotFoundError(f"{PACKAGE} holds no loader.js: install the pinned requirements.txt")


class Typesetter:
    """TeX in, HTML out; the engine starts with the first formula and must be closed.

    Parameters
    ----------
    macros : dict of str to str, or to [str, int]
        TeX macros: name without backslash to definition, or to [definition, number of arguments].
    """

    def __init__(self, macros=None):
        self.macros = macros or {}
        self._engine = None
        self._known = {}

    def engine(self):
        """Return the JavaScript engine, with MathJax in it."""
        if self._engine is None:
            folder = package_folder()
            self._engine = MiniRacer()
            self._engine.eval(PREPARE + "0")
            for component in COMPONENTS:
                self._engine.eval((folder / component).read_text(encoding="utf-8") + ";0")
            given = (
                f"const MACROS = {json.dumps(self.macros)}, FONT_URL = '{FONT_FOLDER}', "
                f"SHORT = {SHORT};\n"
            )
            self._engine.eval(given + RENDERER)
        return self._engine

    def html(self, tex, display=False):
        """Return the HTML of a formula; `ValueError` says what MathJax could not read."""
        key = (tex, display)
        if key not in self._known:
            engine = self.engine()
            try:
                self._known[key] = engine.call("typeset", tex, display)
            except JSEvalException as error:
                raise ValueError(str(error).partition("\n")[0].split("Error: ")[-1]) from error
        return self._known[key]

    def style(self):
        """Return the style sheet for everything that `html` can return."""
        return " ".join(self.engine().call("style").split())

    def close(self):
        """Stop the engine. Left running, its thread can keep Python from ending."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None


def _rows(tex):
    r"""Return display TeX whose lines may be parted by ``\\`` or by blank lines, as in Sphinx."""
    parts = [part.strip() for part in tex.split("\n\n") if part.strip()]
    rows = [rf"\begin{{aligned}}{row}\end{{aligned}}" if r"\\" in row else row for row in parts]
    if len(rows) < 2:
        return "".join(rows)
    return r"\begin{gathered}" + r"\\".join(rows) + r"\end{gathered}"


def glue(_app, doctree, _docname):
    """Keep a bracket before an inline formula, and a sign after it, on the formula's line.

    Browsers break a line between a formula and any sign beside it: to them it is a picture.
    """
    for formula in doctree.findall(nodes.math):
        siblings, place = formula.parent.children, formula.parent.index(formula)
        before = siblings[place - 1] if place else None
        after = siblings[place + 1] if place + 1 < len(siblings) else None
        if isinstance(before, nodes.Text):
            formula["before"] = re.search(r"[(\[“‘]*$", before).group()
            rest = before[: len(before) - len(formula["before"])]
            formula.parent.replace(before, nodes.Text(rest))
        if isinstance(after, nodes.Text):
            formula["after"] = re.match(r"[)\].,;:!?”’%]*", after).group()
            formula.parent.replace(after, nodes.Text(after[len(formula["after"]) :]))


def _formula(translator, node, tex, display):
    try:
        return translator.builder.app.typesetter.html(tex, display)
    except ValueError as error:
        logger.warning("formula not readable: %s: %s", error, tex, location=node)
        return f"<code>{translator.encode(tex)}</code>"


def visit_math(translator, node):
    """Write an inline formula."""
    before, after = (translator.encode(node.get(side, "")) for side in ("before", "after"))
    translator.body.append(f'<span class="glued">{before}' if before or after else "")
    translator.body.append(translator.starttag(node, "span", "", CLASS="math notranslate"))
    translator.body.append(_formula(translator, node, node.astext(), display=False) + "</span>")
    translator.body.append(f"{after}</span>" if before or after else "")
    raise nodes.SkipNode


def visit_math_block(translator, node):
    """Write a display formula, and its number if it has one."""
    translator.body.append(translator.starttag(node, "div", CLASS="math notranslate"))
    tex = node.astext() if node.get("nowrap") else _rows(node.astext())
    translator.body.append('<div class="formula" tabindex="0">')
    translator.body.append(_formula(translator, node, tex, display=True) + "</div>")
    if node.get("number"):
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({number})')
        translator.add_permalink_ref(node, _("Link to this equation"))
        translator.body.append("</span>")
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def start(app):
    """Give the application its typesetter."""
    app.typesetter = Typesetter(app.config.typeset_macros)


def finish(app, error):
    """Write the style sheet and copy the fonts; stop the engine whatever happened."""
    try:
        if error is None and app.builder.format == "html":
            static = Path(app.outdir) / "_static"
            (static / STYLE).write_text(app.typesetter.style(), encoding="utf-8")
            shutil.copytree(package_folder() / FONTS, static / FONT_FOLDER, dirs_exist_ok=True)
    finally:
        app.typesetter.close()


def setup(app):
    """Register the renderer with Sphinx."""
    app.add_config_value("typeset_macros", {}, "html", dict)
    app.add_html_math_renderer("typeset", (visit_math, None), (visit_math_block, None))
    app.connect("builder-inited", start)
    app.connect("doctree-resolved", glue)
    app.connect("build-finished", finish)
    app.add_css_file(STYLE)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
