"""Faults reported to other optimizer libraries, replayed here and widened to their whole kind.

A test that takes `report` replays the very input of the thread that its docstring cites. The tests
after it ask the same of all rules, containers and dtypes that the fault can reach. The right values
were computed with 50 digits.
"""

import itertools
import math

import numpy as np
import pytest

from optimlib import (
    RULES,
    SGD,
    AdaDelta,
    AdaGrad,
    Adam,
    AdamL2,
    AdamW,
    AMSGrad,
    Momentum,
    Nadam,
    RMSProp,
    Rprop,
)
from tests.conftest import tally
from tests.optimlib.common import (
    CASES,
    OPTIONS,
    anatomy,
    assert_same,
    every_case,
    every_rule,
    refuses,
    stream,
    tree,
    untouched,
    walk,
)

FLOATS = [np.float16, np.float32, np.float64, np.longdouble]
# 1 - 0.999**t is a difference of close numbers: the last two digits are the rounding's.
EXACT = dict(rtol=1e-13, atol=0)


@pytest.fixture
def report(pytestconfig):
    tally(pytestconfig, "reports", known=1, replayed=1)


def without_decay(name, **options):
    """Return the settings of a rule with nothing that moves x when g is zero."""
    return {**options, "weight_decay": 0.0} if "weight_decay" in RULES[name].defaults else options


def dtypes(name):
    """Return the dtypes that a rule can be computed in: NumPy has no eigenvalues in longdouble."""
    return FLOATS[:3] if name == "FullAdaGrad" else FLOATS


# ------------------------------------------------------------------------------ float16


def test_eps_does_not_round_to_zero_in_float16(report):
    """google-deepmind/optax#1754, #1755, #1769: 0/0 = NaN for ever."""
    x, g = np.array([1, -2, 0.5], np.float16), np.zeros(3, np.float16)
    for rule in (Adam, AMSGrad, RMSProp, AdaGrad, AdaDelta, Nadam, RULES["AdaMax"]):
        assert_same(walk(rule(), x, [g] * 3)[-1], x)


@pytest.mark.parametrize(
    ("name", "options", "dtype"),
    [(name, options, dtype) for name, options in CASES for dtype in dtypes(name)],
)
def test_a_zero_gradient_moves_nothing(name, options, dtype):
    opt = RULES[name](**without_decay(name, **options))
    x = np.array([[1, -2, 0.5]], dtype)
    assert_same(walk(opt, x, [np.zeros_like(x)] * 3)[-1], x)
    opt.reset()
    x = {"a": x, "b": [dtype(-3)]}
    g = {"a": np.zeros_like(x["a"]), "b": [dtype(0)]}
    assert_same(walk(opt, x, [g] * 3)[-1], x)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, d) for name in RULES if "eps" in RULES[name].defaults for d in dtypes(name)],
)
def test_eps_of_zero_divides_nothing_by_zero(name, dtype):
    for eps in (0.0, 1e-46):  # the second is 0 in float32
        x = np.array([1, -2, 0.5], dtype)
        opt = RULES[name](**without_decay(name, eps=eps))
        for _ in range(3):
            x = opt.step(x, np.array([1, 0, 0], dtype))
        assert x[1:].tolist() == [-2, 0.5]
        assert np.isfinite(x).all()


def test_a_small_gradient_does_not_underflow_in_float16(report):
    """FluxML/Optimisers.jl#167: sqrt(v) underflows, the step is infinite."""
    x = np.array([0.579, -0.729, 0.5493], np.float16)
    g = np.array([-0.001497, 0.0001875, -0.013176], np.float16)
    right = np.array([0.5888671875, -0.73876953125, 0.55908203125], np.float16)
    assert_same(Adam(lr=0.01).step(x, g), right)


@every_case
def test_float16_is_float32_rounded_at_the_end(name, options):
    opt, wide = RULES[name](**options), RULES[name](**options)
    x = np.array([0.579, -0.729, 0.5493, 2.0], np.float16)
    for g in (stream((4,), 20) * 1e-4).astype(np.float16):
        right = wide.step(x.astype(np.float32), g.astype(np.float32))
        out = x.copy()
        shadow = RULES[name](**options)
        shadow.load_state_dict(opt.state_dict())
        shadow.step(out, g, out=out)
        x = opt.step(x, g)
        assert_same(x, right.astype(np.float16))
        assert_same(out, x)
    slots = RULES[name].slots
    assert {v.dtype.name for k, v in opt.state_dict().items() if k in slots} <= {"float32"}


