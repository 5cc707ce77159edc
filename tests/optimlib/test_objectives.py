"""The running examples: gradients against SymPy, minimisers, rotation, noise, wrong input."""

from types import SimpleNamespace

import numpy as np
import pytest
import sympy

from optimlib.objectives import (
    OBJECTIVES,
    LogisticRegression,
    absolute,
    himmelblau,
    quadratic,
    ravine,
    rosenbrock,
    saddle,
)

SYMPY = SimpleNamespace(abs=sympy.Abs, sign=sympy.sign)
PLANAR = [*OBJECTIVES.values(), quadratic(50), ravine.rotated(45)]


@pytest.mark.parametrize("objective", [*PLANAR, quadratic(100, dim=4)], ids=repr)
def test_partials_are_what_sympy_derives_from_the_formula(objective):
    coordinates = sympy.symbols(f"x:{objective.dim}", real=True)
    formula = objective.formula(SYMPY, *coordinates)
    partials = objective.partials(SYMPY, *coordinates)
    for symbol, partial in zip(coordinates, partials, strict=True):
        difference = sympy.simplify(sympy.expand(sympy.diff(formula, symbol) - partial))
        # Turned objectives carry floats; what is left of them is rounding.
        weights = [1.0] if difference.is_number else sympy.Poly(difference, *coordinates).coeffs()
        assert difference == 0 or max(abs(w) for w in weights) < 1e-14


@pytest.mark.parametrize("objective", PLANAR, ids=repr)
def test_minimisers_reach_the_minimum_and_nothing_in_view_is_lower(objective):
    for point in objective.minimisers:
        assert objective.value(np.array(point)) == pytest.approx(objective.minimum, abs=1e-25)
        np.testing.assert_allclose(objective.gradient(np.array(point)), 0, atol=1e-12)
    (a, b), (c, d) = objective.view
    grid = np.stack(np.meshgrid(np.linspace(a, b, 201), np.linspace(c, d, 201)), axis=-1)
    assert objective.value(grid).min() >= objective.minimum


def test_the_ravine_is_the_one_the_book_names():
    assert ravine.start == (-7.0, 2.0)
    assert ravine([-7.0, 2.0]) == 49 / 20 + 4
    np.testing.assert_array_equal(ravine.gradient([-7.0, 2.0]), [-0.7, 4.0])


def test_values_and_gradients_at_points_computed_by_hand():
    assert rosenbrock([2.0, 3.0]) == 1 + 100
    np.testing.assert_array_equal(rosenbrock.gradient([2.0, 3.0]), [802.0, -200.0])
    assert himmelblau([0.0, 0.0]) == 121 + 49
    assert absolute([-4.0, 3.0]) == 4.0
    np.testing.assert_array_equal(absolute.gradient([-4.0, 0.0]), [-0.25, 0.0])
    assert saddle([1.0, 2.0]) == 0.5 + 4 - 2


def test_leading_axes_are_runs():
    points = np.random.default_rng(0).standard_normal((3, 5, 2))
    assert rosenbrock(points).shape == (3, 5)
    np.testing.assert_array_equal(
        rosenbrock.gradient(points)[1, 2], rosenbrock.gradient(points[1, 2])
    )


def test_eigenvalues_of_the_quadratic_run_from_one_to_its_condition():
    eigenvalues = quadratic(1000, dim=4).gradient(np.ones(4))
    np.testing.assert_allclose(eigenvalues, [1, 10, 100, 1000])
    assert quadratic(7, dim=1)([2.0]) == 14.0
    assert quadratic(7, dim=1).dim == 1


def test_a_turn_keeps_the_value_and_turns_start_and_minimiser():
    turned = rosenbrock.rotated(90)
    np.testing.assert_allclose(turned.start, (-1.0, -1.2))
    np.testing.assert_allclose(turned.minimiser, (-1.0, 1.0))
    assert turned(turned.start) == pytest.approx(rosenbrock(rosenbrock.start))
    assert "turned by 90" in repr(turned)
    with pytest.raises(ValueError, match=r"4 coordinates; only the plane"):
        quadratic(10, dim=4).rotated(45)


