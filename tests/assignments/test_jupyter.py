"""What students and teachers open: the zip in JupyterLab, a graded class in formgrader."""

import json
import os
import subprocess
import sys
import zipfile

import pytest

from grading import __main__ as commands
from grading.course import read_key
from grading.source import ROOT
from tests.assignments.conftest import NAMES
from tests.assignments.fabricate import encoded, right
from tests.assignments.test_grading import copied, pages, rows, write_one
from tests.lab import jupyterlab

OUTPUT = ".jp-OutputArea-output"


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
@pytest.mark.parametrize("name", NAMES)
def test_the_zip_opens_and_runs_in_jupyterlab(course, tmp_path, browser, name):
    folder = unpacked(course, name, tmp_path / "student")
    (folder / "answered.ipynb").write_bytes(encoded(right(course, name)))
    visible = [test for test in read_key(course, name)["tests"] if not test["hidden"]]
    window = {"width": 1400, "height": 30_000}
    with jupyterlab(folder, tmp_path) as lab:
        with lab.run(browser, f"{name}.ipynb", window) as page:
            page.locator(OUTPUT).get_by_text("Error").first.wait_for()  # nothing is answered
        with lab.run(browser, "answered.ipynb", window) as page:
            page.locator(f"{OUTPUT} img").last.wait_for()
            page.locator(OUTPUT).get_by_text("passed", exact=True).nth(len(visible) - 1).wait_for()
            said = page.locator(OUTPUT).all_inner_texts()
            assert [text.strip() for text in said].count("passed") == len(visible)
            assert not any("Error" in text for text in said)


@pytest.mark.sandbox
def test_hand_grading_in_formgrader(course, tmp_path):
    folder = copied(course, tmp_path / "course")
    write_one(tmp_path / "in" / "ada", "hw4", encoded(right(course, "hw4")))
    commands.main(["grade", "hw4", str(tmp_path / "in"), "--course", str(folder)])
    with jupyterlab(folder, tmp_path) as lab:
        (handed,) = json.loads(lab.ask("formgrader/api/submitted_notebooks/hw4/hw4"))
        assert handed["student"] == "ada"
        assert handed["needs_manual_grade"]
        page = lab.ask(f"formgrader/submissions/{handed['id']}/")
        assert "Rubric" in page
        assert "The weights of the gradients in" in page  # ada's answer, which is the model's
        grades = json.loads(lab.ask(f"formgrader/api/grades?submission_id={handed['id']}"))
        (grade,) = (grade for grade in grades if grade["name"] == "derivation")
        lab.ask(f"formgrader/api/grade/{grade['id']}", {"manual_score": 4.5})
        comments = json.loads(lab.ask(f"formgrader/api/comments?submission_id={handed['id']}"))
        (comment,) = (comment for comment in comments if comment["name"] == "derivation")
        lab.ask(f"formgrader/api/comment/{comment['id']}", {"manual_comment": "A COMMENT"})
    commands.main(["feedback", "hw4", "--course", str(folder)])
    assert float(rows(folder, "hw4")["ada"]["score"]) == 19.5
    assert "A COMMENT" in pages(folder)["ada"]