# ------------------------------------------------------------------------------ the step itself


def test_rprop_steps_with_the_gradient_at_hand(report):
    """google-deepmind/optax#1725: the first step was 0, and every other one step late."""
    path = walk(Rprop(lr=0.1), 0.0, [1, 1, 1, -1, 1])
    np.testing.assert_allclose(path, [-0.1, -0.22, -0.364, -0.364, -0.436], **EXACT)


@every_case
def test_every_step_answers_the_gradient_at_hand(name, options):
    first = RULES[name](**options).step(np.zeros(2), np.array([3.0, -3.0]))
    assert first[0] < 0 < first[1]
    last = {walk(RULES[name](**options), 0.0, [1.0, 1.0, g])[-1] for g in (-5.0, 0.0, 5.0)}
    # Rprop does not move on a turn of sign, nor without a gradient.
    assert len(last) == (2 if name == "Rprop" else 3)


def test_amsgrad_says_whose_maximum_it_keeps(report):
    """google-deepmind/optax#1389, pytorch/pytorch#142323: of v, or of the corrected v."""
    g = [10, 0.1, 0.1, 0.1, 0.1]
    of_v = [
        -0.09999999990000001,
        -0.16771645074885427,
        -0.22067409804731175,
        -0.2646132134248332,
        -0.30227870056194206,
    ]
    of_corrected = [
        -0.09999999990000001,
        -0.14789473669421055,
        -0.17848514256767917,
        -0.20047118499989494,
        -0.21733255588972694,
    ]
    np.testing.assert_allclose(walk(AMSGrad(lr=0.1), 0.0, g), of_v, **EXACT)
    np.testing.assert_allclose(walk(AMSGrad(lr=0.1, corrected=True), 0.0, g), of_corrected, **EXACT)
    assert AMSGrad.defaults["corrected"] is False
    assert "corrected" in AMSGrad.__doc__


def test_amsgrad_stores_its_maximum(report):
    """pytorch/pytorch#78807: with many tensors at once it was silently plain Adam."""
    g = [1.0] + [0.01] * 999
    assert walk(AMSGrad(), 0.0, g)[-1] == pytest.approx(-0.1894773843041162, rel=1e-13)
    many = walk(AMSGrad(), [np.zeros(2), 0.0], [[np.full(2, h), h] for h in g])
    np.testing.assert_allclose(many[-1][0], -0.1894773843041162, rtol=1e-13)
    assert many[-1][1] == pytest.approx(-0.1894773843041162, rel=1e-13)
    assert walk(Adam(), 0.0, g)[-1] == pytest.approx(-0.2433912410759428, rel=1e-13)


@every_case
def test_all_that_a_rule_remembers_is_stored(name, options):
    """A rule that forgets a slot is another rule: each slot of each leaf decides later steps."""
    x = {"a": np.ones(3), "b": [np.ones((2, 2))]}
    g = {"a": np.array([1.0, -2.0, 3.0]), "b": [np.array([[0.5, 1.5], [-2.5, 3.5]])]}
    opt = RULES[name](**options)
    x = walk(opt, x, [g] * 3)[-1]
    state = opt.state_dict()
    there = opt.step(x, g)
    slots = [key for key in state if key.partition("[")[0] in (*opt.slots, *opt.scalars)]
    assert len(slots) == 2 * len([*opt.active_slots(), *opt.scalars])
    for key in slots:
        # A maximum hides what is smaller, a bound what is larger.
        others = []
        for factor in (-1.0, 0.3, 3.0):
            if factor > 0 or key.partition("[")[0] not in opt.nonnegative:
                opt.load_state_dict({**state, key: state[key] * factor})
                others.append(anatomy(opt.step(x, g)))
        assert any(other != anatomy(there) for other in others), key


