"""Whole classes, graded in the sandbox: marks, statuses, feedback; killed and run again."""

import copy
import csv
import html
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from grading import GradingError, build, handins, sandbox, source
from grading import __main__ as commands
from grading import course as courses
from grading.execute import Limits
from tests.assignments.conftest import NAMES
from tests.assignments.fabricate import (
    add,
    colab,
    encoded,
    idle,
    kinds,
    right,
    stub_of,
    vscode,
    write,
)
from tests.conftest import tally

LIMITS = Limits(cell=1.5, notebook=30.0)
WORDS = ["--seconds", "1.5", "--notebook-seconds", "30"]
KILLED_AFTER = 8
# A class of 40 for the comparison of one worker and two: of all sorts, none that waits for long.
CLASS = (
    """
perfect/empty/returns None/returns 0.0/returns first/epsilon inside/not corrected/nan/words/ragged
list/raises/exit in function/prints arguments/calls the library/exit/hard exit/segfault
memory at once/output in pieces/input/reads the disk/opens a socket/patches json/hooks
patches numpy testing/syntax error/import error/helper cell/deleted test/edited test
doubled answer/two answers/deleted answer/colab/vscode/bom/zero bytes/not json/no notebook
""".strip()
    .replace("\n", "/")
    .split("/")
)

pytestmark = pytest.mark.sandbox


