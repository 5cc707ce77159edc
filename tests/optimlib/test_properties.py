"""What holds for every rule whatever the numbers: to the last bit unless a tolerance is written."""

import copy
import io
import itertools
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimlib import (
    RULES,
    SGD,
    AdaDelta,
    AdaGrad,
    Adam,
    AdaMax,
    AdamL2,
    AdamW,
    AMSGrad,
    FullAdaGrad,
    Momentum,
    Nadam,
    Nesterov,
    Optimizer,
    RMSProp,
    Rprop,
    arithmetic,
    base,
)
from optimlib.hyper import Swept
from tests.optimlib.common import (
    CASES,
    ELEMENTWISE,
    Layer,
    anatomy,
    assert_same,
    every_case,
    every_rule,
    rows,
    stream,
    tree,
    walk,
)

seeds = st.integers(0, 2**32 - 1)
shapes = st.sampled_from([(1,), (3,), (17,), (2, 3), (4, 1, 2), ()])
floats = st.sampled_from([np.float32, np.float64])
elementwise_case = pytest.mark.parametrize(
    ("name", "options"),
    [case for case in CASES if case[0] in ELEMENTWISE],
    ids=[f"{n}-{'-'.join(o) or 'default'}" for n, o in CASES if n in ELEMENTWISE],
)
few = settings(max_examples=8, deadline=None)
some = settings(max_examples=25, deadline=None)


def close(actual, expected, **tolerance):
    np.testing.assert_allclose(actual, expected, **{"rtol": 1e-12, "atol": 1e-13, **tolerance})


def start(shape, dtype=float, seed=0):
    return np.random.default_rng(seed + 1).normal(size=shape).astype(dtype)


# ------------------------------------------------------------------------------ memory layout

LAYOUTS = {
    "as it is": lambda a: a.copy(),
    "Fortran order": lambda a: np.asfortranarray(a),
    "reversed": lambda a: a[..., ::-1].copy()[..., ::-1],
    "every other": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "a column": lambda a: np.stack([a, a + 1], axis=-1)[..., 0],
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
}
layouts = st.sampled_from(list(LAYOUTS))


@every_case
@few
@given(layouts, layouts, layouts, shapes.filter(bool), floats, seeds)
def test_the_layout_of_arrays_does_not_matter(
    name, options, for_x, for_g, for_out, shape, dtype, seed
):
    opt, plain = RULES[name](**options), RULES[name](**options)
    x, place = start(shape, dtype, seed), None
    for g in stream(shape, 4, dtype, seed):
        right = plain.step(x, g)
        given = LAYOUTS[for_x](x) if for_x != "big-endian" else x.copy()
        if for_out == "read-only":
            new = opt.step(given, LAYOUTS[for_g](g))
        else:
            place = LAYOUTS[for_out](np.zeros_like(x)) if for_out != "big-endian" else x.copy()
            new = opt.step(given, LAYOUTS[for_g](g), out=place)
            assert new is place
        assert_same(new, right)
        x = right


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [5, 17, 40])
def test_the_layout_does_not_matter_to_matrix_products(n, dtype):
    x, g = start((n,), dtype), stream((n,), 5, dtype) + dtype(1)
    right = walk(FullAdaGrad(lr=0.2), x, g)[-1]
    for layout in ("reversed", "every other", "a column"):
        there = walk(FullAdaGrad(lr=0.2), LAYOUTS[layout](x), [LAYOUTS[layout](h) for h in g])
        assert_same(there[-1], right)


@every_rule
def test_a_foreign_byte_order_is_kept(name):
    x, g = start((3,)), stream((3,), 3)
    right = walk(RULES[name](), x, g)[-1]
    there = walk(RULES[name](), x.astype(">f8"), g.astype(">f8"))[-1]
    assert there.dtype.str == ">f8"
    assert_same(there.astype(float), right)


@every_case
@few
@given(shapes, floats | st.just(np.float16), seeds)
def test_in_place_is_the_same_step(name, options, shape, dtype, seed):
    pure, in_place = RULES[name](**options), RULES[name](**options)
    x = np.array(start(shape, dtype, seed))
    y = x.copy()
    for g in stream(shape, 5, dtype, seed):
        g = np.array(g)
        x = pure.step(x, g)
        assert in_place.step(y, g, out=y) is y
        assert_same(y, x)
    assert_same(in_place.state_dict(), pure.state_dict())


@every_case
def test_in_place_in_a_container_is_the_same_step(name, options):
    pure, in_place = RULES[name](**options), RULES[name](**options)
    x, y = tree(1.0) | {"scale": np.array(2.0)}, tree(1.0) | {"scale": np.array(2.0)}
    for value in (1.0, -3.0, 0.0, 0.5):
        g = tree(value)
        x = pure.step(x, g)
        assert in_place.step(y, g, out=y) is y
        assert_same(y, x)


OVERLAPS = [  # where x, g and out begin in one piece of memory
    (0, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0), (0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 50, 49),
]  # fmt: skip


@every_case
@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize(("at_x", "at_g", "at_out"), OVERLAPS)
def test_out_may_overlap_what_is_read(name, options, at_x, at_g, at_out, blocks, monkeypatch):
    if blocks:
        small_blocks(monkeypatch)
    buffer = start((100,), seed=3)
    opt, pure = RULES[name](**options), RULES[name](**options)
    for _ in range(3):
        x, g = buffer[at_x : at_x + 20], buffer[at_g : at_g + 20]
        right = pure.step(x.copy(), g.copy())
        opt.step(x, g, out=buffer[at_out : at_out + 20])
        assert_same(buffer[at_out : at_out + 20].copy(), right)
    assert_same(opt.state_dict(), pure.state_dict())


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize(("of_x", "of_out"), [(2, 1), (1, 2), (0, 1), (-1, 1), (1, -1)])
def test_out_may_begin_where_x_does_with_other_strides(blocks, of_x, of_out, monkeypatch):
    if blocks:
        small_blocks(monkeypatch)
    opt, pure = Adam(), Adam()
    for _ in range(3):
        buffer = start((100,), seed=3)
        x, out = (
            np.lib.stride_tricks.as_strided(buffer[50:], (20,), (8 * stride,))
            for stride in (of_x, of_out)
        )
        right = pure.step(x.copy(), x.copy())
        opt.step(x, x, out=out)
        assert_same(out.copy(), right)


