"""A course folder: what nbgrader keeps, and the work on a whole class.

The folder is nbgrader's: ``source``, ``release``, ``autograded``, ``feedback``, ``gradebook.db``.
It has no ``submitted``, so that nbgrader finds nothing that it could run by itself. Besides there
are ``keys`` (what is right), ``zips`` (to hand out), ``results`` (a file for each hand-in that was
run), ``remarks`` (what the teacher is told), and for each assignment a CSV and a report.
"""

import contextlib
import csv
import fcntl
import hashlib
import json
import logging
import multiprocessing
import os
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from nbgrader.converters.base import NbGraderException
from traitlets.config import Config

from . import GradingError
from .grade import FAILED, REFUSED, grade
from .source import ROOT

VERSION = 1
ATTEMPTS = 2
CONFIG = """\
# Written by `make assignments`: what nbgrader and its formgrader need to know of this folder.
import sys

sys.path.insert(0, {root!r})
from grading.course import configure

configure(get_config(), {folder!r})
"""


# --- nbgrader -------------------------------------------------------------------------------------


def prepare(folder):
    """Make a course folder, if it is not there, and return its absolute path."""
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    config = CONFIG.format(root=str(ROOT), folder=str(folder))
    (folder / "nbgrader_config.py").write_text(config, encoding="utf-8")
    return folder


def configure(config, folder):
    """Fill a traitlets configuration with the settings of a course folder."""
    config.CourseDirectory.root = str(folder)
    config.CourseDirectory.db_url = f"sqlite:///{folder}/gradebook.db"
    config.ClearSolutions.code_stub = {"python": "# Write your code here.\n..."}
    config.ClearSolutions.text_stub = "*Write your answer here.*"
    # nbgrader's own button would run students' code with the teacher's rights.
    config.Autograde.sanitize_preprocessors = ["grading.late.RefuseToRun"]
    config.AssignLatePenalties.plugin_class = "grading.late.PerDay"
    return config


