"""The 50-digit reference judges every rule of optimlib, and is itself judged by known values."""

import functools
import itertools
import math

import numpy as np
import pytest
from mpmath import mp

from optimlib import RULES
from tests.optimlib.reference import DIGITS, defaults, walk

SEEDS = range(4)
TOLERANCE = 5e-14  # measured on twice the seeds: at most 1.7e-14, where momentum takes x far

# Far from every default and from one another, and below 1/2 where 1 - beta would otherwise be exact
# in float64.
OTHER = {
    "lr": 0.07,
    "momentum": 0.3,
    "dampening": 0.4,
    "weight_decay": 0.2,
    "eta_minus": 0.3,
    "eta_plus": 1.7,
    "step_min": 0.02,
    "step_max": 0.5,
    "rho": 0.35,
    "eps": 0.01,
    "eps_x": 0.5,
    "initial": 0.6,
    "lr_decay": 0.1,
    "beta1": 0.3,
    "beta2": 0.4,
    "momentum_decay": 0.5,
}


def falling(t):
    """Fall from the first step on."""
    return 0.1 / t


def waking(t):
    """Stand still at the first step, then rise."""
    return 0.01 * (t - 1)


SPECIAL = {
    "Momentum": [{"dampening": 1.0}, {"momentum": 0.0, "weight_decay": 0.2}],
    "Nesterov": [{"momentum": 0.0, "weight_decay": 0.2}],
    "Rprop": [{"lr": 60.0}, {"lr": 0.0}],
    "Nadam": [{"momentum_decay": value} for value in (0.0, 1.0, math.inf)],
    "RMSProp": [{"momentum": 0.3, "centered": True}, {"momentum": 0.3, "lr": falling}],
    "Adam": [{"beta1": 0.0}, {"beta2": 0.0}],
}


def cases(rule):
    """Return settings: the defaults, each number alone, and all switches with all numbers."""
    known = RULES[rule].defaults
    switches = [name for name, value in known.items() if isinstance(value, bool)]
    other = {name: OTHER[name] for name in known if name in OTHER}
    # Rprop's lr is where its steps start, not a rate.
    schedules = [] if rule == "Rprop" else [{"lr": falling}, {"lr": waking}]
    yield {}
    yield from ({name: value} for name, value in other.items())
    yield from schedules
    for values in itertools.product([False, True], repeat=len(switches)):
        chosen = dict(zip(switches, values, strict=True))
        yield from (chosen, chosen | other)
        yield from (chosen | other | lr for lr in schedules)
    yield from SPECIAL.get(rule, [])


def stream(seed):
    """Return a start and 20 gradients of 10 coordinates: all scales, zeros, flips, no flips."""
    rng = np.random.default_rng(seed)
    g = rng.normal(size=(20, 8)) * np.geomspace(1e-3, 1e2, 8)
    g[:, 3] = np.abs(g[:, 3])
    g[:, 4] = np.abs(g[:, 4]) * (-1.0) ** np.arange(20)
    g[rng.random(g.shape) < 0.15] = 0.0
    g[:, 0] = 0.0
    g[:6, 5] = 0.0
    g[10:, 6] *= 1e-3
    # Smaller than any start of a memory that is not zero; and so small that a product is zero.
    tiny = g[:, 2:3] * [1e-5, 1e-200]
    return rng.normal(size=10), np.hstack([g, tiny])


@functools.cache
def right(rule, settings, seed, columns):
    """Return the reference's path; `settings` are items, `columns` the coordinates."""
    x0, gradients = (a[..., list(columns)] for a in stream(seed))
    if rule == "FullAdaGrad":
        return np.array(walk(rule, x0, gradients, **dict(settings)), dtype=float)
    paths = [walk(rule, *c, **dict(settings)) for c in zip(x0, gradients.T, strict=True)]
    return np.array(paths, dtype=float).T


def distance(cls, settings, seed, columns):
    """Return the largest difference from the reference relative to max(1, |x|)."""
    path = right(cls.__name__, tuple(settings.items()), seed, columns)
    x, gradients = (a[..., list(columns)] for a in stream(seed))
    optimizer, ours = cls(**settings), []
    for g in gradients:
        x = optimizer.step(x, g)
        ours.append(x)
    return np.max(np.abs(ours - path) / np.maximum(1, np.abs(path)))


# An eigendecomposition is exact relative to the largest eigenvalue, so scales cost digits.
MATRIX = [((3,), TOLERANCE), ((3, 4), TOLERANCE), ((3, 4, 5), TOLERANCE), ((1, 4, 7), 1e-10)]


def judge(cls):
    """Assert that every step of a rule is within rounding of 50 digits."""
    views = MATRIX if cls.__name__ == "FullAdaGrad" else [(tuple(range(10)), TOLERANCE)]
    for settings, seed in itertools.product(cases(cls.__name__), SEEDS):
        for columns, tolerance in views:
            reached = distance(cls, settings, seed, columns)
            assert reached < tolerance, f"{settings}, seed {seed}, coordinates {columns}"


