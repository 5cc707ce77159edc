"""Wrong input gets an error that names leaf, shape, value and what to do, and changes nothing.

`refuses` compares t, the memory, the hyperparameters, x, g and out before and after, bit for bit.
"""

import ast
import copy
import functools
import operator
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.optimize

from optimlib import (
    RULES,
    SGD,
    AdaGrad,
    Adam,
    FullAdaGrad,
    Nadam,
    Optimizer,
    RMSProp,
    Rprop,
    minimize,
)
from optimlib.objectives import Objective, ravine
from optimlib.schedules import Cosine
from tests.optimlib.common import Layer, anatomy, assert_same, every_rule, refuses, tree, untouched

LEAVES = ["['layers'][0][0]", "['layers'][0][1]", "['layers'][1][0]", "['scale']", "[3]['deep']"]


def keys_of(path):
    return [ast.literal_eval(key) for key in path[1:-1].split("][")]


def at(x, path, value):
    """Return a copy of a tree with another leaf at a path."""
    x = copy.deepcopy(x)
    keys = keys_of(path)
    *before, last = keys
    holder = functools.reduce(operator.getitem, before, x)
    if isinstance(holder, tuple):
        changed = [value if i == last else leaf for i, leaf in enumerate(holder)]
        changed = type(holder)(*changed) if isinstance(holder, Layer) else tuple(changed)
        return at(x, "".join(f"[{key!r}]" for key in before), changed)
    holder[last] = value
    return x


def leaf_at(x, path):
    return functools.reduce(operator.getitem, keys_of(path), x)


def stepped(name, **options):
    """Return an optimizer that is two steps on its way, and where it is."""
    opt = RULES[name](**options)
    x = opt.step(tree(1.0), tree(-2.0))
    return opt, opt.step(x, tree(0.5))


# ------------------------------------------------------------------------------ leaves


@every_rule
@pytest.mark.parametrize("path", LEAVES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named(name, path, bad):
    opt, x = stepped(name)
    g = tree(2.0)
    for give, said in (
        (lambda leaf: dict(x=at(x, path, leaf), g=g), "x"),
        (lambda leaf: dict(x=x, g=at(g, path, leaf)), "g"),
    ):
        leaf = np.array(leaf_at(g, path))
        index = (-1,) * leaf.ndim
        leaf[index] = bad
        last = f"[{', '.join(str(n - 1) for n in leaf.shape)}]" if leaf.ndim else ""
        message = f"{name}: {said}{path}{last} is {bad}; expected a finite number. Lower lr"
        refuses(opt, ValueError, message, "check_finite=False", **give(leaf))
        refuses(opt, ValueError, message, out=tree(7.0) | {"scale": np.zeros(())}, **give(leaf))
        with untouched(opt):
            other = copy.deepcopy(opt)
            with np.errstate(invalid="ignore"):
                other.step(check_finite=False, **give(leaf))
            assert other.t == 3


@every_rule
def test_what_is_not_finite_in_one_array_is_named(name):
    opt = RULES[name]()
    x = opt.step(np.ones((2, 3)), np.ones((2, 3)))
    for bad in (np.nan, np.inf):
        broken = np.ones((2, 3))
        broken[1, 0] = bad
        for out in (None, x):
            refuses(opt, ValueError, f"g[1, 0] is {bad}", x=x, g=broken, out=out)
        refuses(opt, ValueError, f"x[1, 0] is {bad}", x=broken, g=x)
        refuses(opt, ValueError, f"x[1, 0] is {bad}", x=broken, g=broken, out=broken)
    scalar = RULES[name]()
    refuses(scalar, ValueError, f"{name}: g is nan; expected", x=1.0, g=float("nan"))


def test_large_and_finite_is_finite():
    huge = np.full(3, 1e300)
    assert SGD(lr=1.0).step(huge, huge).tolist() == [0, 0, 0]
    huge = np.full(3, np.longdouble("1e4000"))
    assert SGD(lr=1.0).step(huge, huge).tolist() == [0, 0, 0]
    long = np.longdouble("1e4000")
    g = np.array([1.0, 2.0], np.longdouble) * long
    refuses(SGD(), ValueError, "g[0] is 1e+4000 (too large for float64)", x=np.zeros(2), g=g)


def test_a_gradient_too_large_for_the_dtype_of_x_is_named():
    x, g = np.zeros(2, np.float32), np.array([0.0, 1e39])
    refuses(Adam(), ValueError, "g[1] is 1e+39 (too large for float32)", x=x, g=g)
    x = np.zeros(2, np.float16)
    assert Adam().step(x, np.array([0.0, 1e6])).dtype == np.float16


def test_check_finite_can_be_set_for_good_or_for_a_step():
    g, x = np.array([np.nan]), np.ones(1)
    assert np.isnan(SGD(check_finite=False).step(x, g)).all()
    assert np.isnan(SGD().step(x, g, check_finite=False)).all()
    refuses(SGD(check_finite=False), ValueError, "g[0] is nan", x=x, g=g, check_finite=True)
    assert SGD(check_finite=np.bool_(False)).fresh().check_finite is False
    opt = SGD()
    opt.check_finite = False
    assert (opt.check_finite, opt.fresh().check_finite) == (False, False)
    assert repr(opt) == "SGD(lr=0.001, weight_decay=0.0, check_finite=False)"
    assert np.isnan(opt.step(x, g)).all()
    opt.set(lr=0.5, check_finite=True)
    assert repr(opt) == "SGD(lr=0.5, weight_decay=0.0)"
    refuses(opt, ValueError, "g[0] is nan", x=x, g=g)
    for bad in (1, "no", 0.0, [True], None):
        for give in (SGD, opt.set, lambda check_finite: setattr(opt, "check_finite", check_finite)):
            with pytest.raises(TypeError, match=r"SGD: check_finite=.* expected True or False"):
                give(check_finite=bad)
            assert opt.check_finite is True
        if bad is not None:
            refuses(SGD(), TypeError, "expected True or False", x=x, g=x, check_finite=bad)


WRONG_KINDS = [
    (np.array([1 + 2j, 3]), "of dtype complex128", "Split complex parameters"),
    (1 + 2j, "(1+2j)", "Split complex parameters"),
    (np.array([True, False]), "of dtype bool", "Convert with .astype(float)"),
    (True, "True", "Convert with .astype(float)"),
    (np.bool_(True), "np.True_", "Convert with .astype(float)"),
    (np.array(["1.0", "2.0"]), "of dtype <U3", "expected real numbers"),
    ("1.0", "'1.0'", "expected real numbers"),
    (b"1.0", "b'1.0'", "expected real numbers"),
    (np.array([1.0, None]), "of dtype object", "expected real numbers"),
    (None, "None", "expected real numbers"),
    ({1.0, 2.0}, "{1.0, 2.0}", "expected real numbers"),
    (np.array(["2026-01-01"], "M8[D]"), "of dtype datetime64[D]", "expected real numbers"),
    (np.zeros(2, "m8[s]"), "of dtype timedelta64[s]", "expected real numbers"),
    (np.zeros(2, [("a", float)]), "of dtype [('a', '<f8')]", "expected real numbers"),
    (np.ma.masked_array([1.0, 2.0], [False, True]), "a masked array", "Pass filled values"),
    (np.ma.masked, "a masked array", "Pass filled values"),
]


@pytest.mark.parametrize(("bad", "given", "advice"), WRONG_KINDS, ids=[k[1] for k in WRONG_KINDS])
def test_a_leaf_that_is_not_real_numbers_is_refused(bad, given, advice):
    for name in RULES:
        opt, x = stepped(name)
        g = tree(2.0)
        for path in LEAVES:
            refuses(opt, TypeError, f"{name}: x{path} is {given}", advice, x=at(x, path, bad), g=g)
            refuses(opt, TypeError, f"{name}: g{path} is {given}", advice, x=x, g=at(g, path, bad))
        refuses(RULES[name](), TypeError, f"{name}: x is {given}", advice, x=bad, g=bad)
        refuses(RULES[name](), TypeError, f"{name}: g is {given}", advice, x=np.ones(2), g=bad)


def test_a_long_object_is_not_printed_whole():
    with pytest.raises(TypeError) as caught:
        SGD().step("x" * 10_000, 1.0)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("x", "said"),
    [
        ({}, "an empty dict"),
        ([], "an empty list"),
        ((), "an empty tuple"),
        ({"a": [], "b": {}}, "an empty dict"),
    ],
)
def test_nothing_to_step_is_an_error(x, said):
    refuses(Adam(), ValueError, f"x is {said}; nothing to step", x=x, g=x)
    for start in (lambda: SGD().run(abs, x, 0), lambda: SGD().iterate(abs, x)):
        with pytest.raises(ValueError, match=f"SGD: x is {said}; nothing to step"):
            start()