@every_case
@pytest.mark.parametrize("blocks", [False, True])
def test_the_out_of_one_leaf_may_be_what_another_reads(name, options, blocks, monkeypatch):
    if blocks:
        small_blocks(monkeypatch)
    a, b, c = (start((20,), seed=seed) for seed in range(3))
    opt, pure = RULES[name](**options), RULES[name](**options)
    for _ in range(3):
        right = pure.step([a.copy(), b.copy(), c.copy()], [b.copy(), c.copy(), a.copy()])
        opt.step([a, b, c], [b, c, a], out=[b, c, a])
        assert_same([b.copy(), c.copy(), a.copy()], right)


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("shift", [-5, 0, 5])
def test_memory_that_no_array_owns_may_be_anything_s(shift, blocks, monkeypatch):
    if blocks:
        small_blocks(monkeypatch)
    owner = start((60,), seed=4)
    same = np.frombuffer(memoryview(owner))  # nothing tells that this is the owner's memory
    apart = np.ones(20)
    with pytest.raises(ValueError, match=r"x\[0\] and x\[2\] share memory"):
        SGD().step([owner[:20], apart, same[5:25]], [owner[:20], apart, same[5:25]])
    for swap in (False, True):
        opt, pure = Adam(), Adam()
        for _ in range(3):
            owner[:] = start((60,), seed=4)
            out, read = [owner[5:25], apart], [same[5 - shift : 25 - shift], apart]
            out, read = (read, out) if swap else (out, read)
            x = [np.ones(20), apart]
            right = pure.step(x, [a.copy() for a in read])
            opt.step(x, read, out=out)
            assert_same([a.copy() for a in out], right)


@pytest.mark.parametrize("blocks", [False, True])
def test_the_gradients_of_a_step_in_place_may_share_its_memory(blocks, monkeypatch):
    if blocks:
        small_blocks(monkeypatch)
    whole, grads = start((60,), seed=4), start((60,), seed=5)
    pure = Adam()
    x = [whole[:20], whole[20:40], whole[40:]]
    right = pure.step([a.copy() for a in x], [grads[:20], whole[15:35].copy(), grads[40:]])
    Adam().step(x, [grads[:20], whole[15:35], grads[40:]], out=x)
    assert_same([a.copy() for a in x], right)


# ------------------------------------------------------------------------------ blocks


def small_blocks(monkeypatch, above=0, block=40):
    monkeypatch.setattr(base, "_BLOCK_ABOVE", above)
    monkeypatch.setattr(base, "_BLOCK", block)


@elementwise_case
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_blocks_of_any_size_change_nothing(name, options, dtype, monkeypatch):
    for n in (1, 4, 5, 6, 9, 10, 11, 19, 20, 21):
        x, g = start((n,), dtype), stream((n,), 4, dtype)
        whole, blocked, in_place = (RULES[name](**options) for _ in range(3))
        y = z = x
        out = x.copy()
        monkeypatch.undo()
        path = walk(whole, x, g)
        small_blocks(monkeypatch)
        y = walk(blocked, y, g)[-1]
        for h in g:
            in_place.step(out, h, out=out)
        assert_same(y, path[-1])
        assert_same(out, path[-1])
        assert_same(blocked.state_dict(), whole.state_dict())
        assert_same(z, x)


@elementwise_case
def test_blocks_take_any_layout(name, options, monkeypatch):
    x, g = start((4, 6)), stream((4, 6), 3)
    whole = walk(RULES[name](**options), x, g)
    small_blocks(monkeypatch)
    for layout in LAYOUTS.values():
        opt, y = RULES[name](**options), x
        for h, right in zip(g, whole, strict=True):
            out = np.asfortranarray(np.zeros_like(x))
            opt.step(layout(y).astype(float), layout(h), out=out)
            assert_same(out.copy(order="C"), right)
            y = right