@pytest.mark.parametrize("rule", RULES)
def test_every_step_is_within_rounding_of_50_digits(rule):
    judge(RULES[rule])


def judge_variance(cls):
    """Assert that centred RMSProp takes a variance that rounds below zero for zero."""
    optimizer, x, g = cls(lr=1.0, rho=0.5, eps=1.0, centered=True), 0.0, 0.7
    v = mean = 0.0
    for _ in range(100):
        v, mean = 0.5 * v + 0.5 * g**2, 0.5 * mean + 0.5 * g
        before, x = x, optimizer.step(x, g)
    assert v - mean**2 < 0  # in exact arithmetic 0.49 / 2**100
    assert before - x == pytest.approx(g, rel=1e-12)


def test_a_variance_that_rounds_below_zero_counts_as_zero():
    judge_variance(RULES["RMSProp"])


def test_reference_knows_every_rule_option_and_default():
    assert {rule: defaults(rule) for rule in RULES} == {
        rule: dict(cls.defaults) for rule, cls in RULES.items()
    }


def test_every_hyperparameter_is_tried_away_from_its_default():
    for rule, cls in RULES.items():
        tried = {name for settings in cases(rule) for name in settings}
        assert tried == set(cls.defaults)
        for name, value in cls.defaults.items():
            assert any(settings.get(name, value) != value for settings in cases(rule)), name


# Right values of public bug reports: (report, rule, settings, x0, gradients, last iterates).
# fmt: off
KNOWN = [
    ("optax#1725", "Rprop", {"lr": 0.1}, 0, [1, 1, 1, -1, 1],
     [-0.1, -0.22, -0.364, -0.364, -0.436]),
    ("optax#1389, maximum of v", "AMSGrad", {"lr": 0.1}, 0, [10, 0.1, 0.1, 0.1, 0.1],
     [-0.09999999990000001, -0.16771645074885427, -0.22067409804731175, -0.2646132134248332,
      -0.30227870056194206]),
    ("optax#1389, maximum of the corrected v", "AMSGrad", {"lr": 0.1, "corrected": True}, 0,
     [10, 0.1, 0.1, 0.1, 0.1],
     [-0.09999999990000001, -0.14789473669421055, -0.17848514256767917, -0.20047118499989494,
      -0.21733255588972694]),
    ("pytorch#78807, maximum", "AMSGrad", {"lr": 0.001}, 0, [1, *[0.01] * 999],
     [-0.1894773843041162]),
    ("pytorch#78807, none", "Adam", {"lr": 0.001}, 0, [1, *[0.01] * 999],
     [-0.2433912410759428]),
    ("pytorch#12218, Adam", "AdamL2", {"lr": 0.1, "weight_decay": 0.5}, 1, [1, 1],
     [0.9000000006666666, 0.8001027084220769]),
    ("pytorch#12218, SGD", "SGD", {"lr": 0.1, "weight_decay": 0.5}, 1, [1, 1], [0.85, 0.7075]),
    ("optax#333", "Adam", {"lr": 0.1}, 100, [200], [99.900000000005]),
    ("mxnet#6235", "RMSProp", {"lr": 0.01, "rho": 0.9, "centered": True}, 0,
     [6231.909128145956] * 50, [-2.6622866101774867]),
    ("tensorflow#35102, paper", "Adam", {"lr": 0.001}, 0, [1e-8, 1e-8], [-0.0005, -0.001]),
    ("tensorflow#35102, epsilon-hat", "Adam", {"lr": 0.001, "eps_hat": True}, 0, [1e-8, 1e-8],
     [-3.0653430031715525e-05, -7.345015850414825e-05]),
    ("optax#532, outside", "RMSProp", {"lr": 0.0006, "eps": 0.01}, 0, [0.01] * 3,
     [-0.0005454545454545454, -0.0010712780166534073, -0.001583075031388462]),
    ("optax#532, inside", "RMSProp", {"lr": 0.0006, "eps": 0.01, "eps_inside": True}, 0,
     [0.01] * 3, [-5.999700022498125e-05, -0.00011999103111585601, -0.00017998212280020102]),
    ("aprender#2190, outside", "Momentum", {"lr": lambda t: 0.1 if t == 1 else 0.01}, 0,
     [1, 1, 1], [-0.1, -0.119, -0.1461]),
    ("aprender#2190, inside", "Momentum",
     {"lr": lambda t: 0.1 if t == 1 else 0.01, "lr_inside": True}, 0, [1, 1, 1],
     [-0.1, -0.2, -0.3]),
    ("pytorch#152833", "Momentum", {"lr": 0.1, "dampening": 0.5}, 0, [1] * 4,
     [-0.1, -0.24, -0.416, -0.6244]),
    ("keras#15710, PyTorch's", "Nadam", {"lr": 0.01}, 0, [1, -2, 3],
     [-0.010564517677908706, -0.0014989428084372172, -0.010334609823053766]),
    ("keras#15710, Keras's", "Nadam", {"lr": 0.01, "momentum_decay": 1.0}, 0, [1, -2, 3],
     [-0.010627877926808924, -0.001811220589048342, -0.01012845049656184]),
    ("keras#15710, Optax's", "Nadam", {"lr": 0.01, "momentum_decay": math.inf}, 0, [1, -2, 3],
     [-0.014736841957894738, -0.005770314504066483, -0.01332764249164893]),
    ("bitsandbytes#2010", "AdamW", {"lr": 0.1, "weight_decay": 0.5}, 1, [1, 1],
     [0.850000001, 0.70750000195]),
    ("optax#292, times lr", "AdamW", {"lr": 0.001, "weight_decay": 0.1}, 1, [1, 1],
     [0.99890000001, 0.997800110019999]),
    ("optax#292, not times lr", "AdamW",
     {"lr": 0.001, "weight_decay": 0.1, "decay_times_lr": False}, 1, [1, 1],
     [0.89900000001, 0.808100000019]),
    ("pytorch#18404", "Adam", {"lr": 0.1}, 0, [1, 0, 0],
     [-0.09999999900000002, -0.1670058234658118, -0.21880151981676327]),
    ("deeplearning4j#953, start 0", "AdaGrad", {}, 0, [1e-3] * 2,
     [-0.0099999990000001, -0.017071066311865613]),
    ("deeplearning4j#953, start 1", "AdaGrad", {"initial": 1.0}, 0, [1e-3] * 2,
     [-9.99999499900375e-06, -1.9999984998018753e-05]),
    ("deeplearning4j#953, Keras's", "AdaGrad", {"initial": 0.1, "eps": 1e-7, "eps_inside": True},
     0, [1e-3] * 2, [-3.1622602677847355e-05, -6.324504724560636e-05]),
    ("autograd#289", "Momentum", {"lr": 0.1 * (1 - 0.9)}, 0, [1] * 3, [-0.01, -0.029, -0.0561]),
    ("convnetjs#70", "Adam", {"lr": 0.001}, 0, [3, 3],
     [-0.0009999999966666666, -0.0019999999933333333]),
]
# fmt: on