def test_an_empty_array_is_a_parameter_without_coordinates():
    for name in RULES:
        for shape in ((0,), (3, 0)):
            opt, x = RULES[name](), np.zeros(shape)
            assert_same(opt.step(x, x), x)
            assert opt.step(x, x, out=x) is x
            assert opt.t == 2


@every_rule
@pytest.mark.parametrize("path", LEAVES)
def test_a_gradient_of_another_shape_is_refused(name, path):
    opt, x = stepped(name)
    g = tree(2.0)
    leaf = np.array(leaf_at(g, path))
    for other in (leaf[..., None], leaf[None], np.ones(7), np.float64(1), np.ones((0,))):
        if other.shape != leaf.shape:
            refuses(
                opt,
                ValueError,
                f"{name}: x{path} has shape {leaf.shape}, its gradient g{path} has {other.shape}",
                "nothing is broadcast",
                x=x,
                g=at(g, path, other),
            )


@pytest.mark.parametrize(
    ("g", "said"),
    [
        ({"b": 1.0}, "g is a dict with leaves ['b']; they must have the same structure (g lacks"),
        ({}, "g is an empty dict"),
        ({"a": 1.0}, "g lacks \"['b']\""),
        ({"a": 1.0, "b": 1.0, "c": 1.0}, "g has \"['c']\" that x lacks"),
        ([1.0, 1.0], "g is a list with leaves [0], [1]"),
        (1.0, "g is a scalar"),
        (np.ones(2), "g is an array of shape (2,)"),
        ({"a": [1.0], "b": 1.0}, "g has \"['a'][0]\" that x lacks"),
        (None, "g is a scalar"),
        (dict.fromkeys(range(9), 1.0), "[0], [1], [2], [3], [4], [5], … (9 in all)"),
    ],
)
def test_a_gradient_of_another_structure_is_refused(g, said):
    x = {"a": 0.0, "b": 0.0}
    for name in RULES:
        refuses(RULES[name](), ValueError, "x is a dict with leaves ['a'], ['b']", said, x=x, g=g)


@pytest.mark.parametrize("out", [{"a": np.zeros(2)}, [np.zeros(2)] * 2, np.zeros(2), {}])
def test_an_out_of_another_structure_is_refused(out):
    x = {"a": np.zeros(2), "b": np.zeros(2)}
    refuses(Adam(), ValueError, "out is a", "same structure", x=x, g=x, out=out)


