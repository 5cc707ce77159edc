"""Every statement of a chapter has its guard: each one taken away, or made hollow, is named."""

import ast
import re

import nbformat
import pytest
from nbformat import v4

from tests.tools.conftest import CHECK, cell
from tools.claims import Claims, asserts, events


def found(nb):
    return [f"{where}: {message}" for where, message in Claims(nb).violations()]


def source(cell_id, old, new):
    """Alter the source of a cell."""

    def alter(nb):
        altered = cell(nb, cell_id)
        assert old in altered.source
        altered.source = altered.source.replace(old, new)

    return alter


def removed(cell_id):
    """Remove a cell."""
    return lambda nb: nb.cells.remove(cell(nb, cell_id))


def added(text, *, after="results", **metadata):
    """Add a Markdown cell, or with metadata a code cell."""

    def alter(nb):
        make = v4.new_code_cell if metadata else v4.new_markdown_cell
        at = next(n for n, c in enumerate(nb.cells) if c.id == after)
        nb.cells.insert(at + 1, make(text, id="added", metadata=metadata.get("metadata", {})))

    return alter


def figure(**changes):
    """Alter the figure's metadata: name, caption or alt."""

    def alter(nb):
        mystnb = cell(nb, "figure").metadata.mystnb
        for key, value in changes.items():
            (mystnb.image if key == "alt" else mystnb.figure)[key] = value

    return alter


