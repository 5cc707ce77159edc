"""Compiled loops: the plain optimizer's results to the last bit, in every way a step is taken."""

import copy
import importlib
import inspect
import pickle
import sys

import numpy as np
import pytest

from optimlib import (
    RULES,
    SGD,
    AdaDelta,
    Adam,
    AdamW,
    FullAdaGrad,
    Nadam,
    Optimizer,
    RMSProp,
    Rprop,
)
from optimlib import compiled as module
from optimlib.compiled import compiled
from tests.optimlib.common import assert_same, refuses, stream, tree, untouched, walk

ELEMENTWISE = [rule for rule in RULES.values() if rule.elementwise]
every_rule = pytest.mark.parametrize("rule", ELEMENTWISE, ids=lambda rule: rule.__name__)


def start(shape=(7,), dtype=float):
    return np.random.default_rng(1).normal(size=shape).astype(dtype)


def loops(opt):
    """Return the compiled loops of an optimizer's present hyperparameters."""
    return opt._program_for(opt._hyper, opt.active_slots())._loops.values()


# ---------------------------------------------------------------- the same numbers


@every_rule
def test_float32_to_the_last_bit(rule):
    x, g = start(dtype=np.float32), stream((7,), 25, np.float32)
    opt, plain = compiled(rule()), rule()
    assert_same(walk(opt, x, g), walk(plain, x, g))
    assert_same(opt.state_dict(), plain.state_dict())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", [SGD, Rprop, Nadam, AdamW], ids=lambda rule: rule.__name__)
def test_in_place_to_the_last_bit(rule, dtype):
    x, g = start(dtype=dtype), stream((7,), 25, dtype)
    opt, mine = compiled(rule()), x.copy()
    for gradient, expected in zip(g, walk(rule(), x, g), strict=True):
        assert opt.step(mine, gradient, out=mine) is mine
        assert_same(mine, expected)
    # A loop of its own: one over x and out, which are the same array here, cannot be vectorised.
    assert (False, True) in opt._program_for(opt._hyper, opt.active_slots())._loops


@every_rule
def test_values_that_are_not_finite(rule):
    g = stream((8,), 6)
    g[2, :4] = [np.nan, np.inf, -np.inf, 1e200]
    x = start((8,))
    x[7] = np.inf
    opt, plain = compiled(rule(check_finite=False)), rule(check_finite=False)
    with np.errstate(all="ignore"):
        expected = walk(plain, x, g)
    np.testing.assert_array_equal(walk(opt, x, g), expected)
    for name, value in plain.state_dict().items():
        np.testing.assert_array_equal(opt.state_dict()[name], value)


@pytest.mark.parametrize("eps", [0.0, 1e-40])
@pytest.mark.parametrize("rule", [Adam, AdaDelta, RULES["AdaMax"]], ids=lambda rule: rule.__name__)
def test_without_eps_in_float32(rule, eps):
    g = np.zeros((4, 7), np.float32)
    g[2:, :3] = [2.0, np.nan, -1.0]
    given = dict(eps=eps, check_finite=False)
    with np.errstate(all="ignore"):
        expected = walk(rule(**given), start(dtype=np.float32), g)
    assert_same(walk(compiled(rule(**given)), start(dtype=np.float32), g), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("eps_x", [None, 0.5])
def test_without_eps_squares_that_underflow(eps_x, dtype):
    g = stream((7,), 5, dtype)
    g[:, :3] = np.array([1e-30, -1e-30, 0] if dtype == np.float32 else [1e-200, -1e-200, 0])
    for rule in (Adam, RMSProp) if eps_x is None else (AdaDelta,):
        given = dict(eps=0.0) if eps_x is None else dict(eps=0.0, eps_x=eps_x)
        opt, plain = compiled(rule(**given)), rule(**given)
        path = walk(opt, start(dtype=dtype), g)
        assert_same(path, walk(plain, start(dtype=dtype), g))
        assert_same(opt.state_dict(), plain.state_dict())
        assert_same(path[-1][:3].copy(), start(dtype=dtype)[:3].copy())


def test_containers_scalars_and_shapes():
    x, opt, plain = tree(0.5), compiled(Adam(lr=0.1)), Adam(lr=0.1)
    for i in range(3):
        g = tree(1.0 - i)
        x, expected = opt.step(x, g), plain.step(x, g)
        assert_same(x, expected)
    for x in (1.0, np.float32(2), np.array(3.0), np.zeros((0, 2)), np.ones((2, 3, 4)), 4):
        g = x * 0 + 0.5
        assert_same(compiled(Adam()).step(x, g), Adam().step(x, g))


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, np.int64, ">f8"])
def test_other_dtypes(dtype):
    x, g = (10 * start()).astype(dtype), (10 * start()[::-1]).astype(dtype)
    opt, plain = compiled(Adam(lr=0.1)), Adam(lr=0.1)
    assert_same(opt.step(x, g), plain.step(x, g))
    out = np.empty(7, opt.step(x, g).dtype)
    plain.step(x, g)
    assert_same(opt.step(x, g, out=out), plain.step(x, g))


