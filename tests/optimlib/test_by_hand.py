"""Steps of every rule with every option, worked out by hand with small numbers.

Each case is the story of one coordinate: where it starts, the gradients, and where it is after
each. The comments hold the arithmetic. eps is 0 where nothing else is said, so that the numbers
stay small.
"""

from math import inf, sqrt

import numpy as np
import pytest

from optimlib import RULES, SGD, FullAdaGrad, Momentum, Nesterov, RMSProp

SEVEN = sqrt(7)

SGD_CASES = [
    # 8 - 16/4 = 4; 4 - 4/4 = 3
    (dict(lr=1 / 4), 8, [16, 4], [4, 3]),
    # g = 16 + 8/2 = 20: 8 - 5 = 3; g = 4 + 3/2 = 11/2: 3 - 11/8 = 13/8
    (dict(lr=1 / 4, weight_decay=1 / 2), 8, [16, 4], [3, 13 / 8]),
]

MOMENTUM_CASES = [
    # b = 2: 0 - 1 = -1; b = 1 + 4 = 5: -1 - 5/2 = -7/2
    (dict(lr=1 / 2, momentum=1 / 2), 0, [2, 4], [-1, -7 / 2]),
    # b = 2, not dampened: -1; b = 1 + 3/4 4 = 4: -1 - 2 = -3
    (dict(lr=1 / 2, momentum=1 / 2, dampening=1 / 4), 0, [2, 4], [-1, -3]),
    # dampening 1 keeps the first gradient alone: b = 2, 1, 1/2
    (dict(lr=1 / 2, momentum=1 / 2, dampening=1), 0, [2, 4, 4], [-1, -3 / 2, -7 / 4]),
    # b = 2/2 = 1: -1; b = 1/2 + 4/2 = 5/2: -7/2
    (dict(lr=1 / 2, momentum=1 / 2, lr_inside=True), 0, [2, 4], [-1, -7 / 2]),
    # b = 1: -1; b = 1/2 + 1/2 3/4 4 = 2: -3
    (dict(lr=1 / 2, momentum=1 / 2, dampening=1 / 4, lr_inside=True), 0, [2, 4], [-1, -3]),
    # g = 2 + 4 = 6 = b: 8 - 3 = 5; g = 4 + 5/2 = 13/2, b = 3 + 13/2 = 19/2: 5 - 19/4 = 1/4
    (dict(lr=1 / 2, momentum=1 / 2, weight_decay=1 / 2), 8, [2, 4], [5, 1 / 4]),
]

NESTEROV_CASES = [
    # b = 2: -(2 + 1)/2; b = 1 + 4 = 5: -(4 + 5/2)/2 = -13/4
    (dict(lr=1 / 2, momentum=1 / 2), 0, [2, 4], [-3 / 2, -19 / 4]),
    # b = 1: -(1/2 + 1); b = 1/2 + 2 = 5/2: -(5/4 + 2)
    (dict(lr=1 / 2, momentum=1 / 2, lr_inside=True), 0, [2, 4], [-3 / 2, -19 / 4]),
    # g = 6 = b: 8 - (6 + 3)/2 = 7/2
    # g = 4 + 7/4 = 23/4, b = 3 + 23/4 = 35/4: 7/2 - (23/4 + 35/8)/2 = 7/2 - 81/16 = -25/16
    (dict(lr=1 / 2, momentum=1 / 2, weight_decay=1 / 2), 8, [2, 4], [7 / 2, -25 / 16]),
]