def test_weight_decay_leaves_the_gradient_alone(report):
    """pytorch/pytorch#12218, ml-explore/mlx#4426: added in place, it is counted twice."""
    for rule, right in (
        (AdamL2(lr=0.1, weight_decay=0.5), [0.9000000006666666, 0.8001027084220769]),
        (SGD(lr=0.1, weight_decay=0.5), [0.85, 0.7075]),
    ):
        g = np.array([1.0])
        path = walk(rule, np.array([1.0]), [g, g])
        np.testing.assert_allclose(np.ravel(path), right, **EXACT)
        assert g.tolist() == [1.0]


@every_case
def test_a_step_writes_into_nothing_it_was_given(name, options):
    opt, x, g = RULES[name](**options), tree(2.0), tree(-1.0)
    before = anatomy(x), anatomy(g)
    for array in arrays(x) + arrays(g):
        array.flags.writeable = False
    for _ in range(3):
        new = opt.step(x, g)
        assert (anatomy(x), anatomy(g)) == before
        pairs = itertools.product(arrays(new), arrays(x) + arrays(g))
        assert not any(np.shares_memory(a, b) for a, b in pairs)


def arrays(x):
    return [x["layers"][0].weight, x["layers"][0].bias, x["layers"][1][0], x[3]["deep"]]


@every_case
def test_a_gradient_array_may_be_used_again(name, options):
    """The caller's array, filled anew for every step, is not what a rule remembers."""
    opt, fresh = RULES[name](**options), RULES[name](**options)
    buffer, x, y = np.empty(4), np.ones(4), np.ones(4)
    for g in stream((4,), 6):
        buffer[:] = g
        x = opt.step(x, buffer)
        y = fresh.step(y, g.copy())
        assert_same(x, y)


@every_rule
def test_a_parameter_given_twice_is_refused(name):
    w, ones = np.zeros(4), np.ones(4)
    opt = RULES[name]()
    opt.step([np.zeros(4), np.zeros(4)], [ones, ones])
    for x in ([w, w], [w, w[:]], [w, w[::-1]], [w, w.view()]):
        for out in (None, x):
            refuses(opt, ValueError, "x[0] and x[1] share memory", x=x, g=[ones, ones], out=out)
    y = [np.zeros(4), np.zeros(4)]
    refuses(opt, ValueError, "out[0] and out[1] share memory", x=y, g=[ones, ones], out=[w, w])


def test_the_same_parameter_twice_is_not_updated_twice(report):
    """pytorch/pytorch#40967, tinygrad/tinygrad#1047: updated twice, silently."""
    w = np.zeros(1)
    for out in (None, [w, w]):
        refuses(
            SGD(lr=0.1), ValueError, "share memory", x=[w, w], g=[np.ones(1), np.ones(1)], out=out
        )
    a = np.zeros(6)
    x = {"head": a[:4], "tail": a[3:]}
    refuses(SGD(), ValueError, "x['head'] and x['tail']", x=x, g=x)


def test_disjoint_parts_of_one_array_are_two_parameters():
    a = np.zeros(6)
    SGD(lr=1.0).step([a[::2], a[1::2]], [np.ones(3), np.full(3, 2.0)], out=[a[::2], a[1::2]])
    assert a.tolist() == [-1, -2] * 3
    SGD(lr=1.0).step([a[:3], a[3:]], [np.ones(3), np.ones(3)])
    g = np.ones(3)
    SGD(lr=1.0).step([a[:3], a[3:]], [g, g])  # gradients may be one array
    assert SGD(lr=1.0).step([0.0, 0.0], [1.0, 1.0]) == [-1.0, -1.0]  # and numbers are no memory


def test_a_saved_state_is_nobody_elses_memory(report):
    """pytorch/pytorch#196083: after load_state_dict two optimizers shared m and v."""
    a, b, x, g = Adam(lr=0.1), Adam(lr=0.1), np.zeros(1), np.ones(1)
    x1 = a.step(x, g)
    state = a.state_dict()
    saved = anatomy(state)
    b.load_state_dict(state)
    b.step(x1, g)
    assert a.state_dict()["m"] == pytest.approx(0.1)
    alone = Adam(lr=0.1)
    assert_same(a.step(x1, g), alone.step(alone.step(x, g), g))
    assert anatomy(state) == saved