def test_two_keys_that_print_alike_are_refused():
    class Key:
        def __repr__(self):
            return "Key"

    x = {Key(): 1.0, Key(): 2.0}
    with pytest.raises(ValueError, match=r"Two keys of one dict print as \[Key\]"):
        SGD().step(x, x)


# ------------------------------------------------------------------------------ out


def read_only(array):
    array.flags.writeable = False
    return array


BAD_OUT = [
    (np.zeros(4), ValueError, "has shape (4,); expected x's shape (2, 3)"),
    (np.zeros((3, 2)), ValueError, "has shape (3, 2)"),
    (np.zeros((2, 3), np.float32), TypeError, "has dtype float32; the result is float64"),
    (np.zeros((2, 3), int), TypeError, "has dtype int64; the result is float64"),
    (np.zeros((2, 3), complex), TypeError, "has dtype complex128"),
    (read_only(np.zeros((2, 3))), ValueError, "is read-only"),
    (np.broadcast_to(np.zeros(3), (2, 3)), ValueError, "is read-only"),
    (
        np.lib.stride_tricks.as_strided(np.zeros(3), (2, 3), (0, 8)),
        ValueError,
        "has several elements in one place, strides (0, 8)",
    ),
    (
        np.lib.stride_tricks.as_strided(np.zeros(5), (2, 3), (8, 8)),
        ValueError,
        "has several elements in one place",
    ),
    (1.0, TypeError, "is a float; expected an array"),
    (None, TypeError, "is a NoneType; expected an array"),
    ("out", TypeError, "is a str; expected an array"),
]


@pytest.mark.parametrize(("bad", "error", "said"), BAD_OUT, ids=[case[2] for case in BAD_OUT])
def test_an_out_that_cannot_take_the_result_is_refused(bad, error, said):
    for name in RULES:
        opt, x, g = RULES[name](), np.ones((2, 3)), np.ones((2, 3))
        opt.step({"a": x, "b": x + 1}, {"a": g, "b": g})
        out = {"a": np.zeros((2, 3)), "b": bad}
        refuses(
            opt,
            error,
            f"{name}: out['b'] {said}",
            x={"a": x, "b": x + 1},
            g={"a": g, "b": g},
            out=out,
        )
        if bad is not None:
            bare = RULES[name]()
            bare.step(x, g)
            refuses(bare, error, f"{name}: out {said}", x=x, g=g, out=bad)


def test_integers_cannot_be_stepped_in_place():
    x = np.array([1, 2])
    refuses(SGD(), TypeError, "out has dtype int64; the result is float64", x=x, g=x, out=x)


@every_rule
def test_a_read_only_array_cannot_be_stepped_in_place(name):
    opt, x = RULES[name](), np.ones(3)
    opt.step(x, x, out=x)
    x.flags.writeable = False
    refuses(opt, ValueError, "out is read-only", x=x, g=np.ones(3), out=x)


@every_rule
def test_an_array_over_itself_cannot_be_stepped_in_place(name):
    opt = RULES[name]()
    opt.step(np.ones((2, 3)), np.ones((2, 3)))
    x = np.lib.stride_tricks.as_strided(np.ones(3), (2, 3), (0, 8))
    refuses(opt, ValueError, "several elements in one place", x=x, g=np.ones((2, 3)), out=x)
    assert_same(opt.step(x, np.ones((2, 3))).shape, (2, 3))  # it may be read


@every_rule
def test_parameters_that_overlap_are_refused(name):
    a = np.zeros(10)
    for x in (
        [a[:6], a[5:]],
        [a[1:], np.zeros(1), a[:2]],
        [a[::2], a[::3]],
        [a, a.reshape(2, 5)],
        [a[::-1], a],
        [a[5:][::-1], a[:6]],
    ):
        g = [np.ones_like(leaf) for leaf in x]
        refuses(RULES[name](), ValueError, "share memory", "Give each parameter once", x=x, g=g)
        y = [np.zeros_like(leaf) for leaf in x]
        refuses(RULES[name](), ValueError, "out[", "share memory", x=y, g=g, out=x)


def test_an_overlap_too_hard_to_solve_counts_as_one(monkeypatch):
    def too_hard(*args, **kwargs):
        raise np.exceptions.TooHardError

    a = np.zeros(6)
    SGD().step([a[::2], a[1::2]], [np.ones(3)] * 2)
    monkeypatch.setattr(np, "shares_memory", too_hard)
    refuses(SGD(), ValueError, "share memory", x=[a[::2], a[1::2]], g=[np.ones(3)] * 2)


def test_the_parameter_given_twice_as_something_like_an_array_is_refused():
    class Like:
        def __init__(self, array):
            self.array = array

        def __array__(self, dtype=None, copy=None):
            return self.array

    w = Like(np.zeros(3))
    with pytest.raises(ValueError, match=r"x\[0\] and x\[1\] share memory"):
        SGD().step([w, w], [np.ones(3)] * 2)


# ------------------------------------------------------------------------------ hyperparameters

NO_NUMBERS = [
    "0.1",
    b"0.1",
    None,
    True,
    np.True_,
    1j,
    np.complex128(1),
    np.array(1j),
    np.array(True),
    np.array("0.1"),
    np.array(None),
    {},
    {0.1},
    object,
    [],
    ["a"],
    [None],
    [0.1, 1j],
    [True, False],
    [[0.1], [0.2, 0.3]],
    np.array([0.1], object),
    np.ma.masked_array([0.1, 0.2], [False, True]),
    np.ma.masked_array(0.1),
]