RPROP_CASES = [
    # steps 1, 2, 4 held at 3; a turn: 3/2 and no move; no comparison after it: 3/2;
    # a turn: 3/4 and no move; 3/4; a zero: no move, the step stays; it is not compared: 3/4
    (
        dict(lr=1, eta_minus=1 / 2, eta_plus=2, step_min=1 / 4, step_max=3),
        0,
        [1, 5, 0.1, -1, -7, 1, 1, 0, -1],
        [-1, -3, -6, -6, -9 / 2, -9 / 2, -21 / 4, -21 / 4, -9 / 2],
    ),
    # a turn: 1/2; a step; a turn: 1/4; a step; a turn: 1/8 held at 1/4; a step
    (
        dict(lr=1, eta_minus=1 / 2, eta_plus=2, step_min=1 / 4, step_max=3),
        0,
        [1, -1, -1, 1, 1, -1, -1],
        [-1, -1, -1 / 2, -1 / 2, -3 / 4, -3 / 4, -1 / 2],
    ),
    # the bounds hold for the first step too
    (dict(lr=8, eta_plus=2, step_min=1, step_max=3), 0, [9, 9], [-3, -6]),
    (dict(lr=1 / 8, eta_plus=2, step_min=1, step_max=3), 0, [9, 9], [-1, -3]),
    # the product of these gradients is 0 in float64, their signs agree: 1, 2; a turn: 1
    (dict(lr=1, eta_plus=2), 0, [1e-200, 1e-200, -1e-200], [-1, -3, -3]),
]

ADAGRAD_CASES = [
    # G = 9: 3/3/2; G = 9 + 16 = 25: 4/5/2
    (dict(lr=1 / 2), 0, [3, 4], [-1 / 2, -9 / 10]),
    # 3/(3 + 1)/2; 4/(5 + 1)/2
    (dict(lr=1 / 2, eps=1), 0, [3, 4], [-3 / 8, -3 / 8 - 1 / 3]),
    # G = 16 + 9 = 25: 3/5/2; G = 25 + 144 = 169: 12/13/2
    (dict(lr=1 / 2, initial=16), 0, [3, 12], [-3 / 10, -3 / 10 - 6 / 13]),
    # 3/sqrt(9 + 7)/2; 3/sqrt(18 + 7)/2
    (dict(lr=1 / 2, eps=7, eps_inside=True), 0, [3, 3], [-3 / 8, -3 / 8 - 3 / 10]),
    # rates 1/2, 1/2/2, 1/2/3: 3/3, 4/5, 12/13
    (dict(lr=1 / 2, lr_decay=1), 0, [3, 4, 12], [-1 / 2, -7 / 10, -7 / 10 - 2 / 13]),
]

RMSPROP_CASES = [
    # v = 4/4 = 1: 2/1; v = 3/4 + 1/4 = 1: 1/1
    (dict(lr=1, rho=3 / 4), 0, [2, 1], [-2, -3]),
    # 2/(1 + 1); 1/(1 + 1)
    (dict(lr=1, rho=3 / 4, eps=1), 0, [2, 1], [-1, -3 / 2]),
    # 2/sqrt(1 + 3); 1/sqrt(1 + 3)
    (dict(lr=1, rho=3 / 4, eps=3, eps_inside=True), 0, [2, 1], [-1, -3 / 2]),
    # v = 3 + 1 = 4: 2/2; v = 3 + 36/4 = 12: 6/sqrt(12) = sqrt(3)
    (dict(lr=1, rho=3 / 4, initial=4), 0, [2, 6], [-1, -1 - sqrt(3)]),
    # v = 2, mean = 1, v - 1 = 1: 2/1
    # v = 1 + 9/8 = 17/8, mean = 1/2 + 3/4 = 5/4, v - 25/16 = 9/16: (3/2)/(3/4) = 2
    (dict(lr=1, rho=1 / 2, centered=True), 0, [2, 3 / 2], [-2, -4]),
    # inside the root: 2/sqrt(1 + 3); (3/2)/sqrt(9/16 + 3)
    (
        dict(lr=1, rho=1 / 2, centered=True, eps=3, eps_inside=True),
        0,
        [2, 3 / 2],
        [-1, -1 - 1.5 / sqrt(57 / 16)],
    ),
    # scaled 2, b = 2: 0 - 2; scaled 1, b = 1 + 1 = 2: -2 - 2
    (dict(lr=1, rho=3 / 4, momentum=1 / 2), 0, [2, 1], [-2, -4]),
    # lr 2: b = 4: -4; b = 2 + 2 = 4: -8
    (dict(lr=2, rho=3 / 4, momentum=1 / 2, lr_inside=True), 0, [2, 1], [-4, -8]),
]

