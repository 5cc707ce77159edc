"""Commands: python -m grading build | grade | feedback | formgrader | check."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import GradingError, build, course, handins, sandbox, source
from .execute import Limits


def _build(options):
    names = options.assignments or source.names(options.sources)
    with tempfile.TemporaryDirectory() as temporary:
        folder = temporary if options.zips else options.course
        zips = build.build(folder, names, options.salt, options.sources)
        for path in zips:
            if options.zips:
                options.zips.mkdir(parents=True, exist_ok=True)
                path = shutil.copyfile(path, options.zips / path.name)
            print(f"Built {path}")
    if options.zips:
        return
    if options.salt == "public":
        print(
            "The salt is public: whoever has the book's sources can work out the hidden tests. "
            "For a course of your own: make assignments SALT=something-long-and-secret"
        )


def _grade(options):
    folder = _course(options.course)
    name = options.assignment
    course.read_key(folder, name)
    why = sandbox.unusable()
    if why and not options.unprotected:
        raise GradingError(sandbox.MISSING.format(why=why))
    if options.unprotected:
        print("WARNING: --unprotected: students' code runs with your rights.", file=sys.stderr)
        if why:
            print(sandbox.MISSING.format(why=why), file=sys.stderr)
    hand_ins = handins.collect(options.hand_ins, name)
    times = handins.read_times(options.times) if options.times else {}
    for hand_in in hand_ins:
        hand_in.time = times.get(hand_in.student, hand_in.time)
    limits = Limits(options.seconds, options.notebook_seconds, options.memory)
    if options.part:
        share, _, parts = options.part.partition("/")
        try:
            share, parts = int(share), int(parts)
        except ValueError:
            share = parts = 0
        if not 1 <= share <= parts:
            raise GradingError(f"--part {options.part}: give 3/50 for the third of 50 parts")
        mine = hand_ins[share - 1 :: parts]
        course.run_class(folder, name, mine, limits, options.workers, not options.unprotected)
        return
    with course.lock(folder):
        if options.due:
            course.set_due(folder, name, handins.moment(options.due))
        if options.late_per_day is not None:
            rules = {"per_day": options.late_per_day, "grace": options.grace}
            course.write_json(folder / "late.json", rules)
        course.run_class(folder, name, hand_ins, limits, options.workers, not options.unprotected)
        _said(folder, name, course.finish(folder, name, hand_ins, options.workers))


def _feedback(options):
    folder = _course(options.course)
    course.read_key(folder, options.assignment)
    with course.lock(folder):
        _said(
            folder,
            options.assignment,
            course.again(folder, options.assignment, os.cpu_count() or 1),
        )


def _said(folder, name, rows):
    counts = {}
    for row in rows:
        counts[row["status"]] = counts.get(row["status"], 0) + 1
    print(", ".join(f"{n} {status}" for status, n in sorted(counts.items())))
    print(f"Marks:    {folder / f'{name}-grades.csv'}")
    print(f"Report:   {folder / f'{name}-report.md'}")
    print(f"Feedback: {folder / 'feedback'}")


def _formgrader(options):
    folder = _course(options.course)
    environ = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    }
    command = [sys.executable, "-m", "jupyter", "lab", f"--notebook-dir={folder}"]
    if options.port:
        command += ["--port", str(options.port)]
    command += options.jupyter
    print("In JupyterLab: menu Nbgrader, Formgrader", flush=True)
    sys.exit(subprocess.run(command, cwd=folder, env=environ, check=False).returncode)


def _check(options):
    for name in options.assignments or source.names(options.sources):
        for salt in ("public", *(f"trial {n}" for n in range(1, options.salts))):
            assignment = source.read(name, salt, options.sources)
            tests = build.solve(assignment)
            if salt == "public":
                shown = sum(not test["hidden"] for test in tests)
                hand = sum(cell.points for cell in assignment.of("manual"))
                print(
                    f"{name}: {assignment.title}: {shown} visible and {len(tests) - shown} hidden "
                    f"tests, {hand} points by hand, withheld: {', '.join(assignment.withheld)}"
                )
                print(f"  parameters: {json.dumps(assignment.parameters)}")
        print(f"  sound with {options.salts} salts")


def _course(folder):
    folder = Path(folder).resolve()
    if not (folder / "keys").is_dir():
        raise GradingError(f"{folder} is no course folder: run `make assignments` first")
    return folder


def main(arguments=None):
    """Run the command named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m grading", description=__doc__)
    commands = parser.add_subparsers(required=True)

    def command(name, run, help):
        sub = commands.add_parser(name, help=help, description=help)
        sub.set_defaults(run=run)
        sub.add_argument("--course", default="course", help="the course folder (default: course)")
        return sub

    sub = command("build", _build, "build the students' notebooks and zips")
    sub.add_argument("assignments", nargs="*", help="all, if none is named")
    sub.add_argument("--salt", default="public", help="what the numbers are drawn from")
    sub.add_argument("--sources", default=source.FOLDER, help="the folder of the text sources")
    sub.add_argument("--zips", type=Path, help="put the zips there, and make no course folder")

    sub = command("grade", _grade, "grade a folder of hand-ins or the zip of an LMS")
    sub.add_argument("assignment")
    sub.add_argument("hand_ins", help="a folder, or a zip from Canvas or Moodle")
    sub.add_argument("--workers", type=_count, default=os.cpu_count() or 1)
    sub.add_argument("--part", help="run only this part, e.g. 3/50 (for a cluster)")
    sub.add_argument("--due", help="2026-03-01T23:59+01:00")
    sub.add_argument("--times", help="a CSV with the columns student,time")
    sub.add_argument("--late-per-day", type=float, help="share of the score, 0.1 for a tenth")
    sub.add_argument("--grace", type=float, default=0.0, help="minutes that cost nothing")
    sub.add_argument("--seconds", type=float, default=Limits.cell, help="limit for a cell")
    sub.add_argument("--notebook-seconds", type=float, default=Limits.notebook)
    sub.add_argument("--memory", type=_count, default=Limits.memory, help="megabytes")
    sub.add_argument("--unprotected", action="store_true", help="run without bubblewrap")

    sub = command("feedback", _feedback, "feedback, marks and report again, after hand grading")
    sub.add_argument("assignment")

    sub = command("formgrader", _formgrader, "open nbgrader's formgrader for hand grading")
    sub.add_argument("--port", type=int, default=0)
    sub.add_argument("jupyter", nargs="*", help="what follows -- goes to JupyterLab")

    sub = command("check", _check, "check sources with several salts, building nothing")
    sub.add_argument("assignments", nargs="*", help="all, if none is named")
    sub.add_argument("--sources", default=source.FOLDER, help="the folder of the text sources")
    sub.add_argument("--salts", type=_count, default=6)

    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except GradingError as error:
        sys.exit(f"grading: {error}")
    except KeyboardInterrupt:
        sys.exit("grading: interrupted; run the same command again, finished hand-ins are kept")


def _count(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not 1 or more")
    return number


if __name__ == "__main__":
    main()