@every_case
def test_states_are_copied_in_and_out(name, options):
    x, g = tree(2.0), tree(-1.0)
    a, b = RULES[name](**options), RULES[name](**options)
    x = a.step(x, g)
    state = a.state_dict()
    b.load_state_dict(state)
    saved = anatomy(state)
    for opt in (a, b):
        opt.step(x, g)
        opt.step(x, g)
    assert anatomy(state) == saved
    with untouched(a), untouched(b):
        for value in (*state.values(), *a.state_dict().values()):
            if value.dtype.kind == "f":
                value[...] = 77
    assert anatomy(a.state_dict()) == anatomy(b.state_dict())


# ------------------------------------------------------------------------------ hyperparameters


def test_impossible_hyperparameters_are_refused_at_once(report):
    """ml-explore/mlx#4310, pytorch/pytorch#6000, tinygrad/tinygrad#15725: 1/(1 - 1), divergence."""
    for rule, name, value in (
        (Adam, "beta2", 1.0),
        (Adam, "beta1", 1.5),
        (Adam, "beta1", -0.5),
        (AdaDelta, "rho", 1.1),
        (RMSProp, "rho", 1.0),
        (SGD, "lr", -1),
        (SGD, "lr", math.nan),
        (SGD, "lr", math.inf),
        (Adam, "eps", -1),
    ):
        with pytest.raises(ValueError, match=f"{rule.__name__}: {name}={value!r} is out of range"):
            rule(**{name: value})
    with pytest.raises(TypeError, match=r"no hyperparameter 'learning_rate'\. Did you mean lr\?"):
        Adam(learning_rate=0.1)


NUMBERS = [
    (name, hyper)
    for name, rule in RULES.items()
    for hyper, default in rule.defaults.items()
    if not isinstance(default, bool)
]
every_number = pytest.mark.parametrize(("name", "hyper"), NUMBERS)
OUT_OF_RANGE = [-0.1, -math.inf, math.nan, np.float32(-1), np.array(-1.0), -1]
AT_MOST_ONE = {"beta1", "beta2", "rho", "momentum", "eta_minus"}


@every_number
def test_every_number_has_a_range(name, hyper):
    rule = RULES[name]
    beyond = [*OUT_OF_RANGE]
    if hyper != "momentum_decay":
        beyond += [math.inf, 10**400]
    if hyper in AT_MOST_ONE:
        beyond += [1, 1.0, 1.5]
    if hyper == "dampening":
        beyond.append(1.01)
    if hyper == "eta_plus":
        beyond += [1.0, 0.5]
    if hyper in ("eta_minus", "step_max"):
        beyond += [0, 0.0]
    opt = rule()
    default = opt._hyper[hyper]
    good = 0.5 if default is None else default
    for value in beyond:
        said = f"{name}: {hyper}=.* is out of range; expected .*{hyper} <"
        for give in (
            lambda value=value: rule(**{hyper: value}),
            lambda value=value: opt.set(**{hyper: value}),
            lambda value=value: setattr(opt, hyper, value),
        ):
            with pytest.raises(ValueError, match=said):
                give()
        if isinstance(value, float):
            with pytest.raises(ValueError, match=rf"{hyper}=.* at index \(1,\) is out of range"):
                rule(**{hyper: [good, value, good]})
        assert opt._hyper[hyper] == default


def test_a_bad_value_set_later_is_noticed(report):
    """pytorch/pytorch#30889: a negative lr set after construction."""
    opt = Adam(lr=0.1)
    opt.step(np.zeros(1), np.ones(1))
    with untouched(opt):
        for give in (lambda: opt.set(lr=-0.1), lambda: setattr(opt, "lr", -0.1)):
            with pytest.raises(ValueError, match=r"Adam: lr=-0\.1 is out of range"):
                give()
    assert opt.lr == 0.1
    for bad in (-0.1, math.nan):
        opt = Adam(lr=lambda t, bad=bad: 0.1 if t < 3 else bad)
        x = walk(opt, np.zeros(1), [np.ones(1)] * 2)[-1]
        refuses(opt, ValueError, f"lr={bad}", "(from its schedule at t=3)", x=x, g=np.ones(1))
        refuses(opt, ValueError, "at t=3", x=x, g=np.ones(1), out=x)


