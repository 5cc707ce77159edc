"""What students and teachers open: the zip in JupyterLab, a graded class in formgrader."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from grading import __main__ as commands
from grading.source import ROOT
from tests.assignments.conftest import NAMES
from tests.assignments.fabricate import encoded, right
from tests.assignments.test_grading import copied, pages, rows, write_one
from tests.site.conftest import browser  # noqa: F401

TOKEN = "a-token"


@contextmanager
def jupyter(folder, log):
    """Run a Jupyter server in a folder; yield its address."""
    environ = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        **{name: str(log.parent) for name in ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")},
        **{name: str(log.parent) for name in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR")},
    }
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--port=0"]
    command += [f"--IdentityProvider.token={TOKEN}", f"--notebook-dir={folder}"]
    with log.open("w") as output:
        running = subprocess.Popen(command, cwd=folder, env=environ, stdout=output, stderr=output)
    try:
        for _ in range(300):
            found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text(encoding="utf-8"))
            if found:
                break
            assert running.poll() is None, log.read_text(encoding="utf-8")
            time.sleep(0.1)
        yield found[0]
    finally:
        running.terminate()
        running.wait(20)


def asked(address, path, data=None):
    """Ask the server; with data, change something."""
    request = urllib.request.Request(
        f"{address}/{path}",
        data=None if data is None else json.dumps(data).encode(),
        method="GET" if data is None else "PUT",
        headers={"Authorization": f"token {TOKEN}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


def unpacked(course, name, folder):
    """Unpack the zip that students get; return the folder in it."""
    with zipfile.ZipFile(course / "zips" / f"{name}.zip") as archive:
        archive.extractall(folder)
    return folder / name


@pytest.mark.parametrize("name", NAMES)
def test_the_first_cell_finds_optimlib_in_the_zip(course, name, tmp_path):
    """As on a machine that has NumPy and not the package, without a network."""
    folder = unpacked(course, name, tmp_path)
    nb = json.loads((folder / f"{name}.ipynb").read_text(encoding="utf-8"))
    setup = next(cell for cell in nb["cells"] if cell["id"] == "setup")
    code = f"""\
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.path[:] = [path for path in sys.path if path not in ("", {str(ROOT)!r})]
{"".join(setup["source"])}
import optimlib
print(optimlib.__file__, optimlib.Adam(lr=1.0).step(0.0, 3.0))
"""
    (tmp_path / "run.py").write_text(code, encoding="utf-8")
    command = [sys.executable, tmp_path / "run.py"]
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    ran = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
    assert ".whl/optimlib/__init__.py -0.99" in ran.stdout, ran.stderr
    next(folder.glob("*.whl")).unlink()
    ran = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
    assert "Put the file optimlib-...-none-any.whl" in ran.stderr


@pytest.mark.browser
def test_the_zip_opens_and_runs_in_jupyterlab(course, tmp_path, browser):  # noqa: F811
    folder = unpacked(course, "hw4", tmp_path / "student")
    (folder / "answered.ipynb").write_bytes(encoded(right(course, "hw4")))
    with jupyter(folder, tmp_path / "jupyter.log") as address:
        page = browser.new_page(viewport={"width": 1400, "height": 30_000})
        for file, expected in (("hw4.ipynb", "the answer has shape ()"), ("answered.ipynb", "")):
            page.goto(f"{address}/lab/tree/{file}?token={TOKEN}&reset")
            page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for(timeout=60_000)
            page.get_by_role("menuitem", name="Run", exact=True).click()
            page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
            outputs = page.locator(".jp-OutputArea-output")
            if expected:
                outputs.get_by_text(expected).first.wait_for(timeout=60_000)
            else:
                page.locator(".jp-OutputArea-output img").first.wait_for(timeout=60_000)
                said = outputs.all_inner_texts()
                assert [text.strip() for text in said].count("passed") == 5
                assert not any("Error" in text for text in said)
        page.close()


@pytest.mark.sandbox
def test_hand_grading_in_formgrader(course, tmp_path):
    folder = copied(course, tmp_path / "course")
    write_one(tmp_path / "in" / "ada", "hw4", encoded(right(course, "hw4")))
    commands.main(["grade", "hw4", str(tmp_path / "in"), "--course", str(folder)])
    with jupyter(folder, tmp_path / "jupyter.log") as address:
        (handed,) = json.loads(asked(address, "formgrader/api/submitted_notebooks/hw4/hw4"))
        assert handed["student"] == "ada"
        assert handed["needs_manual_grade"]
        page = asked(address, f"formgrader/submissions/{handed['id']}/")
        assert "Rubric" in page
        assert "The weights of the gradients in" in page  # ada's answer, which is the model's
        grades = json.loads(asked(address, f"formgrader/api/grades?submission_id={handed['id']}"))
        (grade,) = (grade for grade in grades if grade["name"] == "derivation")
        asked(address, f"formgrader/api/grade/{grade['id']}", {"manual_score": 4.5})
        comments = json.loads(
            asked(address, f"formgrader/api/comments?submission_id={handed['id']}")
        )
        (comment,) = (comment for comment in comments if comment["name"] == "derivation")
        asked(address, f"formgrader/api/comment/{comment['id']}", {"manual_comment": "A COMMENT"})
    commands.main(["feedback", "hw4", "--course", str(folder)])
    assert float(rows(folder, "hw4")["ada"]["score"]) == 19.5
    assert "A COMMENT" in pages(folder)["ada"]