@pytest.mark.parametrize(
    ("rule", "settings", "x0", "gradients", "right"),
    [row[1:] for row in KNOWN],
    ids=[row[0] for row in KNOWN],
)
def test_reference_gives_the_right_values_of_public_reports(rule, settings, x0, gradients, right):
    last = [float(x) for x in walk(rule, x0, gradients, **settings)][-len(right) :]
    assert last == pytest.approx(right, rel=4e-16, abs=0)  # a decimal input is a float's ulp off


def test_reference_means_are_weighted_sums():
    gradients, beta1, beta2 = stream(0)[1][:, 2], 0.3, 0.4
    last, x = [mp.zero, *walk("Adam", 0.0, gradients, lr=1.0, beta1=beta1, beta2=beta2)][-2:]
    with mp.workdps(DIGITS):

        def mean(beta, values):
            weights = [mp.mpf(beta) ** k for k in reversed(range(len(values)))]
            return mp.fdot(weights, values) / mp.fsum(weights)

        g = [mp.mpf(float(v)) for v in gradients]
        right = mean(beta1, g) / (mp.sqrt(mean(beta2, [v**2 for v in g])) + mp.mpf(1e-8))
        assert abs(last - x - right) < mp.mpf(10) ** -45


def test_reference_root_of_a_matrix_squares_to_it():
    x0, gradients = [1.0, -2.0], [[3.0, 1.0], [-1.0, 2.0], [0.5, -4.0]]
    before, after = walk("FullAdaGrad", x0, gradients, lr=1.0, eps=0.25)[-2:]
    with mp.workdps(DIGITS):
        total = mp.matrix([[10.25, -1.0], [-1.0, 21.0]])  # the sum of g gᵀ
        scale = mp.sqrt(mp.det(total))
        root = (total + scale * mp.eye(2)) / mp.sqrt(31.25 + 2 * scale)  # Cayley and Hamilton
        residual = (root + mp.mpf(0.25) * mp.eye(2)) * (before - after) - mp.matrix([0.5, -4.0])
        assert mp.norm(root * root - total) < mp.mpf(10) ** -45
        assert mp.norm(residual) < mp.mpf(10) ** -45


@pytest.mark.parametrize("rule", RULES)
def test_50_digits_are_enough(rule):
    columns = [1, 4, 7] if rule == "FullAdaGrad" else 3
    x0, gradients = stream(0)
    changes = []
    for settings in cases(rule):
        path = walk(rule, x0[columns], gradients[:, columns], **settings)
        finer = walk(rule, x0[columns], gradients[:, columns], digits=2 * DIGITS, **settings)
        with mp.workdps(2 * DIGITS):
            differences = [(a - b) * mp.eye(1) for a, b in zip(path, finer, strict=True)]
            changes.append(max(map(mp.norm, differences)))
    assert 0 < max(changes) < 1e-30