def rows(folder, name):
    """Read the CSV of a course."""
    with (folder / f"{name}-grades.csv").open(encoding="utf-8", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def result(folder, name, student):
    """Read what became of a hand-in."""
    path = folder / "results" / name / f"{student}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def pages(folder):
    """Return the feedback pages by student, unescaped."""
    return {
        path.parent.parent.name: html.unescape(path.read_text(encoding="utf-8"))
        for path in (folder / "feedback").glob("*/*/*.html")
    }


def copied(course, folder):
    """Return a course folder of one's own, built but not graded."""
    courses.prepare(folder)
    for name in ("keys", "release", "source", "zips", ".cache"):
        if (course / name).exists():
            shutil.copytree(course / name, folder / name, dirs_exist_ok=True)
    shutil.copyfile(course / "gradebook.db", folder / "gradebook.db")
    return folder


@pytest.fixture(scope="module")
def sample(course, listener):
    """The kinds of hand-in that are run, the folder they are in, and what arrived on the port."""
    port, received = listener
    made = kinds(right(course, "hw4"), port, str(course / "gradebook.db"))
    return [kind for kind in made if not kind.alike], received


@pytest.fixture(scope="module")
def graded(course, sample, tmp_path_factory):
    """The whole sample, graded with two workers."""
    listed, _ = sample
    folder = copied(course, tmp_path_factory.mktemp("sample"))
    given = write(tmp_path_factory.mktemp("handins"), listed)
    commands.main(["grade", "hw4", str(given), "--course", str(folder), "--workers", "2", *WORDS])
    return folder


def test_every_kind_has_its_honest_mark_and_status(graded, sample, pytestconfig):
    listed, _ = sample
    table = rows(graded, "hw4")
    assert set(table) == {kind.student for kind in listed}
    wrong = []
    for kind in listed:
        row, found = table[kind.student], result(graded, "hw4", kind.student)
        if (row["status"], len(found["passed"])) != (kind.status, kind.passed):
            wrong.append((kind.name, kind.status, kind.passed, row["status"], found["passed"]))
        if float(row["score"]) != kind.passed or float(row["maximum"]) != 30:
            wrong.append((kind.name, row))
    tally(pytestconfig, "handins", made=len(listed), graded=len(listed))
    assert wrong == []


def test_no_page_shows_a_hidden_line(graded, course):
    key = courses.read_key(course, "hw4")
    shown = pages(graded)
    assert len(shown) > 75
    for student, page in shown.items():
        assert build.leaks(page, key, ["hidden"]) == [], student
        assert "passed" in page


def test_hidden_cells_say_pass_or_fail_and_are_heard_nowhere_else(graded, sample, course):
    key = courses.read_key(course, "hw4")
    hidden = {test["name"] for test in key["tests"] if test["hidden"]}
    said = {"passed", "not passed (hidden test)"}
    drawn = source.read("hw4", "public").parameters
    seen = 0
    for kind in sample[0]:
        notebook = result(graded, "hw4", kind.student)["notebook"] or {"cells": []}
        for cell in notebook["cells"]:
            text = json.dumps(cell.get("outputs", []))
            if cell["id"] in hidden:
                (output,) = cell["outputs"]
                assert output.get("text", output.get("evalue", "")).strip() in said
                assert cell["source"].count("\n") == 1
            else:
                seen += "ARGUMENTS" in text
                for number in (drawn["faint"][0], *drawn["long"][:3], *drawn["table"][0]):
                    assert f"ARGUMENTS [{number}" not in text
                    assert f"ARGUMENTS [[{number}" not in text
    assert seen >= 3  # where the tests are visible, a student may see what they are called with


def test_pages_run_no_script_of_a_student(graded):
    """Nor do those of formgrader, which shows the same cells and outputs in the same way."""
    assert "MARKUP" in pages(graded)["markup"]
    for page in (graded / "feedback").glob("*/*/*.html"):
        raw = page.read_text(encoding="utf-8")
        assert "<script>alert" not in raw
        assert "<img src=x" not in raw
    for cell in result(graded, "hw4", "html-output")["notebook"]["cells"]:
        for output in cell.get("outputs", []):
            assert set(output.get("data", {})) <= {"text/plain", "text/latex", "image/png"}
            assert "\\href" not in output.get("data", {}).get("text/latex", "")
            assert "<" not in output.get("data", {}).get("image/png", "")
    assert "&lt;script&gt;alert(9)" in raw_page(graded, "html-output")


def raw_page(folder, student):
    return (folder / "feedback" / student / "hw4" / "hw4.html").read_text(encoding="utf-8")


def test_nothing_left_the_sandbox(graded, sample, course):
    _, received = sample
    assert received == []
    for name in ("opens-a-socket", "reads-the-disk", "reads-the-gradebook", "writes-the-gradebook"):
        (cell,) = (
            c
            for c in result(graded, "hw4", name)["notebook"]["cells"]
            if c["metadata"].get("added") and c["cell_type"] == "code"
        )
        said = "".join(output.get("text", output.get("evalue")) for output in cell["outputs"])
        assert {
            "opens-a-socket": "no network: ConnectionRefusedError",
            "reads-the-disk": "FOUND []",
            "reads-the-gradebook": "No such file",
            "writes-the-gradebook": "unable to open",
        }[name] in said


def test_the_report_names_every_repair_refusal_and_flag(graded, sample):
    listed, _ = sample
    report = (graded / "hw4-report.md").read_text(encoding="utf-8")
    flagged = report.partition("## Flagged")[2].partition("\n## ")[0]
    refused = report.partition("## Refused")[2].partition("\n## ")[0]
    for kind in listed:
        assert (f"- {kind.student}: " in flagged) == (kind.status == "review"), kind.name
        assert (f"- {kind.student}: " in refused) == (kind.status == "refused"), kind.name
    for student in ("bom", "colab", "deleted-test", "doubled-answer", "wrong-name"):
        assert f"- {student}: " in report.partition("## Repaired")[2]


def state(folder, name):
    """Return all that a teacher sees of a class."""
    from nbgrader.api import Gradebook

    found = {}
    with Gradebook(f"sqlite:///{folder}/gradebook.db") as book:
        for handed in book.assignment_submissions(name):
            (notebook,) = handed.notebooks
            marks = sorted((g.name, g.auto_score, g.needs_manual_grade) for g in notebook.grades)
            found[handed.student.id] = marks, sorted((c.name, c.comment) for c in notebook.comments)
    results = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in (folder / "results" / name).glob("*.json")
    }
    table = (folder / f"{name}-grades.csv").read_text(encoding="utf-8")
    report = (folder / f"{name}-report.md").read_text(encoding="utf-8")
    return {"gradebook": found, "results": results, "table": table, "report": report}


@pytest.fixture(scope="module")
def forty(sample, tmp_path_factory):
    """A class of 40, of all kinds mixed."""
    listed = [kind for kind in sample[0] if kind.name in CLASS]
    assert len(listed) == len(CLASS) == 40
    return write(tmp_path_factory.mktemp("forty"), listed)


