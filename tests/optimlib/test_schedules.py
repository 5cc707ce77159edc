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
        (StepDecay(Warmup(8.0, steps=2), factor=0.5, every=2), {1: 4, 2: 8, 3: 4, 5: 2}),
        (Exponential(Warmup(8.0, steps=2), factor=0.5), {1: 4, 2: 4, 3: 2}),
        (InverseSqrt(Warmup(8.0, steps=4)), {1: 2, 4: 4, 16: 2}),
        (InverseTime(Warmup(8.0, steps=2), rate=1.0), {1: 4, 2: 4, 4: 2}),
        (
            Cosine(Warmup(8.0, steps=2), steps=4, final=2.0),
            {1: 4, 2: 7.121320343559643, 3: 5, 5: 2},
        ),
        (Warmup(lambda t: 8 / t, steps=4), {1: 2, 2: 2, 8: 1}),
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


@pytest.mark.parametrize("given", [[0.1, 0.2], (0.1, 0.2), np.array([0.1, 0.2])])
def test_a_list_is_a_sweep_and_an_array_is_copied(given):
    schedule = Warmup(given, steps=2)
    assert repr(schedule) == "Warmup(<2 values from 0.1 to 0.2>, steps=2)"
    given = np.asarray(given)
    given[0] = 7.0
    assert schedule(1).tolist() == [0.05, 0.1]
    run = SGD(lr=schedule).run(lambda x: x, np.ones((2, 1)), 3)
    assert run.x.shape == (2, 1)


def test_a_function_prints_without_its_address():
    def rate(t):
        return 0.1

    assert "0x" not in repr(SGD(lr=Warmup(rate, steps=2)))


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
        (lambda: Warmup(1.0, steps=True), r"Warmup: steps=True; expected a number >= 1"),
        (lambda: Warmup(1.0, steps=[1, 2]), r"Warmup: steps=\[1, 2\]; expected a number >= 1"),
        (
            lambda: Exponential(1.0, factor=0.9j),
            r"Exponential: factor=0.9j; expected a number >= 0",
        ),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


MAKE = [
    lambda value: StepDecay(value),
    lambda value: Exponential(value),
    lambda value: InverseSqrt(value),
    lambda value: InverseTime(value),
    lambda value: Cosine(value, steps=10),
    lambda value: Warmup(value, steps=10),
]


@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        ("a", TypeError, "value='a' is a str; expected a real number, an array of them"),
        (None, TypeError, "value=None is a NoneType; expected a real number"),
        (True, TypeError, "value=True is a bool; expected a real number"),
        (1j, TypeError, "value=1j is a complex"),
        (["a", "b"], TypeError, "is a list; expected a real number"),
        ([], ValueError, "value is an empty array"),
        ([[0.1], [0.2, 0.3]], TypeError, "is a list; expected a real number"),
        (math.nan, ValueError, "value=nan is out of range"),
        (math.inf, ValueError, "value=inf is out of range"),
        ([0.1, math.nan], ValueError, "value=nan at index (1,) is out of range"),
        (-0.1, ValueError, "value=-0.1; expected a number >= 0"),
        ([0.1, -0.2], ValueError, "value=<2 values from -0.2 to 0.1>; expected a number >= 0"),
        (Cosine, TypeError, "value is the class Cosine; expected a number or a schedule"),
    ],
)
def test_a_value_that_is_nonsense_is_refused_at_once(make, value, error, said):
    name = type(make(1.0)).__name__
    with pytest.raises(error) as caught:
        make(value)
    assert str(caught.value).startswith(f"{name}: value")
    assert said in str(caught.value)


@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize(
    ("bad", "error", "said"),
    [
        ("a", TypeError, "value='a' is a str"),
        (None, TypeError, "value=None is a NoneType"),
        (-1.0, ValueError, "value=-1.0; expected a number >= 0"),
        (abs, TypeError, "is a builtin_function_or_method"),
    ],
)
def test_an_inner_schedule_that_returns_nonsense_is_named(make, bad, error, said):
    outer = make(lambda t: 0.1 if t == 1 else bad)
    opt = SGD(lr=outer)
    x = opt.step(1.0, 1.0)
    with pytest.raises(error) as caught:
        opt.step(x, 1.0)
    assert str(caught.value).startswith(f"{type(outer).__name__}: value=")
    assert said in str(caught.value)
    assert opt.t == 1
