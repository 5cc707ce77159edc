"""The benchmarks run, compare like with like, and say what they found."""

import json
import os
import re

import numpy as np
import pytest

import benchmarks
from benchmarks import __main__ as command
from benchmarks import runs, steps, textbook
from benchmarks.measure import Case, discovered, duration, machine, measured
from optimlib import Adam, trees
from tests.tools.conftest import ROOT
from tests.tools.conftest import command as run

ROW = re.compile(r".* / .* = +\S+  \(\S+ to \S+\)")


def test_the_command_at_tiny_sizes(tmp_path):
    path = tmp_path / "new" / "results.json"
    done = run("benchmarks", "--tiny", "--seconds", 0, "--json", path)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(path.read_text(encoding="utf-8"))
    cases = [(module, case.name) for module, some in discovered(True).items() for case in some]
    assert [(r["module"], r["case"]) for r in report["results"]] == cases
    taken = [result for result in report["results"] if "left_out" not in result]
    absent = {result["module"] for result in report["results"]} - {r["module"] for r in taken}
    # pages need a browser and a built site, which not everybody has
    required = os.environ.get("BOOK_BROWSER") == "required"
    assert absent <= (set() if required else {"pages"})
    for result in taken:
        low, high = result["quartiles"]
        assert 0 < low <= result["ratio"] <= high
        assert result["rounds"] >= 5
        assert result["case"] in done.stdout
    rows = [line for line in done.stdout.splitlines() if ROW.match(line)]
    assert len(rows) == len(taken)
    assert report["machine"]["numpy"] == np.__version__
    assert {"cpu", "cores", "blas", "python"} <= set(report["machine"])
    assert str(ROOT) not in path.read_text(encoding="utf-8")


def test_every_module_is_found_and_no_two_cases_have_one_name(tmp_path, monkeypatch):
    assert set(discovered(False)) >= {"imports", "runs", "steps"}
    for tiny in (False, True):
        names = [case.name for some in discovered(tiny).values() for case in some]
        assert len(names) == len(set(names))
    (tmp_path / "found_by_itself.py").write_text("def cases(tiny):\n    return [tiny]\n", "utf-8")
    monkeypatch.setattr(benchmarks, "__path__", [*benchmarks.__path__, str(tmp_path)])
    assert discovered(True)["found_by_itself"] == [True]


def test_a_clock_of_its_own_gives_an_exact_ratio():
    seconds = iter(range(2, 1000))
    case = Case("", lambda: (lambda: 6.0 * next(seconds), lambda: 2.0), own_clock=True)
    result = measured(case, 0.0)
    # The first call of each warms up.
    assert result["rounds"] == 5
    assert result["ratio"] == 3 * 5
    assert result["quartiles"] == [3 * 3.5, 3 * 6.5]
    assert (result["ours"], result["reference"], result["calls"]) == (30, 2, [1, 1])


def test_twenty_times_the_work_is_seen():
    case = Case("", lambda: (lambda: sum(range(20_000)), lambda: sum(range(1000))))
    result = measured(case, 0.0)
    assert result["ratio"] > 3
    assert result["calls"][0] < result["calls"][1]
    assert result["ours"] < 0.1


COMPARED = [case for some in discovered(True).values() for case in some if not case.own_clock]


@pytest.mark.parametrize("case", COMPARED, ids=[case.name for case in COMPARED])
def test_both_sides_do_the_same(case):
    ours, reference = (trees.flatten(function()) for function in case.make())
    assert ours.keys() == reference.keys()
    for path, leaf in ours.items():
        assert leaf.dtype == reference[path].dtype
        np.testing.assert_allclose(leaf, reference[path], rtol=1e-5)


def test_the_textbook_is_adam():
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        x = rng.standard_normal(5).astype(dtype)
        opt, step = Adam(lr=0.1), textbook.adam(x, lr=0.1)
        for g in rng.standard_normal((6, 5)).astype(dtype):
            x = opt.step(x, g)
            np.testing.assert_allclose(step(g), x, rtol=1e-5)


@pytest.mark.parametrize("only", ["no such case", "textbook"])
def test_the_choice_of_cases(only, capsys):
    status = command.main(["--only", only, "--list"])
    shown = capsys.readouterr()
    if status:
        assert (status, shown.out) == (2, "")
        assert "no case contains 'no such case'; --list shows all" in shown.err
    else:
        assert all("textbook" in line for line in shown.out.splitlines())
        assert shown.out.startswith("runs: ")


@pytest.mark.parametrize(
    ("result", "status", "said"),
    [
        (dict(error="Traceback: boom"), 1, "a  FAILED\nTraceback: boom"),
        (dict(left_out="needs numba"), 0, "a  left out: needs numba"),
        (
            dict(ours=2e-6, reference=1e-6, ratio=2.0, quartiles=[1.5, 2.5]),
            0,
            "a      2 µs /     1 µs =      2  (1.5 to 2.5)  target 2: met",
        ),
        (
            dict(ours=2e-6, reference=1e-6, ratio=2.01, quartiles=[1.5, 2.5]),
            0,
            "(1.5 to 2.5)  target 2: missed",
        ),
    ],
    ids=["error", "left out", "met", "missed"],
)
def test_what_the_table_says(result, status, said, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(command, "discovered", lambda tiny: {"m": [Case("a", None, target=2.0)]})
    monkeypatch.setattr(command, "_in_a_fresh_process", lambda *_: result)
    assert command.main(["--json", str(tmp_path / "r.json")]) == status
    assert said in capsys.readouterr().out
    assert json.loads((tmp_path / "r.json").read_text())["results"][0]["case"] == "a"


def test_a_case_without_its_module_is_left_out_and_a_failing_one_shows_its_error():
    options = command.argparse.Namespace(seconds=0, tiny=True)
    lacking = Case("", None, needs=("numpy", "no_such_module"))
    assert command._in_a_fresh_process(options, "m", 0, lacking) == {
        "left_out": "needs no_such_module"
    }
    without = Case("", None, needs=("numpy",), lacks=lambda: ["the built site"])
    assert command._in_a_fresh_process(options, "m", 0, without) == {
        "left_out": "needs the built site"
    }
    failed = command._in_a_fresh_process(options, "no_such_module", 0, Case("", None))
    assert "KeyError: 'no_such_module'" in failed["error"]


def test_sizes_and_facts():
    assert [duration(s) for s in (2.0, 0.0123, 4.5e-6, 7e-9)] == [
        "2 s",
        "12.3 ms",
        "4.5 µs",
        "7 ns",
    ]
    assert machine()["cpu"]
    assert max(len(case.name) for case in runs.cases(False) + steps.cases(False)) <= 80