def test_any_layout_of_x_g_and_out():
    whole, other = start((6, 8)), start((8, 6)) - 1
    for x, g in [(whole[::2, ::-1], other.T[::2]), (np.asfortranarray(whole), other.T)]:
        expected = Adam(lr=0.1).step(x, g)
        opt = compiled(Adam(lr=0.1))
        assert_same(opt.step(x, g), expected)
        for out in (np.empty((*x.shape, 2))[..., 0], np.array(x, order="F"), x.copy()):
            opt.reset()
            assert opt.step(x, g, out=out) is out
            np.testing.assert_array_equal(out, expected)
    x = whole[::2, ::-1]
    g, expected = x * 2, Adam(lr=0.1).step(x, x * 2)
    np.testing.assert_array_equal(compiled(Adam(lr=0.1)).step(x, g, out=x), expected)


def test_arrays_that_overlap():
    data = start((9,))
    expected = Adam(lr=0.1).step(data[1:].copy(), data[:-1].copy())
    for out in (0, 1):
        mine = data.copy()
        compiled(Adam(lr=0.1)).step(mine[1:], mine[:-1], out=mine[1 - out :][:8])
        np.testing.assert_array_equal(mine[1 - out :][:8], expected)
    same = data.copy()
    expected = Adam(lr=0.1).step(data, data)
    assert_same(compiled(Adam(lr=0.1)).step(same, same), expected)
    assert_same(compiled(Adam(lr=0.1)).step(same, same, out=same), expected)


def test_inputs_stay_and_may_be_read_only():
    x, g = start(), start() + 1
    x.flags.writeable = g.flags.writeable = False
    opt = compiled(Adam())
    assert_same(opt.step(x, g), Adam().step(x, g))
    assert opt.step(x, g) is not x


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_share_large_arrays(threads):
    n = 3 * 2**15 + 1
    x, g = start((n,), np.float32), stream((n,), 2, np.float32)
    opt = compiled(Adam(lr=0.1), threads=threads)
    assert_same(walk(opt, x, g), walk(Adam(lr=0.1), x, g))
    assert_same(walk(opt.fresh(), x, g), walk(Adam(lr=0.1), x, g))
    small = walk(compiled(Adam(lr=0.1), threads=threads), x[:9], g[:, :9])
    assert_same(small, walk(Adam(lr=0.1), x[:9], g[:, :9]))


def test_each_thread_takes_a_part(monkeypatch):
    taken = []

    class Pool:
        def submit(self, loop, x, *others):
            taken.append(x.size)
            loop(x, *others)
            return self

        def result(self):
            taken.append("awaited")

    monkeypatch.setattr(module, "_pool", lambda workers, process: Pool())
    x = np.zeros(2**17)
    opt = compiled(Adam(), threads=3).fresh()
    opt.step(x, x + 1)
    assert taken == [43691, 43691, "awaited", "awaited"]
    assert opt.fresh()._threads == 3
    taken.clear()
    compiled(Adam(), threads=8).step(x[: 2**16 - 1], x[: 2**16 - 1])
    compiled(Adam()).step(x, x)
    assert taken == []