# v = 36/4 = 9: d = sqrt(0 + 16)/sqrt(9 + 7) 6 = 6; D = 36/4 = 9
# v = 27/4 + 9/4 = 9: d = sqrt(9 + 16)/sqrt(9 + 7) 3 = 15/4
ADADELTA = dict(rho=3 / 4, eps=7, eps_x=16)
ADADELTA_CASES = [
    (ADADELTA, 0, [6, 3], [-6, -39 / 4]),
    # lr scales the step, and not what D remembers of it
    (dict(lr=1 / 2, **ADADELTA), 0, [6, 3], [-3, -39 / 8]),
    # one eps for both: v = 9: sqrt(16)/sqrt(25) 6 = 24/5; D = 144/25
    # v = 27/4 + 9/4 = 9: sqrt(144/25 + 16)/5 3 = 3/25 sqrt(544)
    (dict(rho=3 / 4, eps=16), 0, [6, 3], [-24 / 5, -24 / 5 - 3 / 25 * sqrt(544)]),
]
ADADELTA_MOMENTUM_CASES = [
    # b = 6: -6; b = 3 + 15/4 = 27/4: -51/4
    (dict(momentum=1 / 2, **ADADELTA), 0, [6, 3], [-6, -51 / 4]),
    (dict(momentum=1 / 2, lr=1 / 2, **ADADELTA), 0, [6, 3], [-3, -51 / 8]),
    (dict(momentum=0, **ADADELTA), 0, [6, 3], [-6, -39 / 4]),
]

# m = 2, v = 4; corrected 2/(1/2) = 4 and 4/(1/4) = 16
# m = 1 - 2 = -1, v = 3 + 4 = 7; corrected -1/(3/4) = -4/3 and 7/(7/16) = 16
ADAM = dict(lr=1 / 2, beta1=1 / 2, beta2=3 / 4)
ADAM_CASES = [
    # 4/4/2 = 1/2; -4/3/4/2 = -1/6
    (ADAM, 0, [4, -4], [-1 / 2, -1 / 3]),
    # 4/(4 + 4)/2 = 1/4; -4/3/8/2 = -1/12
    (dict(eps=4, **ADAM), 0, [4, -4], [-1 / 4, -1 / 6]),
    # eps/sqrt(1 - beta2^t): 2/(1/2) = 4, then 2/(sqrt(7)/4) = 8/sqrt(7)
    (dict(eps=2, eps_hat=True, **ADAM), 0, [4, -4], [-1 / 4, -1 / 4 + 2 / 3 / (4 + 8 / SEVEN)]),
    # 2/2/2 = 1/2; -1/sqrt(7)/2
    (dict(bias_correction=False, **ADAM), 0, [4, -4], [-1 / 2, -1 / 2 + 1 / 2 / SEVEN]),
    # with no correction the two places of eps are one
    (dict(bias_correction=False, eps=2, **ADAM), 0, [4], [-1 / 4]),
    (dict(bias_correction=False, eps_hat=True, eps=2, **ADAM), 0, [4], [-1 / 4]),
]

# m = 2, corrected 4; m = 1 - 1/2 = 1/2, corrected (1/2)/(3/4) = 2/3
ADAMAX = dict(lr=1 / 2, beta1=1 / 2, beta2=1 / 2)
ADAMAX_CASES = [
    # u = 4: 4/4/2; u = max(2, 1) = 2: 2/3/2/2 = 1/6
    (ADAMAX, 0, [4, -1], [-1 / 2, -2 / 3]),
    # u = 4 + 1 = 5: 4/5/2; u = max(5/2, 2) = 5/2: 2/3/(5/2)/2 = 2/15
    (dict(eps=1, **ADAMAX), 0, [4, -1], [-2 / 5, -8 / 15]),
    # u = 4: 4/(4 + 1)/2; u = 2: 2/3/(2 + 1)/2 = 1/9
    (dict(eps=1, eps_outside=True, **ADAMAX), 0, [4, -1], [-2 / 5, -23 / 45]),
]