@pytest.mark.parametrize("bad", NO_NUMBERS, ids=repr)
def test_what_is_no_number_is_refused(bad):
    if bad is object:
        bad = object()
    for name, rule in RULES.items():
        for hyper, default in rule.defaults.items():
            if isinstance(default, bool) or (bad is None and default is None):
                continue
            opt = rule()
            with untouched(opt):
                error = ValueError if isinstance(bad, list) and not bad else TypeError
                for give in (rule, opt.set):
                    with pytest.raises(error, match=f"{name}: {hyper}|{hyper} is an empty array"):
                        give(**{hyper: bad})
                with pytest.raises(error):
                    setattr(opt, hyper, bad)


@pytest.mark.parametrize("bad", [0, 1, 1.0, "yes", None, [True], np.array([True]), lambda t: True])
def test_an_option_is_true_or_false(bad):
    for name, rule in RULES.items():
        for hyper, default in rule.defaults.items():
            if isinstance(default, bool):
                with pytest.raises(TypeError, match=f"{name}: {hyper}=.* expected True or False"):
                    rule(**{hyper: bad})
                assert getattr(rule(**{hyper: np.bool_(not default)}), hyper) is (not default)


ELSEWHERE = [
    ("Adam", "learning_rate", "lr"),
    ("Adam", "learning_rate_init", "lr"),
    ("Adam", "init_lr", "lr"),
    ("Adam", "step_size", "lr"),
    ("SGD", "stepsize", "lr"),
    ("SGD", "eta", "lr"),
    ("Adam", "alpha", "lr"),
    ("SGD", "alpha", "lr"),
    ("SGD", "scheduler", "lr, which may be a schedule"),
    ("SGD", "schedule", "lr, which may be a schedule"),
    ("SGD", "decay", "a schedule, lr=InverseTime(0.1, rate=0.01) of optimlib.schedules"),
    ("AdaGrad", "decay", "lr_decay"),
    ("AdaGrad", "eps_root", "eps with eps_inside=True"),
    ("Adam", "weight_decay", "the rule AdamW, or AdamL2 for an L2 penalty"),
    ("Adam", "decoupled_weight_decay", "the rule AdamW"),
    ("Adam", "l2", "the rule AdamL2"),
    ("Adam", "amsgrad", "the rule AMSGrad"),
    ("AdamW", "amsgrad", "the rule AMSGrad"),
    ("AdamL2", "amsgrad", "the rule AMSGrad"),
    ("Adam", "nesterov", "the rule Nadam"),
    ("Adam", "momentum", "beta1"),
    ("SGD", "momentum", "the rule Momentum"),
    ("SGD", "dampening", "the rule Momentum"),
    ("SGD", "nesterov", "the rule Nesterov"),
    ("Momentum", "nesterov", "the rule Nesterov"),
    ("Momentum", "mass", "momentum"),
    ("Momentum", "mu", "momentum"),
    ("Momentum", "gamma", "momentum"),
    ("SGD", "wd", "weight_decay"),
    ("AdamW", "l2", "weight_decay"),
    ("RMSProp", "gamma", "rho"),
    ("RMSProp", "initial_scale", "initial"),
    ("Adam", "betas", "beta1 and beta2"),
    ("Adam", "b1", "beta1"),
    ("Adam", "b2", "beta2"),
    ("Adam", "beta_1", "beta1"),
    ("Adam", "beta_2", "beta2"),
    ("Adam", "epsilon", "eps"),
    ("Adam", "bta1", "beta1"),
    ("Adam", "Lr", "lr"),
    ("RMSProp", "alpha", "rho"),
    ("RMSProp", "decay", "rho"),
    ("RMSProp", "decay_rate", "rho"),
    ("AdaDelta", "rh", "rho"),
    ("Momentum", "beta", "momentum"),
    ("AdaGrad", "initial_accumulator_value", "initial"),
    ("Rprop", "etas", "eta_minus and eta_plus"),
    ("Rprop", "step_sizes", "step_min and step_max"),
    ("AdamW", "weigth_decay", "weight_decay"),
]


@pytest.mark.parametrize(("name", "given", "meant"), ELSEWHERE)
def test_a_misspelt_or_foreign_name_is_told_the_right_one(name, given, meant):
    rule = RULES[name]
    said = f"{name} has no hyperparameter {given!r}. Did you mean {meant}? It has: "
    said += ", ".join(rule.defaults) + "."
    opt = rule()
    for give, error in (
        (lambda: rule(**{given: 0.1}), TypeError),
        (lambda: opt.set(**{given: 0.1}), TypeError),
        (lambda: setattr(opt, given, 0.1), AttributeError),
    ):
        with untouched(opt), pytest.raises(error) as caught:
            give()
        assert str(caught.value) == said


def test_a_name_like_nothing_gets_no_guess():
    with pytest.raises(TypeError) as caught:
        SGD(nesterov_momentum_power=1)
    assert "Did you mean" not in str(caught.value)
    # beta is the momentum elsewhere, but SGD has none
    with pytest.raises(TypeError, match=r"no hyperparameter 'beta'\. It has: lr, weight_decay"):
        SGD(beta=0.1)
    with pytest.raises(AttributeError, match="Adam has no attribute 'learning_rate'"):
        _ = Adam().learning_rate
    for name in ("t", "step", "update", "defaults"):
        with pytest.raises(AttributeError, match=f"no hyperparameter {name!r}"):
            setattr(Adam(), name, 1)


