"""A small neural network in NumPy, and the handwritten digits it learns.

It exists to answer one question of the book: does it matter on real data?
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Network:
    r"""A fully connected network with tanh layers and a softmax output.

    Parameters are a dict ``{"W1": …, "b1": …, …}``; ``W`` has shape (inputs, outputs). Every
    method is a pure function of them, so any optimizer of the package can train it.

    Parameters
    ----------
    sizes : tuple of int
        Units of the input, the hidden layers and the output, e.g. ``(64, 32, 10)``.
    """

    sizes: tuple = (64, 32, 10)

    def __post_init__(self):
        if len(self.sizes) < 2 or any(n < 1 for n in self.sizes):
            raise ValueError(
                f"sizes={self.sizes!r}; expected at least an input and an output of 1 unit or more."
            )

    @property
    def layers(self) -> range:
        """Numbers of the layers, from 1."""
        return range(1, len(self.sizes))

    def init(self, seed: int) -> dict:
        """Return starting parameters: normal weights of variance 1/inputs, zero biases."""
        rng = np.random.default_rng(seed)
        parameters = {}
        for k in self.layers:
            inputs, outputs = self.sizes[k - 1], self.sizes[k]
            parameters[f"W{k}"] = rng.standard_normal((inputs, outputs)) / np.sqrt(inputs)
            parameters[f"b{k}"] = np.zeros(outputs)
        return parameters

    def _activations(self, parameters, inputs):
        activations = [inputs]
        for k in self.layers:
            z = activations[-1] @ parameters[f"W{k}"] + parameters[f"b{k}"]
            activations.append(np.tanh(z) if k < self.layers[-1] else z)
        return activations

    def loss(self, parameters: dict, inputs, labels) -> float:
        """Return the mean cross-entropy of integer labels."""
        logits = self._activations(parameters, inputs)[-1]
        return float(-_log_softmax(logits)[np.arange(len(labels)), labels].mean())

    def gradient(self, parameters: dict, inputs, labels) -> dict:
        """Return the gradient of `loss` by backpropagation, structured like the parameters."""
        activations = self._activations(parameters, inputs)
        error = np.exp(_log_softmax(activations[-1]))
        error[np.arange(len(labels)), labels] -= 1
        error /= len(labels)
        gradient = {}
        for k in reversed(self.layers):
            gradient[f"W{k}"] = activations[k - 1].T @ error
            gradient[f"b{k}"] = error.sum(axis=0)
            if k > 1:
                error = (error @ parameters[f"W{k}"].T) * (1 - activations[k - 1] ** 2)
        return {name: gradient[name] for name in parameters}

    def accuracy(self, parameters: dict, inputs, labels) -> float:
        """Return the share of inputs whose largest output is their label."""
        return float((self._activations(parameters, inputs)[-1].argmax(axis=1) == labels).mean())


def _log_softmax(logits):
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


@dataclass(frozen=True, repr=False)
class Split:
    """Training and test data: ``x`` of shape (n, features), integer labels ``y``."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    def __repr__(self):
        return f"Split({len(self.x)} to train on, {len(self.x_test)} to test on)"


def digits(seed: int = 0, test: float = 0.25) -> Split:
    """Return scikit-learn's 1797 handwritten digits, pixels scaled to [0, 1], split at random.

    The data come with scikit-learn; nothing is downloaded.

    Raises
    ------
    ValueError
        If ``test`` is not strictly between 0 and 1.
    """
    if not 0 < test < 1:
        raise ValueError(f"test={test!r}; expected a share strictly between 0 and 1.")
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order] / 16, y[order]
    held_out = max(1, round(test * len(x)))
    return Split(x[held_out:], y[held_out:], x[:held_out], y[:held_out])


def batches(n: int, size: int, epochs: int, seed: int = 0):
    """Yield index arrays of mini-batches: every epoch visits all n rows in a new order.

    The last batch of an epoch holds what is left over.

    Raises
    ------
    ValueError
        If a number is below 1.

    Examples
    --------
    >>> [len(rows) for rows in batches(10, 4, epochs=2)]
    [4, 4, 2, 4, 4, 2]
    """
    for name, value in (("n", n), ("size", size), ("epochs", epochs)):
        if value < 1:
            raise ValueError(f"{name}={value!r}; expected at least 1.")
    return _batches(n, size, epochs, seed)


def _batches(n, size, epochs, seed):
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(n)
        for i in range(0, n, size):
            yield order[i : i + size]
