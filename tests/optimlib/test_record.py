"""`minimize` and its record: what it measures, and what it leaves alone."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from optimlib import SGD, Adam, minimize
from optimlib.leaf import finite
from optimlib.objectives import LogisticRegression, himmelblau, ravine, saddle
from optimlib.schedules import Cosine, Warmup


def test_the_record_measures_every_iterate():
    record = minimize(ravine, SGD(lr=0.5), steps=3)
    x = -7 * 0.95 ** np.arange(4)
    np.testing.assert_allclose(record.path, np.stack([x, [2, 0, 0, 0]], axis=1), atol=1e-15)
    np.testing.assert_allclose(record.value, x**2 / 20 + [4, 0, 0, 0])
    np.testing.assert_array_equal(record.gap, record.value)
    np.testing.assert_allclose(record.distance, np.hypot(x, [2, 0, 0, 0]))
    np.testing.assert_array_equal(record.t, [0, 1, 2, 3])
    assert record.objective is ravine
    assert repr(record) == "Record(SGD(lr=0.5, weight_decay=0.0), 3 steps)"


def test_the_gap_counts_from_the_minimum_and_the_distance_to_the_nearest_minimiser():
    record = minimize(saddle, SGD(lr=0.1), steps=0, start=[0.0, -0.9])
    assert record.gap[0] == pytest.approx(0.9**4 / 4 - 0.9**2 / 2 + 0.25)
    assert record.distance[0] == pytest.approx(0.1)
    near = minimize(himmelblau, SGD(lr=0.001), steps=0, start=[-3.7, -3.3])
    assert near.distance[0] < 0.1


def test_what_is_not_known_is_none():
    unknown = replace(ravine, minimum=None, minimisers=())
    record = minimize(unknown, SGD(lr=0.5), steps=2)
    assert record.gap is None
    assert record.distance is None


def test_an_objective_needs_only_the_names_the_docstring_lists():
    problem = LogisticRegression(n=40, dim=3)
    record = minimize(problem, Adam(lr=0.1), steps=400)
    assert record.distance[-1] < 1e-3
    plain = SimpleNamespace(
        value=lambda x: (x**2).sum(axis=-1),
        sampler=lambda: lambda x: 2 * x,
        start=[3],
        minimum=0.0,
        minimiser=np.zeros(1),
    )
    assert minimize(plain, SGD(lr=0.25), steps=1).x == 1.5


def test_value_gradient_and_start_are_enough():
    bare = SimpleNamespace(value=lambda x: (x**2).sum(axis=-1), gradient=lambda x: 2 * x, start=[3])
    record = minimize(bare, SGD(lr=0.25), steps=1)
    assert record.x == 1.5
    assert record.gap is None
    assert record.distance is None


def test_one_start_serves_every_run_of_a_sweep():
    record = minimize(ravine, SGD(lr=[0.1, 0.5]), steps=4, start=[-3.0, 1.0])
    assert record.path.shape == (5, 2, 2)
    for i, rate in enumerate((0.1, 0.5)):
        single = minimize(ravine, SGD(lr=rate), steps=4, start=[-3.0, 1.0])
        np.testing.assert_array_equal(record.path[:, i], single.path)


def test_each_run_of_a_sweep_may_have_a_start_of_its_own():
    starts = np.array([[-3.0, 1.0], [2.0, 2.0]])
    record = minimize(ravine, SGD(lr=[0.1, 0.5]), steps=1, start=starts)
    np.testing.assert_array_equal(record.path[0], starts)
    np.testing.assert_allclose(record.path[1], starts - [[0.1], [0.5]] * ravine.gradient(starts))


def test_the_optimizer_is_left_alone_and_a_second_run_is_the_first():
    opt = Adam(lr=0.1)
    opt.step(np.ones(3), np.ones(3))
    first, second = minimize(ravine, opt, steps=5), minimize(ravine, opt, steps=5)
    np.testing.assert_array_equal(first.path, second.path)
    assert opt.t == 1


def test_a_sweep_gets_its_rows_and_may_diverge():
    rates = np.array([0.1, 0.5, 5.0])
    with np.errstate(over="ignore", invalid="ignore"):
        record = minimize(ravine, SGD(lr=rates), steps=600, check_finite=False)
    assert record.path.shape == (601, 3, 2)
    assert record.gap.shape == (601, 3)
    assert not np.isfinite(record.gap[-1, 2])
    single = minimize(ravine, SGD(lr=0.5), steps=600)
    np.testing.assert_array_equal(record.path[:, 1], single.path)
    quiet = minimize(ravine, SGD(lr=rates, check_finite=False), steps=600)
    np.testing.assert_array_equal(quiet.path, record.path)
    grid = minimize(ravine, Adam(lr=rates[:, None], beta1=[[0.0, 0.9]]), steps=2)
    assert grid.path.shape == (3, 3, 2, 2)


def test_a_schedule_of_arrays_is_a_sweep():
    rates = np.array([0.1, 0.5, 0.7])
    for schedule, single in (
        (Warmup(rates, steps=3), lambda r: Warmup(r, steps=3)),
        (lambda t: rates / t, lambda r: lambda t: r / t),
    ):
        opt = SGD(lr=schedule)
        assert opt.sweep_shape == (3,)
        record = minimize(ravine, opt, steps=5)
        assert record.path.shape == (6, 3, 2)
        for i, rate in enumerate(rates):
            alone = minimize(ravine, SGD(lr=single(float(rate))), steps=5)
            np.testing.assert_array_equal(record.path[:, i], alone.path)
    grid = Adam(lr=Cosine(rates[:, None], steps=5), beta1=[[0.5, 0.9]])
    assert minimize(ravine, grid, steps=5).path.shape == (6, 3, 2, 2)
    assert SGD(lr=Warmup(0.1, steps=3)).sweep_shape == ()
    # Asked at the next step.
    opt = SGD(lr=lambda t: 0.1 if t == 1 else rates)
    assert opt.sweep_shape == ()
    opt.step(1.0, 1.0)
    assert opt.sweep_shape == (3,)


def test_options_go_to_run():
    record = minimize(ravine, SGD(lr=0.5), steps=10, every=4)
    np.testing.assert_array_equal(record.t, [0, 4, 8, 10])
    assert record.value.shape == (4,)


@pytest.mark.parametrize("size", [3, 8192, 8193, 30_000])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_bad_entry_is_seen_wherever_it_stands(size, bad):
    good = np.full(size, 1e300)
    assert finite(good, good)
    assert finite(np.ones((2, size))[:, ::2], np.ones((2, size))[:, ::2])
    for at in (0, size // 2, size - 1):
        spoilt = good.copy()
        spoilt[at] = bad
        assert not finite(spoilt, good)
        assert not finite(good, spoilt)