CODE = {"metadata": {"tags": []}}
SHORT = source("check-results", "\n", '\nsays("0.0625", powers[-1])\n')
VIOLATIONS = {
    "a proposition without a check": (
        removed("check-law"),
        r"cell 3 \(law\): prop-decay has no check cell: add one, '# check: prop-decay'",
    ),
    "a proposition whose check names another": (
        source("check-law", "prop-decay", "results"),
        "prop-decay has no check cell",
    ),
    "a proposition without a label": (
        source("law", ":label: prop-decay\n", ""),
        r"\(law\): a prf:proposition has no label",
    ),
    "a theorem in a colon fence": (
        added(":::{prf:theorem} T\n:label: thm-a\nText\n:::"),
        "thm-a has no check cell",
    ),
    "a lemma in a list": (
        added("- item\n\n  ```{prf:lemma}\n  :label: lem-a\n  Text\n  ```"),
        "lem-a has no check cell",
    ),
    "a corollary in a box": (
        added("````{note}\n```{prf:corollary}\n---\nlabel: cor-a\n---\nText\n```\n````"),
        "cor-a has no check cell",
    ),
    "a figure without a check": (removed("check-figure"), "fig-powers has no check cell"),
    "a figure without a name": (figure(name=""), r"\(figure\): its figure is named ''"),
    "a figure with an odd name": (figure(name="powers"), "its figure is named 'powers'"),
    "a figure without a caption": (figure(caption=" "), "its figure has no caption"),
    "a figure without alt text": (figure(alt=""), "its figure has no alt text"),
    "a picture that is no figure": (
        lambda nb: cell(nb, "figure").metadata.pop("mystnb"),
        r"\(figure\): its figure has no caption",
    ),
    "a check that names nothing known": (
        source("check-law", "prop-decay", "prop-decay, prop-other"),
        r"\(check-law\): checks prop-other, which is no label here",
    ),
    "a check without its first line": (
        source("check-law", "# check: prop-decay\n", ""),
        "begin it with '# check: <label>'",
    ),
    "a check that names no label": (
        source("check-law", "# check: prop-decay", "# check:"),
        "begin it with '# check: <label>'",
    ),
    "a check that is not hidden": (
        lambda nb: cell(nb, "check-law").metadata.update(tags=["check"]),
        "tag it both 'check' and 'remove-cell'",
    ),
    "a check that is not tagged": (
        lambda nb: cell(nb, "check-law").metadata.pop("tags"),
        "tag it both 'check' and 'remove-cell'",
    ),
    "a check without an assertion": (
        source("check-law", "assert", "ok ="),
        r"\(check-law\): checks nothing",
    ),
    "a check that cannot fail": (
        source("check-law", "(np.diff(powers) < 0).all()", "True"),
        "checks nothing",
    ),
    "a hollow check": (source("check-law", "assert", "ok ="), "prop-decay has no check cell"),
    "a sentence that is not in the prose": (
        source("results", "0.0625", "0.0626"),
        r"\(check-results\): says 'The last power is 0\.0625.*', which is not in the prose",
    ),
    "a changed number in the prose": (
        source("results", "0.0625", "0.0626"),
        r"\(results\): states 0\.0626, which no cell computes",
    ),
    "a sentence that is not written out": (
        source("check-results", '"The', 'f"The'),
        r"\(check-results\): says\(\.\.\.\) needs the sentence itself",
    ),
    "says without arguments": (added("says()", **CODE), "needs the sentence itself"),
    "a typed-in decimal": (added("It is 3.14."), r"\(added\): states 3\.14, which no cell"),
    "a decimal in inline math": (added("It is $x \\approx 3.14$."), r"states 3\.14"),
    "a decimal in an equation": (added("$$\nx = 3.14\n$$"), r"states 3\.14"),
    "a decimal in a labelled equation": (added("$$\nx = 3.14\n$$ (eq-a)"), r"states 3\.14"),
    "a decimal in a math directive": (
        added("```{math}\n:label: eq-a\nx = 3.14\n```"),
        r"states 3\.14",
    ),
    "a decimal in an indented math directive": (
        added("```{math}\n:label: eq-a\n\n    x = 3.14\n```"),
        r"states 3\.14",
    ),
    "a decimal in a picture's alt text": (added("![at 3.14](a.png)"), r"states 3\.14"),
    "a decimal in a LaTeX environment": (
        added("\\begin{align}\nx &= 3.14\n\\end{align}"),
        r"states 3\.14",
    ),
    "a decimal in a math role": (added("It is {math}`x = 3.14`."), r"states 3\.14"),
    "a decimal in a heading": (added("## The 3.14 case"), r"states 3\.14"),
    "a decimal in a table": (added("| a |\n|---|\n| 3.14 |"), r"states 3\.14"),
    "a decimal in bold": (added("It is **3.14**."), r"states 3\.14"),
    "a decimal in a link's text": (added("It is [3.14](other.md)."), r"states 3\.14"),
    "a decimal in a box": (added("```{note}\nIt is 3.14.\n```"), r"states 3\.14"),
    "a decimal in a box's title": (added("```{admonition} The 3.14\nText.\n```"), r"states 3\.14"),
    "a decimal in a caption": (figure(caption="It is 3.14."), r"\(figure\): states 3\.14"),
    "a decimal in alt text": (figure(alt="It is 3.14."), r"\(figure\): states 3\.14"),
    "a power of ten": (added("It is $10^{-5}$."), r"states 10\^\{-5\}"),
    "a percentage": (added("It is 12 % of all."), "states 12 %"),
    "scientific notation": (added("It is $3 \\times 10^{4}$."), r"states 3 \\times 10\^\{4\}"),
    "the end of a longer number": (
        lambda nb: (SHORT(nb), added("It is 10.0625.")(nb)),
        r"\(added\): states 10\.0625",
    ),
    "the beginning of a longer number": (
        lambda nb: (SHORT(nb), added("It is 0.06251.")(nb)),
        r"\(added\): states 0\.06251",
    ),
    "a tolerance is no constant": (
        lambda nb: (
            source("check-figure", "/ 2)", "/ 2, rtol=0.125)")(nb),
            added("It is 0.125.")(nb),
        ),
        r"states 0\.125",
    ),
    "a long visible cell": (
        added("\n".join(f"x{n} = {n}" for n in range(16)), **CODE),
        r"\(added\): shows 16 lines, at most 15 are read",
    ),
    "no Python": (added("for x in", **CODE), r"\(added\): is not Python \("),
    "a doubtful escape": (added('x = "\\lambda"', **CODE), r"\(added\): is not Python \(invalid"),
    "an exercise without a stub": (removed("stub"), r"\(exercise\): ex-sum has no stub"),
    "a hidden stub": (
        lambda nb: cell(nb, "stub").metadata.update(tags=["remove-cell"]),
        "ex-sum has no stub",
    ),
    "a heading before the stub": (added("## Next", after="exercise"), "ex-sum has no stub"),
    "another exercise before the stub": (
        added("```{exercise}\n:label: ex-b\nText\n```", after="exercise"),
        "ex-sum has no stub",
    ),
    "an exercise without a solution": (removed("solution"), "ex-sum has no solution"),
    "an open solution": (
        source("solution", ":class: dropdown\n", ""),
        r"\(solution\): the solution to ex-sum is open",
    ),
    "a solution to nothing": (
        source("solution", "ex-sum", "ex-none"),
        "solves ex-none, which is no",
    ),
    "an exercise without a label": (
        source("exercise", ":label: ex-sum\n", ""),
        "an exercise has no label",
    ),
    "code in a solution is no stub": (
        lambda nb: (
            nb.cells.remove(cell(nb, "stub")),
            source("solution", "{solution} ex-sum", "{solution-start} ex-sum")(nb),
            added("x = 1", after="solution", **CODE)(nb),
        ),
        "ex-sum has no stub",
    ),
    "two equal labels": (
        added("$$x$$ (eq-power)"),
        r"\(added\): label eq-power is also in cell 3 \(law\)",
    ),
    "a label that is no slug": (added("(My_label)=\n## Next"), "label 'My_label' is no slug"),
}


@pytest.mark.parametrize(("alter", "expected"), VIOLATIONS.values(), ids=VIOLATIONS)
def test_every_unguarded_statement_is_named(good, alter, expected):
    alter(good)
    messages = found(good)
    assert any(re.search(expected, message) for message in messages), messages