@every_number
def test_what_a_schedule_returns_is_checked_at_its_step(name, hyper):
    rule, x, g = RULES[name], tree(1.0), tree(2.0)
    if hyper in rule.slots.values():
        with pytest.raises(TypeError, match=f"{name}: {hyper} only sets where the memory starts"):
            rule(**{hyper: lambda t: 1.0})
        return
    good = 0.5 if rule.defaults[hyper] is None else rule.defaults[hyper]
    for bad, error in (
        (-0.1, ValueError),
        (math.nan, ValueError),
        ([good, -1.0], ValueError),
        ("0.1", TypeError),
        (None, TypeError),
        (True, TypeError),
        (1j, TypeError),
        (abs, TypeError),
    ):
        opt = rule(**{hyper: lambda t, bad=bad: bad if t == 3 else good})
        there = walk(opt, x, [g, g])[-1]
        refuses(opt, error, hyper, "t=3", x=there, g=g)
        bare = rule(**{hyper: lambda t, bad=bad: bad if t == 3 else good})
        y = walk(bare, np.ones(2), [np.ones(2)] * 2)[-1]
        refuses(bare, error, hyper, "t=3", x=y, g=np.ones(2), out=y)


# ------------------------------------------------------------------------------ dtypes, callers


def test_integers_are_not_truncated(report):
    """google-deepmind/optax#333, scipy/scipy#4424: each update truncated to int, in silence."""
    for x0 in (np.array([100]), 100):
        x = Adam(lr=0.1).step(x0, 200 + 0 * x0)
        assert x == pytest.approx(99.900000000005, rel=1e-15)
        assert x.dtype == np.float64


@every_case
@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u8"])
def test_integers_step_as_the_same_floats(name, options, dtype):
    opt, same = RULES[name](**options), RULES[name](**options)
    x, g = np.array([[100, 3]], dtype), np.array([[20, 1]], dtype)
    y, h = x.astype(float), g.astype(float)
    for _ in range(3):
        y = same.step(y, h)
        x = opt.step(x, g)
        assert_same(x, y)
    opt.reset()
    same.reset()
    assert_same(
        opt.step({"a": 100, "b": [np.int16(3)]}, {"a": 20, "b": [1]}),
        same.step({"a": 100.0, "b": [3.0]}, {"a": 20.0, "b": [1.0]}),
    )


def test_a_callback_keeps_what_it_is_given(report):
    """scipy/scipy#8419: the optimizer's own buffer, so a list of x became n copies of the last."""
    seen, told = [], []

    def gradient(x):
        seen.append(x)
        return 2 * x

    run = SGD(lr=0.25).run(gradient, np.array(8.0), 3, callback=lambda t, x: told.append((t, x)))
    assert seen == [8, 4, 2]
    assert told == [(1, 4), (2, 2), (3, 1)]
    assert run.x == 1
    assert run.path.tolist() == [8, 4, 2, 1]


@every_case
def test_nothing_handed_out_changes_later(name, options):
    handed = []

    def keep(t, x):
        handed.append((x, anatomy(x)))
        for array in arrays(x):  # an array of its own may also be written into
            array += 100
        handed[-1] = (x, anatomy(x))

    x0 = tree(2.0)
    run = RULES[name](**options).run(lambda x: tree(1.0), x0, 5, callback=keep)
    quiet = RULES[name](**options).run(lambda x: tree(1.0), x0, 5)
    assert_same(run.path, quiet.path)
    assert_same(run.x, quiet.x)
    assert [anatomy(x) for x, _ in handed] == [then for _, then in handed]
    steps = []
    for t, x, g in RULES[name](**options).iterate(lambda x: tree(1.0), x0):
        steps.append((x, anatomy(x), g, anatomy(g)))
        if t == 5:
            break
    assert_same(steps[-1][0], quiet.x)
    assert all(anatomy(x) == a and anatomy(g) == b for x, a, g, b in steps)
    assert_same(x0, tree(2.0))


# ------------------------------------------------------------------------------ numbers


def test_a_variance_that_rounds_below_zero(report):
    """apache/mxnet#6235, CanReader/FastNN#12: v - mean^2 < 0, and its root is NaN."""
    g = 6231.909128145956
    path = walk(RMSProp(lr=0.01, rho=0.9, centered=True), 0.0, [g] * 2000)
    assert np.isfinite(path).all()
    assert path[49] == pytest.approx(-2.6622866101774867, rel=1e-9)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("options", [{}, {"eps_inside": True}, {"momentum": 0.9}, {"rho": 0.5}])
