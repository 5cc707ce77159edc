"""Build the notebooks of an assignment: the teacher's, the students', and the zip to hand out."""

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import nbformat
import numpy as np

from . import course as courses
from .marks import agrees, as_numbers
from .sandbox import package
from .source import BEGIN, END, FOLDER, ROOT, SourceError, last_expression, names, read, split_test

HIDDEN_BEGIN, HIDDEN_END = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"
TOLERANCE = {"rtol": 1e-6, "atol": 1e-12}
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
SETUP = """\
# Run this cell first. It finds optimlib, the package of the book.
import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("optimlib") is None:
    beside = sorted(Path.cwd().glob("optimlib-*.whl"))
    if not beside:
        raise ModuleNotFoundError(
            "optimlib was not found. Put the file optimlib-...-none-any.whl, which came in the "
            "same zip, beside this notebook (Colab: upload it in the file panel) and run this "
            "cell again. No network is needed."
        )
    sys.path.insert(0, str(beside[-1]))"""
RULES = """\
**How this works.** Write your answers where a cell says so. You may add cells, and leave the test
cells as they are: they are put back before grading. A visible test is worth one point and shows at
once whether you have it. So is a hidden test, but it runs only after you hand in, with other
numbers: *every visible test passed does not mean full marks*. Questions with a rubric are graded by
hand. A cell may take 10 seconds and the notebook 2 minutes, without a network.{withheld}
Hand in this one notebook."""
WITHHELD = """ While your notebook is graded, `optimlib` has no {rules}: write the rule yourself."""


def build(folder, assignments, salt, sources=FOLDER):
    """Build assignments into the course folder.

    Parameters
    ----------
    folder : path
        The course folder; it is made if it is not there.
    assignments : list of str
    salt : str
        What the parameters are drawn from.
    sources : path
        The folder of the text sources.

    Returns
    -------
    list of pathlib.Path
        The zips for the students.
    """
    folder = courses.prepare(folder)
    wheel = _wheel(folder / ".cache")
    public = _public(salt, sources)
    zips = []
    for name in assignments:
        assignment = read(name, salt, sources)
        tests = solve(assignment)
        source = folder / "source" / name / f"{name}.ipynb"
        source.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(teachers_notebook(assignment, tests), source)
        courses.generate(folder, name)
        release = folder / "release" / name / f"{name}.ipynb"
        key = make_key(assignment, tests, release.read_bytes(), public)
        found = leaks(release.read_text(encoding="utf-8"), key)
        if found:
            raise SourceError(f"{name}: the students' notebook would show {found[0]!r}")
        courses.write_json(folder / "keys" / f"{name}.json", key)
        zips.append(folder / "zips" / f"{name}.zip")
        pack(zips[-1], {f"{name}/{name}.ipynb": release, f"{name}/{wheel.name}": wheel})
    return zips


# --- what is right --------------------------------------------------------------------------------


def solve(assignment):
    """Compute what every test expects, and check that the source's own answers give it.

    What is right is computed without the answers: from the given and the teacher's cells, the full
    `optimlib` and the second part of the test.
    """
    tests = []
    with _quiet():
        given, solved = {"__name__": "given"}, {"__name__": "solved"}
        for cell in assignment.cells:
            if cell.role in ("given", "teacher"):
                _run(assignment, cell, cell.source, given)
            if cell.kind == "code" and cell.role not in ("test", "hidden", "teacher"):
                _run(assignment, cell, cell.source, solved)
        for cell in assignment.of("test", "hidden"):
            probe, expected = split_test(cell)
            right = as_numbers(_value(assignment, cell, expected, dict(given)))
            test = {
                "name": cell.name,
                "title": cell.title,
                "hidden": cell.role == "hidden",
                "probe": _assigning(probe),
                "expected": _short(right).tolist(),
                "tolerance": {**TOLERANCE, **cell.options},
            }
            for idle in (0.0, 1.0, np.nan):
                if agrees(np.full(right.shape, idle), **_judged(test)):
                    raise SourceError(f"{_at(assignment, cell)}: the answer {idle} would pass")
            answer = as_numbers(_value(assignment, cell, probe, dict(solved)))
            if not agrees(answer, **_judged(test)):
                raise SourceError(
                    f"{_at(assignment, cell)}: the answers of the source give {answer}, but the "
                    f"expected part gives {right}"
                )
            tests.append(test)
    _check_labels(assignment)
    return tests


