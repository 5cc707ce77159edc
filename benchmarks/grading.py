"""Measure what grading a class costs: seconds a hand-in, by the number of workers.

    python -m benchmarks.grading [--hand-ins 40] [--workers 1 2] [--assignment hw4]

Every hand-in holds the right answers, the commonest and, but for endless loops, the dearest case.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def hand_ins(course, name, count, folder):
    """Write a class of students who have everything right, no two notebooks the same."""
    from tests.assignments.fabricate import encoded, right

    for number in range(count):
        nb = right(course, name)
        cell = {"cell_type": "markdown", "id": "mine", "metadata": {}, "source": f"# {number}"}
        path = folder / f"student-{number:03}" / f"{name}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(encoded({**nb, "cells": [*nb["cells"], cell]}))
    return folder


def timed(name, count, workers):
    """Return the seconds for running a class, and for its gradebook and feedback."""
    from grading import build, course, handins
    from grading.execute import Limits

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "course"
        build.build(folder, [name], "benchmark")
        given = handins.collect(hand_ins(folder, name, count, Path(temporary) / "in"), name)
        # the first run of all fills caches that every later one finds
        course.run_class(folder.resolve(), name, given[:1], Limits(), 1, True, lambda _: None)
        given = given[1:]
        start = time.perf_counter()
        course.run_class(folder.resolve(), name, given, Limits(), workers, True, lambda _: None)
        ran = time.perf_counter()
        rows = course.finish(folder.resolve(), name, given, workers)
        done = time.perf_counter()
        right = sum(row["status"] == "graded" and float(row["score"]) > 0 for row in rows)
        if right != len(given):
            sys.exit(f"only {right} of {len(given)} hand-ins were graded")
    return ran - start, done - ran


def main(arguments=None):
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.grading", description=__doc__)
    parser.add_argument("--hand-ins", type=int, default=40)
    parser.add_argument("--workers", type=int, nargs="+", default=sorted({1, os.cpu_count() or 1}))
    parser.add_argument("--assignment", default="hw4")
    options = parser.parse_args(arguments)
    from grading import sandbox

    if sandbox.unusable():
        sys.exit(f"nothing to measure: {sandbox.unusable()}")
    count = options.hand_ins
    print(f"{count} hand-ins of {options.assignment}, {os.cpu_count()} processors")
    print("workers   run   gradebook and feedback   seconds a hand-in   speed-up")
    first = None
    for workers in options.workers:
        ran, wrote = timed(options.assignment, count + 1, workers)
        each = (ran + wrote) / count
        first = first or each
        shares = f"{workers:7} {ran / count:5.2f} {wrote / count:24.2f}"
        print(f"{shares} {each:19.2f} {first / each:10.2f}", flush=True)


if __name__ == "__main__":
    main()