@pytest.fixture(scope="module")
def one_worker(course, forty, tmp_path_factory):
    folder = copied(course, tmp_path_factory.mktemp("one"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(courses, "_feedback", lambda *_: None)
        words = ["--course", str(folder), "--workers", "1", *WORDS]
        commands.main(["grade", "hw4", str(forty), *words])
    return state(folder, "hw4")


def test_one_worker_and_two_agree(one_worker, graded):
    two = state(graded, "hw4")
    for part in ("gradebook", "results"):
        for student, found in one_worker[part].items():
            assert found == two[part][student], student
    assert len(one_worker["results"]) == 40
    lines = one_worker["table"].splitlines()
    assert set(lines) <= set(two["table"].splitlines())


def test_killed_half_way_and_run_again(course, forty, one_worker, tmp_path, monkeypatch):
    folder = copied(course, tmp_path / "killed")
    command = [sys.executable, "-m", "grading", "grade", "hw4", str(forty)]
    command += ["--course", str(folder), "--workers", "2", *WORDS]
    running = subprocess.Popen(command, cwd=source.ROOT, stdout=subprocess.PIPE, text=True)
    for line in running.stdout:
        if line.startswith(f"[{KILLED_AFTER}/"):
            break
    running.send_signal(signal.SIGKILL)
    running.wait()
    running.stdout.close()
    kept = {path: path.stat().st_mtime_ns for path in (folder / "results" / "hw4").glob("*.json")}
    assert KILLED_AFTER <= len(kept) < 40
    assert not (folder / "hw4-grades.csv").exists()
    time.sleep(1)  # workers notice that their parent is gone
    monkeypatch.setattr(courses, "_feedback", lambda *_: None)  # the comparison looks at no page
    commands.main(command[3:])
    assert state(folder, "hw4") == one_worker
    for path, when in kept.items():
        assert path.stat().st_mtime_ns == when, "a finished hand-in was run again"


@pytest.mark.parametrize("name", NAMES)
def test_a_few_kinds_on_every_assignment(course, tmp_path, name):
    """In the sandbox; all kinds are tried on `hw4`."""
    folder = copied(course, tmp_path / "course")
    key = courses.read_key(folder, name)
    tests = len(key["tests"])
    perfect = right(course, name)
    answers = [c for c in perfect["cells"] if c["metadata"]["nbgrader"]["solution"]]
    first = next(cell["id"] for cell in answers if cell["cell_type"] == "code")
    leaves = add(copy.deepcopy(perfect), "import os\nos._exit(3)", before=first)
    few = {
        "colab": (encoded(colab(copy.deepcopy(perfect))), tests, "graded"),
        "vscode": (encoded(vscode(copy.deepcopy(perfect))), tests, "graded"),
        "leaves": (encoded(leaves), tests, "review"),
        "release": ((course / "release" / name / f"{name}.ipynb").read_bytes(), 0, "graded"),
        "idle": (encoded(idle(perfect, "None")), 0, "graded"),
        "cut": (encoded(perfect)[:5000], 0, "refused"),
    }
    for student, (content, _, _) in few.items():
        write_one(tmp_path / "in" / student, name, content)
    commands.main(["grade", name, str(tmp_path / "in"), "--course", str(folder)])
    table = rows(folder, name)
    given = {student: (float(row["score"]), row["status"]) for student, row in table.items()}
    assert given == {student: (score, status) for student, (_, score, status) in few.items()}
    assert float(table["colab"]["maximum"]) >= tests + 5
    assert int(table["colab"]["cells_to_grade_by_hand"]) >= 2
    assert table["release"]["cells_to_grade_by_hand"] == "0"
    for page in pages(folder).values():
        assert build.leaks(page, key, ["hidden"]) == []


def write_one(folder, name, content):
    folder.mkdir(parents=True)
    (folder / f"{name}.ipynb").write_bytes(content)


# --- a class that is graded again -----------------------------------------------------------------


@pytest.fixture
def small(course, tmp_path):
    """A course of two students who hand in what is right."""
    folder = copied(course, tmp_path / "course")
    content = encoded(right(course, "hw4"))
    for student in ("ada", "ben"):
        (tmp_path / "in" / student).mkdir(parents=True)
        (tmp_path / "in" / student / "hw4.ipynb").write_bytes(content)

    def grade(*words):
        commands.main(["grade", "hw4", str(tmp_path / "in"), "--course", str(folder), *words])
        return rows(folder, "hw4")

    return folder, tmp_path / "in", grade


def by_hand(folder, student, **marks):
    """Give marks as formgrader does."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{folder}/gradebook.db") as book:
        for cell, mark in marks.items():
            grade = book.find_grade(cell, "hw4", "hw4", student)
            grade.manual_score, grade.needs_manual_grade = mark, False
            book.find_comment(cell, "hw4", "hw4", student).manual_comment = f"COMMENT ON {cell}"
        book.db.commit()


def test_hand_grading_late_penalty_and_regrading(small, tmp_path):
    folder, given, grade = small
    (tmp_path / "times.csv").write_text(
        "student,time\nada,2026-03-01T22:59Z\nben,2026-03-02T23:30Z\n", encoding="utf-8"
    )
    late = ["--due", "2026-03-01T23:59+01:00", "--late-per-day", "0.1", "--grace", "15"]
    table = grade("--times", str(tmp_path / "times.csv"), *late)
    assert (float(table["ada"]["score"]), float(table["ada"]["late_penalty"])) == (15, 0)
    # half an hour into the second day: a fifth of 15
    assert (float(table["ben"]["score"]), float(table["ben"]["late_penalty"])) == (12, 3)
    assert table["ben"]["cells_to_grade_by_hand"] == "3"

    by_hand(folder, "ben", derivation=5.0, explanation=4.0, plot=1.0)
    commands.main(["feedback", "hw4", "--course", str(folder)])
    ben = rows(folder, "hw4")["ben"]
    assert (float(ben["score"]), float(ben["late_penalty"])) == (20, 5)
    assert ben["cells_to_grade_by_hand"] == "0"
    assert "COMMENT ON derivation" in pages(folder)["ben"]

    # graded again, nothing changed: nothing is run, and what was given by hand stays
    before = (folder / "results" / "hw4" / "ben.json").stat().st_mtime_ns
    again = grade()["ben"]
    assert (folder / "results" / "hw4" / "ben.json").stat().st_mtime_ns == before
    assert float(again["score"]) == 20

    # a second hand-in replaces the first; its marks by hand are kept and shown again to the grader
    nb = json.loads((given / "ben" / "hw4.ipynb").read_text(encoding="utf-8"))
    (given / "ben" / "hw4.ipynb").write_bytes(encoded(stub_of(nb)))
    ben = grade()["ben"]
    assert float(ben["cells_to_grade_by_hand"]) > 0
    assert float(ben["score"]) == 8  # 10 by hand, a fifth off; no test passes


def test_a_failure_of_the_grader_is_no_zero_and_is_run_again(small, monkeypatch):
    folder, given, _ = small
    key = courses.read_key(folder, "hw4")
    path = folder / "results" / "hw4" / "ada.json"
    (hand_in, _) = handins.collect(given, "hw4")
    broken = {"status": "failed", "reason": "no kernel", "passed": [], "notebook": None}
    broken |= {"repairs": [], "flags": [], "remarks": []}
    mark = courses._fingerprint(hand_in, key, LIMITS, True)
    courses.write_json(path, broken | {"fingerprint": mark})
    (row,) = courses.finish(folder, "hw4", [hand_in], 1)
    assert (row["status"], row["score"]) == ("failed", "")
    assert "no kernel" in (folder / "hw4-report.md").read_text(encoding="utf-8")
    said = []
    courses.run_class(folder, "hw4", [hand_in], LIMITS, 1, True, said.append)
    assert "graded, 15 of 15" in said[-1]


def test_a_worker_that_dies_takes_nobody_with_it(small, monkeypatch):
    folder, given, _ = small
    hand_ins = handins.collect(given, "hw4")
    hand_ins[0].content = Bomb(hand_ins[0].content)
    said = []
    courses.run_class(folder, "hw4", hand_ins, LIMITS, 2, True, said.append)
    assert result(folder, "hw4", "ada")["status"] == "failed"
    assert result(folder, "hw4", "ben")["status"] == "graded"


class Bomb(bytes):
    """Bytes that end the process that unpickles them."""

    def __reduce__(self):
        import os

        return os._exit, (1,)


def test_the_script_for_slurm_makes_parts_of_the_whole(small):
    folder, given, grade = small
    results = folder / "results" / "hw4"
    for part in ("1", "2"):
        assert len(list(results.glob("*.json"))) == int(part) - 1
        slurm = {"SLURM_SUBMIT_DIR": str(source.ROOT), "SLURM_CPUS_PER_TASK": "1"}
        slurm |= {"SLURM_ARRAY_TASK_ID": part, "SLURM_ARRAY_TASK_COUNT": "2"}
        script = source.ROOT / "teaching" / "slurm.sh"
        subprocess.run(
            ["bash", script, "hw4", str(given), str(folder)],
            env=os.environ | slurm | {"PYTHON": sys.executable},
            check=True,
            capture_output=True,
        )
    assert not (folder / "hw4-grades.csv").exists()
    times = [path.stat().st_mtime_ns for path in sorted(results.glob("*.json"))]
    assert {row["score"] for row in grade().values()} == {"15.0"}
    assert times == [path.stat().st_mtime_ns for path in sorted(results.glob("*.json"))]


def test_a_corrected_test_runs_every_hand_in_again(small, tmp_path):
    folder, _, grade = small
    assert {row["score"] for row in grade().values()} == {"15.0"}
    text = (source.FOLDER / "hw4.py").read_text(encoding="utf-8")
    assert "updates(P.long, lr=0.01, eps=1e-8)" in text
    changed = text.replace("adam(P.long, lr=0.01", "adam(P.long, lr=0.02").replace(
        "updates(P.long, lr=0.01", "updates(P.long, lr=0.02"
    )
    (tmp_path / "hw4.py").write_text(changed, encoding="utf-8")
    before = {path: path.stat().st_mtime_ns for path in (folder / "results").rglob("*.json")}
    build.build(folder, ["hw4"], "public", tmp_path)
    assert {row["score"] for row in grade().values()} == {"15.0"}
    for path, when in before.items():
        assert path.stat().st_mtime_ns > when
    # cells that come or go would break the gradebook: nbgrader refuses, and the message says so
    more = changed.replace("# %% hidden adam-late", "# %% hidden adam-later")
    (tmp_path / "hw4.py").write_text(more, encoding="utf-8")
    with pytest.raises(GradingError, match="new course folder"):
        build.build(folder, ["hw4"], "public", tmp_path)


# --- what it says when it cannot ------------------------------------------------------------------


def test_without_a_sandbox_it_stops_and_names_the_container(small, monkeypatch):
    folder, _, grade = small
    monkeypatch.setattr(sandbox, "unusable", lambda: "the program bwrap was not found.")
    with pytest.raises(SystemExit, match=r"(?s)bubblewrap cannot be used.*apt install.*podman"):
        grade()
    assert not (folder / "results").exists()


def test_unprotected_warns_and_grades(small, capfd):
    _, _, grade = small
    assert {row["score"] for row in grade("--unprotected").values()} == {"15.0"}
    assert "WARNING" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--part", "3/2"], "--part"),
        (["--part", "x"], "--part"),
        (["--due", "tomorrow"], "no time"),
        (["--due", "2026-03-01T10:00"], "no zone"),
    ],
)
def test_wrong_words_are_named(small, words, message):
    with pytest.raises(SystemExit, match=message):
        small[2](*words)


def test_formgrader_gives_jupyterlab_its_words(small, monkeypatch):
    folder, _, _ = small
    ran = []
    done = subprocess.CompletedProcess([], 3)
    monkeypatch.setattr(subprocess, "run", lambda words, **_: ran.append(words) or done)
    words = ["formgrader", "--course", str(folder), "--port", "8899", "--", "--allow-root", "-y"]
    with pytest.raises(SystemExit) as ended:
        commands.main(words)
    assert ended.value.code == 3
    assert ran[0][-4:] == ["--port", "8899", "--allow-root", "-y"]
    assert f"--notebook-dir={folder}" in ran[0]


def test_nothing_to_grade_and_no_course(small, tmp_path):
    folder, _, _ = small
    words = ["--course", str(folder)]
    with pytest.raises(SystemExit, match="does not exist"):
        commands.main(["grade", "hw4", str(tmp_path / "none"), *words])
    (tmp_path / "void").mkdir()
    with pytest.raises(SystemExit, match="no hand-in was found"):
        commands.main(["grade", "hw4", str(tmp_path / "void"), *words])
    with pytest.raises(SystemExit, match="build the assignment first"):
        commands.main(["grade", "hw9", str(tmp_path / "void"), *words])
    with pytest.raises(SystemExit, match="no course folder"):
        commands.main(["grade", "hw4", str(tmp_path / "void"), "--course", str(tmp_path)])


def test_two_commands_do_not_meet(small):
    folder, _, grade = small
    with courses.lock(folder), pytest.raises(SystemExit, match="another command"):
        grade()
