"""Runs, loops, copies, and what an optimizer is as an object."""

import copy
import inspect
import itertools
import math
import os
import pickle
import platform
import subprocess
import sys
import textwrap
import tracemalloc
from collections import OrderedDict, defaultdict
from functools import partial

import numpy as np
import pytest
import scipy.optimize

from optimlib import (
    RULES,
    SGD,
    AdaDelta,
    Adam,
    Nadam,
    Nesterov,
    Optimizer,
    RMSProp,
    base,
)
from optimlib.record import Run
from tests.optimlib.common import (
    Layer,
    anatomy,
    assert_same,
    every_case,
    every_rule,
    stream,
    tree,
    untouched,
    walk,
)

CURVATURE = np.array([1.0, 10.0])


def gradient(x):
    return CURVATURE * x


# ------------------------------------------------------------------------------ run


@every_case
def test_a_run_is_the_callers_loop(name, options):
    x, path = np.array([3.0, -2.0]), [np.array([3.0, -2.0])]
    opt = RULES[name](**options)
    for _ in range(10):
        x = opt.step(x, gradient(x))
        path.append(x)
    run = RULES[name](**options).run(gradient, path[0], 10)
    assert_same(run.path, np.array(path))
    assert_same(run.x, x)
    assert_same(run.t, np.arange(11))
    loop = RULES[name](**options).iterate(gradient, path[0])
    for t, x, g in itertools.islice(loop, 10):
        assert_same(x, path[t])
        assert_same(g, gradient(path[t - 1]))


def test_a_run_of_no_steps():
    for x0 in (np.array([1, 2]), 3, {"a": [1.0]}, np.float32(2), np.zeros((0,))):
        opt = Adam()
        run = opt.run(gradient, x0, 0)
        assert opt.t == 0
        assert run.t.tolist() == [0]
    x0 = np.array([1.0, 2.0])
    assert not np.shares_memory(Adam().run(gradient, x0, 0).x, x0)
    run = Adam().run(gradient, np.array([1, 2]), 0)
    assert_same(run.x, np.array([1.0, 2.0]))
    assert_same(run.path, np.array([[1.0, 2.0]]))
    assert repr(run) == "Run(Adam(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-08), 0 steps)"


@pytest.mark.parametrize(
    ("steps", "every", "kept"),
    [
        (7, 1, [0, 1, 2, 3, 4, 5, 6, 7]),
        (7, 3, [0, 3, 6, 7]),
        (6, 3, [0, 3, 6]),
        (7, 7, [0, 7]),
        (7, 8, [0, 7]),
        (7, 10**9, [0, 7]),
        (0, 3, [0]),
        (np.int64(2), np.uint8(1), [0, 1, 2]),
    ],
)
def test_every_so_many_steps_are_kept_with_both_ends(steps, every, kept):
    whole = Adam().run(gradient, np.ones(2), steps)
    run = Adam().run(gradient, np.ones(2), steps, every=every)
    assert run.t.tolist() == kept
    assert_same(run.path, whole.path[kept])
    assert_same(run.x, whole.x)
    trees = Adam().run(lambda x: {"a": gradient(x["a"])}, {"a": np.ones(2)}, steps, every=every)
    assert_same(trees.path, {"a": run.path})


@pytest.mark.parametrize("yes", [True, np.True_])
@pytest.mark.parametrize(("stop", "kept"), [(1, [0, 1]), (4, [0, 3, 4]), (6, [0, 3, 6])])
def test_a_callback_stops_the_run(yes, stop, kept):
    told = []

    def callback(t, x):
        told.append(t)
        return yes if t == stop else None

    opt = Adam()
    run = opt.run(gradient, np.ones(2), 100, every=3, callback=callback)
    assert told == list(range(1, stop + 1))
    assert opt.t == stop
    assert run.t.tolist() == kept
    assert len(run.path) == len(kept)
    assert run.path.base is None  # and does not hold on to rows for a hundred steps
    assert_same(run.path[-1].copy(), run.x)
    assert_same(run.x, Adam().run(gradient, np.ones(2), stop).x)


@pytest.mark.parametrize("answer", [None, False, 1, "yes", 0.5, [True], np.False_])
def test_nothing_but_true_stops_a_run(answer):
    assert len(SGD().run(gradient, np.ones(2), 3, callback=lambda t, x: answer).t) == 4


@every_case
def test_a_second_run_goes_on(name, options):
    opt, whole = RULES[name](**options), RULES[name](**options)
    first = opt.run(gradient, np.ones(2), 7)
    second = opt.run(gradient, first.x, 5, every=2)
    right = whole.run(gradient, np.ones(2), 12)
    assert second.t.tolist() == [7, 9, 11, 12]
    assert_same(second.path, right.path[[7, 9, 11, 12]])
    assert repr(second).endswith("5 steps)")
    assert opt.t == 12