def _assigning(probe):
    """Return a probe without its title and with its last expression assigned to `answer`."""
    before, expression = last_expression(probe)
    lines = before.splitlines()
    while lines and lines[0].startswith("#"):
        del lines[0]
    if "\n" in expression:
        expression = f"(\n{expression}\n)"
    return "\n".join([*lines, f"answer = {expression}"])


def _judged(test):
    return {"expected": test["expected"], **test["tolerance"]}


def _short(numbers):
    """Round to 12 digits: what a visible test can print and still compare."""
    return np.vectorize(lambda x: float(f"{x:.12g}"), otypes=[float])(numbers)


def _value(assignment, cell, code, scope):
    before, expression = last_expression(code)
    _run(assignment, cell, before, scope)
    _run(assignment, cell, f"answer = (\n{expression}\n)", scope)
    return scope["answer"]


def _run(assignment, cell, code, scope):
    try:
        exec(compile(code, f"{assignment.name}, {cell.name}", "exec"), scope)
    except Exception as error:
        raise SourceError(f"{_at(assignment, cell)}: {type(error).__name__}: {error}") from error


def _at(assignment, cell):
    return f"{assignment.name}, line {cell.line} ({cell.name})"


@contextlib.contextmanager
def _quiet():
    """Run cells without windows, prints or warnings; and leave no figure behind."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    pyplot.close("all")


def _check_labels(assignment):
    """Raise if a text names an exercise that no chapter has."""
    chapters = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("chapters/*.ipynb"))
    named = {
        label for cell in assignment.of("text") for label in re.findall(r"\bex-[\w-]+", cell.source)
    }
    for label in sorted(named):
        if f":label: {label}\\n" not in chapters:
            raise SourceError(f"{assignment.name}: no chapter has the exercise {label!r}")
    if not named:
        raise SourceError(f"{assignment.name}: no exercise of a chapter is named (`ex-...`)")


# --- notebooks ------------------------------------------------------------------------------------


def teachers_notebook(assignment, tests):
    """Return the notebook with every answer and every test, as nbgrader wants it."""
    tests = {test["name"]: test for test in tests}
    rules = ", ".join(f"`{rule}`" for rule in assignment.withheld)
    withheld = rules and WITHHELD.format(rules=rules)
    first = assignment.cells[0]
    cells = [
        _cell(first, first.source),
        _made("how-this-works", "markdown", RULES.format(withheld=withheld)),
        _made("setup", "code", SETUP),
    ]
    for cell in assignment.cells[1:]:
        if cell.role == "teacher":
            continue
        test = tests.get(cell.name)
        cells.append(_cell(cell, _test_source(test) if test else _marked(cell)))
    return nbformat.v4.new_notebook(cells=cells, metadata=KERNEL)


def _marked(cell):
    """Return the source of a cell in which the whole of a manual answer is marked as solution."""
    if cell.role != "manual" or BEGIN in cell.source:
        return cell.source
    return f"{BEGIN}\n{cell.source}\n{END}"


def _test_source(test):
    """Return what the test cell holds; of a hidden one students get the first two lines."""
    shape = np.shape(test["expected"])
    lines = [
        test["probe"],
        "",
        f"assert np.shape(answer) == {shape}, "
        f'f"the answer has shape {{np.shape(answer)}}, expected {shape}"',
        f"np.testing.assert_allclose(answer, {test['expected']}, "
        + ", ".join(f"{key}={value!r}" for key, value in test["tolerance"].items())
        + ")",
        'print("passed")',
    ]
    if not test["hidden"]:
        return "\n".join([f"# Test, 1 point: {test['title']}", "import numpy as np", "", *lines])
    head = [
        f"# Hidden test, 1 point: {test['title']}",
        "# It runs after you hand in; passing every visible test does not promise this point.",
    ]
    return "\n".join([*head, HIDDEN_BEGIN, "import numpy as np", "", *lines, HIDDEN_END])


def _cell(cell, source):
    graded = cell.points > 0
    solution = cell.role in ("answer", "manual")
    made = _made(cell.name, cell.kind, source, grade=graded, solution=solution)
    if graded:
        made.metadata.nbgrader["points"] = cell.points
    return made


def _made(name, kind, source, grade=False, solution=False):
    new = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
    nbgrader = {
        "grade": grade,
        "grade_id": name,
        "locked": not solution,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }
    return new(source, id=name, metadata={"nbgrader": nbgrader})


def make_key(assignment, tests, release, public):
    """Return what grading needs, as JSON: the students' notebook, the tests and what is right."""
    key = {
        "assignment": assignment.name,
        "title": assignment.title,
        "withheld": assignment.withheld,
        "tests": tests,
        "release": nbformat.reads(release.decode(), as_version=4),
    }
    # The secrets decide no mark: another assignment may change them.
    key["digest"] = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    key["secrets"] = _secrets(assignment, public)
    return key


