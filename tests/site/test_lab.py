"""The cells of a chapter, run in JupyterLab: their moving figures are working widgets."""

import os
import re
import subprocess
import sys
import time

import nbformat
import pytest

from tests.site.page import DESKTOP
from tools.frontdoor import ROOT

CHAPTER = ROOT / "chapters" / "adam.ipynb"
CELLS = ("setup", "imports", "try-ravine")
PICTURE = ".jupyter-widgets img[src^='data:image/png']"


@pytest.fixture
def lab(tmp_path):
    """A JupyterLab server with a notebook of some cells of a chapter; yields its address."""
    chapter = nbformat.read(CHAPTER, as_version=4)
    chapter.cells = [cell for cell in chapter.cells if cell.id in CELLS]
    assert len(chapter.cells) == len(CELLS)
    (tmp_path / "chapters").mkdir()
    nbformat.write(chapter, tmp_path / "chapters" / "cells.ipynb")
    log = tmp_path / "log"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--port=0", "--allow-root"]
    command += ["--expose-app-in-browser"]
    command += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={tmp_path}"]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    paths = {
        name: str(tmp_path / name)
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR")
    }
    paths["JUPYTERLAB_WORKSPACES_DIR"] = str(tmp_path / "workspaces")
    with log.open("w") as file:
        server = subprocess.Popen(
            command, stdout=file, stderr=file, env={**os.environ, **paths, "PYTHONPATH": str(ROOT)}
        )
    try:
        for _ in range(240):
            found = re.search(r"(http://127\.0\.0\.1:\d+/)lab\?token=(\w+)", log.read_text())
            if found or server.poll() is not None:
                break
            time.sleep(0.25)
        assert found, log.read_text()
        yield f"{found[1]}lab/tree/chapters/cells.ipynb?token={found[2]}"
    finally:
        server.kill()
        server.wait()


@pytest.mark.browser
def test_in_jupyterlab_a_moving_figure_is_made_of_working_widgets(browser, lab):
    context = browser.new_context(viewport=DESKTOP)
    page = context.new_page()
    page.set_default_timeout(90_000)
    try:
        page.goto(lab)
        # The notebook and its kernel come in their own time.
        page.locator(".jp-NotebookPanel .jp-CodeCell").first.wait_for()
        page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").wait_for()
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        picture = page.locator(PICTURE)
        picture.wait_for()
        first = picture.get_attribute("src")
        slider = page.locator(".widget-slider .noUi-handle").first
        slider.focus()
        page.keyboard.press("End")
        changed = "([selector, old]) => document.querySelector(selector).src !== old"
        page.wait_for_function(changed, arg=[PICTURE, first])
        page.get_by_role("button", name="Reset").click()
        page.wait_for_function(changed.replace("!==", "==="), arg=[PICTURE, first])
    finally:
        context.close()