@every_case
def test_fresh_and_reset_begin_anew(name, options):
    opt = RULES[name](**options, check_finite=False)
    first = opt.run(gradient, np.ones(2), 5)
    new = opt.fresh()
    assert (new.t, opt.t, repr(new), type(new)) == (0, 5, repr(opt), type(opt))
    assert new.check_finite is False
    assert_same(new.run(gradient, np.ones(2), 5).path, first.path)
    opt.reset()
    assert opt.t == 0
    assert_same(opt.run(gradient, np.ones(2), 5).path, first.path)
    opt.reset()
    opt.step({"other": np.ones((3, 4), np.float32)}, {"other": np.ones((3, 4))})


def test_fresh_takes_over_what_was_set():
    opt = Adam(lr=[0.1, 0.2], eps_hat=True, beta1=lambda t: 0.5)
    opt.set(beta2=0.5)
    new = opt.fresh()
    opt.set(beta2=0.9)
    assert (new.beta2, new.eps_hat, new.lr.tolist()) == (0.5, True, [0.1, 0.2])
    assert new.beta1 is opt.beta1


@pytest.mark.parametrize(
    "x0",
    [
        3,
        3.0,
        np.float32(3),
        np.array(3.0),
        np.array([3, 4]),
        np.ones((2, 2), np.float16),
        [1, 2.0],
        (np.ones(2), [np.float32(1)]),
        Layer(np.ones(2), 1),
        {"a": {"b": (1.0,)}},
        OrderedDict(a=1.0, b=np.ones(2)),
        defaultdict(list, a=1.0),
        np.longdouble(1) / 3,
    ],
    ids=repr,
)
def test_a_run_keeps_the_kind_of_its_start(x0):
    before = anatomy(x0)
    run = SGD(lr=0.5).run(lambda x: x, x0, 3)
    assert anatomy(x0) == before
    step = SGD(lr=0.5).step(x0, x0)
    for _ in range(2):
        step = SGD(lr=0.5).step(step, step)
    assert_same(run.x, step)
    assert type(run.path) is type(x0) or not isinstance(x0, dict | list | tuple)
    if isinstance(x0, Layer):
        assert run.path.weight.shape == (4, 2)
    if not isinstance(x0, dict | list | tuple) and np.ndim(x0) == 0:
        assert run.path.shape == (4,)
        assert run.path.dtype == run.x.dtype


def test_a_gradient_that_writes_into_its_argument_spoils_nothing():
    def doubling(x):
        x *= 2
        return x

    x0 = np.array([8.0])
    run = SGD(lr=0.25).run(doubling, x0, 2)
    np.testing.assert_array_equal(run.path[:, 0], [8, 4, 2])
    walk = SGD(lr=0.25).iterate(doubling, x0)
    assert [next(walk)[1].item() for _ in range(2)] == [4, 2]
    assert x0.tolist() == [8]

    def doubling_leaf(x):
        x["w"] *= 2
        return x

    run = SGD(lr=0.25).run(doubling_leaf, {"w": np.array([8.0])}, 2)
    np.testing.assert_array_equal(run.path["w"][:, 0], [8, 4, 2])


def test_the_gradient_is_asked_where_the_iterate_is_and_once():
    asked = []

    def f(x):
        asked.append(x.copy())
        return gradient(x)

    run = Adam().run(f, np.array([1, 1]), 5)
    assert_same(np.array(asked), run.path[:5])
    asked.clear()
    loop = Adam().iterate(f, np.array([1, 1]))
    assert asked == []
    next(loop)
    assert len(asked) == 1


def test_check_finite_in_runs():
    def f(x):
        return x * math.nan

    for start in (
        lambda **more: SGD().run(f, 1.0, 1, **more),
        lambda **more: next(SGD().iterate(f, 1.0, **more)),
    ):
        with pytest.raises(ValueError, match="g is nan"):
            start()
        start(check_finite=False)
    with pytest.raises(TypeError, match="check_finite='no'"):
        SGD().run(f, 1.0, 1, check_finite="no")
    assert math.isnan(SGD(check_finite=False).run(f, 1.0, 1).x)


