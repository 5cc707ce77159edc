"""A kernel behind the wall: limits, what becomes of a step that ends it, what is kept."""

import json
import time

import pytest

from grading import sandbox
from grading.execute import SEND, Limits, Step, execute

pytestmark = pytest.mark.sandbox
LIMITS = Limits(cell=1.0, notebook=20.0, memory=1024, output=100_000)


@pytest.fixture
def run(course):
    """Run pieces of code as the steps of a notebook; return the steps and the remarks."""

    def run(*codes, limits=LIMITS, withheld=(), **options):
        steps = [
            code if isinstance(code, Step) else Step(f"s{n}", code) for n, code in enumerate(codes)
        ]
        remarks = execute(steps, course / ".cache", withheld, limits, **options)
        return steps, remarks

    return run


def said(step):
    """Return the text of a step's outputs."""
    return "".join(output.get("text") or output.get("evalue", "") for output in step.outputs)


def test_a_cell_is_stopped_after_its_seconds_and_the_rest_runs(run):
    start = time.process_time()
    (before, loop, after), remarks = run("x = 1", "while True: pass", "print(x + 1)")
    assert remarks == ["s1: stopped after 1 s"]
    assert loop.trouble == "stopped"
    assert before.outputs == []
    assert said(after) == "2\n"
    assert time.process_time() - start < 5


def test_limits_are_the_processors_and_waiting_counts_a_third(run):
    start = time.monotonic()
    (patient, sleeper), _ = run("import time; time.sleep(1.5)", "time.sleep(60)")
    assert patient.trouble == ""
    assert sleeper.trouble == "stopped"
    assert 4 < time.monotonic() - start < 40


def test_the_notebook_has_a_limit_of_its_own(run):
    start = time.monotonic()
    loops = ["while True: pass"] * 20
    steps, remarks = run(*loops, limits=Limits(cell=1.0, notebook=3.0))
    assert remarks[-1] == "the notebook used up its 3 seconds"
    assert 2 <= [step.trouble for step in steps].count("stopped") <= 4
    assert steps[-1].trouble == "unrun"
    assert time.monotonic() - start < 40


def test_a_given_cell_may_take_longer(run):
    (given,), remarks = run(Step("given", "sum(range(10**8))", share=30.0))
    assert remarks == []
    assert given.trouble == ""


def test_a_step_that_ends_the_kernel_is_left_out_and_the_others_run_again(run):
    codes = ["x = [1]\nprint('once')", "import os\nos._exit(1)", "x.append(2)", "print(x)"]
    (first, killer, _, last), remarks = run(*codes)
    assert remarks == ["s1: ended the kernel"]
    assert said(first) == "once\n", "outputs are those of the first run"
    assert killer.outputs[-1]["ename"] == "DeadKernel"
    assert said(last) == "[1, 2]\n"


def test_a_test_is_not_run_twice(run):
    count = "calls = globals().get('calls', 0) + 1\nanswer = calls"
    steps, _ = run(Step("t", count + SEND, again=False), "import os\nos._exit(1)", "print(calls)")
    assert steps[0].sent == "1.0"
    assert steps[2].outputs[0]["ename"] == "NameError", "the second kernel never ran the test"


def test_what_is_written_late_is_kept_nowhere(run):
    late = "import threading\nthreading.Timer(0.5, lambda: print('LATE')).start()"
    steps, _ = run(late, "import time; time.sleep(1)", "1")
    assert "LATE" not in said(steps[0])


def test_outputs_are_cut(run):
    (text, picture), remarks = run(
        "print('x' * 50_000)",
        "from IPython.display import display\ndisplay({'image/png': 'A' * 2_000_000}, raw=True)",
        limits=Limits(cell=5.0, output=10_000_000),
    )
    assert 10_000 <= len(said(text)) < 10_100
    assert picture.outputs == []
    assert remarks == []


def test_numbers_are_sent_and_nothing_else(run):
    steps, _ = run(
        "import numpy as np",
        *("answer = np.arange(4).reshape(2, 2)" + SEND, "answer = 'word'" + SEND),
        *("answer = None" + SEND, "answer = [float('inf'), float('nan')]" + SEND),
    )
    assert json.loads(steps[1].sent) == [[0, 1], [2, 3]]
    assert steps[2].sent is None
    assert steps[3].sent == "NaN"
    assert steps[4].sent == "[Infinity, NaN]"


def test_what_stands_inside(run, monkeypatch, tmp_path):
    monkeypatch.setenv("A_SECRET", "hunter2")
    steps, _ = run(
        "import os; print('hunter2' in str(os.environ), os.environ['HOME'])",
        "print(os.getuid(), os.listdir('/home') if os.path.isdir('/home') else [])",
        "print([p for p in os.listdir('/proc') if p.isdigit()].__len__() < 10)",
        "import optimlib; print(optimlib.__file__, optimlib.SGD(lr=1.0).step(3.0, 1.0))",
        "optimlib.Adam().step(0.0, 1.0)",
        "open('/usr/x', 'w')",
        "open('/library/optimlib/rules.py', 'a')",
        "import nbformat, grading",
        withheld=["Adam"],
    )
    told = [said(step) for step in steps]
    assert told[0] == "False /tmp\n"
    assert told[1] == "65534 []\n"
    assert told[2] == "True\n"
    assert told[3] == "/library/optimlib/__init__.py 2.0\n"
    assert "optimlib.Adam is withheld" in told[4]
    assert "Read-only file system" in told[5]
    assert "Read-only file system" in told[6]
    assert "No module named 'grading'" in told[7]


def test_an_unknown_rule_cannot_be_withheld(course):
    with pytest.raises(sandbox.GradingError, match="Adom"):
        sandbox.library(course / ".cache", ["Adom"])


def test_a_kernel_that_does_not_start_is_no_fault_of_the_student(run, monkeypatch):
    monkeypatch.setattr(sandbox.sys, "executable", "/bin/false")
    with pytest.raises(sandbox.SandboxError, match="did not start"):
        run("1")