def _public(salt, sources):
    """Return what the book, the package and all assignments show to students, as text."""
    shown = [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("optimlib/**/*.py"))]
    for path in sorted(ROOT.glob("chapters/*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        shown += ["".join(cell["source"]) for cell in cells]
    for name in names(sources):
        try:
            shown += map(_shown, read(name, salt, sources).cells)
        except SourceError:  # whoever builds that one is told
            continue
    return "\n".join(shown)


def _secrets(assignment, public):
    """List the lines that students must not see: of hidden tests, and of answers.

    What is public anyway, or too short to tell anything, is none.
    """
    secrets = {"hidden": [], "answers": []}
    for cell in assignment.of("hidden", "teacher", "answer", "manual"):
        kept = secrets["hidden" if cell.role in ("hidden", "teacher") else "answers"]
        for line in map(str.strip, cell.source.splitlines()):
            if len(line) >= 12 and line not in public and not line.startswith("#"):
                kept.append(line)
    return {kind: list(dict.fromkeys(lines)) for kind, lines in secrets.items()}


def _shown(cell):
    """Return what students are meant to see of a cell."""
    if cell.role in ("text", "given"):
        return cell.source
    if cell.role == "test":
        return split_test(cell)[0]
    if cell.role == "answer":
        return re.sub(rf"{BEGIN}.*?{END}", "", cell.source, flags=re.S)
    return ""


def leaks(text, key, kinds=("hidden", "answers")):
    """List what a text, JSON-encoded or plain, shows of hidden tests and answers.

    HTML is unescaped by the caller.
    """
    markers = [BEGIN.removeprefix("# "), HIDDEN_BEGIN.strip("# ")]
    wanted = [*markers, *(line for kind in kinds for line in key["secrets"][kind])]
    return [line for line in wanted if line in text or json.dumps(line)[1:-1] in text]


# --- zips -----------------------------------------------------------------------------------------


def pack(path, members):
    """Write a zip that depends on nothing but the names and contents of its members."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in sorted(members.items()):
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, file.read_bytes())


def _wheel(cache):
    """Return the wheel of optimlib, built anew if the package changed."""
    sources = [ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE")]
    sources += package().values()
    digest = hashlib.sha256()
    for file in sources:
        digest.update(f"{file.name}\n".encode() + file.read_bytes())
    kept = cache / "wheel" / digest.hexdigest()[:16]
    if not list(kept.glob("*.whl")):
        with tempfile.TemporaryDirectory() as temporary:
            copy, out = Path(temporary) / "copy", Path(temporary) / "out"
            for file in sources:
                target = copy / file.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
            command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
            command += ["--no-build-isolation", "--disable-pip-version-check", "-w", out, copy]
            subprocess.run(
                command, check=True, env={**os.environ, "SOURCE_DATE_EPOCH": "315619200"}
            )
            shutil.rmtree(kept.parent, ignore_errors=True)
            shutil.copytree(out, kept)
    return next(kept.glob("*.whl"))