ACCEPTED = {
    "nothing": lambda nb: None,
    "a definition without a check": added("```{prf:definition} D\n:label: def-a\nText\n```"),
    "a sentence broken over lines": source("results", "that is 6 %", "that\n  is 6 %"),
    "a constant of the code": added("With $\\rho = 0.5$ or 50 % or $5 \\times 10^{-1}$."),
    "integers": added("It takes 12 steps, 10,000 at most, on $x^2/20$."),
    "inline code and URLs": added("`3.14`, <https://a.b/3.14>, https://a.b/3.14, {ref}`a <3.14>`."),
    "code blocks": added("```python\nx = 3.14\n```\n\n```{code-block} python\nx = 3.14\n```"),
    "comments": added("Text.\n\n% 3.14\n\n<!-- 3.14 -->"),
    "a version": added("NumPy 2.4.6 it is."),
    "a magic": added("%matplotlib inline\n!ls\nx = 1", **CODE),
    "a long folded cell": added(
        "\n".join(f"x{n} = {n}" for n in range(16)), metadata={"tags": ["hide-input"]}
    ),
    "fifteen lines": added("\n".join(f"x{n} = {n}" for n in range(15)), **CODE),
    "a hidden picture": lambda nb: (
        cell(nb, "figure").metadata.clear(),
        cell(nb, "figure").metadata.update(tags=["remove-cell"]),
        nb.cells.remove(cell(nb, "check-figure")),
    ),
    "a check of an exercise": added("# check: ex-sum\nassert powers.all()", metadata=CHECK),
    "a name with a decimal": lambda nb: (
        added("As NumPy 2.4 does.")(nb),
        source("check-law", "\n", '\nsays("As NumPy 2.4 does", None)\n')(nb),
    ),
    "a sentence from a caption": lambda nb: (
        figure(caption="The last is 0.03125.")(nb),
        source("check-figure", "\n", '\nsays("The last is 0.03125", powers[-1] / 2)\n')(nb),
    ),
    "an equation without a label": added("$$\nx = y\n$$"),
    "a raw cell": lambda nb: nb.cells.append(v4.new_raw_cell("for 3.14 in", id="raw")),
    "a stub below a gated solution": lambda nb: (
        nb.cells.remove(cell(nb, "stub")),
        source("solution", "{solution} ex-sum", "{solution-start} ex-sum")(nb),
        added("```{solution-end}\n```", after="solution")(nb),
        nb.cells.append(v4.new_code_cell("limit = np.nan", id="stub")),
    ),
    "a gated solution": lambda nb: (
        source("solution", "{solution} ex-sum", "{solution-start} ex-sum")(nb),
        added("```{solution-end}\n```", after="solution")(nb),
    ),
}


@pytest.mark.parametrize("alter", ACCEPTED.values(), ids=ACCEPTED)
def test_what_needs_no_guard_is_accepted(good, alter):
    alter(good)
    assert found(good) == []


@pytest.mark.parametrize(
    "code",
    [
        "assert x",
        "assert f(1) == 2",
        "for n in y:\n    assert n < 3",
        "np.testing.assert_allclose(x, 1)",
        "assert_equal(x, 1)",
        "says('it is 3', x)",
        "says('Figure 2 shows 3', None, f(1))",
        "with np.testing.assert_raises(ValueError):\n    f()",
    ],
)
def test_assertions_about_computed_values_count(code):
    assert asserts(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "",
        "x == 1",
        "assert True",
        "assert 1",
        "assert 1 < 2",
        "assert not None",
        "assert x == x",
        "assert f(1) == f(1)",
        "assert (x, 'message')",
        "assert isinstance(1, int)",
        "np.testing.assert_allclose(1, 1)",
        "np.testing.assert_allclose(x, x)",
        "says('it is 3', 3)",
        "says('it is 3', None)",
        "says(text)",
        "print('assert x')",
        "# assert x",
    ],
)
def test_hollow_assertions_do_not_count(code):
    assert not asserts(ast.parse(code))


def test_directives_are_read_with_their_options_and_content():
    text = ":::{prf:theorem} A {math}`b`\n:label: thm-a\n:class: wide\n\n```{note}\nText\n```\n:::"
    seen = [(event.kind, event.text) for event in events(text)]
    assert seen == [
        ("prf:theorem", "A {math}`b`"),
        ("label", "thm-a"),
        ("prose", "A $b$"),
        ("note", ""),
        ("prose", "Text"),
    ]
    assert next(events(text)).options == {"label": "thm-a", "class": "wide"}


def test_a_large_notebook_is_read_in_a_moment():
    said = [v4.new_markdown_cell(f"Value {n} is {n}.25 here.", id=f"t-{n}") for n in range(300)]
    code = [
        v4.new_code_cell(
            f'# check: t-{n}\nsays("is {n}.25 here", y[{n}])', id=f"c-{n}", metadata=CHECK
        )
        for n in range(300)
    ]
    nb = v4.new_notebook(cells=said + code)
    assert found(nbformat.from_dict(nb)) == []