# m and v as for Adam, sqrt(v_hat) = 4 both times
NADAM = dict(lr=3 / 4, beta1=1 / 2, beta2=3 / 4)
NADAM_CASES = [
    # mu = 1/2 for ever. P = 1/2: 1/2 2/(1 - 1/4) + 1/2 4/(1 - 1/2) = 16/3: 3/4 16/3/4 = 1
    # P = 1/4: -1/2/(1 - 1/8) - 1/2 4/(1 - 1/4) = -4/7 - 8/3 = -68/21: 3/4 68/21/4 = 17/28
    (dict(momentum_decay=inf, **NADAM), 0, [4, -4], [-1, -1 + 17 / 28]),
    # mu = 1/4 for ever. P = 1/4: 1/4 2/(1 - 1/16) + 3/4 4/(1 - 1/4) = 68/15: 3/4 68/15/4 = 17/20
    # P = 1/16: -1/4/(1 - 1/64) - 3/4 4/(1 - 1/16) = -16/63 - 16/5 = -1088/315: 68/105
    (dict(momentum_decay=0, **NADAM), 0, [4, -4], [-17 / 20, -17 / 20 + 68 / 105]),
    # mu_t = (1 - 0.96^t/2)/2: 0.26, 0.2696, 0.278816; P = 0.26, then 0.26 0.2696 = 0.070096
    (
        dict(momentum_decay=1, **NADAM),
        0,
        [4, -4],
        [
            -3 / 16 * (0.2696 * 2 / (1 - 0.26 * 0.2696) + 4),
            -3 / 16 * (0.2696 * 2 / (1 - 0.26 * 0.2696) + 4)
            + 3 / 16 * (0.278816 / (1 - 0.070096 * 0.278816) + (1 - 0.2696) * 4 / (1 - 0.070096)),
        ],
    ),
]

# m = 2, v = 4, v_max = 4; m = 1, corrected 1/(3/4) = 4/3; v = 3, below v_max
AMSGRAD_CASES = [
    # 4/sqrt(16)/2; v_max corrected: 4/(7/16) = 64/7: 4/3/(8/sqrt(7))/2 = sqrt(7)/12
    (ADAM, 0, [4, 0], [-1 / 2, -1 / 2 - SEVEN / 12]),
    # v corrected: 16, then 3/(7/16) = 48/7, below 16: 4/3/4/2 = 1/6
    (dict(corrected=True, **ADAM), 0, [4, 0], [-1 / 2, -2 / 3]),
    # 4/(4 + 4)/2; 4/3/(8/sqrt(7) + 4)/2
    (dict(eps=4, **ADAM), 0, [4, 0], [-1 / 4, -1 / 4 - 2 / 3 / (8 / SEVEN + 4)]),
    # eps 2/(1/2) = 4, then 2/(sqrt(7)/4) = 8/sqrt(7): 4/3/(16/sqrt(7))/2 = sqrt(7)/24
    (dict(eps=2, eps_hat=True, **ADAM), 0, [4, 0], [-1 / 4, -1 / 4 - SEVEN / 24]),
    # 2/2/2; 1/2/2
    (dict(bias_correction=False, **ADAM), 0, [4, 0], [-1 / 2, -3 / 4]),
    # the largest of the whole past: v = 4, 3, 9/4, and v_max = 4 still; m = 2, 1, 1/2
    (dict(bias_correction=False, **ADAM), 0, [4, 0, 0], [-1 / 2, -3 / 4, -7 / 8]),
    # a larger one takes over: v = 3 + 64/4 = 19; m = 1 + 4 = 5: 5/sqrt(19)/2
    (dict(bias_correction=False, **ADAM), 0, [4, 8], [-1 / 2, -1 / 2 - 5 / 2 / sqrt(19)]),
]