# ---------------------------------------------------------------- hyperparameters


def test_a_changed_number_compiles_nothing():
    opt, plain = compiled(Adam()), Adam()
    g, x = stream((7,), 12), start()
    opt.step(x, g[0])
    plain.step(x, g[0])
    known = [loop.signatures for loop in loops(opt)]
    for i, gradient in enumerate(g[1:]):
        change = {("lr", "beta1", "beta2")[i % 3]: 0.1 * (i % 7)}
        opt.set(**change)
        plain.set(**change)
        assert_same(opt.step(x, gradient), plain.step(x, gradient))
    assert [loop.signatures for loop in loops(opt)] == known


def test_schedules_also_of_terms_that_come_and_go():
    given = dict(lr=lambda t: 0.1 / t, weight_decay=lambda t: 0.2 * (t > 3))
    x, g = start(), stream((7,), 6)
    assert_same(walk(compiled(SGD(**given)), x, g), walk(SGD(**given), x, g))


def test_memory_that_comes_and_stays():
    opt, plain = compiled(RMSProp()), RMSProp()
    x, g = start(), stream((7,), 8)
    changes = [{}, dict(momentum=0.5), {}, dict(momentum=0.0), dict(centered=True), {},
               dict(centered=False, momentum=0.2), {}]  # fmt: skip
    for change, gradient in zip(changes, g, strict=True):
        opt.set(**change)
        plain.set(**change)
        x, expected = opt.step(x, gradient), plain.step(x, gradient)
        assert_same(x, expected)
        assert_same(opt.state_dict(), plain.state_dict())


def test_sweeps_are_the_plain_optimizers():
    lr = np.array([0.1, 0.2, 0.3])
    x, g = np.tile(start(), (3, 1)), stream((3, 7), 5)
    opt, plain = compiled(Nadam(beta1=lr)), Nadam(beta1=lr)
    assert_same(walk(opt, x, g), walk(plain, x, g))
    # The products of a sweep stay when the sweep is over.
    for gradient in g:
        opt.set(beta1=0.5)
        plain.set(beta1=0.5)
        assert_same(opt.step(x, gradient), plain.step(x, gradient))
    big = np.zeros((2, 2**16))
    two = Adam(lr=lr[:2]).step(big, big + 1)
    assert_same(compiled(Adam(lr=lr[:2])).step(big, big + 1), two)


def test_large_arrays_of_a_dtype_that_is_not_compiled():
    x, g = start((2**16,), np.longdouble), start((2**16,), np.longdouble) + 1
    assert_same(compiled(Adam()).step(x, g), Adam().step(x, g))


# ---------------------------------------------------------------- the same interface


def test_it_is_an_optimizer_of_its_rule():
    opt = compiled(Adam(lr=0.1, eps_hat=True))
    assert isinstance(opt, Adam)
    assert type(opt) is type(compiled(Adam()))
    assert repr(opt) == repr(Adam(lr=0.1, eps_hat=True))
    assert opt.lr == 0.1
    assert inspect.signature(type(opt)) == inspect.signature(Adam)
    assert type(opt).__doc__ == Adam.__doc__
    assert type(opt.fresh()) is type(opt)


def test_states_are_interchangeable_and_resume_bit_for_bit():
    x, g = start(), stream((7,), 10)
    whole = walk(Nadam(), x, g)
    for first, second in [(Nadam(), compiled(Nadam())), (compiled(Nadam()), Nadam())]:
        half = walk(first, x, g[:5])
        second.load_state_dict(first.state_dict())
        assert_same(half + walk(second, half[-1], g[5:]), whole)


