"""Normal noise that a page and a kernel compute alike: no state, a number for each step.

NumPy's generators have no twin in JavaScript. Here the n-th number of a seed comes from a 32-bit
mixing function (Tommy Ettinger's mulberry32, public domain), so both sides need a few lines only.
"""

from __future__ import annotations

import numpy as np

_STRIDE = 0x6D2B79F5
# Seeds are spread over the 32 bits, so that neighbours share no stretch of numbers.
_SPREAD = 0x9E3779B9


def uniform(seed: int, n) -> np.ndarray:
    """Return the n-th numbers of a seed, uniform on the interval (0, 1).

    Parameters
    ----------
    seed : int
        From 0 to 2**32 - 1.
    n : int or array of int
        From 0.
    """
    n = np.asarray(n, dtype=np.uint64)
    a = (np.uint64(int(seed) * _SPREAD % 2**32) + (n + np.uint64(1)) * np.uint64(_STRIDE)).astype(
        np.uint32
    )
    t = (a ^ (a >> np.uint32(15))) * (a | np.uint32(1))
    t ^= t + (t ^ (t >> np.uint32(7))) * (t | np.uint32(61))
    return ((t ^ (t >> np.uint32(14))).astype(float) + 0.5) / 2.0**32


def normal(seed: int, t, dim: int) -> np.ndarray:
    """Return standard normal noise for steps t (from 1): shape ``(*t.shape, dim)``.

    Two uniform numbers make one normal number (Box and Muller).

    Examples
    --------
    >>> normal(0, 1, 2).round(3)
    array([1.626, 1.051])
    """
    t = np.asarray(t, dtype=np.int64)
    n = (t[..., None] - 1) * dim + np.arange(dim)
    return np.sqrt(-2 * np.log(uniform(seed, 2 * n))) * np.cos(2 * np.pi * uniform(seed, 2 * n + 1))