ADAMW_CASES = [
    # Adam's 1/2, and decay 1/2 1/4 8 = 1; Adam's -1/6, and decay 1/8 13/2 = 13/16
    (dict(weight_decay=1 / 4, **ADAM), 8, [4, -4], [13 / 2, 13 / 2 + 1 / 6 - 13 / 16]),
    # decay 1/4 8 = 2; decay 1/4 11/2 = 11/8
    (
        dict(weight_decay=1 / 4, decay_times_lr=False, **ADAM),
        8,
        [4, -4],
        [11 / 2, 11 / 2 + 1 / 6 - 11 / 8],
    ),
    (dict(weight_decay=1 / 4, eps=2, eps_hat=True, **ADAM), 8, [4], [8 - 1 / 4 - 1]),
    (dict(weight_decay=1 / 4, bias_correction=False, eps=2, **ADAM), 8, [4], [8 - 1 / 4 - 1]),
    # no gradient at all: the decay alone, 1 - 1/8 each step
    (dict(weight_decay=1 / 4, **ADAM), 64, [0, 0], [56, 49]),
]

ADAML2_CASES = [
    # g = 2 + 8/4 = 4; g = -47/8 + 15/2/4 = -4: as Adam
    (dict(weight_decay=1 / 4, **ADAM), 8, [2, -47 / 8], [15 / 2, 15 / 2 + 1 / 6]),
    (dict(weight_decay=1 / 4, eps=2, eps_hat=True, **ADAM), 8, [2], [31 / 4]),
    (dict(weight_decay=1 / 4, bias_correction=False, eps=2, **ADAM), 8, [2], [31 / 4]),
]

CASES = [
    (name, *case)
    for name, cases in {
        "SGD": SGD_CASES,
        "Momentum": MOMENTUM_CASES,
        "Nesterov": NESTEROV_CASES,
        "Rprop": RPROP_CASES,
        "AdaGrad": ADAGRAD_CASES,
        "RMSProp": RMSPROP_CASES,
        "AdaDelta": ADADELTA_CASES,
        "AdaDeltaMomentum": ADADELTA_MOMENTUM_CASES,
        "Adam": ADAM_CASES,
        "AdaMax": ADAMAX_CASES,
        "Nadam": NADAM_CASES,
        "AMSGrad": AMSGRAD_CASES,
        "AdamW": ADAMW_CASES,
        "AdamL2": ADAML2_CASES,
    }.items()
    for case in cases
]


def judge(cls, options, x0, gradients, expected):
    """Assert that a rule takes the steps that were worked out."""
    eps = {} if "eps" in options or "eps" not in RULES[cls.__name__].defaults else {"eps": 0.0}
    opt, x = cls(**options, **eps), x0
    for g, there in zip(gradients, expected, strict=True):
        x = opt.step(x, g)
        assert x == pytest.approx(there, rel=4e-16, abs=1e-15)


@pytest.mark.parametrize(
    ("name", "options", "x0", "gradients", "expected"),
    CASES,
    ids=[f"{name}-{'-'.join(options)}-{len(g)}" for name, options, _, g, _ in CASES],
)
def test_a_coordinate_by_hand(name, options, x0, gradients, expected):
    judge(RULES[name], options, x0, gradients, expected)


def test_every_rule_and_every_option_is_worked_out():
    known = {(name, option) for name, rule in RULES.items() for option in rule.defaults}
    used = {(name, option) for name, options, *_ in CASES for option in options}
    used |= {(name, "eps") for name, *_ in CASES}
    assert {name for name, _ in known - used} == {"FullAdaGrad"}