@every_rule
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((0.1,), "takes hyperparameters by name: got {0}(0.1); write {0}({1}=0.1). It has: {1}, "),
        ((0.1, 0.9), "got {0}(0.1, 0.9); write {0}({1}=0.1)."),
        (("x" * 500,), "...xxxxxxxxxxxxx'); write {0}({1}=0.1)."),
        (
            ([np.ones(2)],),
            "by name: got {0}([array([1., 1.])]). Make an optimizer, opt = {0}({1}=0.1)",
        ),
        ((np.ones(2),), "give the parameters to opt.step(x, g)"),
        (({"w": 1.0}, 0.1), "give the parameters to opt.step(x, g)"),
        ((abs, np.ones(2)), "a gradient function to opt.run(grad, x0, steps)"),
    ],
    ids=["one", "two", "text", "list", "array", "dict", "function"],
)
def test_hyperparameters_have_names(name, given, said):
    first = next(iter(RULES[name].defaults))
    for options in ({}, dict(eps=1e-3), dict(check_finite=False)):
        with pytest.raises(TypeError) as caught:
            RULES[name](*given, **options)
        message = str(caught.value)
        assert message.startswith(f"{name} takes hyperparameters")
        assert said.format(name, first) in message
        assert len(message) < 400


def test_a_class_is_no_method_of_scipy():
    with pytest.raises(TypeError, match="opt itself, not its class, to SciPy as method"):
        scipy.optimize.minimize(square, [1.0], jac=lambda x: 2 * x, method=Adam)


def test_a_class_is_no_schedule():
    with pytest.raises(TypeError, match=r"SGD: lr=<class .*Cosine'> is a type; expected a real"):
        SGD(lr=Cosine)


def test_a_failed_set_changes_nothing():
    opt = Adam(lr=0.1)
    opt.step(np.zeros(2), np.ones(2))
    with untouched(opt):
        for wrong in (
            dict(beta1=1.0),
            dict(beta_1=0.5),
            dict(eps="0"),
            dict(eps_hat=1),
            dict(check_finite=0),
        ):
            with pytest.raises((TypeError, ValueError)):
                opt.set(**{"lr": 0.5, "beta2": 0.5, "check_finite": False, **wrong})
    assert (opt.lr, opt.beta2, opt.check_finite) == (0.1, 0.999, True)


def test_what_only_sets_a_start_cannot_be_set_later():
    for rule, hyper in ((Rprop, "lr"), (AdaGrad, "initial"), (RMSProp, "initial")):
        opt = rule()
        opt.set(**{hyper: 0.25})  # nothing has started
        opt.step(1.0, 1.0)
        with (
            untouched(opt),
            pytest.raises(
                ValueError,
                match=f"{hyper} sets where the memory starts, and 1 steps are done; call reset",
            ),
        ):
            opt.set(**{hyper: 0.5})
        opt.reset()
        opt.set(**{hyper: 0.5})


def test_bounds_the_wrong_way_round_are_refused():
    said = r"Rprop: step_min=.* is above step_max=.*; swap them"
    for low, high in ((1, 0.1), ([0.1, 1.0], 0.5), (0.5, [1.0, 0.1]), ([[0.1], [1.0]], [0.5, 0.5])):
        with pytest.raises(ValueError, match=said):
            Rprop(step_min=low, step_max=high)
    opt = Rprop(step_min=0.1, step_max=1.0)
    with untouched(opt), pytest.raises(ValueError, match=said):
        opt.set(step_max=0.01)
    Rprop(step_min=[[0.1], [0.2]], step_max=[0.15, 0.25])  # they align at the leading axis
    opt = Rprop(step_max=lambda t: 1.0 if t < 2 else 0.01, step_min=0.1)
    opt.step(1.0, 1.0)
    with untouched(opt), pytest.raises(ValueError, match=said):
        opt.step(1.0, 1.0)


@every_rule
def test_sweeps_that_do_not_fit_are_refused(name):
    rule = RULES[name]
    first, second, *_ = [k for k, v in rule.defaults.items() if isinstance(v, float)]
    values = [rule.defaults[first]] * 3
    with pytest.raises(ValueError, match=rf"{name}: these arrays do not align .* {first} \(3,\)"):
        rule(**{first: values, second: [rule.defaults[second]] * 2})
    for shape in ((), (2,), (4, 3), (0, 3)):
        x = np.ones(shape)
        refuses(
            rule(**{first: values}),
            ValueError,
            f"{first} is an array of shape (3,)",
            f"whose shape is {shape}",
            "np.tile(x0, (runs, 1))",
            x=x,
            g=x,
        )
    x = {"a": np.ones((3, 2)), "b": np.ones(2)}
    refuses(rule(**{first: values}), ValueError, "x['b'], whose shape is (2,)", x=x, g=x)
    if first not in rule.slots.values():
        opt = rule(**{first: lambda t: values if t == 3 else values[0]})
        x = opt.step(opt.step(np.ones(2), np.ones(2)), np.ones(2))
        refuses(opt, ValueError, f"{first} is an array of shape (3,)", x=x, g=np.ones(2))


def test_a_sweep_set_later_must_fit_what_is_remembered():
    opt = FullAdaGrad()
    x = opt.step(np.ones((2, 3)), np.ones((2, 3)))
    opt.set(lr=[0.1, 0.2])
    refuses(
        opt, ValueError, "memory 'G' of shape (2, 3, 3), but the 1 steps so far made one of (6, 6)",
        "reset()", x=x, g=x,
    )  # fmt: skip
    opt.reset()
    opt.step(x, x)
    adam = Adam()
    x = adam.step(np.ones((2, 3)), np.ones((2, 3)))
    adam.set(lr=[0.1, 0.2])
    assert adam.step(x, x).shape == (2, 3)