def test_without_checks_numpy_does_not_warn_of_what_overflows():
    def grad(x):
        return x**3

    before = np.geterr()
    for wrap in (lambda x: x, lambda x: {"w": x}):
        opt = SGD(lr=3.0, check_finite=False)
        x = opt.step(wrap(np.full(2, 1e200)), wrap(np.full(2, 1e200)))
        opt.set(lr=1e200)
        for _ in range(3):
            x = opt.step(x, x)
    assert not np.isfinite(x["w"]).any()
    run = SGD(lr=3.0, check_finite=False).run(grad, np.full(2, 2.0), 20)
    assert not np.isfinite(run.x).any()
    SGD(lr=3.0).run(grad, np.full(2, 2.0), 20, check_finite=False)
    for loop in (
        SGD(lr=3.0, check_finite=False).iterate(grad, np.full(2, 2.0)),
        SGD(lr=3.0).iterate(grad, np.full(2, 2.0), check_finite=False),
    ):
        for _ in itertools.islice(loop, 20):
            assert np.geterr() == before
    for start in (
        lambda: SGD(lr=3.0).run(grad, np.full(2, 2.0), 20),
        lambda: SGD(lr=1e200).step(np.full(2, 1e200), np.full(2, 1e200)),
        lambda: SGD(lr=3.0, check_finite=False).run(grad, np.full(2, 2.0), 20, check_finite=True),
    ):
        with pytest.raises(RuntimeWarning, match="overflow"):
            start()
    assert np.geterr() == before


def test_the_hyperparameters_are_listed():
    for rule in RULES.values():
        assert {*rule.defaults, "check_finite", "step", "t", "_hyper"} <= set(dir(rule()))


def test_a_diverging_run_ends_in_an_error_that_says_so():
    with (
        np.errstate(over="ignore"),
        pytest.raises(
            ValueError, match=r"x\[0\] is inf; .* Lower lr .* \(at step 1025 of 2000 of this run\)"
        ),
    ):
        SGD(lr=3.0).run(lambda x: x, np.ones(1), 2000)


# ------------------------------------------------------------------------------ interruptions


class Fails(Adam):
    """Adam that raises an error at one call of its equation."""

    slots = Adam.slots

    def update(self, xp, t, x, g, s, h):
        self._calls = self.__dict__.get("_calls", 0) + 1
        if self._calls == self._fails_at:
            raise self._error
        return super().update(xp, t, x, g, s, h)


def failing(error, at):
    opt = Fails()
    opt._error, opt._fails_at = error, at
    return opt


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, ZeroDivisionError])
@pytest.mark.parametrize("in_place", [False, True])
def test_an_error_between_two_blocks_is_not_passed_over(error, in_place, monkeypatch):
    monkeypatch.setattr(base, "_BLOCK_ABOVE", 0)
    monkeypatch.setattr(base, "_BLOCK", 80)
    x, g = np.ones(25), np.ones(25)
    opt = failing(error, 5)  # three blocks a step: in the middle of the second step
    x = opt.step(x, g)
    state = opt.state_dict()
    saved = x.copy()
    with pytest.raises(error):
        opt.step(x, g, out=x if in_place else None)
    assert opt.t == 1
    assert (anatomy(x) == anatomy(saved)) is not in_place
    said = r"Fails: step 2 was interrupted while it wrote .* load_state_dict\(\) .* or reset\(\)"
    for go_on in (
        lambda: opt.step(saved, g),
        lambda: opt.step({"w": saved}, {"w": g}),
        lambda: opt.run(gradient, saved, 1),
        lambda: opt.iterate(gradient, saved),
        opt.state_dict,
    ):
        with pytest.raises(RuntimeError, match=said):
            go_on()
    opt.load_state_dict(state)
    right = Adam()
    right.load_state_dict(state | {"rule": np.array("Adam")})
    assert_same(opt.step(saved, g), right.step(saved, g))
    opt._fails_at = opt._calls + 2
    with pytest.raises(error):
        opt.step(x, g)
    opt.reset()
    assert_same(opt.step(saved, g), Adam().step(saved, g))
    assert opt.fresh().t == 0


def test_an_error_after_the_first_leaf_was_written_is_not_passed_over(monkeypatch):
    monkeypatch.setattr(base, "_BLOCK_ABOVE", 100)
    monkeypatch.setattr(base, "_BLOCK", 80)
    x, g = [np.ones(3), np.ones(25)], [np.ones(3), np.ones(25)]
    opt = failing(KeyboardInterrupt, 2)  # the first block of the second leaf
    with pytest.raises(KeyboardInterrupt):
        opt.step(x, g, out=x)
    assert x[0][0] != 1
    with pytest.raises(RuntimeError, match="step 1 was interrupted"):
        opt.step(x, g)


@pytest.mark.parametrize("at", [1, 4])
@pytest.mark.parametrize("in_place", [False, True])
def test_an_error_before_the_first_write_changes_nothing(at, in_place, monkeypatch):
    monkeypatch.setattr(base, "_BLOCK_ABOVE", 0)
    monkeypatch.setattr(base, "_BLOCK", 80)
    x, g = np.ones(25), np.ones(25)
    opt = failing(KeyboardInterrupt, at)
    if at > 1:
        opt.step(x, g)
    with untouched(opt, x, g), pytest.raises(KeyboardInterrupt):
        opt.step(x, g, out=x if in_place else None)
    opt.step(x, g)