def test_a_constant_gradient_has_no_negative_variance(dtype, options):
    g = np.array([6231.909128145956, 0.1, 1 / 3, -7e-3, 123.456, 0.0]).astype(dtype)
    opt = RMSProp(**{"lr": 1e-12, "rho": 0.9, "centered": True, **options})
    assert np.isfinite(walk(opt, np.zeros(6, dtype), [g] * 600)).all()


def test_adam_adds_eps_after_the_correction(report):
    """tensorflow/tensorflow#35102, #9047: eps beside sqrt(v), not beside its correction."""
    g = [1e-8, 1e-8]
    np.testing.assert_allclose(walk(Adam(), 0.0, g), [-0.0005, -0.001], **EXACT)
    np.testing.assert_allclose(
        walk(Adam(eps_hat=True), 0.0, g),
        [-3.0653430031715525e-05, -7.345015850414825e-05],
        **EXACT,
    )


@pytest.mark.parametrize("rule", [Adam, AMSGrad, AdamL2, AdamW])
def test_the_two_places_of_eps_differ_by_the_root_of_the_correction(rule):
    options = without_decay(rule.__name__, beta1=0.5, beta2=0.75)
    g = [1.0, -2.0, 0.5, 0.0]
    hat = walk(rule(eps=2.0, eps_hat=True, **options), 0.0, g)
    other = walk(rule(eps=lambda t: 2.0 / math.sqrt(1 - 0.75**t), **options), 0.0, g)
    assert_same(hat, other)


def test_rmsprop_says_where_eps_is(report):
    """google-deepmind/optax#532, pytorch/pytorch#23796: sqrt(v) + eps, or sqrt(v + eps).

    Also keras-team/keras#4356 and tensorflow/tensorflow#58412.
    """
    g = [0.01] * 3
    options = dict(lr=0.0006, rho=0.99, eps=0.01)
    np.testing.assert_allclose(
        walk(RMSProp(**options), 0.0, g),
        [-0.0005454545454545454, -0.0010712780166534073, -0.001583075031388462],
        **EXACT,
    )
    np.testing.assert_allclose(
        walk(RMSProp(eps_inside=True, **options), 0.0, g),
        [-5.999700022498125e-05, -0.00011999103111585601, -0.00017998212280020102],
        **EXACT,
    )


def test_lr_is_outside_the_velocity(report):
    """paiml/aprender#2190, pytorch/pytorch#1099: inside it, an old lr lives on after a change."""
    for lr_inside, right in ((False, [-0.1, -0.119, -0.1461]), (True, [-0.1, -0.2, -0.3])):
        opt = Momentum(lr=0.1, lr_inside=lr_inside)
        x = [opt.step(0.0, 1.0)]
        opt.set(lr=0.01)
        x += walk(opt, x[-1], [1.0, 1.0])
        np.testing.assert_allclose(x, right, **EXACT)


@pytest.mark.parametrize("name", ["Momentum", "Nesterov", "RMSProp"])
def test_the_place_of_lr_shows_only_when_lr_changes(name):
    constant, falling = {}, {}
    for inside in (False, True):
        options = dict(momentum=0.9, lr_inside=inside)
        g = stream((4,), 30)
        constant[inside] = walk(RULES[name](lr=0.1, **options), np.ones(4), g)[-1]
        falling[inside] = walk(RULES[name](lr=lambda t: 0.1 / t, **options), np.ones(4), g)[-1]
    np.testing.assert_allclose(constant[False], constant[True], rtol=1e-12)
    assert (np.abs(falling[False] - falling[True])[1:] > 1e-3 * np.abs(falling[True])[1:]).any()


def test_the_first_gradient_is_not_dampened(report):
    """pytorch/pytorch#152833, ml-explore/mlx#473."""
    opt = Momentum(lr=0.1, dampening=0.5)
    np.testing.assert_allclose(walk(opt, 0.0, [1.0] * 4), [-0.1, -0.24, -0.416, -0.6244], **EXACT)
    assert "first gradient is not dampened" in Momentum.__doc__