def test_a_matrix_too_large_is_refused():
    x = np.zeros(10_001)
    refuses(FullAdaGrad(), ValueError, "n=10001 would need 0.8 GB", "Use AdaGrad", x=x, g=x)
    x = np.zeros(3, np.longdouble)
    refuses_linalg = FullAdaGrad()
    with untouched(refuses_linalg, x), pytest.raises(TypeError, match=r"float128|longdouble"):
        refuses_linalg.step(x, x)


# ------------------------------------------------------------------------------ saved states


def saved(name="Nadam", x=None, **options):
    opt = RULES[name](**options)
    x = {"w": np.ones((2, 3)), "b": [np.ones(2)]} if x is None else x
    opt.step(x, x)
    return opt.state_dict()


BAD_STATES = [
    ({"rule": None}, "the state has no 'rule'"),
    ({"t": None}, "the state has no 't'"),
    ({"rule": np.array("Adam")}, "the state is of Adam; expected one of Nadam"),
    ({"t": np.array(-1)}, "the state's t is"),
    ({"t": np.array(1.0)}, "the state's t is"),
    ({"t": np.array([1])}, "the state's t is"),
    ({"t": np.array(True)}, "the state's t is"),
    ({"t": np.array(0)}, "the state has t=0 and 2 leaves; it is incomplete"),
    ({"m['w']": None}, "the state has no \"m['w']\"; it is incomplete"),
    ({"mu_product['b'][0]": None}, "the state has no \"mu_product['b'][0]\""),
    ({"x['w']": None}, "the state has no shape \"x['w']\""),
    ({"b['w']": np.zeros((2, 3))}, "the state has an entry \"b['w']\"; it knows ['m', 'v'"),
    ({1: np.zeros(2)}, "the state has an entry 1"),
    ({"m['c']": np.zeros(2)}, "the state has no shape \"x['c']\""),
    ({"m['w']": np.zeros((3, 2))}, "has shape (3, 2); x['w'] asks for (2, 3)"),
    ({"m['w']": np.zeros((2, 3), int)}, "has dtype int64; expected float32 or float64"),
    ({"m['w']": np.zeros((2, 3), np.float16)}, "has dtype float16"),
    ({"m['w']": np.zeros((2, 3), complex)}, "has dtype complex128"),
    ({"m['w']": np.array(["a"])}, "has dtype <U1"),
    ({"m['w']": np.zeros((2, 3), np.float32)}, "x['w'] has dtypes ['float32', 'float64']"),
    ({"mu_product['w']": np.ones(7)}, "has shape (7,); x['w'] asks for ()"),
    ({"mu_product['w']": np.ones((2, 2))}, "has shape (2, 2)"),
    ({"mu_product['w']": np.float32(1)}, "has dtype float32; expected float64"),
    ({"x['w']": np.array(2)}, "\"x['w']\" is array(2); expected a shape"),
    ({"x['w']": np.array([2.0, 3.0])}, "expected a shape"),
    ({"x['w']": np.array([2, -3])}, "expected a shape"),
    ({"x['w']": np.array([3, 2])}, "x['w'] asks for (3, 2)"),
]


@pytest.mark.parametrize(("change", "said"), BAD_STATES, ids=[said for _, said in BAD_STATES])
def test_a_state_that_does_not_fit_is_refused(change, said):
    state = {key: value for key, value in (saved() | change).items() if value is not None}
    used = Nadam()
    used.step(np.ones(4), np.ones(4))
    for opt in (Nadam(), used):
        with untouched(opt, state), pytest.raises(ValueError, match=r"^Nadam: ") as caught:
            opt.load_state_dict(state)
        assert unquoted(said) in unquoted(str(caught.value))


def unquoted(text):
    return text.replace("'", "").replace('"', "")


@every_rule
def test_a_sum_of_squares_below_zero_is_refused(name):
    squares = {
        **dict.fromkeys(("Rprop",), ("step",)),
        **dict.fromkeys(("AdaGrad", "FullAdaGrad"), ("G",)),
        **dict.fromkeys(("RMSProp", "Adam", "AdamW", "AdamL2"), ("v",)),
        **dict.fromkeys(("AdaDelta", "AdaDeltaMomentum"), ("v", "D")),
        **dict(AdaMax=("u",), AMSGrad=("v", "v_max"), Nadam=("v", "mu_product")),
    }.get(name, ())
    state, used = saved(name), RULES[name]()
    used.step(np.ones(4), np.ones(4))
    for slot in used.active_slots() | used.scalars:
        for path in ("['w']", "['b'][0]"):
            wrong = state[slot + path].copy()
            wrong[(-1,) * wrong.ndim] = -0.25
            for opt in (RULES[name](), used):
                if slot not in squares:
                    copy.deepcopy(opt).load_state_dict(state | {slot + path: wrong})
                    continue
                said = f"^{name}: .*{slot}.* holds -0.25; it is never negative"
                with untouched(opt), pytest.raises(ValueError, match=said):
                    opt.load_state_dict(state | {slot + path: wrong})
    assert set(squares) <= {*used.slots, *used.scalars}


def test_a_matrix_may_be_negative_beside_its_diagonal():
    opt, x = FullAdaGrad(), np.array([1.0, -1.0])
    opt.step(x, x)
    assert (opt.state_dict()["G"] < 0).any()
    FullAdaGrad().load_state_dict(opt.state_dict())


@pytest.mark.parametrize("state", [None, [1], "state.npz", 3, [("rule", "Adam")]])
def test_a_state_that_is_no_mapping_is_refused(state):
    with pytest.raises(TypeError, match="expected what state_dict"):
        Adam().load_state_dict(state)