@pytest.mark.parametrize("name", ["Adam", "Rprop", "RMSProp", "Nadam"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_at_their_true_size(name, dtype, monkeypatch):
    item = np.dtype(dtype).itemsize
    block = 96 * 1024 // item
    assert (base._BLOCK_ABOVE, base._BLOCK) == (96 * 1024, 96 * 1024)
    for n in (block - 1, block, block + 1, 2 * block, 2 * block + 1, 6 * block - 1, 6 * block + 1):
        x, g = start((n,), dtype), stream((n,), 2, dtype)
        y, opt = x.copy(), RULES[name]()
        for h in g:
            opt.step(y, h, out=y)
        with monkeypatch.context() as patch:
            patch.setattr(base, "_BLOCK_ABOVE", math.inf)
            right = walk(RULES[name](), x, g)[-1]
        assert_same(y, right)


def test_a_memory_of_any_order_can_be_written_in_blocks(monkeypatch):
    """A loaded or a swept memory may be in Fortran order; blocks must not write into a copy."""
    x, g = start((4, 6)), stream((4, 6), 6)
    right = walk(Adam(), x, g)[-1]
    opt = Adam()
    there = walk(opt, x, g[:3])[-1]
    state = {k: np.asfortranarray(v) if k in "mv" else v for k, v in opt.state_dict().items()}
    small_blocks(monkeypatch)
    opt = Adam()
    opt.load_state_dict(state)
    assert_same(walk(opt, there, g[3:])[-1], right)
    opt = Adam(lr=[1e-3] * 4)  # a sweep is not blocked
    there = walk(opt, np.asfortranarray(x), np.asfortranarray(g[:3]))[-1]
    opt.set(lr=1e-3)
    assert_same(walk(opt, there, g[3:])[-1], right)


# ------------------------------------------------------------------------------ one way or another


def leafwise(name, options, paths, gradients):
    """Return where single arrays get that are stepped each by an optimizer of its own."""
    return {path: walk(RULES[name](**options), x, gradients[path])[-1] for path, x in paths.items()}


@every_case
@few
@given(seeds, st.permutations(["a", "b", "c"]))
def test_leaves_do_not_know_of_each_other(name, options, seed, order):
    x = {"a": start((3,), seed=seed), "b": start((2, 2), seed=seed), "c": start((), seed=seed)}
    g = {path: stream(np.shape(x[path]), 4, seed=seed) for path in x}
    alone = leafwise(name, options, x, g)

    def packed(values):
        return [{"a": values["a"]}, Layer(values["b"], (values["c"],))]

    opt, there = RULES[name](**options), dict(x)
    nested, deep = RULES[name](**options), packed(x)
    for i in range(4):
        there = opt.step(there, {path: g[path][i] for path in order})
        deep = nested.step(deep, packed({path: g[path][i] for path in g}))
    assert list(there) == ["a", "b", "c"]
    for path in x:
        assert_same(np.asarray(there[path]), np.asarray(alone[path]))
    assert_same(deep, packed(there))


WAYS = ["pure", "in-place", "set", "save", "copy", "pickle", "fail", "run"]


def settable(rule):
    """Return a hyperparameter that may be set at any time, and to 0.25."""
    names = ("weight_decay", "rho", "beta2", "momentum", "eps", "eta_minus")
    return next(name for name in names if name in rule.defaults)


@every_case
@settings(max_examples=12, deadline=None)
@given(seeds, st.lists(st.sampled_from(WAYS), max_size=12))
def test_any_way_of_going_on_is_the_same(name, options, seed, ways):
    """The quick way of one array after another equals the slow way, whatever comes in between."""
    opt, slow = RULES[name](**options), RULES[name](**options)
    x = start((3,), seed=seed)
    tree_x = {"w": x.copy()}
    gradients = iter(stream((3,), 2 * len(ways) + 2, seed=seed))
    other = settable(opt)
    for way in ["pure", *ways, "pure"]:
        g = next(gradients)
        if way == "set":
            opt.set(**{other: 0.125})
            slow.set(**{other: 0.125})
        elif way == "save":
            file = io.BytesIO()
            np.savez(file, **opt.state_dict())
            file.seek(0)
            opt = opt.fresh()
            opt.load_state_dict(np.load(file))
        elif way == "copy":
            opt = copy.deepcopy(opt)
        elif way == "pickle":
            opt = pickle.loads(pickle.dumps(opt))
        elif way == "fail":
            with pytest.raises(ValueError, match="nan"):
                opt.step(x, g * math.nan)
        if way == "in-place":
            x = x.copy()
            opt.step(x, g, out=x)
        elif way == "run":
            x = opt.run(lambda x, g=g: g, x, 1).x
        else:
            x = opt.step(x, g)
        tree_x = slow.step(tree_x, {"w": g})
        assert opt.t == slow.t
        assert_same(x, tree_x["w"])
    state = {key.removesuffix("['w']"): value for key, value in slow.state_dict().items()}
    assert_same(opt.state_dict(), state)


@every_rule
def test_a_schedule_is_asked_once_a_step(name):
    for x in (np.ones(2), tree(1.0), 1.0):
        asked = []
        opt = RULES[name]()
        hyper = settable(opt)
        opt.set(**{hyper: lambda t, asked=asked: asked.append(t) or 0.25})
        same = RULES[name](**{hyper: 0.25})
        assert_same(walk(opt, x, [x] * 4)[-1], walk(same, x, [x] * 4)[-1])
        assert asked == [1, 2, 3, 4]


@every_case
def test_a_value_set_between_steps_is_a_schedule(name, options):
    rule = RULES[name]
    if "lr" in rule.slots.values():
        return
    g = stream((3,), 9)
    scheduled = walk(rule(**{**options, "lr": lambda t: 0.5 if t <= 4 else 0.125}), np.ones(3), g)
    opt = rule(**{**options, "lr": 0.5})
    x = walk(opt, np.ones(3), g[:4])[-1]
    opt.lr = 0.125
    assert_same(walk(opt, x, g[4:])[-1], scheduled[-1])


# ------------------------------------------------------------------------------ sweeps

VALUES = {
    "lr": [0.0, 0.01, 0.3],
    "momentum": [0.0, 0.5, 0.9],
    "dampening": [0.0, 0.3, 1.0],
    "rho": [0.0, 0.7, 0.99],
    "eps": [0.0, 1e-8, 0.1],
    "eps_x": [1e-6, 0.01, 1.0],
    "beta1": [0.0, 0.7, 0.9],
    "beta2": [0.0, 0.9, 0.999],
    "weight_decay": [0.0, 0.01, 0.5],
    "momentum_decay": [0.0, 0.004, math.inf],
    "lr_decay": [0.0, 0.1, 2.0],
    "initial": [0.0, 0.1, 1.0],
    "eta_minus": [0.2, 0.5, 0.9],
    "eta_plus": [1.1, 1.2, 3.0],
    "step_min": [0.0, 1e-6, 0.05],
    "step_max": [0.06, 0.5, 50.0],
}
SWEEPS = [
    (name, options, hyper)
    for name, options in CASES
    for hyper in RULES[name].defaults
    if hyper in VALUES and hyper not in options
]


def sweep_equals_its_runs(name, settings, swept, shape, dtype, steps=12, together=stream):
    """Assert that every run of a sweep is its single run; return the sweep's path."""
    grid = np.broadcast_shapes(*(a.shape for a in swept.values()))
    x, g = start((*grid, *shape), dtype), together((*grid, *shape), steps, dtype)
    with np.errstate(all="ignore"):  # some rows divide by zero, as their single runs do
        opt = RULES[name](**settings, **swept, check_finite=False)
        path = walk(opt, x, g)
        for run in rows(np.empty(grid)):
            one = {k: float(np.broadcast_to(v, grid)[run]) for k, v in swept.items()}
            single = walk(
                RULES[name](**settings, **one, check_finite=False), x[run], g[(slice(None), *run)]
            )
            for whole, mine in zip(path, single, strict=True):
                assert_same(whole[run].copy(), mine)
    return opt, path


@pytest.mark.parametrize(("name", "options", "hyper"), SWEEPS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_of_a_sweep_is_its_single_run(name, options, hyper, dtype):
    _, path = sweep_equals_its_runs(name, options, {hyper: np.array(VALUES[hyper])}, (4,), dtype)
    assert path[-1].dtype == dtype
    assert path[-1].shape == (3, 4)


@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_cell_of_a_grid_is_its_single_run(name, options, dtype):
    hypers = [k for k in RULES[name].defaults if k in VALUES and k not in options]
    if len(hypers) < 2:
        hypers = [k for k in RULES[name].defaults if k in VALUES]
        options = {k: v for k, v in options.items() if k not in hypers}
    for first, second in itertools.pairwise(hypers):
        swept = {
            first: np.array(VALUES[first])[:, None],
            second: np.array(VALUES[second][1:])[None],
        }
        sweep_equals_its_runs(name, options, swept, (2, 2), dtype, steps=6)
        swept = {first: np.array(VALUES[first]), second: np.array(VALUES[second])[:, None]}
        if len(VALUES[first]) == 3:
            opt = RULES[name](**options, **swept)  # axes align from the left
            assert opt.sweep_shape == (3, 1)


@every_case
def test_a_sweep_of_single_numbers_and_of_trees(name, options):
    swept = {"lr": np.array([0.01, 0.1])}
    options = {k: v for k, v in options.items() if k != "lr"}
    sweep_equals_its_runs(name, options, swept, (), np.float64)
    opt = RULES[name](**options, **swept)
    x = {"w": start((2, 3)), "b": [start((2,))]}
    there = walk(opt, x, [x, x, x])[-1]
    for run, lr in enumerate(swept["lr"]):
        mine = {"w": x["w"][run], "b": [x["b"][0][run]]}
        alone = walk(RULES[name](**options, lr=lr), mine, [mine] * 3)[-1]
        assert_same(there["w"][run].copy(), alone["w"])
        assert_same(there["b"][0][run], alone["b"][0])


@every_case
def test_a_sweep_of_schedules(name, options):
    if "lr" in RULES[name].slots.values():
        return
    options = {k: v for k, v in options.items() if k != "lr"}
    lr = np.array([0.1, 0.5])
    x, g = start((2, 3)), stream((2, 3), 8)
    path = walk(RULES[name](**options, lr=lambda t: lr / t), x, g)
    for run in range(2):
        alone = walk(RULES[name](**options, lr=lambda t, run=run: lr[run] / t), x[run], g[:, run])
        assert_same(path[-1][run].copy(), alone[-1])


def test_a_diverging_row_leaves_the_others_alone():
    for name in RULES:
        for shape in ((2,), (5,)):
            x, g = start((3, *shape)), stream((3, *shape), 6)
            broken = g.copy()
            broken[2:, 1, 0] = math.nan
            broken[3:, 1, 1] = math.inf
            sweep = {"lr": [0.01, 0.02, 0.03]}
            with np.errstate(invalid="ignore"):
                path = walk(RULES[name](**sweep, check_finite=False), x, broken)[-1]
            right = walk(RULES[name](**sweep), x, g)[-1]
            assert_same(path[[0, 2]], right[[0, 2]])
            assert np.isnan(path[1, 0]) or name == "Rprop"


@every_case
@pytest.mark.parametrize("runs", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.longdouble])
def test_no_term_of_an_equation_leaves_the_dtype(name, options, runs, dtype):
    if name == "FullAdaGrad" and dtype == np.longdouble:
        dtype = np.float64
    rule = RULES[name]
    opt = rule(**options)
    numbers = {k: v for k, v in opt._hyper.items() if isinstance(v, float) and math.isfinite(v)}
    swept = rule(**options, **{k: [v] * runs for k, v in numbers.items() if k not in options})
    x = g = np.ones((runs, 3), dtype)
    slot = (runs, 3) if rule.elementwise else (runs, 3, 3)
    for mine in (opt, swept):
        memory = {each: np.ones(slot, dtype) for each in mine.active_slots()} | opt.scalars
        hyper = {
            k: v.reshape(runs, 1) if isinstance(v, Swept) else v for k, v in mine._hyper.items()
        }
        for t in (1, 2):
            update, new = mine.evaluate(arithmetic, t, x, g, memory, hyper)
            assert update.dtype == dtype
            assert {new[s].dtype for s in mine.active_slots()} <= {np.dtype(dtype)}


def test_the_namespace_keeps_python_floats():
    assert type(arithmetic.sqrt(2.0)) is float
    assert type(arithmetic.where(True, 1.0, 2.0)) is float
    assert arithmetic.where(False, 1.0, 2.0) == 2.0
    assert arithmetic.where(np.array([True, False]), 1.0, 2.0).tolist() == [1, 2]


def test_terms_of_swept_numbers_alone_are_floats():
    opt = Adam(beta1=[0.5, 0.9], beta2=[0.7, 0.9])
    beta1 = opt._hyper["beta1"]
    for term, right in (
        (1 - beta1**3, [1 - b**3 for b in (0.5, 0.9)]),
        (0.96**beta1, [0.96**b for b in (0.5, 0.9)]),
        (beta1**beta1, [b**b for b in (0.5, 0.9)]),
        (beta1 ** np.float64(1.5), [b**1.5 for b in (0.5, 0.9)]),
        (arithmetic.sqrt(beta1), [math.sqrt(b) for b in (0.5, 0.9)]),
    ):
        assert isinstance(term, Swept)
        assert term.tolist() == right
    for met in (
        beta1 * np.ones(2, np.float32),
        np.ones(2, np.float32) ** beta1,
        beta1 ** np.ones(2, np.float32),
    ):
        assert type(met) is np.ndarray
        assert met.dtype == np.float32
    assert (beta1 * np.array([1, 2])).dtype == float  # integers have no precision to keep
    assert np.add.reduce(beta1) == 1.4
    copied = opt.beta1
    assert type(copied) is np.ndarray
    copied[:] = 7
    assert opt.beta1.tolist() == [0.5, 0.9]


def test_the_array_given_for_a_sweep_is_copied():
    lr = np.array([0.1, 0.2])
    opt = SGD(lr=lr)
    lr[:] = 5
    assert opt.lr.tolist() == [0.1, 0.2]
    assert opt.fresh().lr.tolist() == [0.1, 0.2]


# ------------------------------------------------------------------------------ saving


@every_case
@few
@given(st.integers(1, 11), seeds)
def test_a_run_resumed_anywhere_is_the_same(name, options, at, seed):
    def resumed(x, gradients, **more):
        opt = RULES[name](**options | more)
        y = walk(opt, x, gradients[:at])[-1]
        file = io.BytesIO()
        np.savez(file, **opt.state_dict())
        file.seek(0)
        other = RULES[name](**options | more)
        with np.load(file) as state:
            other.load_state_dict(state)
        assert (other.t, anatomy(other.state_dict())) == (at, anatomy(opt.state_dict()))
        assert_same(
            walk(other, y, gradients[at:])[-1],
            walk(RULES[name](**options | more), x, gradients)[-1],
        )

    numbers = np.random.default_rng(seed).normal(size=12).round(3)
    resumed(tree(1.0), [tree(value) for value in numbers])
    resumed({"a/b": 1.0, "c'd": [np.ones(2, np.float32)], 7: ()},
            [{"a/b": v, "c'd": [np.full(2, v)], 7: ()} for v in numbers])  # fmt: skip
    resumed(1.0, list(numbers))
    resumed(start((2, 3)), list(stream((2, 3), 12, seed=seed)), lr=[0.01, 0.1])
    resumed(start((2, 2, 3)), list(stream((2, 2, 3), 12, seed=seed)), lr=[[0.01], [0.1]])


def test_a_sweep_of_nadam_is_resumed_with_its_product_per_run():
    opt = Nadam(beta1=[0.5, 0.9])
    x = walk(opt, np.ones((2, 3)), stream((2, 3), 3))[-1]
    state = opt.state_dict()
    assert state["mu_product"].shape == (2, 1)
    other = opt.fresh()
    other.load_state_dict(state)
    assert_same(other.step(x, x), opt.step(x, x))


def test_a_state_of_no_steps():
    for name in RULES:
        state = RULES[name]().state_dict()
        assert {key: value.tolist() for key, value in state.items()} == {"rule": name, "t": 0}
        used = RULES[name]()
        used.step(1.0, 1.0)
        used.load_state_dict(state)
        assert used.t == 0
        assert_same(used.step(np.ones(2), np.ones(2)), RULES[name]().step(np.ones(2), np.ones(2)))


# ------------------------------------------------------------------------------ reductions


def nonzero(shape=(6,), steps=20):
    """Return gradients of all signs and scales, none zero."""
    rng = np.random.default_rng(5)
    return rng.choice([-1.0, 1.0], size=(steps, *shape)) * rng.uniform(
        0.1, 10, size=(steps, *shape)
    )


SIGN_DESCENT = [
    Adam(lr=0.25, beta1=0.0, beta2=0.0, eps=0.0),
    Adam(lr=0.25, beta1=0.0, beta2=0.0, eps=0.0, bias_correction=False),
    AMSGrad(lr=0.25, beta1=0.0, beta2=0.0, eps=0.0).fresh(),
    AdaMax(lr=0.25, beta1=0.0, beta2=0.0, eps=0.0),
    RMSProp(lr=0.25, rho=0.0, eps=0.0),
    RMSProp(lr=0.25, rho=0.0, eps=0.0, eps_inside=True),
    Nadam(lr=0.25, beta1=0.0, beta2=0.0, eps=0.0),
    AdamW(lr=0.25, beta1=0.0, beta2=0.0, eps=0.0, weight_decay=0.0),
    AdamL2(lr=0.25, beta1=0.0, beta2=0.0, eps=0.0, weight_decay=0.0),
]


@pytest.mark.parametrize("opt", SIGN_DESCENT, ids=repr)
def test_with_no_memory_it_is_sign_descent(opt):
    opt, g = opt.fresh(), nonzero()
    if type(opt) is AMSGrad:
        g = g[np.argsort(np.abs(g), axis=0), np.arange(6)]  # its maximum is a memory: let it grow
    close(walk(opt, np.zeros(6), g), -0.25 * np.cumsum(np.sign(g), axis=0))


@pytest.mark.parametrize(
    ("special", "plain"),
    [
        (Momentum(lr=0.1, momentum=0.0), SGD(lr=0.1)),
        (Momentum(lr=0.1, momentum=0.0, lr_inside=True), SGD(lr=0.1)),
        (Nesterov(lr=0.1, momentum=0.0), SGD(lr=0.1)),
        (Nesterov(lr=0.1, momentum=0.0, lr_inside=True), SGD(lr=0.1)),
        (Momentum(lr=0.1, weight_decay=0.0), Momentum(lr=0.1)),
        (AdamW(lr=0.1, weight_decay=0.0), Adam(lr=0.1)),
        (AdamL2(lr=0.1, weight_decay=0.0), Adam(lr=0.1)),
        (RMSProp(lr=0.1, momentum=0.0), RMSProp(lr=0.1, momentum=0.0, lr_inside=True)),
        (AdaGrad(lr=0.1, eps=0.0), AdaGrad(lr=0.1, eps=0.0, eps_inside=True)),
        (AdaGrad(lr=0.1, lr_decay=0.0), AdaGrad(lr=0.1)),
        (Adam(lr=0.1, eps=0.0), Adam(lr=0.1, eps=0.0, eps_hat=True)),
        (
            Adam(lr=0.1, bias_correction=False),
            Adam(lr=0.1, bias_correction=False, eps_hat=True),
        ),
        (AdaMax(lr=0.1, eps=0.0), AdaMax(lr=0.1, eps=0.0, eps_outside=True)),
        (AdaDelta(eps=1e-3, eps_x=1e-3), AdaDelta(eps=1e-3)),
        (RULES["AdaDeltaMomentum"](momentum=0.0, eps=1e-3), AdaDelta(eps=1e-3)),
        (
            AMSGrad(lr=0.1, bias_correction=False),
            AMSGrad(lr=0.1, bias_correction=False, corrected=True),
        ),
        (SGD(lr=0.1, weight_decay=0.0), SGD(lr=0.1)),
    ],
    ids=repr,
)
def test_a_special_case_is_the_plainer_rule(special, plain):
    g = stream((6,), 30)
    path = walk(special.fresh(), start((6,)), g)
    np.testing.assert_array_equal(path, walk(plain.fresh(), start((6,)), g))


def test_amsgrad_is_adam_while_v_grows():
    g = np.linspace(0.1, 5, 40)[:, None] * np.array([1.0, -2.0])
    for options in ({}, {"bias_correction": False}, {"eps_hat": True}):
        amsgrad = walk(AMSGrad(lr=0.1, **options), np.zeros(2), g)
        np.testing.assert_array_equal(amsgrad, walk(Adam(lr=0.1, **options), np.zeros(2), g))
    falling = g[::-1]
    assert (
        walk(AMSGrad(lr=0.1), np.zeros(2), falling)[-1]
        != walk(Adam(lr=0.1), np.zeros(2), falling)[-1]
    ).all()


def test_full_adagrad_of_one_coordinate_is_adagrad():
    g = nonzero((1,), 30)
    close(walk(FullAdaGrad(lr=0.1), np.ones(1), g), walk(AdaGrad(lr=0.1), np.ones(1), g))
    axes = np.zeros((30, 3))
    axes[np.arange(30), np.arange(30) % 3] = g[:, 0]  # along the axes the matrix is diagonal
    close(walk(FullAdaGrad(lr=0.1), np.ones(3), axes), walk(AdaGrad(lr=0.1), np.ones(3), axes))


def test_centred_is_plain_where_the_mean_is_zero():
    g = np.array([1.0, -1.0] * 10)
    opt = RMSProp(lr=0.1, rho=0.5, eps=0.0, centered=True)
    variances = []
    x = 0.0
    for h in g:
        x = opt.step(x, h)
        state = opt.state_dict()
        variances.append(float(state["v"] - state["mean"] ** 2))
    v, mean = 0.0, 0.0
    for h, variance in zip(g, variances, strict=True):
        v, mean = 0.5 * v + 0.5 * h * h, 0.5 * mean + 0.5 * h
        assert variance == v - mean**2


# ------------------------------------------------------------------------------ invariances

SCALE_FREE = [
    (name, {**options, "eps": 0.0})
    for name, options in CASES
    if name in ("AdaGrad", "RMSProp", "Adam", "AdaMax", "Nadam", "AMSGrad", "AdamW")
    and not options.get("initial")
] + [("Rprop", options) for name, options in CASES if name == "Rprop"]


@pytest.mark.parametrize(("name", "options"), SCALE_FREE)
@some
@given(st.integers(-60, 60), seeds)
def test_the_scale_of_the_gradient_does_not_matter(name, options, power, seed):
    g = stream((5,), 10, seed=seed)
    path = walk(RULES[name](**options), start((5,)), g)
    assert_same(walk(RULES[name](**options), start((5,)), g * 2.0**power), path)


@some
@given(st.integers(-60, 60), seeds)
def test_the_scale_of_the_gradient_is_the_scale_of_sgd(power, seed):
    g = stream((5,), 10, seed=seed)
    c = 2.0**power
    for rule in (SGD, Momentum, Nesterov):
        assert_same(
            walk(rule(lr=0.5), np.zeros(5), g * c),
            [x * c for x in walk(rule(lr=0.5), np.zeros(5), g)],
        )
    # AdaDelta's eps and eps_x have the units of g^2 and x^2: all scaled together, x scales
    one = walk(AdaDelta(eps=1e-4, eps_x=1e-4), np.zeros(5), g)
    scaled = walk(AdaDelta(eps=1e-4 * c**2, eps_x=1e-4 / c**2), np.zeros(5), g * c)
    assert_same(scaled, [x / c for x in one])


@every_case
@some
@given(seeds)
def test_a_mirrored_problem_has_the_mirrored_path(name, options, seed):
    g = stream((5,), 10, seed=seed)
    path = walk(RULES[name](**options), start((5,)), g)
    mirrored = walk(RULES[name](**options), -start((5,)), -g)
    np.testing.assert_array_equal(mirrored, -np.array(path))


@every_case
@some
@given(seeds)
def test_the_update_depends_on_x_through_weight_decay_alone(name, options, seed):
    opt = RULES[name](**options)
    opt.step(start((2,)), start((2,)))
    state = opt.state_dict()
    memory = {key: state[key] for key in (*opt.active_slots(), *opt.scalars)}
    g = stream((2,), 1, seed=seed)[0] + 1
    here, there = (
        opt.evaluate(arithmetic, 2, x, g, memory, {}) for x in (np.ones(2), np.full(2, 7.0))
    )
    if opt._hyper.get("weight_decay"):
        assert (here[0] != there[0]).all()
    else:
        assert_same(here, there)


@elementwise_case
@few
@given(st.permutations(range(6)), seeds)
def test_coordinates_do_not_know_of_each_other(name, options, order, seed):
    g = stream((6,), 10, seed=seed)
    path = np.array(walk(RULES[name](**options), start((6,)), g))
    shuffled = walk(RULES[name](**options), start((6,))[order], g[:, order])
    assert_same(np.array(shuffled), path[:, order])


@some
@given(seeds)
def test_full_adagrad_does_not_see_the_axes(seed):
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    g, x = rng.normal(size=(10, 3)), rng.normal(size=3)
    path = np.array(walk(FullAdaGrad(lr=0.1), x, g))
    close(walk(FullAdaGrad(lr=0.1), turn @ x, g @ turn.T), path @ turn.T, rtol=1e-7, atol=1e-9)
    # in two directions only, the third one stays where it is
    flat = g * [1, 1, 0]
    assert (np.array(walk(FullAdaGrad(lr=0.1), x, flat))[:, 2] == x[2]).all()


# ------------------------------------------------------------------------------ exact laws

dyadic = st.integers(1, 15).map(lambda n: n / 8)


@some
@given(dyadic, st.integers(-8, 8))
def test_gradient_descent_on_a_quadratic(rate, x0):
    # x_t = (1 - eta lambda)^t x_0: all numbers are short, so the law holds exactly
    curvature, t = 2.0, 6
    run = SGD(lr=rate / curvature).run(lambda x: curvature * x, np.array([float(x0)]), t)
    assert run.path[:, 0].tolist() == [(1 - rate) ** k * x0 for k in range(t + 1)]


@pytest.mark.parametrize("curvature", [0.1, 1.0, 50.0])
@pytest.mark.parametrize(
    ("rule", "options", "bound"),
    [
        (SGD, {}, 2.0),
        (Momentum, {"momentum": 0.5}, 3.0),
        (Momentum, {"momentum": 0.9}, 3.8),
        (Nesterov, {"momentum": 0.5}, 1.5),  # (2 + 2 mu)/(1 + 2 mu)
    ],
)
def test_the_bound_of_stability(rule, options, bound, curvature):
    for factor, stable in ((0.99, True), (1.01, False)):
        opt = rule(lr=factor * bound / curvature, **options)
        x = opt.run(lambda x: curvature * x, np.ones(1), 3000, every=3000).x
        assert bool(abs(x[0]) < 1e-3) == stable


@some
@given(dyadic, st.integers(0, 7).map(lambda n: n / 8))
def test_the_heavy_ball_is_the_power_of_a_matrix(rate, mu):
    # (b, x) -> (mu b + x, x - rate (mu b + x)) for f = x^2/2
    matrix = np.array([[mu, 1.0], [-rate * mu, 1 - rate]])
    run = Momentum(lr=rate, momentum=mu).run(lambda x: x, np.array([1.0]), 10)
    right = [(np.linalg.matrix_power(matrix, k) @ [0.0, 1.0])[1] for k in range(11)]
    close(run.path[:, 0], right)


@some
@given(dyadic, st.integers(0, 7).map(lambda n: n / 8))
def test_nesterov_evaluates_the_gradient_ahead(rate, mu):
    # textbook form: v = mu v - rate grad(y + mu v), y = y + v; the iterate kept is y + mu v
    curvature = np.array([1.0, 0.25])
    y, v, ahead = np.ones(2), np.zeros(2), [np.ones(2)]
    for _ in range(10):
        v = mu * v - rate * curvature * (y + mu * v)
        y = y + v
        ahead.append(y + mu * v)
    run = Nesterov(lr=rate, momentum=mu).run(lambda x: curvature * x, np.ones(2), 10)
    close(run.path, ahead)


def constant(opt, steps=50, g=3.0):
    return np.array(walk(opt, 0.0, [g] * steps))


def test_a_constant_gradient_gives_each_rule_its_own_law():
    t = np.arange(1, 51)
    for g in (3.0, -3.0, 1e-3):
        down = -np.sign(g)
        close(constant(SGD(lr=0.5), g=g), -0.5 * g * t)
        close(constant(Momentum(lr=0.5, momentum=0.5), g=g), -g * (t - (1 - 0.5**t)))
        close(constant(AdaGrad(lr=0.5, eps=0.0), g=g), down * 0.5 * np.cumsum(t**-0.5))
        close(constant(RMSProp(lr=0.5, eps=0.0, initial=g**2), g=g), down * 0.5 * t)
        for rule in (Adam, AMSGrad, AdaMax):
            close(constant(rule(lr=0.5, eps=0.0), g=g), down * 0.5 * t, rtol=1e-11)
        close(constant(Rprop(lr=0.5, step_max=1e9), g=g), down * 0.5 * np.cumsum(1.2 ** (t - 1)))
        close(
            constant(RMSProp(lr=0.5, rho=0.9, eps=0.0), g=g),
            down * 0.5 * np.cumsum((1 - 0.9**t) ** -0.5),
        )
        close(
            constant(Adam(lr=0.5, eps=0.0, bias_correction=False), g=g),
            down * 0.5 * np.cumsum((1 - 0.9**t) / np.sqrt(1 - 0.999**t)),
            rtol=1e-11,
        )


@some
@given(st.integers(-40, 40), st.integers(1, 7))
def test_the_first_step(power, n):
    g = n * 2.0**power
    assert AdaGrad(lr=0.5, eps=0.0).step(0.0, g) == -0.5
    assert AdaMax(lr=0.5, eps=0.0, beta1=0.5).step(0.0, g) == -0.5
    assert Adam(lr=0.5, eps=0.0, beta1=0.5, beta2=0.75).step(0.0, g) == -0.5
    assert Rprop(lr=0.5).step(0.0, g) == -0.5
    # AdaDelta's is sqrt(eps/(1 - rho)), whatever the gradient, once that is large
    close(AdaDelta(rho=0.75, eps=1e-30).step(0.0, g), -2e-15, rtol=1e-5, atol=0)


def test_rmsprop_ends_in_a_two_cycle():
    # on f = x^2/2 from x = lr/2 with v = x^2: the step is lr for ever
    run = RMSProp(lr=0.5, rho=0.75, eps=0.0, initial=0.0625).run(lambda x: x, np.array([0.25]), 10)
    assert run.path[:, 0].tolist() == [0.25 * (-1) ** k for k in range(11)]


def test_adam_may_step_at_most_so_far():
    # a spike after silence: (1 - beta1)/sqrt(1 - beta2) for beta1 > ..., else the first step
    opt = Adam(lr=1.0, beta1=0.9, beta2=0.999, eps=0.0, bias_correction=False)
    x = walk(opt, 0.0, [1e-12] + [0.0] * 500)[-1]
    assert x - opt.step(x, 1.0) == pytest.approx(0.1 / math.sqrt(0.001), rel=1e-9)


# ------------------------------------------------------------------------------ rules of one's own


class Delayed(Optimizer):
    """Steps with the gradient before this one; a rule may hand its memory on as it is."""

    defaults = dict(lr=1.0)
    slots = dict(before=0.0, earlier=0.0)

    def update(self, xp, t, x, g, s, h):
        step = s.before
        s.earlier, s.before = s.before, g
        return step


class Swap(Optimizer):
    defaults = dict(lr=0.5)
    slots = dict(a=1.0, b=2.0, c=0.0, d=0.0)

    def update(self, xp, t, x, g, s, h):
        s.a, s.b = s.b, s.a
        s.c = s.d = h.lr * s.a * g
        return 0.0


class Last(Optimizer):
    """Remembers where it was and the mean of its gradients."""

    defaults = dict(lr=1.0)
    slots = dict(last=0.0, one=5.0)
    scalars = dict(total=0.0)

    def update(self, xp, t, x, g, s, h):
        s.last = x
        s.one = 3.0
        s.total = s.total + np.float64(t)
        return h.lr * g[...]


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: {"w": a}], ids=["bare", "tree"])
def test_a_rule_may_hand_on_what_it_got(blocks, in_place, wrap, monkeypatch):
    if blocks:
        small_blocks(monkeypatch)
    path = "" if wrap(1) == 1 else "['w']"
    g = stream((20,), 5) + 1

    def go(opt, x=0.0):
        x = np.full(20, x)
        for h in g:
            h = h.copy()
            y = opt.step(wrap(x), wrap(h), out=wrap(x) if in_place else None)
            h[:] = 77  # the caller's array is the caller's
            x = y["w"] if path else y
        return x, {key.removesuffix(path): value for key, value in opt.state_dict().items()}

    x, state = go(Delayed())
    right = np.zeros(20)
    for h in g[:-1]:
        right = right - h
    assert_same(x, right)
    assert_same([state["before"], state["earlier"]], [g[-1].copy(), g[-2].copy()])
    x, state = go(Swap())
    assert_same([state["a"], state["b"]], [np.full(20, 2.0), np.full(20, 1.0)])
    assert_same([state["c"], state["d"]], [0.5 * 2.0 * g[-1], 0.5 * 2.0 * g[-1]])
    state["c"][:] = 1
    x, state = go(Last())
    right = np.zeros(20)
    for h in g[:-1]:
        right = right - h
    assert_same([state["last"], state["one"]], [right, np.full(20, 3.0)])
    assert_same(state["total"], np.array(15.0))
    assert_same(x, right - g[-1])