@pytest.mark.parametrize(
    "wrap", [lambda a: a, lambda a: {"w": a, "v": a + 1}], ids=["bare", "tree"]
)
@pytest.mark.parametrize("in_place", [False, True])
def test_an_error_in_the_equation_changes_nothing(wrap, in_place):
    leaves = len(wrap(1)) if isinstance(wrap(1), dict) else 1
    for at in range(1, 2 * leaves + 1):
        opt, x, g = failing(KeyboardInterrupt, at), wrap(np.ones(3)), wrap(np.ones(3))
        if at > leaves:
            opt.step(x, g)
        with untouched(opt, x, g), pytest.raises(KeyboardInterrupt):
            opt.step(x, g, out=x if in_place else None)
        opt.step(x, g)


@every_rule
def test_an_error_while_results_are_written_is_not_passed_over(name, monkeypatch):
    """Two outs: the first is written, then the second fails."""
    subtract, calls = np.subtract, []

    def fails(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return subtract(*args, **kwargs)

    opt, x = RULES[name](), [np.ones(3), np.ones(3)]
    opt.step(x, [np.ones(3)] * 2)
    monkeypatch.setattr(np, "subtract", fails)
    with pytest.raises(KeyboardInterrupt):
        opt.step(x, [np.ones(3)] * 2, out=x)
    monkeypatch.undo()
    with pytest.raises(RuntimeError, match=f"{name}: step 2 was interrupted"):
        opt.step(x, [np.ones(3)] * 2)
    bare, y = RULES[name](), np.ones(3)
    bare.step(y, y)

    def fails_late(*args, **kwargs):
        subtract(*args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "subtract", fails_late)
    with pytest.raises(KeyboardInterrupt):
        bare.step(y, np.ones(3), out=y)
    monkeypatch.undo()
    with pytest.raises(RuntimeError, match=f"{name}: step 2 was interrupted"):
        bare.step(y, np.ones(3))


def test_a_warning_made_an_error_changes_nothing():
    x, g = np.array([1e200, 1.0]), np.array([1e200, 1.0])
    opt = Adam()
    with untouched(opt, x, g), pytest.raises(RuntimeWarning, match="overflow"):
        opt.step(x, g)
    opt = SGD(lr=1e200)
    with untouched(opt, x, g), pytest.raises(RuntimeWarning, match="overflow"):
        opt.step(x, g, out=x)
    x = np.array([6e4], np.float16)
    with untouched(opt, x), pytest.raises(RuntimeWarning, match="overflow"):
        SGD(lr=1.0).step(x, -x)


# ------------------------------------------------------------------------------ large and many


@pytest.mark.parametrize(("name", "arrays"), [("Adam", 2), ("SGD", 0), ("AMSGrad", 3)])
def test_a_large_step_in_place_needs_little_more_than_its_memory(name, arrays):
    n = 2_000_000
    x, g = np.ones(n, np.float32), np.ones(n, np.float32)
    opt = RULES[name]()
    tracemalloc.start()
    try:
        opt.step(x, g, out=x)
        assert tracemalloc.get_traced_memory()[1] < arrays * x.nbytes + 4e6
        tracemalloc.reset_peak()
        kept = tracemalloc.get_traced_memory()[0]
        opt.step(x, g, out=x)
        assert tracemalloc.get_traced_memory()[1] - kept < 4e6
        opt.step(x, g)
        assert tracemalloc.get_traced_memory()[1] - kept < x.nbytes + 4e6
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators, other habits")
def test_temporaries_are_not_fetched_anew_from_the_system(tmp_path):
    code = """
        import resource, sys
        import numpy as np
        from optimlib import RULES
        rule, size, dtype = sys.argv[1:]
        opt, x, g = RULES[rule](), np.ones(int(size), dtype), np.ones(int(size), dtype)
        def faults():
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(3):
            opt.step(x, g, out=x)
        before = faults()
        for _ in range(20):
            opt.step(x, g, out=x)
        print(faults() - before)
        """
    # Compiling a module frees large arrays too, so all must be compiled, as they are for users.
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def run(*case):
        command = [sys.executable, "-c", textwrap.dedent(code), *case]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return int(done.stdout)

    run("SGD", "2", "float32")
    for case in (("AdamW", "1000000", "float32"), ("Adam", "10000", "float64")):
        assert run(*case) < 200, case


def test_many_leaves_cost_little_each():
    leaves = 400
    x = [np.ones(3) for _ in range(leaves)]
    g = [np.ones(3) for _ in range(leaves)]
    few = count_calls(lambda: Adam().step(x[:40], g[:40], out=x[:40]))
    many = count_calls(lambda: Adam().step(x, g, out=x))
    assert many < 12 * few


@pytest.mark.parametrize("views", [False, True])
def test_many_leaves_in_place_are_no_more_work(views):
    x, g = [*np.ones((50, 3))], [*np.ones((50, 3))]
    if not views:
        x, g = ([leaf.copy() for leaf in leaves] for leaves in (x, g))
    opt = Adam()
    opt.step(x, g)
    pure = count_calls(lambda: opt.step(x, g))
    in_place = count_calls(lambda: opt.step(x, g, out=x))
    assert in_place < 1.25 * pure, (in_place, pure)


def count_calls(function):
    """Return how many Python and C functions a call makes: a clock that no load disturbs."""
    calls = 0

    def tick(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(tick)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


def test_a_step_of_one_array_stays_short():
    """Checks that have been made are not made again: the quick way is taken, and stays quick."""
    opt, x = Adam(), np.ones(100)
    first = count_calls(lambda: opt.step(x, x))
    later = count_calls(lambda: opt.step(x, x))
    in_place = count_calls(lambda: opt.step(x, x, out=x))
    assert later <= 18
    assert in_place <= 20
    assert first > 2.5 * later


# ------------------------------------------------------------------------------ kinds of number


class Sub(np.ndarray):
    """An array whose operators may mean something else, like those of a matrix."""

    def __mul__(self, other):
        raise TypeError

    __rmul__ = __pow__ = __mul__


class Like:
    """Something that NumPy can read as an array, like a tensor."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


@every_case
def test_what_is_like_an_array_is_one(name, options):
    x, g = np.array([1.0, -2.0], np.float32), np.array([3.0, 0.5], np.float32)
    opt, right = RULES[name](**options), RULES[name](**options)
    new = opt.step(Like(x), Like(g))
    assert_same(new, right.step(x, g))
    new = right.step(x, g)
    assert_same(opt.step(Like(x), g, out=x), new)
    assert_same(opt.run(lambda x: x, Like(x), 3).x, right.run(lambda x: x, x, 3).x)
    assert SGD().step(Like(np.array(1.0)), 1.0).shape == ()
    sub = x.view(Sub)
    assert type(opt.step(sub, sub)) is np.ndarray


@every_case
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_scalars_and_arrays_without_axes(name, options, dtype):
    g = stream((1,), 6, dtype) + dtype(1)
    line = walk(RULES[name](**options), np.array([2], dtype), g)
    point = walk(RULES[name](**options), np.array(2, dtype), [np.array(h[0]) for h in g])
    number = walk(RULES[name](**options), dtype(2), [h[0] for h in g])
    for a, b, c in zip(line, point, number, strict=True):
        assert_same(b, a.reshape(()))
        assert_same(c, a[0])
        assert type(b) is np.ndarray
        assert type(c) is dtype
    if dtype is np.float64:
        assert_same(walk(RULES[name](**options), 2.0, [float(h[0]) for h in g]), number)


def test_float32_stays_float32_whatever_the_hyperparameters_are():
    for name, rule in RULES.items():
        hypers = [k for k, v in rule.defaults.items() if isinstance(v, float)]
        for kind in (np.float64, np.longdouble, np.float32, lambda v: np.array(v, float)):
            opt = rule(**{k: kind(rule.defaults[k]) for k in hypers})
            x = walk(opt, np.ones(3, np.float32), stream((3,), 3, np.float64))[-1]
            assert x.dtype == np.float32, name
            state = opt.state_dict()
            assert all(state[slot].dtype == np.float32 for slot in opt.active_slots())
            assert all(type(getattr(opt, k)) is float for k in hypers)


@pytest.mark.parametrize("name", [n for n in RULES if n != "FullAdaGrad"])
def test_longdouble_is_computed_in_longdouble(name):
    x = np.array([1, 2], np.longdouble) / 3
    path = walk(RULES[name](), x, [x] * 3)
    assert path[-1].dtype == np.longdouble
    narrow = walk(RULES[name](), x.astype(float), [x.astype(float)] * 3)[-1]
    difference = np.abs(path[-1] - narrow)
    assert (difference > 0).any()
    assert (difference < 1e-15).all()
    opt = RULES[name]()
    opt.step(x, x)
    other = RULES[name]()
    other.load_state_dict(opt.state_dict())
    assert_same(other.step(x, x), opt.step(x, x))


# ------------------------------------------------------------------------------ the object


@every_case
def test_an_optimizer_can_be_copied_and_pickled(name, options):
    opt = RULES[name](**options)
    for x, g in ((np.ones(3), stream((3,), 8)), (tree(1.0), [tree(v) for v in range(1, 9)])):
        opt.reset()
        there = walk(opt, x, g[:4])[-1]
        copies = [copy.deepcopy(opt), pickle.loads(pickle.dumps(opt))]
        right = walk(opt, there, g[4:])[-1]
        for twin in copies:
            assert (twin.t, repr(twin)) == (4, repr(opt))
            assert_same(walk(twin, there, g[4:])[-1], right)


class Rate:
    def __call__(self, t):
        return 0.1


class Named(Rate):
    def __repr__(self):
        return "Named()"


def rate(t, scale=1.0):
    return scale / t


@pytest.mark.parametrize(
    ("opt", "shown"),
    [
        (SGD(), "SGD(lr=0.001, weight_decay=0.0)"),
        (SGD(lr=np.float32(0.5)), "SGD(lr=0.5, weight_decay=0.0)"),
        (SGD(lr=1), "SGD(lr=1.0, weight_decay=0.0)"),
        (AdaDelta(), "AdaDelta(lr=1.0, rho=0.9, eps=1e-06)"),
        (AdaDelta(eps_x=0.5), "AdaDelta(lr=1.0, rho=0.9, eps=1e-06, eps_x=0.5)"),
        (
            Nesterov(lr_inside=True),
            "Nesterov(lr=0.001, momentum=0.9, lr_inside=True, weight_decay=0.0)",
        ),
        (
            Adam(bias_correction=False),
            "Adam(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-08, bias_correction=False)",
        ),
        (
            Nadam(momentum_decay=math.inf),
            "Nadam(lr=0.002, beta1=0.9, beta2=0.999, eps=1e-08, momentum_decay=inf)",
        ),
        (SGD(lr=[0.1, 0.3, 0.2]), "SGD(lr=<3 values from 0.1 to 0.3>, weight_decay=0.0)"),
        (SGD(lr=[[0.1], [0.3]]), "SGD(lr=<2x1 values from 0.1 to 0.3>, weight_decay=0.0)"),
        (SGD(lr=rate), "SGD(lr=rate, weight_decay=0.0)"),
        (SGD(lr=Rate()), "SGD(lr=Rate, weight_decay=0.0)"),
        (SGD(lr=Named()), "SGD(lr=Named(), weight_decay=0.0)"),
        (SGD(lr=partial(rate, scale=2.0)), "SGD(lr=partial, weight_decay=0.0)"),
        (SGD(lr=Rate().__call__), "SGD(lr=Rate.__call__, weight_decay=0.0)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_optimizer_prints_itself_without_addresses(opt, shown):
    assert repr(opt) == shown
    x = np.ones((*opt.sweep_shape, 2))
    opt.step(x, x)
    assert repr(opt) == shown


def test_a_lambda_prints_without_an_address():
    shown = repr(SGD(lr=lambda t: 0.1))
    assert "<lambda>" in shown
    assert "0x" not in shown


@every_rule
def test_the_signature_is_that_of_the_hyperparameters(name):
    rule = RULES[name]
    parameters = inspect.signature(rule).parameters
    assert list(parameters) == [*rule.defaults, "check_finite"]
    assert {p.kind for p in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert rule(**{k: p.default for k, p in parameters.items()}).t == 0
    opt = rule()
    for hyper, default in rule.defaults.items():
        assert getattr(opt, hyper) == default
        assert hyper in rule.__doc__ or rule.__doc__.count("As in")
    assert set(rule.needs) <= set(rule.slots)
    assert set(rule.needs.values()) <= set(rule.defaults)
    assert {start for start in rule.slots.values() if isinstance(start, str)} <= set(rule.defaults)


def test_a_slot_that_an_option_needs_comes_with_it():
    opt = RMSProp()
    assert opt.active_slots() == {"v": "initial"}
    assert opt.active_slots(momentum=0.5, centered=True) == {"v": "initial", "mean": 0.0, "b": 0.0}
    assert "b" in RMSProp(momentum=[0.0, 0.0]).active_slots()
    assert "b" in RMSProp(momentum=lambda t: 0.0).active_slots()
    x = opt.step(np.ones(2), np.ones(2))
    opt.set(momentum=0.5)
    x = opt.step(x, np.ones(2))
    assert "b" in opt.state_dict()
    opt.set(momentum=0.0)  # the velocity is forgotten by its own equation
    plain = RMSProp()
    plain.load_state_dict({k: v for k, v in opt.state_dict().items() if k != "b"})
    assert_same(opt.step(x, x), plain.step(x, x))


def test_a_rule_of_ones_own_in_ten_lines():
    class Signs(Optimizer):
        """Sign descent with a memory of the last gradient and of the steps."""

        defaults = dict(lr=0.5, gain=-2.0, half=False)
        slots = dict(last=1.0)
        scalars = dict(count=0.0)

        def update(self, xp, t, x, g, s, h):
            s.last = g
            s.count = s.count + 1
            return h.lr * xp.sign(g) * (0.5 if h.half else 1.0)

    opt = Signs(gain=-1e300)  # a name that is not ours has no range
    assert_same(opt.step(np.zeros(2), np.array([3.0, -4.0])), np.array([-0.5, 0.5]))
    assert_same(opt.state_dict()["last"], np.array([3.0, -4.0]))
    assert opt.state_dict()["count"] == 1
    with pytest.raises(ValueError, match=r"gain=nan is out of range; expected -inf < gain < inf"):
        Signs(gain=math.nan)
    assert Signs(half=True).step(0.0, 1.0) == -0.25


def test_importing_is_light():
    code = textwrap.dedent(
        """
        import sys
        import numpy
        before = set(sys.modules)
        import optimlib
        new = {name.partition(".")[0] for name in set(sys.modules) - before}
        print(sorted(new - set(sys.stdlib_module_names)))
        print("sympy" in sys.modules, "matplotlib" in sys.modules)
        optimlib.Adam().run(lambda x: x, numpy.ones(2), 3)
        print("scipy" in sys.modules)
        """
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split("\n") == ["['optimlib']", "False False", "False", ""]


# ------------------------------------------------------------------------------ SciPy


def rosenbrock(x, scale=1.0):
    return scale * float((1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2)


def rosenbrock_gradient(x, scale=1.0):
    bend = x[1] - x[0] ** 2
    return [scale * (-2 * (1 - x[0]) - 400 * x[0] * bend), scale * 200 * bend]


def test_an_optimizer_is_a_method_of_scipy():
    opt = Adam(lr=0.02)
    result = scipy.optimize.minimize(
        rosenbrock, [-1, 1], jac=rosenbrock_gradient, method=opt, options=dict(maxiter=3000)
    )
    run = Adam(lr=0.02).run(
        lambda x: np.array(rosenbrock_gradient(x)), np.array([-1.0, 1.0]), 3000, every=3000
    )
    assert_same(result.x, run.x)
    assert opt.t == 0  # a copy ran
    assert result.success
    assert (result.status, result.nit, result.njev, result.nfev) == (0, 3000, 3001, 1)
    assert result.fun == rosenbrock(result.x) < 1e-4
    assert_same(result.jac, np.array(rosenbrock_gradient(result.x)))
    assert result.message == "3000 steps done"


@pytest.mark.parametrize("tolerance", [dict(options=dict(gtol=1e-3)), dict(tol=1e-3)])
def test_scipy_may_stop_at_a_tolerance(tolerance):
    for maxiter, success in ((1000, True), (3, False)):
        options = tolerance.get("options", {}) | dict(maxiter=maxiter)
        result = scipy.optimize.minimize(
            lambda x: float(x @ x), np.ones(2), jac=lambda x: 2 * x, method=SGD(lr=0.1),
            **tolerance | dict(options=options),
        )  # fmt: skip
        assert result.success is success
        assert result.status == (0 if success else 1)
        assert (np.abs(result.jac).max() <= 1e-3) == success
        assert result.message == ("gradient within gtol" if success else "3 steps done")
    result = scipy.optimize.minimize(
        lambda x: 0.0, np.ones(2), jac=lambda x: 0 * x, method=SGD(), options=dict(maxiter=9)
    )
    assert (result.nit, result.message, result.success) == (0, "gradient within gtol", True)


def test_scipy_passes_arguments_on_and_takes_value_and_gradient_together():
    def both(x, scale):
        return rosenbrock(x, scale), np.array(rosenbrock_gradient(x, scale))

    options = dict(maxiter=10)
    together = scipy.optimize.minimize(
        both, [0.0, 0.0], args=(2.0,), jac=True, method=Adam(), options=options, hess=None
    )
    apart = scipy.optimize.minimize(
        rosenbrock,
        [0.0, 0.0],
        args=(2.0,),
        jac=rosenbrock_gradient,
        method=Adam(),
        options=options,
        bounds=[],
        constraints=[],
    )
    assert_same(together.x, apart.x)
    assert together.fun == apart.fun


def test_scipy_callbacks():
    kept, told = [], []

    def spoil(x):
        kept.append(x)
        x[:] = 99

    def by_name(intermediate_result):
        told.append((intermediate_result.x, intermediate_result.fun))

    def stop(x):
        if len(kept) == 5:
            raise StopIteration
        kept.append(x)

    def minimize(callback):
        return scipy.optimize.minimize(
            lambda x: float(x @ x), np.ones(2), jac=lambda x: 2 * x, method=SGD(lr=0.25),
            callback=callback, options=dict(maxiter=8),
        )  # fmt: skip

    quiet = minimize(None)
    assert_same(minimize(spoil).x, quiet.x)
    assert len(kept) == 8
    result = minimize(by_name)
    assert_same(result.x, quiet.x)
    assert [x[0] for x, _ in told] == [0.5**k for k in range(1, 9)]
    assert [value for _, value in told] == [2 * 0.25**k for k in range(1, 9)]
    assert result.nfev == 9
    kept.clear()
    result = minimize(stop)
    assert (result.nit, result.status, result.success) == (6, 99, False)
    assert result.message == "`callback` raised `StopIteration`."
    assert_same(result.jac, 2 * result.x)
    assert minimize(max).nit == 8  # a function that tells no signature


def cubic(x):
    return float((x**4).sum() / 4)


@pytest.mark.parametrize("check", [True, False])
def test_scipy_is_told_of_a_run_that_diverged(check):
    def minimize(fun=cubic, jac=lambda x: x**3, lr=3.0, **more):
        with np.errstate(over="ignore"):
            return scipy.optimize.minimize(
                fun, [2.0, 0.0], jac=jac, method=SGD(lr=lr, check_finite=check), **more
            )

    overflow = minimize()
    assert overflow.message.startswith("jac(x) is not finite after 5 steps; lower lr if")
    steps_out = minimize(fun=abs_sum, jac=lambda x: x * 1e200, lr=1e120)
    assert steps_out.message.startswith("x is not finite after 1 steps; lower lr if")
    no_value = minimize(fun=lambda x: math.nan, jac=lambda x: x, lr=0.1, options=dict(maxiter=2))
    assert no_value.message.startswith("fun(x) is not finite after 2 steps; lower lr if")
    for result in (overflow, steps_out, no_value):
        assert (result.status, result.success) == (3, False)
        assert np.isfinite(result.x).all()
    assert (overflow.nit, overflow.njev) == (5, 6)
    assert (steps_out.nit, steps_out.njev, steps_out.x.tolist()) == (0, 1, [2.0, 0.0])
    at_once = minimize(jac=lambda x: x * math.nan)
    assert at_once.message.startswith("jac(x) is not finite after 0 steps")
    assert at_once.fun == 4
    told = minimize(callback=lambda x: None, options=dict(return_all=True))
    np.testing.assert_array_equal(told.allvecs[-1], told.x)


def abs_sum(x):
    return float(np.abs(x).sum())


def test_scipy_in_float32_may_overflow_too():
    x0 = np.ones(2, np.float32)
    result = scipy.optimize.minimize(
        abs_sum, x0, jac=lambda x: x.astype(float) * 1e39, method=SGD()
    )
    assert (result.status, result.x.dtype) == (3, np.float32)


def test_scipy_gets_all_iterates():
    def minimize(**options):
        return scipy.optimize.minimize(
            lambda x: float(x @ x), np.ones(2), jac=lambda x: 2 * x, method=SGD(lr=0.25),
            options=dict(maxiter=3) | options,
        )  # fmt: skip

    result = minimize(return_all=True)
    assert [x[0] for x in result.allvecs] == [1, 0.5, 0.25, 0.125]
    result.allvecs[-1][:] = 7
    assert result.x[0] == 0.125
    assert "allvecs" not in minimize()
    assert minimize(maxiter=None, gtol=1e-3).nit == 11


def test_scipy_prints_how_it_ended(capsys):
    def minimize(**options):
        return scipy.optimize.minimize(
            lambda x: float(x @ x), np.ones(2), jac=lambda x: 2 * x, method=SGD(lr=0.25),
            options=options,
        )  # fmt: skip

    minimize(disp=False)
    assert capsys.readouterr().out == ""
    result = minimize(disp=True, gtol=1e-3)
    assert capsys.readouterr().out.splitlines() == [
        "gradient within gtol",
        "         Current function value: 0.000000",
        "         Iterations: 11",
        "         Function evaluations: 1",
        "         Gradient evaluations: 12",
    ]
    assert (result.nit, result.nfev, result.njev) == (11, 1, 12)
    with pytest.warns(scipy.optimize.OptimizeWarning, match="2 steps done") as warned:
        minimize(disp=True, gtol=1e-3, maxiter=2)
    assert warned[0].filename == __file__
    assert capsys.readouterr().out.startswith("         Current function value: 0.125000")


def test_scipy_functions_cannot_spoil_the_run():
    def f(x):
        x[:] = 99
        return 0.0

    def df(x):
        g = 2 * x
        x[:] = 99
        return g

    result = scipy.optimize.minimize(
        f, np.ones(2), jac=df, method=SGD(lr=0.25), options=dict(maxiter=3)
    )
    assert result.x.tolist() == [0.125, 0.125]


def test_runs_print_themselves():
    run = SGD(lr=0.5).run(gradient, np.ones(2), 3)
    assert repr(run) == "Run(SGD(lr=0.5, weight_decay=0.0), 3 steps)"
    assert isinstance(run, Run)
    with pytest.raises(AttributeError):
        run.x = 3


def test_scipy_refuses_a_sweep():
    sweep = SGD(lr=[0.1, 0.2])
    with pytest.raises(ValueError, match="SciPy minimises one run"):
        scipy.optimize.minimize(lambda x: x @ x, np.ones(2), jac=lambda x: 2 * x, method=sweep)
    scheduled = SGD(lr=lambda t: np.array([0.1, 0.2]))
    with pytest.raises(ValueError, match="SciPy minimises one run"):
        scipy.optimize.minimize(lambda x: x @ x, np.ones(2), jac=lambda x: 2 * x, method=scheduled)
