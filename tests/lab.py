"""A JupyterLab of its own, and notebooks in it that a browser opens and runs."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from tools.frontdoor import ROOT

TOKEN = "a-token"
PATIENCE = 90_000  # milliseconds: a kernel on a busy machine starts in its own time
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
# Before the notebook is the current one and its kernel has answered, cells that are to run ask for
# a kernel, or their requests are lost.
READY = """() => {
  const context = window.jupyterapp?.shell.currentWidget?.sessionContext;
  const kernel = context?.session?.kernel;
  return context?.isReady && kernel?.connectionStatus === "connected" && kernel.status === "idle";
}"""
# What the command returns settles only when every cell has run: nobody waits for it here.
RUN_ALL = "() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }"
RAN = re.compile(r"\[\d+\]:")


class Lab:
    """A running server.

    Attributes
    ----------
    address : str
        Where it listens, without a slash at the end.
    """

    def __init__(self, address):
        self.address = address

    def ask(self, path, data=None):
        """Return what the server answers, as text; with data, change something."""
        request = urllib.request.Request(
            f"{self.address}/{path}",
            data=None if data is None else json.dumps(data).encode(),
            method="GET" if data is None else "PUT",
            headers={"Authorization": f"token {TOKEN}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read().decode()

    @contextmanager
    def run(self, browser, file, viewport):
        """Open a notebook, run its cells up to an error, and yield the page while they run."""
        context = browser.new_context(viewport=viewport)
        try:
            page = context.new_page()
            page.set_default_timeout(PATIENCE)
            page.goto(f"{self.address}/lab/tree/{file}?token={TOKEN}&reset")
            page.locator(".jp-NotebookPanel .jp-CodeCell").first.wait_for()
            page.wait_for_function(READY)
            page.evaluate(RUN_ALL)
            first = page.locator(".jp-CodeCell").first.locator(".jp-InputArea-prompt")
            first.filter(has_text=RAN).wait_for()
            yield page
        finally:
            context.close()


@contextmanager
def jupyterlab(folder, own):
    """Run JupyterLab on a folder, with settings in another one; yield a `Lab`."""
    folder, own = Path(folder), Path(own)
    log = own / "jupyter.log"
    variables = ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    variables += ("IPYTHONDIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    environ = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        **dict.fromkeys(variables, str(own)),
    }
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--port=0"]
    command += [f"--IdentityProvider.token={TOKEN}", f"--notebook-dir={folder}"]
    command += ["--ip=127.0.0.1", "--expose-app-in-browser"]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with log.open("w") as output:
        running = subprocess.Popen(command, cwd=folder, env=environ, stdout=output, stderr=output)
    try:
        for _ in range(10 * PATIENCE // 1000):
            found = ADDRESS.search(log.read_text(encoding="utf-8"))
            if found or running.poll() is not None:
                break
            time.sleep(0.1)
        assert found, log.read_text(encoding="utf-8")
        yield Lab(found[0])
    finally:
        running.terminate()
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
