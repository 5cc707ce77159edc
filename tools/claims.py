"""What a chapter states, and whether each statement is guarded by a cell that runs.

Propositions and figures need a check cell that names them and asserts something; decimals in the
prose need a `says` that repeats the sentence, or must be constants of the code; exercises need a
runnable stub and a folded solution. Everything is found without executing the notebook.
"""

import ast
import builtins
import re
import warnings
from dataclasses import dataclass
from decimal import Decimal

import yaml
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

from optimlib.checking import numbers_in
from tools.notebooks import ROOT, SLUG, located, moving_figure

VISIBLE_LINES = 15
STATED = ("corollary", "criterion", "lemma", "observation", "property", "proposition", "theorem")
# directives whose content is not prose, and those whose argument is a name
NOT_PROSE = {
    *("code", "code-block", "code-cell", "literalinclude", "raw", "sourcecode"),
    *("bibliography", "eval-rst", "image", "include", "mermaid", "tableofcontents", "toctree"),
}
NAMED = ("figure", "solution", "solution-start")
HIDDEN = {"hide-cell", "hide-input", "remove-cell", "remove-input"}
CHECK_LINE = re.compile(r"# check: *(\S.*)")
DIRECTIVE = re.compile(r"\{([\w:.-]+)\}\s*(.*)")
ADDRESS = re.compile(r"https?://\S+")
# the site's own Markdown
_SITE = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
MARKDOWN = create_md_parser(
    MdParserConfig(
        enable_extensions=set(_SITE["parse"]["myst_enable_extensions"]),
        dmath_double_inline=_SITE["sphinx"]["config"].get("myst_dmath_double_inline", False),
    ),
    RendererHTML,
)


@dataclass(frozen=True)
class Event:
    """Something found in Markdown, in reading order.

    `kind` is "prose" (then `text` is its plain text), "heading", "label" (`text` is the label) or
    the name of a directive (`text` is its argument, `options` its options).
    """

    kind: str
    text: str
    options: dict
    nested: bool


def events(markdown, nested=False):
    """Yield the events of a Markdown text, those inside directives included."""
    for token in MARKDOWN.parse(markdown):
        directive = DIRECTIVE.fullmatch(token.info) if "fence" in token.type else None
        if directive:
            yield from directive_events(*directive.groups(), token.content)
        elif token.type == "heading_open":
            yield Event("heading", "", {}, nested)
        elif token.type == "myst_target":
            yield Event("label", token.content, {}, nested)
        elif token.type == "inline":
            yield Event("prose", inline_text(token.children), {}, nested)
        elif token.type in ("math_block", "math_block_label", "amsmath"):
            if token.type == "math_block_label":
                yield Event("label", token.info, {}, nested)
            yield Event("prose", token.content, {}, nested)


def directive_events(name, argument, content):
    """Yield the events of a directive: itself, its label, then what it contains."""
    options, body = {}, content
    if block := re.match(r"---\n(.*?\n)---\n?", content, re.S):
        options, body = yaml.safe_load(block[1]) or {}, content[block.end() :]
    elif lines := re.match(r"(:[\w-]+:[^\n]*(\n|$))+", content):
        options = dict(re.findall(r"^:([\w-]+): *(.*?) *$", lines[0], re.M))
        body = content[lines.end() :]
    yield Event(name, argument.strip(), options, True)
    if label := options.get("label") or options.get("name"):
        yield Event("label", str(label), {}, True)
    if name == "math":
        yield Event("prose", f"{argument}\n{body}", {}, True)
    elif name not in NOT_PROSE:
        yield from events("" if name in NAMED else argument, nested=True)
        yield from events(body, nested=True)


def inline_text(tokens):
    """Return what a reader sees of inline tokens, mathematics as LaTeX, without code and URLs."""
    parts = []
    for token in tokens:
        if token.type.startswith("math") or token.meta.get("name") == "math":
            parts.append(f"${token.content}$")
        elif token.type == "text":
            parts.append(ADDRESS.sub(" ", token.content))
        elif token.type == "image":
            parts.append(inline_text(token.children))
        else:
            parts.append(" ")
    return "".join(parts)


# -------------------------------------------------------------------------------------- check cells