def test_full_adagrad_by_hand_on_orthogonal_gradients():
    # G = 25 u u' with u = (3, 4)/5: the root is 5 u u', its pseudo-inverse times g is g/5
    # G gains 100 v v' with v = (4, -3)/5 at right angles: its root is 5 u u' + 10 v v'
    opt = FullAdaGrad(lr=1.0, eps=0.0)
    x = opt.step(np.zeros(2), np.array([3.0, 4.0]))
    np.testing.assert_allclose(x, [-3 / 5, -4 / 5], rtol=1e-15)
    np.testing.assert_allclose(opt.step(x, np.array([8.0, -6.0])), [-7 / 5, -1 / 5], rtol=1e-14)


def test_full_adagrad_by_hand_with_eps():
    # the eigenvalues 5 and 10 become 5 + 5 and 10 + 5
    opt = FullAdaGrad(lr=1.0, eps=5.0)
    x = opt.step(np.zeros(2), np.array([3.0, 4.0]))
    np.testing.assert_allclose(x, [-3 / 10, -4 / 10], rtol=1e-15)
    x = opt.step(x, np.array([8.0, -6.0]))
    np.testing.assert_allclose(x, [-3 / 10 - 8 / 15, -4 / 10 + 6 / 15], atol=1e-15)


def test_full_adagrad_by_hand_on_gradients_at_an_angle():
    # G = [[2, 1], [1, 1]], det G = 1, trace + 2 = 5: its root is (G + I)/sqrt(5), whose inverse is
    # [[2, -1], [-1, 3]]/sqrt(5); times (1, 1): (1, 2)/sqrt(5)
    opt = FullAdaGrad(lr=1.0, eps=0.0)
    x = opt.step(np.zeros(2), np.array([1.0, 0.0]))
    assert x.tolist() == [-1, 0]
    x = opt.step(x, np.array([1.0, 1.0]))
    np.testing.assert_allclose(x, [-1 - 1 / sqrt(5), -2 / sqrt(5)], rtol=1e-14)


@pytest.mark.parametrize(
    ("rule", "options", "outside", "inside"),
    [
        # b = 5: -1 - 5/4; with lr inside b = 1, then 1/2 + 4/4 = 3/2
        (Momentum, dict(momentum=1 / 2), -9 / 4, -5 / 2),
        # -3/2 - (4 + 5/2)/4; with lr inside b = 1, then 3/2: -3/2 - (3/4 + 1)
        (Nesterov, dict(momentum=1 / 2), -25 / 8, -13 / 4),
    ],
)
def test_after_lr_is_halved_by_hand(rule, options, outside, inside):
    for lr_inside, there in ((False, outside), (True, inside)):
        opt = rule(lr=1 / 2, lr_inside=lr_inside, **options)
        x = opt.step(0.0, 2.0)
        opt.set(lr=1 / 4)
        assert opt.step(x, 4.0) == there


def test_rmsprop_after_lr_is_halved_by_hand():
    # scaled 2, then 1; outside: -2 - (1 + 1)/2; inside: b = 2, then 1 + 1/2: -2 - 3/2
    for lr_inside, there in ((False, -3), (True, -7 / 2)):
        opt = RMSProp(lr=1.0, rho=3 / 4, eps=0.0, momentum=1 / 2, lr_inside=lr_inside)
        x = opt.step(0.0, 2.0)
        opt.set(lr=1 / 2)
        assert opt.step(x, 1.0) == there


def test_a_schedule_by_hand():
    # rates 1, 1/2, 1/3 from t = 1 on
    opt, x = SGD(lr=lambda t: 1 / t), 0.0
    for there in (-6, -9, -11):
        x = opt.step(x, 6.0)
        assert x == there


def test_the_memory_by_hand():
    opt = RULES["RMSProp"](lr=1.0, rho=1 / 2, eps=0.0, centered=True, momentum=1 / 2)
    opt.step(np.zeros(1), np.array([2.0]))
    opt.step(np.zeros(1), np.array([1.5]))
    # v = 17/8 and mean = 5/4 as above; b = 2, then 1 + 2
    state = {key: value.tolist() for key, value in opt.state_dict().items()}
    assert state == dict(rule="RMSProp", t=2, x=[1], v=[17 / 8], mean=[5 / 4], b=[3.0])
