"""What the package is measured against: loops as textbooks write them, in NumPy."""

from __future__ import annotations

import numpy as np


def adam(x, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """Return a function ``g -> x`` that takes a step of Adam on whole arrays, allocated anew."""
    m, v, t = np.zeros_like(x), np.zeros_like(x), 0

    def step(g):
        nonlocal x, m, v, t
        t += 1
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        x = x - lr * m_hat / (np.sqrt(v_hat) + eps)
        return x

    return step


def adam_path(grad, x, steps, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """Return the path of Adam: a lean loop without any check."""
    path = np.empty((steps + 1, *x.shape))
    path[0] = x
    m, v = np.zeros_like(x), np.zeros_like(x)
    for t in range(1, steps + 1):
        g = grad(x)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        x = x - lr * m_hat / (np.sqrt(v_hat) + eps)
        path[t] = x
    return path