def test_a_state_of_other_hyperparameters_may_lack_a_slot():
    plain, heavy = saved("RMSProp"), saved("RMSProp", momentum=0.5)
    opt = RMSProp(momentum=0.5)
    with untouched(opt), pytest.raises(ValueError, match=r"no \"b\['w'\]\"; it is incomplete"):
        opt.load_state_dict(plain)
    opt.load_state_dict(heavy)
    RMSProp().load_state_dict(heavy)  # a velocity is kept, and used, as after set(momentum=0)


@pytest.mark.parametrize("lr", [0.1, [0.1, 0.2]])
def test_the_matrix_of_another_sweep_is_refused(lr):
    x = np.ones((2, 3))
    state = saved("FullAdaGrad", x, lr=lr)
    other = FullAdaGrad(lr=[0.1, 0.2] if lr == 0.1 else 0.1)
    with untouched(other), pytest.raises(ValueError, match=r"'G' has shape .*; x asks for"):
        other.load_state_dict(state)
    scheduled = FullAdaGrad(lr=lambda t: lr)
    scheduled.load_state_dict(state)
    same = FullAdaGrad(lr=lr)
    same.load_state_dict(state)
    assert_same(scheduled.step(x, x), same.step(x, x))
    with pytest.raises(ValueError, match="'G' has shape"):
        scheduled.load_state_dict(state | {"G": np.ones(3)})


# ------------------------------------------------------------------------------ runs


@pytest.mark.parametrize("bad", [-1, 1.0, 2.5, "3", None, True, np.array([1, 2]), np.float64(3)])
def test_steps_and_every_are_whole_numbers(bad):
    opt = Adam()
    with untouched(opt):
        with pytest.raises(ValueError, match=r"Adam: steps=.* expected a whole number >= 0"):
            opt.run(abs, 1.0, bad)
        with pytest.raises(ValueError, match=r"Adam: every=.* expected a whole number >= 1"):
            opt.run(abs, 1.0, 3, every=bad)
        with pytest.raises(ValueError, match="every=0; expected a whole number >= 1"):
            opt.run(abs, 1.0, 3, every=0)


@pytest.mark.parametrize("bad", [None, 1.0, np.ones(2), "grad"])
def test_a_gradient_that_is_no_function_is_refused(bad):
    opt = Adam()
    with untouched(opt):
        for start in (lambda: opt.run(bad, 1.0, 3), lambda: opt.iterate(bad, 1.0)):
            with pytest.raises(TypeError, match=r"grad is a .* use step\(x, g\)"):
                start()
    if bad is not None:
        with untouched(opt), pytest.raises(TypeError, match=r"callback is a .* function"):
            opt.run(abs, 1.0, 3, callback=bad)


@pytest.mark.parametrize("bad", [1j, "abc", None, np.array([True]), np.ma.masked_array([1.0])])
def test_a_start_that_is_not_real_numbers_is_refused(bad):
    opt = Adam()
    for steps in (0, 3):
        with untouched(opt), pytest.raises(TypeError, match=r"Adam: x\['w'\] is"):
            opt.run(lambda x: x, {"w": bad}, steps)
    with untouched(opt), pytest.raises(TypeError, match="Adam: x is"):
        opt.iterate(lambda x: x, bad)


def test_a_run_says_at_which_step_it_failed():
    for bad, error, said in (
        (np.nan, ValueError, r"g is nan; .* \(at step 3 of 5 of this run\)"),
        (None, TypeError, r"g is None; .* \(at step 3 of 5 of this run\)"),
        (np.ones(2), ValueError, r"shape .* \(at step 3 of 5 of this run\)"),
    ):
        opt = Adam()
        calls = iter([1.0, 1.0, bad])
        with pytest.raises(error, match=said):
            opt.run(lambda x, calls=calls: next(calls), 1.0, 5)
        assert opt.t == 2  # what was done is done, and the optimizer is whole
        opt.step(1.0, 1.0)


def test_an_error_of_the_callers_own_passes_through():
    class OwnError(ValueError):
        pass

    def fails(*args):
        raise OwnError("mine")

    for start in (
        lambda opt: opt.run(fails, 1.0, 3),
        lambda opt: opt.run(abs, 1.0, 3, callback=fails),
        lambda opt: next(opt.iterate(fails, 1.0)),
        lambda opt: type(opt)(lr=fails).step(1.0, 1.0),
    ):
        with pytest.raises(OwnError, match=r"^mine$"):
            start(SGD())


@pytest.mark.parametrize(
    ("objective", "optimizer", "said"),
    [
        (ravine, Adam, "the optimizer is the class Adam; an instance was expected: call it, Adam("),
        (ravine, "Adam", "the optimizer is 'Adam'; expected an optimizer, e.g. Adam(lr=0.1)"),
        (ravine, None, "the optimizer is None; expected an optimizer"),
        (ravine, ravine, "the optimizer is Objective(ravine); expected an optimizer"),
        (SGD(), ravine, "the objective comes first, the optimizer second: minimize(objective, o"),
        (SGD(), SGD(), "got an optimizer first, SGD(lr=0.001, weight_decay=0.0)"),
        (ravine.gradient, SGD(), "With a gradient alone, use run(grad, x0, steps)"),
        (Objective, SGD(), "the objective is the class Objective; expected an object"),
        (SimpleNamespace(value=abs, start=[1.0]), SGD(), "with functions value and gradient"),
        (SimpleNamespace(gradient=abs, start=[1.0]), SGD(), "with functions value and gradient"),
        (SimpleNamespace(gradient=abs, value=abs), SGD(), "has no start; pass start="),
    ],
)
def test_what_minimize_cannot_use_is_named(objective, optimizer, said):
    with pytest.raises(TypeError) as caught:
        minimize(objective, optimizer)
    assert str(caught.value).startswith("minimize: ")
    assert said in str(caught.value)