def test_a_shared_memory_is_parted_before_blocks_write_into_it(monkeypatch):
    small_blocks(monkeypatch, above=math.inf)
    opt, w = Swap(), {"w": np.ones(20)}
    opt.step(w, w)
    assert_same(opt.state_dict()["c['w']"], opt.state_dict()["d['w']"])
    small_blocks(monkeypatch)

    class Apart(Swap):
        def update(self, xp, t, x, g, s, h):
            s.c, s.d = s.c + 1, s.d + 2
            return 0.0

    opt.__class__ = Apart
    opt.step(w, w)
    state = opt.state_dict()
    assert_same([state["c['w']"], state["d['w']"]], [np.full(20, 2.0), np.full(20, 3.0)])


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_rule_that_widens_is_brought_back(dtype):
    class Wide(Optimizer):
        defaults = dict(lr=np.float64(0.1).item())
        slots = dict(v=0.0)

        def update(self, xp, t, x, g, s, h):
            s.v = s.v + np.float64(h.lr) * np.ones(x.shape)
            return s.v * g

    opt, x = Wide(), np.ones(3, dtype)
    for _ in range(3):
        x = opt.step(x, x)
        assert x.dtype == dtype
        assert opt.state_dict()["v"].dtype == np.float32


def test_infinity_over_infinity_is_not_a_missing_gradient():
    """With eps = 0 a coordinate without a gradient stays; one that has diverged must show it."""
    for name in ("Adam", "RMSProp", "AdaGrad", "Nadam", "AMSGrad"):
        opt = RULES[name](eps=0.0, check_finite=False)
        with np.errstate(invalid="ignore"):
            x = opt.step(np.ones(3), np.array([math.inf, 0.0, 1.0]))
        assert np.isnan(x).tolist() == [True, False, False]
        assert x[1] == 1


