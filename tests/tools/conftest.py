"""A small notebook with one of everything that a chapter has, and the commands that judge it."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

ROOT = Path(__file__).resolve().parents[2]
CHECK = {"tags": ["check", "remove-cell"]}
FIGURE = {
    "mystnb": {
        "figure": {"name": "fig-powers", "caption": "How fast do the powers of $0.5$ fall?"},
        "image": {"alt": "A falling line of five points, halved at each."},
    }
}
CELLS = [
    ("markdown", "title", "# Powers\n\nHow fast does $x_t = \\rho^t$ fall?", {}),
    (
        "code",
        "imports",
        "import matplotlib.pyplot as plt\nimport numpy as np\n\n"
        "from optimlib.checking import says\n\npowers = 0.5 ** np.arange(5)",
        {},
    ),
    (
        "markdown",
        "law",
        "$$\nx_t = \\rho\\, x_{t-1}\n$$ (eq-power)\n\n"
        "```{prf:proposition} Decay\n:label: prop-decay\n\n"
        "If $\\rho < 1$, {eq}`eq-power` falls.\n```",
        {},
    ),
    ("code", "check-law", "# check: prop-decay\nassert (np.diff(powers) < 0).all()", CHECK),
    ("code", "numbers", "print(powers[-1])\nnp.round(powers.sum(), 3)", {}),
    ("markdown", "results", "The last power is\n0.0625, that is 6 % of the first.", {}),
    (
        "code",
        "check-results",
        "# check: results\n"
        'says("The last power is 0.0625, that is 6 % of the first.", powers[-1], powers[-1])',
        CHECK,
    ),
    ("code", "figure", "fig, ax = plt.subplots()\nax.plot(powers)\nplt.show()", FIGURE),
    (
        "code",
        "check-figure",
        "# check: fig-powers\nnp.testing.assert_allclose(powers[1:], powers[:-1] / 2)",
        CHECK,
    ),
    (
        "markdown",
        "exercise",
        "```{exercise}\n:label: ex-sum\n\nFind the limit of the sum.\n```",
        {},
    ),
    ("code", "stub", "limit = np.nan  # your answer", {}),
    (
        "markdown",
        "solution",
        "```{solution} ex-sum\n:class: dropdown\n\nIt is $1/(1 - \\rho)$.\n```",
        {},
    ),
]


def built():
    """Return the notebook, not yet run, with the ids it keeps."""
    make = {"code": v4.new_code_cell, "markdown": v4.new_markdown_cell}
    cells = [
        make[kind](source, id=cell_id, metadata=copy.deepcopy(metadata))
        for kind, cell_id, source, metadata in CELLS
    ]
    return v4.new_notebook(cells=cells)


def write(nb, path):
    """Write a notebook as the tool lays it out; return the path."""
    path.write_text(v4.writes(nb) + "\n", encoding="utf-8")
    return path


def cell(nb, cell_id):
    """Return the cell with an id."""
    return next(c for c in nb.cells if c.id == cell_id)


def command(*arguments, cwd=ROOT, **variables):
    """Run a Python module as a user does; its notebooks find optimlib in this clone."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **variables}
    for name in ("PYTEST_ADDOPTS", "FORCE_COLOR", "PY_COLORS"):
        environment.pop(name, None)
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="session")
def executed(tmp_path_factory):
    """Run the notebook once with the tool; give the path of the result."""
    path = write(built(), tmp_path_factory.mktemp("executed") / "good.ipynb")
    done = command("tools.notebooks", "run", path)
    assert done.returncode == 0, done.stdout + done.stderr
    return path


@pytest.fixture
def good(executed):
    """Give a fresh copy of the executed notebook, to be tampered with."""
    return nbformat.read(executed, as_version=4)
