"""Grade one hand-in: normalise, run, decide. The result is one JSON document."""

import traceback

import numpy as np

from . import GradingError
from .execute import SEND, Step, execute
from .marks import passes, sent
from .normalise import Refused, normalise
from .source import ROOT

GIVEN = 5.0  # a given cell imports: slow on a cold disk, and no fault of the student
GRADED, REVIEW, REFUSED, FAILED = "graded", "review", "refused", "failed"


def grade(content, key, cache, limits, protected=True):
    """Return what became of the bytes of a hand-in.

    Returns
    -------
    dict
        ``status`` graded, review (graded, but a person should look), refused (no notebook can be
        read) or failed (the grader's fault: run it again); ``reason``; ``passed``, the names of the
        tests; ``notebook``, with outputs; and what was repaired, flagged and noticed.
    """
    result = {"status": FAILED, "reason": "", "passed": [], "notebook": None}
    result |= {"repairs": [], "flags": [], "remarks": []}
    try:
        normal = normalise(content, key)
    except Refused as error:
        return result | {"status": REFUSED, "reason": str(error)}
    except Exception:
        return result | {"reason": f"could not be normalised: {_last_line()}"}
    result |= {"repairs": normal.repairs, "flags": normal.flags}
    try:
        passed, remarks = _run(normal.nb, key, cache, limits, protected)
    except GradingError as error:
        return result | {"reason": str(error)}
    except Exception:
        return result | {"reason": f"could not be run: {_last_line()}"}
    return result | {
        "status": REVIEW if normal.flags else GRADED,
        "passed": passed,
        "remarks": remarks,
        "notebook": normal.nb,
    }


def _last_line():
    where = traceback.format_exc().strip().splitlines()
    return " | ".join(line.strip().replace(str(ROOT), ".") for line in where[-3:])


def _run(nb, key, cache, limits, protected):
    """Run a normalised notebook in place; return the names of the tests it passes, and remarks."""
    tests = {test["name"]: test for test in key["tests"]}
    pairs = []
    for cell in nb["cells"]:
        if cell["cell_type"] != "code":
            continue
        name = cell["metadata"].get("nbgrader", {}).get("grade_id", cell["id"])
        test = tests.get(name)
        if test:
            step = Step(name, test["probe"] + SEND, again=False, hidden=test["hidden"])
        else:
            given = cell["metadata"].get("nbgrader", {}).get("locked")
            step = Step(name, "".join(cell["source"]), share=GIVEN if given else 1.0)
        pairs.append((cell, step))
    # Hidden tests come last: no cell of the student's runs after one of them.
    pairs.sort(key=lambda pair: pair[1].hidden)
    remarks = execute([step for _, step in pairs], cache, key["withheld"], limits, protected)
    passed = []
    for count, (cell, step) in enumerate(pairs, 1):
        test = tests.get(step.name)
        cell["execution_count"] = count
        cell["outputs"] = step.outputs
        if test:
            right = not step.trouble and passes(test, step.sent)
            cell["outputs"] = _verdict(test, step, right)
            passed += [step.name] if right else []
    hidden = {test["name"] for test in key["tests"] if test["hidden"]}
    return [test["name"] for test in key["tests"] if test["name"] in passed], [
        f"hidden test {remark}" if remark.partition(":")[0] in hidden else remark
        for remark in remarks
    ]


def _verdict(test, step, right):
    """Return the outputs of a test cell. Of a hidden one they say nothing but the verdict."""
    if right:
        return [{"output_type": "stream", "name": "stdout", "text": "passed\n"}]
    if test["hidden"]:
        return [_error("not passed (hidden test)")]
    if any(output["output_type"] == "error" for output in step.outputs):
        return step.outputs
    answer = sent(step.sent)
    expected = np.asarray(test["expected"])
    if answer is None:
        said = "no numbers came out of your code"
    elif answer.shape != expected.shape:
        said = f"the answer has shape {answer.shape}, expected {expected.shape}"
    else:
        said = f"the answer is {_printed(answer)}, expected {_printed(expected)}"
    return [*step.outputs, _error(f"not passed: {said}")]


def _printed(array):
    return np.array2string(array, precision=8, threshold=40, max_line_width=100)


def _error(text):
    return {"output_type": "error", "ename": "Test", "evalue": text, "traceback": [text]}