def asserts(tree):
    """Tell whether code asserts something that could be false."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            if not isinstance(node.test, ast.Tuple) and depends(node.test):
                return True
        elif isinstance(node, ast.Call):
            name = called(node)
            if name == "says" and any(depends(value) for value in node.args[1:]):
                return True
            if name == "assert_raises":
                return True
            if name.startswith("assert_") and depends(ast.Tuple(node.args)):
                return True
    return False


def depends(expression):
    """Tell whether an expression depends on a computed value and is no comparison with itself."""
    if isinstance(expression, ast.Compare):
        sides = [expression.left, *expression.comparators]
    elif isinstance(expression, ast.Tuple):
        sides = expression.elts[:2]
    else:
        sides = []
    if len(sides) > 1 and len({ast.dump(side) for side in sides}) == 1:
        return False
    names = {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}
    return bool(names - set(dir(builtins)))


def called(node):
    """Return the last part of the name that a call calls."""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


class Claims:
    """The statements of one notebook and their guards.

    Attributes
    ----------
    labels : dict of str to str
        Every label of an equation, proposition, figure, exercise or section: the cell it is in.
    """

    def __init__(self, nb):
        self.found = []
        self.labels = {}
        self.stated = {}  # propositions and figures, and the cell each is in
        self.named = set()  # what the check cells name
        self.fragments = []  # (cell, first argument) of each call of says
        self.constants = set()
        self.cells = located(nb)
        self.markdown_ids = {c.get("id") for _, c in self.cells if c.cell_type == "markdown"}
        self.events = {
            where: list(events(cell.source))
            for where, cell in self.cells
            if cell.cell_type == "markdown"
        }
        checks = []
        for where, cell in self.cells:
            if cell.cell_type == "markdown":
                self.read_markdown(where)
            elif cell.cell_type == "code":
                self.read_figure(where, cell)
                self.read_moving_figures(where, cell)
                checks += self.read_code(where, cell)
        for where, label in checks:
            if label not in self.labels and label not in self.markdown_ids:
                self.report(where, f"checks {label}, which is no label here: correct the name")
        for label, where in self.stated.items():
            if label not in self.named:
                self.report(where, f"{label} has no check cell: add one, '# check: {label}'")
        self.read_exercises()
        self.read_numbers()

    def violations(self):
        """Return (cell, message) for each statement without its guard."""
        return self.found

    def report(self, where, message):
        """Note a violation."""
        self.found.append((where, message))

    def add_label(self, label, where):
        """Note a label; it must be a slug that nothing else in the notebook has."""
        if not SLUG.fullmatch(label):
            self.report(where, f"label {label!r} is no slug: use a-z, 0-9 and hyphens")
        if label in self.labels:
            self.report(where, f"label {label} is also in {self.labels[label]}: rename one")
        self.labels.setdefault(label, where)

    def read_markdown(self, where):
        """Note labels and propositions."""
        for event in self.events[where]:
            if event.kind == "label":
                self.add_label(event.text, where)
            elif event.kind.removeprefix("prf:") in STATED:
                if label := event.options.get("label"):
                    self.stated[label] = where
                else:
                    self.report(
                        where, f"a {event.kind} has no label: give it one, `:label: prop-…`"
                    )

    def read_figure(self, where, cell):
        """Note a figure; what is drawn on the page needs a name, a caption and alt text."""
        options = cell.metadata.get("mystnb", {})
        figure = options.get("figure", {})
        name = figure.get("name", "")
        drawn = any("<Figure size" in str(o.get("data", {})) for o in cell.outputs)
        if not figure and not (drawn and "remove-cell" not in cell.metadata.get("tags", ())):
            return
        if not re.fullmatch(r"fig-[a-z0-9-]+", name):
            self.report(
                where,
                f"its figure is named {name!r}: put mystnb.figure.name, 'fig-…', in the metadata",
            )
        else:
            self.add_label(name, where)
            self.stated[name] = where
        if not str(figure.get("caption", "")).strip():
            self.report(
                where, "its figure has no caption: put mystnb.figure.caption in the metadata"
            )
        if not str(options.get("image", {}).get("alt", "")).strip():
            self.report(where, "its figure has no alt text: put mystnb.image.alt in the metadata")

    def read_moving_figures(self, where, cell):
        """Note the moving figures that a cell shows; each is named by a check like any figure."""
        for name in filter(None, map(moving_figure, cell.outputs)):
            self.add_label(f"explore-{name}", where)
            self.stated[f"explore-{name}"] = where

    def read_code(self, where, cell):
        """Note constants and `says`; return (cell, label) for each label that it checks."""
        tags = set(cell.metadata.get("tags", ()))
        lines = cell.source.split("\n")
        if len(lines) > VISIBLE_LINES and not tags & HIDDEN:
            self.report(
                where, f"shows {len(lines)} lines, at most {VISIBLE_LINES} are read: split it"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # a doubtful escape, as in "\lambda", is a mistake
                # magics and shell lines are IPython's, not Python's
                tree = ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", cell.source, flags=re.M))
        except SyntaxError as error:
            self.report(where, f"is not Python ({error.msg}, line {error.lineno}): correct it")
            return []
        self.read_says(where, tree)
        line = CHECK_LINE.fullmatch(lines[0])
        if "check" not in tags and not line:
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and type(node.value) in (int, float):
                    self.constants.add(Decimal(str(node.value)))
            return []
        if not {"check", "remove-cell"} <= tags:
            self.report(where, "is a check cell: tag it both 'check' and 'remove-cell'")
        if not line:
            self.report(where, "is a check cell: begin it with '# check: <label>'")
            return []
        if not asserts(tree):
            self.report(where, "checks nothing: assert something about a computed value")
            return []
        labels = [label.strip() for label in line[1].split(",")]
        self.named.update(labels)
        return [(where, label) for label in labels]

    def read_says(self, where, tree):
        """Note the fragments that `says` compares."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and called(node) == "says":
                text = node.args[0] if node.args else None
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    self.fragments.append((where, text.value))
                else:
                    self.report(where, "says(...) needs the sentence itself, a plain string, first")

    def read_exercises(self):
        """Report exercises without a stub or a folded solution."""
        exercises = {}
        solved = {}
        open_label, in_solution = None, False
        for where, cell in self.cells:
            tags = set(cell.metadata.get("tags", ()))
            shown = cell.cell_type == "code" and not tags & {"check", "remove-cell"}
            if shown and open_label in exercises and not in_solution:
                exercises[open_label]["stub"] = True
            for event in self.events.get(where, ()):
                if event.kind == "heading" and not event.nested:
                    open_label = None
                elif event.kind in ("exercise", "exercise-start"):
                    open_label = event.options.get("label")
                    if open_label:
                        exercises[open_label] = {"where": where, "stub": False}
                    else:
                        self.report(where, "an exercise has no label: give it one, `:label: ex-…`")
                elif event.kind in ("solution", "solution-start"):
                    solved[event.text] = where
                    in_solution = event.kind == "solution-start"
                    if "dropdown" not in str(event.options.get("class", "")).split():
                        self.report(
                            where, f"the solution to {event.text} is open: add `:class: dropdown`"
                        )
                elif event.kind == "solution-end":
                    in_solution = False
        for label, exercise in exercises.items():
            if not exercise["stub"]:
                self.report(
                    exercise["where"], f"{label} has no stub: add a code cell below it that runs"
                )
            if label not in solved:
                self.report(
                    exercise["where"], f"{label} has no solution: add one, `{{solution}} {label}`"
                )
        for label in solved.keys() - exercises.keys():
            self.report(
                solved[label], f"solves {label}, which is no exercise here: correct the name"
            )

    def read_numbers(self):
        """Report fragments that are not in the prose, and decimals that nothing guards."""
        patterns = [(where, text, fragment_pattern(text)) for where, text in self.fragments]
        found = set()
        for where, cell in self.cells:
            for markdown in prose_of(cell):
                masked = markdown
                for _, text, pattern in patterns:
                    if pattern.search(markdown):
                        found.add(text)
                        masked = pattern.sub(without_digits, masked)
                seen = " ¶ ".join(e.text for e in events(masked) if e.kind == "prose")
                for number in numbers_in(seen):
                    if not number.is_count and not self.is_constant(number):
                        self.report(
                            where,
                            f"states {number.text.strip()}, which no cell computes: repeat the "
                            "sentence in a check cell, says('…', value), or use it in the code",
                        )
        for where, text, _ in patterns:
            if text not in found:
                self.report(where, f"says {text!r}, which is not in the prose: copy the sentence")

    def is_constant(self, number):
        """Tell whether a printed number is a literal of the code, a percentage as a fraction."""
        value = abs(number.value)
        return value in self.constants or (number.percent and value / 100 in self.constants)


def prose_of(cell):
    """Return the Markdown texts of a cell: its source, or a figure's caption and alt text."""
    if cell.cell_type == "markdown":
        return [cell.source]
    options = cell.metadata.get("mystnb", {})
    texts = [options.get("figure", {}).get("caption"), options.get("image", {}).get("alt")]
    return [str(text) for text in texts if text]


def fragment_pattern(fragment):
    """Return a pattern for a fragment with any whitespace, that cuts no number in two."""
    words = r"\s+".join(map(re.escape, fragment.split()))
    return re.compile(
        rf"(?<![\d.]){words}(?!\d|\.\d)" if fragment[:1].isdigit() else rf"{words}(?!\d|\.\d)"
    )


def without_digits(match):
    """Return the matched text with every digit replaced by a letter."""
    return re.sub(r"\d", "x", match[0])