@contextlib.contextmanager
def _nbgrader(folder):
    """Yield the configuration, with nbgrader able to call its helpers and not talking."""
    bin_folder = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", "")
    os.environ["PATH"] = f"{bin_folder}{os.pathsep}{path}"
    loggers = [logging.getLogger(name) for name in ("traitlets", "alembic", "nbgrader")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield configure(Config(), folder)
    finally:
        os.environ["PATH"] = path
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _converter(kind, config, name, student="."):
    """Return an nbgrader converter for one assignment and student."""
    from nbgrader.coursedir import CourseDirectory

    directory = CourseDirectory(config=config)
    directory.assignment_id = name
    directory.student_id = student
    converter = kind(coursedir=directory, config=config)
    converter.force = True
    return converter


def generate(folder, name):
    """Let nbgrader make the students' notebook from the teacher's, and enter its cells."""
    from nbgrader.converters import GenerateAssignment

    with _nbgrader(folder) as config:
        try:
            _converter(GenerateAssignment, config, name).start()
        except Exception as error:
            raise GradingError(
                f"nbgrader could not release {name}: {error}. If its cells changed after "
                "hand-ins were graded, give a new course folder (COURSE=...)"
            ) from error


@contextlib.contextmanager
def _gradebook(folder):
    """Yield the gradebook; what its libraries deprecate is no matter of the teacher's."""
    from nbgrader.api import Gradebook

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Gradebook(f"sqlite:///{folder}/gradebook.db") as book:
            yield book


# --- a class --------------------------------------------------------------------------------------


def read_key(folder, name):
    """Return the key of a built assignment."""
    path = Path(folder) / "keys" / f"{name}.json"
    if not path.is_file():
        raise GradingError(f"{path} does not exist: build the assignment first: make assignments")
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path, data):
    """Write JSON in one piece: whoever looks sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    part.replace(path)


@contextlib.contextmanager
def lock(folder):
    """Keep a second command out of a course folder while one works in it."""
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise GradingError(f"another command is at work in {folder}: wait for it") from error
        yield


def _fingerprint(hand_in, key, limits, protected):
    """Return what a result depends on: a result with another one is not used again."""
    said = json.dumps([VERSION, key["digest"], asdict(limits), protected, _layer()])
    return hashlib.sha256(said.encode() + b"\0" + (hand_in.content or b"")).hexdigest()


def _layer():
    """Return a hash of the code that decides marks."""
    found = hashlib.sha256()
    for name in ("execute", "grade", "marks", "normalise", "sandbox"):
        found.update((Path(__file__).with_name(f"{name}.py")).read_bytes())
    return found.hexdigest()


def run_class(folder, name, hand_ins, limits, workers, protected, say=print):
    """Run every hand-in that has no result yet; each result is a file as soon as it is known."""
    key = read_key(folder, name)
    results = folder / "results" / name
    waiting = []
    for hand_in in hand_ins:
        kept = _stored(results / f"{hand_in.student}.json")
        mark = _fingerprint(hand_in, key, limits, protected)
        if kept.get("fingerprint") != mark or kept.get("status") == FAILED:
            waiting.append((hand_in, mark))
    if len(waiting) < len(hand_ins):
        say(f"{len(hand_ins) - len(waiting)} of {len(hand_ins)} hand-ins have their result already")
    attempts = dict.fromkeys((hand_in.student for hand_in, _ in waiting), 0)
    total, finished, start = len(waiting), 0, time.monotonic()
    context = multiprocessing.get_context("forkserver")
    while waiting:
        lost = []
        # A pool that broke once is made of single workers: the next break names its hand-in.
        alone = any(attempts.values())
        with ProcessPoolExecutor(1 if alone else workers, mp_context=context) as pool:
            batch, waiting = (waiting[:1], waiting[1:]) if alone else (waiting, [])
            jobs = {
                pool.submit(_job, folder, name, hand_in, mark, limits, protected): (hand_in, mark)
                for hand_in, mark in batch
            }
            for job in as_completed(jobs):
                hand_in, mark = jobs[job]
                try:
                    status, points = job.result()
                except BrokenProcessPool:
                    lost.append((hand_in, mark))
                    continue
                finished += 1
                passed = time.monotonic() - start
                left = passed / finished * (total - finished)
                say(
                    f"[{finished}/{total}] {hand_in.student}: {status}, {points} of "
                    f"{len(key['tests'])} tests; about {left:.0f} s left"
                )
        for hand_in, mark in lost:
            attempts[hand_in.student] += 1
            if attempts[hand_in.student] < ATTEMPTS:
                waiting.append((hand_in, mark))
                continue
            finished += 1
            result = {"status": FAILED, "reason": "the grading process died", "passed": []}
            result |= {"repairs": [], "flags": [], "remarks": [], "notebook": None}
            write_json(results / f"{hand_in.student}.json", result | {"fingerprint": mark})
            say(f"[{finished}/{total}] {hand_in.student}: failed: the grading process died")


def _stored(path):
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _job(folder, name, hand_in, mark, limits, protected):
    """Grade one hand-in in a worker."""
    key = read_key(folder, name)
    if hand_in.refused:
        result = {"status": REFUSED, "reason": hand_in.refused, "passed": [], "notebook": None}
        result |= {"repairs": [], "flags": [], "remarks": []}
    else:
        result = grade(hand_in.content, key, folder / ".cache", limits, protected)
    write_json(
        folder / "results" / name / f"{hand_in.student}.json", result | {"fingerprint": mark}
    )
    return result["status"], len(result["passed"])


# --- gradebook, feedback, table, report -----------------------------------------------------------


def finish(folder, name, hand_ins, workers, say=print):
    """Enter the results of a class in the gradebook; write feedback, table and report."""
    key = read_key(folder, name)
    with _nbgrader(folder) as config:
        for hand_in in hand_ins:
            result = _stored(folder / "results" / name / f"{hand_in.student}.json")
            if not result:
                continue
            if result["notebook"]:
                try:
                    _enter(folder, name, hand_in, result, config)
                except Exception as error:  # whatever it is, the others must get their marks
                    why = f"could not be entered in the gradebook: {error!r}"
                    result |= {"status": FAILED, "reason": why}
            told = _told(hand_in, result)
            write_json(folder / "remarks" / name / f"{hand_in.student}.json", told)
    return _write(folder, name, key, workers, say)


def _write(folder, name, key, workers, say):
    """Write feedback, table and report from what the gradebook says."""
    rows = _rows(folder, name, key)
    _feedback(folder, name, rows, workers, say)
    write_table(folder, name, rows)
    report = _report(name, key, rows)
    (folder / f"{name}-report.md").write_text(report, encoding="utf-8")
    return rows


_SHOWN = ("graded", "review")


def _told(hand_in, result):
    status = result["status"]
    flags = [*hand_in.flags, *result["flags"]]
    return {
        "status": "review" if flags and status == "graded" else status,
        "reason": result["reason"],
        "repairs": [*hand_in.repairs, *result["repairs"]],
        "flags": flags,
        "remarks": result["remarks"],
    }


def _enter(folder, name, hand_in, result, config):
    """Put one result where nbgrader keeps what it graded: the notebook and the marks."""
    import nbformat
    from nbgrader.preprocessors import AssignLatePenalties, SaveAutoGrades

    student = hand_in.student
    nb = nbformat.from_dict(result["notebook"])
    target = folder / "autograded" / student / name / f"{name}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, target)
    with _gradebook(folder) as book:
        book.update_or_create_student(student)
        # A run that is told no times leaves those that are known.
        handed = {"timestamp": datetime.fromisoformat(hand_in.time)} if hand_in.time else {}
        book.update_or_create_submission(name, student, **handed)
    for step in (SaveAutoGrades, AssignLatePenalties):
        step(config=config).preprocess(nb, _resources(folder, name, student))


def _rows(folder, name, key):
    """Return a row for every student with a result, hand-graded marks included."""
    from nbgrader.api import MissingEntry

    rows = []
    with _gradebook(folder) as book:
        maximum = book.find_assignment(name).max_score
        for path in sorted((folder / "remarks" / name).glob("*.json")):
            told = _stored(path)
            row = {"student": path.stem, "score": "", "maximum": maximum, **told}
            row |= {"late_penalty": 0.0, "by_hand": 0, "passed": [], "stamp": ""}
            try:
                handed = book.find_submission(name, path.stem)
            except MissingEntry:
                handed = None
            if told["status"] in _SHOWN and handed:
                penalty = sum((n.late_submission_penalty or 0.0 for n in handed.notebooks), 0.0)
                grades = [grade for n in handed.notebooks for grade in n.grades]
                row["score"] = round(handed.score - penalty, 6)
                row["late_penalty"] = round(penalty, 6)
                row["by_hand"] = sum(bool(grade.needs_manual_grade) for grade in grades)
                row["passed"] = _stored(folder / "results" / name / path.name)["passed"]
                comments = [comment for n in handed.notebooks for comment in n.comments]
                row["stamp"] = _stamp(folder, name, row, grades, comments)
            elif told["status"] == REFUSED:
                row["score"] = 0.0
            rows.append(row)
    return rows


def _stamp(folder, name, row, grades, comments):
    """Return a hash of all that a feedback page shows."""
    marks = sorted((grade.name, grade.score) for grade in grades)
    said = sorted((comment.name, str(comment.comment)) for comment in comments)
    seen = hashlib.sha256(json.dumps([marks, said, row["late_penalty"], _layer()]).encode())
    seen.update((folder / "autograded" / row["student"] / name / f"{name}.ipynb").read_bytes())
    return seen.hexdigest()


def write_table(folder, name, rows):
    """Write the CSV of an assignment."""
    with (folder / f"{name}-grades.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(
            ["student", "score", "maximum", "status", "late_penalty", "cells_to_grade_by_hand"]
        )
        for row in rows:
            table.writerow(
                [_plain(row["student"])]
                + [row[column] for column in ("score", "maximum", "status", "late_penalty")]
                + [row["by_hand"]]
            )


def _plain(text):
    """Keep a spreadsheet from reading a name as a formula."""
    return f"'{text}" if text[:1] in "=+-@" else text


def _report(name, key, rows):
    counts = {}
    for row in rows:
        counts[row["status"]] = counts.get(row["status"], 0) + 1
    lines = [f"# {name}: {key['title']}", ""]
    lines += [f"{len(rows)} hand-ins: " + ", ".join(f"{n} {s}" for s, n in sorted(counts.items()))]
    lines += ["", "## Tests", ""]
    graded = [row for row in rows if row["status"] in _SHOWN]
    for test in key["tests"]:
        kind = "hidden" if test["hidden"] else "visible"
        passed = sum(test["name"] in row["passed"] for row in graded)
        lines.append(f"- {test['name']} ({kind}): {passed} of {len(graded)}: {test['title']}")
    for title, field in (
        ("Refused: ask for the file again", "refused"),
        ("Failed: run the command again", "failed"),
        ("Flagged: look at the hand-in", "flags"),
        ("What happened while it ran", "remarks"),
        ("Repaired", "repairs"),
    ):
        told = []
        for row in rows:
            if field in ("refused", "failed"):
                said = [row["reason"]] if row["status"] == field else []
            else:
                said = row[field]
            told += [f"- {row['student']}: {_one_line(line)}" for line in said]
        if told:
            lines += ["", f"## {title}", "", *told]
    return "\n".join(lines) + "\n"


def _one_line(text):
    return " ".join(text.split())[:300].replace("<", "‹").replace("`", "'")


def _feedback(folder, name, rows, workers, say):
    """Let nbgrader write the pages that are not there or no longer say what the gradebook says."""
    pages = {row["student"]: _page(folder, name, row["student"]) for row in rows if row["stamp"]}
    stamps = folder / ".cache" / "feedback" / name
    stamps.mkdir(parents=True, exist_ok=True)
    old = [
        row
        for row in rows
        if row["stamp"]
        and not (
            pages[row["student"]].is_file()
            and (stamps / row["student"]).is_file()
            and (stamps / row["student"]).read_text(encoding="utf-8") == row["stamp"]
        )
    ]
    students = [row["student"] for row in old]
    chunks = [chunk for n in range(workers) if (chunk := students[n::workers])]
    for student in students:
        pages[student].unlink(missing_ok=True)
    if chunks:
        context = multiprocessing.get_context("forkserver")
        with ProcessPoolExecutor(len(chunks), mp_context=context) as pool:
            jobs = [pool.submit(_write_pages, folder, name, chunk) for chunk in chunks]
            for job in jobs:
                try:
                    job.result()
                except Exception as error:
                    say(f"feedback: {type(error).__name__}: {error}")
    for row in old:
        if pages[row["student"]].is_file():
            (stamps / row["student"]).write_text(row["stamp"], encoding="utf-8")
        else:
            say(f"{row['student']}: no feedback page could be written")


def _page(folder, name, student):
    return folder / "feedback" / student / name / f"{name}.html"


def _write_pages(folder, name, students):
    """Write the pages of some students, in a process of its own."""
    from nbgrader.converters import GenerateFeedback

    with _nbgrader(folder) as config:
        everyone = {path.name for path in (folder / "autograded").iterdir()}
        config.CourseDirectory.student_id_exclude = ",".join(sorted(everyone - set(students)))
        converter = _converter(GenerateFeedback, config, name, "*")
        with contextlib.suppress(NbGraderException):  # the caller looks which pages are missing
            converter.start()


def again(folder, name, workers, say=print):
    """Write feedback, table and report anew, after marks were given by hand."""
    key = read_key(folder, name)
    _penalties(folder, name)
    return _write(folder, name, key, workers, say)


def _penalties(folder, name):
    """Work out late penalties again: they are a share of a score that hand grading changes."""
    import nbformat
    from nbgrader.preprocessors import AssignLatePenalties

    with _nbgrader(folder) as config:
        with _gradebook(folder) as book:
            handed = [submission.student.id for submission in book.assignment_submissions(name)]
        for student in handed:
            AssignLatePenalties(config=config).preprocess(
                nbformat.v4.new_notebook(), _resources(folder, name, student)
            )


def _resources(folder, name, student):
    """Return what nbgrader's preprocessors want to know."""
    known = {"student": student, "assignment": name, "notebook": name}
    return {"nbgrader": {**known, "db_url": f"sqlite:///{folder}/gradebook.db"}}


def set_due(folder, name, due):
    """Enter the time at which an assignment is due."""
    with _gradebook(folder) as book:
        book.update_or_create_assignment(name, duedate=due)