def test_steps_done_are_taken_over_and_the_original_stays():
    x, g = start(), stream((7,), 10)
    plain = Nadam()
    half = walk(plain, x, g[:5])
    with untouched(plain):
        opt = compiled(compiled(plain), threads=2)
        assert opt.t == 5
        assert_same(half + walk(opt, half[-1], g[5:]), walk(Nadam(), x, g))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_go_their_own_way(duplicate):
    x, g = start(), stream((7,), 4)
    opt = compiled(Adam(lr=0.1), threads=2)
    half = walk(opt, x, g[:2])
    other = duplicate(opt)
    assert type(other) is type(opt)
    assert other._threads == 2
    with untouched(opt):
        assert_same(half + walk(other, half[-1], g[2:]), walk(Adam(lr=0.1), x, g))


def double(x):
    return tuple(2 * leaf for leaf in x)


def test_runs_and_reset():
    opt, plain = compiled(Adam(lr=0.1)), Adam(lr=0.1)
    for _ in range(2):
        run, expected = (o.run(double, (1.0, np.ones(2)), 9) for o in (opt, plain))
        assert_same(run.path, expected.path)
        assert run.rule == expected.rule
        opt.reset()
        plain.reset()


def test_wrong_input_is_refused_as_ever():
    opt = compiled(Adam())
    x = start()
    opt.step(x, x)
    refuses(opt, ValueError, "must be equal", x=x, g=x[:3])
    refuses(opt, ValueError, "expected a finite number", x=x, g=x * np.nan)
    refuses(opt, ValueError, "has shape", x=x[:3], g=x[:3])
    refuses(opt, ValueError, "keep one dtype", x=x.astype("f4"), g=x)
    refuses(opt, TypeError, "expected real numbers", x=x.astype(complex), g=x)
    refuses(opt.fresh(), ValueError, "share memory", x=[x, x], g=[x, x])
    with pytest.raises(ValueError, match="out of range"):
        opt.set(beta1=1.0)
    with pytest.raises(TypeError, match="Did you mean lr"):
        opt.set(learning_rate=1.0)