@every_case
@pytest.mark.parametrize(("dtype", "tiny"), [(np.float64, 1e-200), (np.float32, 1e-30)])
def test_without_eps_a_square_that_underflows_counts_as_no_gradient(name, options, dtype, tiny):
    if "eps" not in RULES[name].defaults or name == "AdaMax":
        return
    opt = RULES[name](**options | dict(eps=0.0))
    if options.get("eps_x") is not None:
        assert opt.eps_x > 0
    x, g = np.ones(5, dtype), np.array([tiny, -tiny, 0.0, 2.0, tiny], dtype)
    right = RULES[name](**options | dict(eps=0.0))
    y, h = x, np.array([0.0, 0.0, 0.0, 2.0, 0.0], dtype)
    for t in range(6):
        if t == 3:  # a coordinate that had gradients once
            g[4] = h[4] = 1.0
        if t == 4:
            g[4], h[4] = tiny, 0.0
        x, y = opt.step(x, g), right.step(y, h)
        np.testing.assert_allclose(x, y, rtol=1e-6)
        assert_same(x[:3], y[:3])
    assert all(np.isfinite(opt.state_dict()[slot]).all() for slot in opt.active_slots())


def test_without_eps_adamax_squares_nothing():
    x = RULES["AdaMax"](lr=0.5, eps=0.0).step(np.ones(2), np.array([1e-200, -1e-300]))
    np.testing.assert_allclose(x, [0.5, 1.5])


