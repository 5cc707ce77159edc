"""The cells of the moving figures, run in JupyterLab: working widgets."""

import ast

import nbformat
import pytest

from tests.lab import jupyterlab
from tests.site.page import DESKTOP
from tools.frontdoor import ROOT

NOTEBOOKS = [*sorted(ROOT.glob("chapters/*.ipynb")), ROOT / "playground.ipynb"]
TAGS = {"hide-input", "nbval-ignore-output"}  # of a cell that shows a moving figure
PICTURE = ".jupyter-widgets img[src^='data:image/png']"
OTHER = "([selector, nth, old]) => document.querySelectorAll(selector)[nth].src !== old"
CUT = """() => [...document.querySelectorAll('.widget-label')]
  .filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent)"""
SAME = OTHER.replace("!==", "===")


def moving(path):
    """Return a notebook of a chapter's moving figures and all its imports, and their number."""
    nb = nbformat.read(path, as_version=4)
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    figures = [cell for cell in code if set(cell.metadata.get("tags", ())) >= TAGS]
    assert figures, f"{path.name} has no moving figure"
    statements = [node for cell in code for node in ast.parse(cell.source).body]
    imports = [node for node in statements if isinstance(node, ast.Import | ast.ImportFrom)]
    named = "\n".join(dict.fromkeys(map(ast.unparse, imports)))
    for cell in figures:
        cell.outputs, cell.execution_count = [], None
    nb.cells = [nbformat.v4.new_code_cell(named), *figures]
    return nb, len(figures)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab on notebooks of moving figures."""
    folder = tmp_path_factory.mktemp("lab")
    for path in NOTEBOOKS:
        nbformat.write(moving(path)[0], folder / path.name)
    with jupyterlab(folder, tmp_path_factory.mktemp("settings")) as running:
        yield running


@pytest.mark.browser
@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_moving_figures_are_working_widgets(browser, lab, path):
    count = moving(path)[1]
    with lab.run(browser, path.name, {**DESKTOP, "height": 4000}) as page:
        pictures = page.locator(PICTURE)
        pictures.nth(count - 1).wait_for()
        assert page.evaluate(CUT) == [], "labels that are cut"
        for n in range(count):
            first = pictures.nth(n).get_attribute("src")
            box = page.locator(".widget-vbox:not(.widget-vbox .widget-vbox)").nth(n)
            handle = box.locator(".noUi-handle").first
            handle.focus()
            now, most = (handle.get_attribute(f"aria-value{key}") for key in ("now", "max"))
            page.keyboard.press("Home" if now == most else "End")
            page.wait_for_function(OTHER, arg=[PICTURE, n, first])
            box.get_by_role("button", name="Reset").click()
            page.wait_for_function(SAME, arg=[PICTURE, n, first])