def test_an_interrupted_step_says_so(monkeypatch):
    opt, x = compiled(Adam()), start()
    opt.step(x, x)

    def interrupted(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_share", interrupted)
        with pytest.raises(KeyboardInterrupt):
            opt.step(x, x)
    with pytest.raises(RuntimeError, match="step 2 was interrupted"):
        opt.step(x, x)
    opt.reset()
    assert_same(opt.step(x, x), Adam().step(x, x))


def test_an_interrupted_compilation_changes_nothing(monkeypatch):
    opt, x = compiled(Adam()), start()
    opt.step(x, x)

    def interrupted(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, untouched(opt, x):
        patch.setattr(module._Program, "loop", interrupted)
        with pytest.raises(KeyboardInterrupt):
            opt.step(x, x)
    assert opt.step(x, x).shape == (7,)


# ---------------------------------------------------------------- a reader's own rules


class Everything(Optimizer):
    """Uses all that a rule may use, numbers where a float32 could be widened."""

    defaults = dict(lr=0.1, power=1.5, late=2.0)
    slots = dict(a=0.5, idle=0.25)
    scalars = dict(product=1.0)

    def update(self, xp, t, x, g, s, h):
        s.product = xp.minimum(xp.maximum(s.product * h.power, 0.125), 8)
        s.a = s.a + xp.abs(g) ** h.power + g**4 + xp.abs(g) ** 5 + 0.5 ** xp.abs(g)
        kept = xp.where(t > h.late, s.a, g)
        small = xp.minimum(s.a**-0.5, 1) - s.a**-2 + 1 / (1 + s.a) - xp.sign(g) / s.product
        chosen = xp.where(g >= 0, 3, xp.where(g < -1, s.idle, -1))
        return -h.lr * (kept * small + chosen * xp.sign(kept)) / (h.power / t)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_that_a_rule_may_use(dtype):
    x, g = start(dtype=dtype), 0.1 * stream((7,), 5, dtype)
    opt, plain = compiled(Everything()), Everything()
    tolerance = 20 * np.finfo(dtype).eps
    for gradient in g:
        x, expected = opt.step(x, gradient), plain.step(x, gradient)
        assert x.dtype == dtype
        np.testing.assert_allclose(x, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(opt.state_dict()["a"], plain.state_dict()["a"], rtol=tolerance)
    np.testing.assert_array_equal(opt.state_dict()["product"], plain.state_dict()["product"])


class Rounded(Optimizer):
    """Does what rounds alike everywhere: a literal that widens float32 would show."""

    defaults = dict(lr=0.1, eps=1e-8)
    slots = dict(a=1.0)

    def update(self, xp, t, x, g, s, h):
        s.a = xp.minimum(xp.maximum(s.a, g), x + 2)
        third = 1 / (3 + xp.abs(g)) + xp.where(g > 0, 0.3 * x, -0.7 * x)
        return h.lr * third * xp.sign(g) * 0.1 - (-g) / (7 + xp.maximum(x, s.a) ** 2) + h.eps * g


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_literals_do_not_widen(dtype):
    x, g = start((1000,), dtype), stream((1000,), 3, dtype)
    opt, plain = compiled(Rounded()), Rounded()
    assert_same(walk(opt, x, g), walk(plain, x, g))
    assert_same(opt.state_dict(), plain.state_dict())


@pytest.mark.parametrize("eps", [0.0, 0.1])
def test_whatever_is_not_a_number_stays_one(eps):
    x, g = start((6,)), stream((6,), 3)
    x[:2] = [np.nan, np.inf]
    g[1, 2:] = [np.nan, np.inf, -np.inf, 0.0]
    opt, plain = (make(Rounded(eps=eps, check_finite=False)) for make in (compiled, lambda o: o))
    with np.errstate(all="ignore"):
        expected = walk(plain, x, g)
    np.testing.assert_array_equal(walk(opt, x, g), expected)
    np.testing.assert_array_equal(opt.state_dict()["a"], plain.state_dict()["a"])


class Branching(SGD):
    """Branches on data, which arrays and symbols cannot."""

    def update(self, xp, t, x, g, s, h):
        return h.lr * g if g > 0 else 0.0


class Exotic(SGD):
    """Asks its namespace for what it does not have."""

    def update(self, xp, t, x, g, s, h):
        return h.lr * xp.tanh(g)


# ---------------------------------------------------------------- wrong input


@pytest.mark.parametrize(
    ("opt", "threads", "error", "said"),
    [
        (Adam, 1, TypeError, "compiled: opt is the class Adam; an instance was expected"),
        ("Adam", 1, TypeError, "compiled: opt is 'Adam'; expected an optimizer, e.g. Adam"),
        (FullAdaGrad(), 1, TypeError, "FullAdaGrad works on vectors"),
        (Adam(), 0, ValueError, "threads=0; expected a whole number >= 1"),
        (Adam(), 1.5, ValueError, "threads=1.5"),
        (Branching(), 1, TypeError, "Branching.update cannot be compiled"),
        (Exotic(), 1, TypeError, "Exotic.update cannot be compiled.*tanh"),
    ],
)
def test_what_cannot_be_compiled(opt, threads, error, said):
    with pytest.raises(error, match=said):
        compiled(opt, threads=threads)


@pytest.mark.parametrize("name", ["numba", "sympy"])
def test_without_numba_or_sympy_the_error_says_what_to_install(name, monkeypatch):
    module._readers.cache_clear()
    module._program.cache_clear()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, name, None)
        with pytest.raises(ImportError, match=rf"{name}.*pip install 'optimlib\[compiled\]'"):
            compiled(Adam())
    importlib.import_module(name)
    assert compiled(Adam()).t == 0