def test_nadam_has_three_schedules(report):
    """keras-team/keras#15710, tensorflow/tensorflow#53204: "Nadam" means different rules."""
    for decay, right in (
        (0.004, [-0.010564517677908706, -0.0014989428084372172, -0.010334609823053766]),
        (1.0, [-0.010627877926808924, -0.001811220589048342, -0.01012845049656184]),
        (math.inf, [-0.014736841957894738, -0.005770314504066483, -0.01332764249164893]),
    ):
        path = walk(Nadam(lr=0.01, momentum_decay=decay), 0.0, [1, -2, 3])
        np.testing.assert_allclose(path, right, **EXACT)


def test_decay_acts_on_the_iterate_before_the_step(report):
    """bitsandbytes-foundation/bitsandbytes#2010: applied after, and to, the Adam step."""
    path = walk(AdamW(lr=0.1, weight_decay=0.5), 1.0, [1.0, 1.0])
    np.testing.assert_allclose(path, [0.850000001, 0.70750000195], **EXACT)


def test_decay_is_scaled_by_lr_unless_asked(report):
    """google-deepmind/optax#292, NVIDIA/apex#1849: in the paper it is not."""
    for times_lr, right in (
        (True, [0.99890000001, 0.997800110019999]),
        (False, [0.89900000001, 0.808100000019]),
    ):
        opt = AdamW(lr=0.001, weight_decay=0.1, decay_times_lr=times_lr)
        np.testing.assert_allclose(walk(opt, 1.0, [1.0, 1.0]), right, **EXACT)


@pytest.mark.parametrize("options", OPTIONS["AdamW"] + [{}, {"eps": 0.0}])
def test_without_a_gradient_adamw_shrinks_geometrically(options):
    """Its decay does not depend on eps, nor on 0/0 where eps is 0."""
    for times_lr, factor in ((True, 1 - 0.5 * 0.25), (False, 1 - 0.25)):
        settings = {**options, "lr": 0.5, "weight_decay": 0.25, "decay_times_lr": times_lr}
        path = walk(AdamW(**settings), np.array([64.0]), [np.zeros(1)] * 5)
        np.testing.assert_allclose(np.ravel(path), 64 * factor ** np.arange(1, 6), rtol=1e-15)


# ------------------------------------------------------------------------------ structure, runs


def test_an_optimizer_for_two_layers_is_refused(report):
    """ddbourgin/numpy-ml#78: a broadcast error, or a silent broadcast."""
    opt = Adam()
    opt.step(np.zeros((100, 10)), np.ones((100, 10)))
    big = np.zeros((3072, 100))
    refuses(opt, ValueError, "(3072, 100)", "(100, 10)", "make another or reset()", x=big, g=big)
    for g in (np.ones((3, 1)), np.ones(1), np.float64(1), 1.0, np.ones((1, 3))):
        refuses(Adam(), ValueError, "shape (3,)", str(np.shape(g)), x=np.zeros(3), g=g)
    refuses(
        Adam(),
        ValueError,
        "a dict with leaves ['a'], g is a dict with leaves ['b']",
        "g lacks \"['a']\"; g has \"['b']\" that x lacks",
        x={"a": np.zeros(3)},
        g={"b": np.zeros(3)},
    )


@every_rule
def test_another_shape_or_structure_is_refused(name):
    opt, x = RULES[name](), tree(1.0)
    opt.step(x, x)
    for other, said in (
        (np.zeros(3), "an array of shape (3,)"),
        (1.0, "a scalar"),
        ([1.0, 2.0], "a list with leaves [0], [1]"),
        ({**x, "more": 1.0}, "['more']"),
        ({key: x[key] for key in ("scale", 3)}, "['scale'], [3]['deep']"),
        ({**x, "scale": np.zeros(2)}, "x['scale'] has shape (2,), but ()"),
        (tree(1.0, shape=(3, 2)), "x['layers'][0][0] has shape (3, 2), but (2, 3)"),
        ({**x, 3: {"deep": np.float32(1)}}, "x[3]['deep'] has dtype float32"),
    ):
        if "dtype" in said and not opt.slots:
            continue
        refuses(opt, ValueError, said, "reset()", x=other, g=other)
    bare = RULES[name]()
    bare.step(np.zeros(3), np.ones(3))
    for shape in ((4,), (3, 1), (1, 3), (2, 3), (0,), ()):
        other, x, g = np.zeros(shape), np.zeros(3), np.ones(3)
        for check in (True, False):
            how = dict(check_finite=check)
            refuses(bare, ValueError, str(shape), "(3,)", x=other, g=other, **how)
            refuses(bare, ValueError, str(shape), "(3,)", x=x, g=other, **how)
            refuses(bare, ValueError, str(shape), "(3,)", x=other, g=g, **how)
            refuses(bare, ValueError, str(shape), "(3,)", x=x, g=other, out=x, **how)
    if bare.slots:
        x = np.zeros(3, np.float32)
        refuses(bare, ValueError, "x has dtype float32, but its memory", x=x, g=x)
        refuses(bare, ValueError, "x has dtype float32, but its memory", x=x, g=np.ones(3), out=x)