def test_a_rule_may_answer_with_a_number():
    class Fixed(Optimizer):
        defaults = dict(lr=0.5)

        def update(self, xp, t, x, g, s, h):
            return h.lr

    for x in (np.zeros(3), np.zeros((2, 2), np.float32), 0.0, {"a": np.zeros(3)}):
        opt = Fixed()
        y = opt.step(opt.step(x, x), x)
        assert anatomy(opt.step(y, x)) != anatomy(y)
        out = np.array(x["a"] if isinstance(x, dict) else x)
        Fixed().step(out, np.zeros_like(out), out=out)
        assert (out == -0.5).all()


def test_a_reader_may_feed_anything_and_schedules_are_read_at_t():
    opt = Adam(lr=lambda t: 0.5 / t, eps=0.0, beta1=0.5, beta2=0.75)
    update, memory = opt.evaluate(arithmetic, 2, 0.0, -4.0, {"m": 2.0, "v": 4.0}, {})
    assert (update, memory) == (pytest.approx(-1 / 12), {"m": -1.0, "v": 7.0})
    update, _ = opt.evaluate(arithmetic, 2, 0.0, -4.0, {"m": 2.0, "v": 4.0}, {"lr": 1.0})
    assert update == pytest.approx(-1 / 3)
    assert opt.t == 0
