"""Schedules: exact values at chosen steps, use in a rule, wrong input."""

import math

import numpy as np
import pytest

from optimlib import SGD, Adam
from optimlib.schedules import Cosine, Exponential, InverseSqrt, InverseTime, StepDecay, Warmup


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (StepDecay(8.0, factor=0.5, every=2), {1: 8, 2: 8, 3: 4, 4: 4, 5: 2}),
        (Exponential(8.0, factor=0.5), {1: 8, 2: 4, 4: 1}),
        (InverseSqrt(6.0), {1: 6, 4: 3, 9: 2}),
        (InverseTime(6.0, rate=0.5), {1: 6, 3: 3, 5: 2}),
        (Cosine(4.0, steps=4), {1: 4, 3: 2, 5: 0, 6: 0, 100: 0}),
        (Cosine(4.0, steps=4, final=2.0), {1: 4, 3: 3, 5: 2, 9: 2}),
        (Warmup(4.0, steps=4), {1: 1, 2: 2, 4: 4, 5: 4}),
        (Warmup(Exponential(8.0, factor=0.5), steps=2), {1: 4, 2: 4, 3: 2}),
    ],
    ids=repr,
)
def test_values_at_chosen_steps(schedule, values):
    for t, value in values.items():
        assert schedule(t) == pytest.approx(value, abs=1e-15)


def test_a_quarter_of_the_cosine():
    assert Cosine(1.0, steps=4)(2) == pytest.approx((1 + math.sqrt(0.5)) / 2)


def test_lengths_may_be_numpy_numbers():
    assert Cosine(4.0, steps=np.int64(4))(3) == 2
    assert Exponential(8.0, factor=np.float32(0.5))(2) == 4


def test_the_first_step_uses_t_equal_one():
    opt = SGD(lr=StepDecay(1.0, factor=0.5, every=1))
    x = opt.step(0.0, 1.0)
    assert x == -1.0
    assert opt.step(x, 1.0) == -1.5
    assert repr(opt) == "SGD(lr=StepDecay(1.0, factor=0.5, every=1), weight_decay=0.0)"


def test_any_hyperparameter_may_be_scheduled_and_sweeps_may_have_schedules():
    opt = Adam(lr=0.1, beta1=lambda t: 1 - 1 / t)
    run = opt.run(lambda x: 2 * x, np.array([1.0, -2.0]), 20)
    assert np.isfinite(run.path).all()
    rates = np.array([0.1, 0.2])
    sweep = SGD(lr=Warmup(rates, steps=3)).run(lambda x: x, np.ones((2, 1)), 5)
    for i, rate in enumerate(rates):
        single = SGD(lr=Warmup(float(rate), steps=3)).run(lambda x: x, np.ones(1), 5)
        np.testing.assert_array_equal(sweep.path[:, i], single.path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: StepDecay(1.0, factor=-1), r"StepDecay: factor=-1; expected a number >= 0"),
        (lambda: StepDecay(1.0, every=0), r"StepDecay: every=0; expected a number >= 1"),
        (lambda: Exponential(1.0, factor=math.nan), r"Exponential: factor=nan"),
        (lambda: InverseTime(1.0, rate=-1), r"InverseTime: rate=-1"),
        (lambda: Cosine(1.0, steps=0), r"Cosine: steps=0"),
        (lambda: Cosine(1.0, steps=5, final=-1.0), r"Cosine: final=-1.0"),
        (lambda: Warmup(1.0, steps="ten"), r"Warmup: steps='ten'"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