def test_an_objective_without_a_start_may_be_given_one():
    plain = SimpleNamespace(gradient=lambda x: 2 * x, value=lambda x: (x**2).sum(axis=-1))
    assert minimize(plain, SGD(lr=0.25), steps=1, start=[8.0]).x == 4


# ------------------------------------------------------------------------------ SciPy


def square(x):
    return float(x @ x)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (dict(), ValueError, "SGD needs the gradient: pass jac="),
        (dict(jac="2-point"), ValueError, "SGD needs the gradient"),
        (dict(jac=False), ValueError, "SGD needs the gradient"),
        (dict(bounds=[(0, 1), (0, 1)]), ValueError, "SGD minimises without bounds"),
        (dict(bounds=np.zeros((2, 2))), ValueError, "without bounds"),
        (dict(bounds=scipy.optimize.Bounds(0, 1)), ValueError, "without bounds"),
        (dict(constraints={"type": "eq", "fun": square}), ValueError, "without constraints"),
        (
            dict(options=dict(ftol=1)),
            TypeError,
            "unknown options ['ftol']; it has maxiter, gtol, disp and return_all",
        ),
        (dict(options=dict(maxiter=1.5)), ValueError, "maxiter=1.5; expected a whole number"),
        (dict(options=dict(gtol=-1)), ValueError, "gtol=-1; expected a number >= 0"),
        (dict(options=dict(gtol="a")), ValueError, "gtol='a'; expected a number"),
        (dict(options=dict(gtol=True)), ValueError, "gtol=True; expected a number"),
        (dict(options=dict(gtol=np.nan)), ValueError, "gtol=nan; expected a number"),
        (dict(tol=-1), ValueError, "gtol=-1; expected a number"),
        (dict(jac=lambda x: None), TypeError, "jac(x) is None; expected real numbers"),
        (dict(jac=lambda x: x * 1j), TypeError, "jac(x) is of dtype complex128"),
        (dict(jac=lambda x: x[:1]), ValueError, "has shape (2,), its gradient g has (1,)"),
        (dict(fun=lambda x: x), ValueError, "fun(x) has shape (2,); expected one number"),
        (dict(fun=lambda x: None), TypeError, "fun(x) is None; expected real numbers"),
        (dict(x0=[1.0, np.nan]), ValueError, "x0 is [ 1. nan]; expected finite numbers"),
    ],
)
def test_what_scipy_passes_on_is_checked(arguments, error, said):
    opt = SGD(lr=0.1)
    if "jac" not in arguments and said != "SGD needs the gradient: pass jac=":
        arguments = {**arguments, "jac": lambda x: 2 * x}
    arguments = dict(fun=square, x0=[1.0, 2.0]) | arguments
    with untouched(opt), pytest.raises(error) as caught:
        scipy.optimize.minimize(method=opt, **arguments)
    assert said in str(caught.value)


# ------------------------------------------------------------------------------ rules of one's own


def rule(update, **members):
    members = dict(defaults=dict(lr=0.1), slots=dict(a=1.0, b=2.0)) | members
    return type("Mine", (Optimizer,), {**members, "update": update})


def test_a_rule_without_an_update_is_refused():
    class Empty(Optimizer):
        pass

    for cls in (Optimizer, Empty):
        refuses(cls(), NotImplementedError, "defines no update", x=np.ones(2), g=np.ones(2))


@pytest.mark.parametrize("size", [3, 100_000])
@pytest.mark.parametrize(
    ("update", "error", "said"),
    [
        (
            lambda s: setattr(s, "c", 1.0),
            AttributeError,
            "sets s.c, which its slots do not declare",
        ),
        (lambda s: setattr(s, "a", np.ones(2)), ValueError, "makes s.a of shape (2,); expected"),
        (lambda s: setattr(s, "a", None), TypeError, "makes s.a a NoneType"),
        (lambda s: np.ones((3, 1)), ValueError, "makes its update of shape (3, 1); expected"),
        (lambda s: "up", TypeError, "makes its update a str; expected real numbers"),
    ],
)
def test_a_rule_that_breaks_its_word_is_refused(update, error, said, size):
    x = np.ones(size)

    def broken(self, xp, t, x, g, s, h):
        result = update(s)
        return g if result is None else result

    opt = rule(broken)()
    for out in (None, x):
        refuses(opt, error, f"Mine.update {said}", x=x, g=x + 1, out=out)


def test_an_update_that_returns_nothing_is_refused():
    opt = rule(lambda self, xp, t, x, g, s, h: None)()
    refuses(opt, TypeError, "makes its update a NoneType", x=np.ones(3), g=np.ones(3))
    refuses(opt, TypeError, "makes its update a NoneType", x=1.0, g=1.0)


def test_anatomy_sees_what_it_must():
    x = {"a": [np.zeros(2), 1.0]}
    for other in (
        {"a": (np.zeros(2), 1.0)},
        {"a": [np.zeros(2), np.float64(1.0)]},
        {"a": [np.zeros(2, np.float32), 1.0]},
        {"a": [np.array([0.0, -0.0]), 1.0]},
        {"a": [np.zeros((2, 1)), 1.0]},
        {"b": [np.zeros(2), 1.0]},
    ):
        assert anatomy(x) != anatomy(other)
    assert anatomy(x) == anatomy(copy.deepcopy(x))