def test_noise_starts_anew_for_each_run_and_is_as_large_as_said():
    noisy = ravine.noisy(0.5, seed=3)
    x = np.zeros((20_000, 2))
    first, second = noisy.sampler()(x), noisy.sampler()(x)
    np.testing.assert_array_equal(first, second)
    assert first.std() == pytest.approx(0.5, rel=0.02)
    assert abs(first.mean()) < 0.01
    assert repr(noisy) == "Objective(ravine, noise=0.5, seed=3)"
    assert ravine.sampler()([1.0, 1.0]) == pytest.approx(ravine.gradient([1.0, 1.0]))
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="expected a finite standard deviation"):
            ravine.noisy(bad)


def test_an_objective_without_a_minimiser_says_so():
    from dataclasses import replace

    assert replace(ravine, minimisers=()).minimiser is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ravine([1.0, 2.0, 3.0]), r"2 coordinates .* shape \(3,\)"),
        (lambda: ravine.gradient(1.0), r"2 coordinates .* shape \(\)"),
        (lambda: quadratic(0.5), r"condition=0.5; expected a finite number >= 1"),
        (lambda: quadratic(np.inf), r"condition=inf"),
        (lambda: quadratic(2, dim=0), r"dim=0; expected at least 1"),
        (lambda: LogisticRegression(n=1), r"n=1, dim=12; expected at least 2 rows"),
        (lambda: LogisticRegression(dim=0), r"dim=0"),
        (lambda: LogisticRegression(penalty=0.0), r"penalty=0.0; expected a finite number > 0"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


class TestLogisticRegression:
    problem = LogisticRegression()

    def test_gradient_equals_central_differences(self):
        w = np.random.default_rng(1).standard_normal(12)
        h = 1e-5 * np.eye(12)
        numeric = (self.problem(w + h) - self.problem(w - h)) / 2e-5
        np.testing.assert_allclose(self.problem.gradient(w), numeric, atol=1e-9)

    def test_value_at_zero_is_log_two(self):
        assert self.problem(self.problem.start) == pytest.approx(np.log(2))

    def test_minimiser_has_no_gradient_and_is_unique_by_the_penalty(self):
        assert np.abs(self.problem.gradient(self.problem.minimiser)).max() < 1e-14
        assert self.problem(self.problem.minimiser) == self.problem.minimum

    def test_newton_halves_steps_that_overshoot_and_still_arrives(self):
        for seed in range(6):
            steep = LogisticRegression(n=20, dim=20, penalty=1e-9, seed=seed)
            assert np.abs(steep.gradient(steep.minimiser)).max() < 1e-12

    def test_single_rows_average_to_the_full_gradient(self):
        w = np.random.default_rng(2).standard_normal(12)
        rows = [self.problem.gradient(w, [i]) for i in range(400)]
        np.testing.assert_allclose(np.mean(rows, axis=0), self.problem.sampler()(w), atol=1e-14)

    def test_features_are_as_sparse_as_said(self):
        share = (self.problem.a != 0).mean(axis=0)
        np.testing.assert_allclose(share, self.problem.frequency, atol=0.06)
        np.testing.assert_allclose(
            self.problem.frequency[[0, 1, 2, 11]], [1, 0.5**0.5, 0.5, 0.5**5.5]
        )
        assert LogisticRegression(n=20, dim=12).frequency[11] == 0.1

    def test_leading_axes_are_runs_and_extreme_weights_stay_finite(self):
        w = np.random.default_rng(3).standard_normal((4, 12)) * 1e3
        assert self.problem(w).shape == (4,)
        np.testing.assert_allclose(self.problem.gradient(w)[2], self.problem.gradient(w[2]))
        assert np.isfinite(self.problem.gradient(w)).all()

    def test_same_seed_same_data(self):
        np.testing.assert_array_equal(self.problem.a, LogisticRegression().a)
        assert repr(self.problem) == "LogisticRegression(n=400, dim=12, penalty=0.001, seed=0)"
