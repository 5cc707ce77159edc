"""The digits network: gradients, shapes, data, batches, wrong input."""

import numpy as np
import pytest

from optimlib import Adam
from optimlib.network import Network, batches, digits


@pytest.mark.parametrize("sizes", [(3, 4), (5, 4, 3), (4, 6, 5, 3)])
def test_backpropagation_equals_central_differences(sizes):
    rng = np.random.default_rng(0)
    net = Network(sizes)
    parameters = net.init(1)
    x, y = rng.standard_normal((7, sizes[0])), rng.integers(0, sizes[-1], 7)
    gradient = net.gradient(parameters, x, y)
    assert list(gradient) == list(parameters)
    for name, value in parameters.items():
        for index in np.ndindex(value.shape):
            losses = []
            for h in (1e-5, -1e-5):
                moved = {k: v.copy() for k, v in parameters.items()}
                moved[name][index] += h
                losses.append(net.loss(moved, x, y))
            slope = (losses[0] - losses[1]) / 2e-5
            assert gradient[name][index] == pytest.approx(slope, abs=1e-9)


def test_zero_parameters_know_nothing():
    net = Network((4, 3, 5))
    zero = {k: 0 * v for k, v in net.init(0).items()}
    x, y = np.ones((6, 4)), np.array([0, 1, 2, 3, 4, 0])
    assert net.loss(zero, x, y) == pytest.approx(np.log(5))
    assert net.accuracy(zero, x, y) == pytest.approx(2 / 6)


def test_huge_logits_do_not_overflow():
    net = Network((2, 2))
    parameters = {"W1": 1e4 * np.eye(2), "b1": np.zeros(2)}
    x, y = np.eye(2), np.array([0, 0])
    assert net.loss(parameters, x, y) == pytest.approx(5e3)
    assert np.isfinite(net.gradient(parameters, x, y)["W1"]).all()


def test_weights_start_with_variance_one_over_inputs():
    weights = Network((400, 300, 10)).init(0)["W1"]
    assert weights.std() == pytest.approx(0.05, rel=0.01)
    np.testing.assert_array_equal(weights, Network((400, 300, 10)).init(0)["W1"])


def test_digits_are_scaled_split_and_reproducible():
    data = digits()
    assert repr(data) == "Split(1348 to train on, 449 to test on)"
    assert data.x.shape == (1348, 64)
    assert data.x.min() == 0
    assert data.x.max() == 1
    np.testing.assert_array_equal(digits().y, data.y)
    assert not np.array_equal(digits(seed=1).y, data.y)
    both = np.concatenate([data.x, data.x_test])
    assert sorted(both.sum(axis=1)) == sorted(
        np.concatenate([digits(seed=1).x, digits(seed=1).x_test]).sum(axis=1)
    )


def test_an_optimizer_learns_the_digits():
    data, net, opt = digits(), Network(), Adam(lr=0.01)
    parameters = net.init(0)
    for rows in batches(len(data.x), 64, epochs=5):
        parameters = opt.step(parameters, net.gradient(parameters, data.x[rows], data.y[rows]))
    assert net.accuracy(parameters, data.x_test, data.y_test) > 0.93


def test_an_epoch_visits_every_row_once_in_a_new_order():
    drawn = list(batches(10, 4, epochs=2, seed=1))
    first, second = np.concatenate(drawn[:3]), np.concatenate(drawn[3:])
    np.testing.assert_array_equal(np.sort(first), np.arange(10))
    np.testing.assert_array_equal(np.sort(second), np.arange(10))
    assert not np.array_equal(first, second)
    assert [len(rows) for rows in batches(3, 100, epochs=1)] == [3]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Network((5,)), r"sizes=\(5,\); expected at least an input and an output"),
        (lambda: Network((5, 0)), r"1 unit or more"),
        (lambda: digits(test=0), r"test=0; expected a share strictly between 0 and 1"),
        (lambda: digits(test=1.5), r"test=1.5"),
        (lambda: batches(10, 0, 1), r"size=0; expected at least 1"),
        (lambda: batches(0, 1, 1), r"n=0; expected at least 1"),
        (lambda: batches(1, 1, 0), r"epochs=0; expected at least 1"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