def test_a_zero_gradient_does_not_stop_adam(report):
    """pytorch/pytorch#18404: a surprise, and right: the mean remembers older gradients."""
    path = walk(Adam(lr=0.1), 0.0, [1.0, 0.0, 0.0])
    right = [-0.09999999900000002, -0.1670058234658118, -0.21880151981676327]
    np.testing.assert_allclose(path, right, **EXACT)
    assert "goes on moving" in Adam.__doc__


def test_a_resumed_run_is_the_same_run(report, tmp_path):
    """pytorch/pytorch#35047, scikit-learn/scikit-learn#6091: bit for bit, for every rule."""
    for name, rule in RULES.items():
        for options in [{}, *OPTIONS[name]]:
            g = stream((5,), 40)
            whole = walk(rule(**options), np.ones(5), g)[-1]
            first = rule(**options)
            x = walk(first, np.ones(5), g[:17])[-1]
            np.savez(tmp_path / "state", **first.state_dict())
            second = rule(**options)
            with np.load(tmp_path / "state.npz") as state:
                second.load_state_dict(state)
            assert second.t == 17
            assert_same(walk(second, x, g[17:])[-1], whole)


def test_adagrad_starts_at_zero(report):
    """deeplearning4j/deeplearning4j#953, pytorch/pytorch#6616: 1 is wrong for small gradients."""
    for options, right in (
        (dict(), [-0.0099999990000001, -0.017071066311865613]),
        (dict(initial=1.0), [-9.99999499900375e-06, -1.9999984998018753e-05]),
        (
            dict(initial=0.1, eps=1e-7, eps_inside=True),
            [-3.1622602677847355e-05, -6.324504724560636e-05],
        ),
    ):
        path = walk(AdaGrad(**{"lr": 0.01, "eps": 1e-10, **options}), 0.0, [1e-3, 1e-3])
        np.testing.assert_allclose(path, right, **EXACT)


@every_rule
def test_the_memory_starts_where_the_class_says(name):
    opt = RULES[name]()
    for slot, start in opt.slots.items():
        assert start in (0.0, "initial", "lr"), slot
    for hyper in {"initial"} & opt.defaults.keys():
        assert opt.defaults[hyper] == 0.0


def test_averaging_momentum_is_momentum_at_another_lr(report):
    """HIPS/autograd#289: (1 - mass) on the gradient is another lr, not another method."""
    path = walk(Momentum(lr=0.1 * (1 - 0.9), momentum=0.9), 0.0, [1.0] * 3)
    np.testing.assert_allclose(path, [-0.01, -0.029, -0.0561], **EXACT)


def test_bias_correction_divides(report):
    """karpathy/convnetjs#70, #107: it multiplied."""
    right = [-0.0009999999966666666, -0.0019999999933333333]
    np.testing.assert_allclose(walk(Adam(), 0.0, [3.0, 3.0]), right, **EXACT)


@every_rule
def test_defaults_descend(name):
    values, x = [5.0], np.array([1.0, 2.0])
    opt = RULES[name]()
    for _ in range(5):
        x = opt.step(x, 2 * x)
        values.append(float(x @ x))
    assert all(new < old for old, new in itertools.pairwise(values))


def test_all_defaults_are_given_and_descend(report):
    """google-deepmind/optax#1242: adadelta() without lr failed, and ascends since its fix."""
    for rule in RULES.values():
        x = rule().run(lambda x: {"a": 2 * x["a"]}, {"a": np.array([1.0, 2.0])}, 5).path["a"]
        value = (x**2).sum(axis=1)
        assert value.shape == (6,)
        assert (np.diff(value) < 0).all()
