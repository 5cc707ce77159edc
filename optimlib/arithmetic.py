"""The namespace that rules do their mathematics in when they are fed NumPy arrays.

A rule never names NumPy. It asks the namespace it is handed: this one for arrays, others for
symbols and quantities. Each function here is NumPy's, but for two guards: a plain Python float
stays one, so that ``sqrt(1 - beta2**t)`` does not widen a float32 array, and a condition on ``t``
alone picks a branch instead of building an array.
"""

from __future__ import annotations

import math

import numpy as np

maximum = np.maximum
minimum = np.minimum
abs = np.abs
sign = np.sign


def sqrt(a):
    """Return the square root."""
    return math.sqrt(a) if type(a) is float else np.sqrt(a)


def where(condition, a, b):
    """Return ``a`` where the condition holds, else ``b``."""
    if isinstance(condition, bool):
        return a if condition else b
    return np.where(condition, a, b)


def outer(a, b):
    """Return the matrix of products of two vectors; leading axes are runs of a sweep."""
    return a[..., :, None] * b[..., None, :]


def inverse_root(matrix, eps):
    """Return the function ``v -> (matrix^(1/2) + eps I)^(-1) v`` of a symmetric matrix ``>= 0``.

    Directions in which the matrix is zero are left out (the pseudo-inverse): the gradients that
    built the matrix have no part there, and rounding errors must not be divided by ``eps``. The
    result is NaN where a matrix of a sweep is not finite; the others go on.
    """
    whole = np.isfinite(matrix).all(axis=(-2, -1), keepdims=True)
    values, vectors = np.linalg.eigh(np.where(whole, matrix, 0))
    floor = values.shape[-1] * np.finfo(values.dtype).eps * values[..., -1:]
    seen = values > floor
    roots = np.sqrt(np.where(seen, values, 1)) + eps

    def apply(v):
        coordinates = np.swapaxes(vectors, -1, -2) @ v[..., None]
        scaled = np.where(seen, coordinates[..., 0] / roots, 0)
        scaled = np.where(whole[..., 0], scaled, np.nan)
        return (vectors @ scaled[..., None])[..., 0]

    return apply
