"""What the behaviour tests of optimlib share: cases, gradients, and comparison to the last bit."""

import itertools
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import pytest

from optimlib import RULES

ELEMENTWISE = [name for name, rule in RULES.items() if rule.elementwise]

# Beside the defaults, settings of each rule in which every option is on at least once.
OPTIONS = {
    "SGD": [dict(weight_decay=0.2)],
    "Momentum": [dict(lr_inside=True, dampening=0.3), dict(weight_decay=0.2)],
    "Nesterov": [dict(lr_inside=True, momentum=0.7), dict(weight_decay=0.2)],
    "Rprop": [dict(lr=0.3, eta_minus=0.3, eta_plus=1.7, step_min=0.1, step_max=0.6)],
    "AdaGrad": [dict(initial=0.1, eps_inside=True), dict(lr_decay=0.5, eps=0.0)],
    "FullAdaGrad": [dict(lr=0.2, eps=1e-3)],
    "RMSProp": [
        dict(rho=0.7, centered=True, momentum=0.6),
        dict(eps_inside=True, lr_inside=True, momentum=0.5, initial=1.0),
    ],
    "AdaDelta": [dict(lr=0.5, rho=0.8, eps_x=1e-3)],
    "AdaDeltaMomentum": [dict(lr=0.5, momentum=0.6, eps_x=1e-3)],
    "Adam": [dict(eps_hat=True, eps=1e-3), dict(bias_correction=False, eps=0.0)],
    "AdaMax": [dict(eps_outside=True, eps=1e-3)],
    "Nadam": [dict(momentum_decay=1.0), dict(momentum_decay=float("inf"))],
    "AMSGrad": [
        dict(eps_hat=True, eps=1e-3, beta2=0.7),
        dict(corrected=True, beta2=0.7),
        dict(bias_correction=False),
    ],
    "AdamW": [dict(decay_times_lr=False), dict(eps_hat=True, bias_correction=False)],
    "AdamL2": [dict(weight_decay=0.3, eps_hat=True), dict(bias_correction=False)],
}

CASES = [(name, {}) for name in RULES] + [
    (name, options) for name in RULES for options in OPTIONS[name]
]
every_rule = pytest.mark.parametrize("name", list(RULES))
every_case = pytest.mark.parametrize(
    ("name", "options"),
    CASES,
    ids=[f"{name}-{'-'.join(options) or 'default'}" for name, options in CASES],
)


class Layer(NamedTuple):
    """A container as users write them."""

    weight: object
    bias: object


def tree(start, shape=(2, 3)):
    """Return parameters in every kind of container, and scalars: a function of one number."""
    leaf = start + np.arange(np.prod(shape), dtype=float).reshape(shape)
    return {
        "layers": [Layer(leaf, leaf[0] - 7.5), (leaf[:1] * 0.5,)],
        "scale": float(start) - 0.25,
        3: {"deep": np.array(-start)},
    }


def stream(shape, steps, dtype=float, seed=0):
    """Return gradients of all scales with zeros, changes of sign, and a coordinate always zero."""
    rng = np.random.default_rng(seed)
    g = rng.normal(size=(steps, *shape)) * 10.0 ** rng.uniform(-3, 2, size=shape)
    g[rng.random(g.shape) < 0.15] = 0.0
    if shape:
        g[(slice(None), *(0 for _ in shape))] = 0.0
    return g.astype(dtype)


def walk(opt, x, gradients, **options):
    """Return the iterates after each of the gradients."""
    path = []
    for g in gradients:
        x = opt.step(x, g, **options)
        path.append(x)
    return path


def bits(leaf):
    """Return all that distinguishes a leaf: type, dtype, shape and every bit."""
    if isinstance(leaf, np.ndarray | np.generic):
        kind = np.generic if isinstance(leaf, np.generic) else type(leaf)
        return kind, leaf.dtype.str, leaf.shape, _bytes(leaf)
    return type(leaf), repr(leaf)


def _bytes(leaf):
    if leaf.dtype.kind == "O":
        return repr(leaf.tolist())
    if leaf.dtype == np.longdouble:  # six of its sixteen bytes are padding
        return leaf.astype(str).tolist(), np.signbit(leaf).tolist()
    return np.ascontiguousarray(leaf).tobytes()


def anatomy(tree):
    """Return a tree as nested tuples of types, keys and bits, which compare with ==."""
    if isinstance(tree, dict):
        return type(tree), tuple((repr(key), anatomy(branch)) for key, branch in tree.items())
    if isinstance(tree, list | tuple):
        return type(tree), tuple(anatomy(branch) for branch in tree)
    return bits(tree)


def assert_same(actual, expected):
    """Assert that two trees are of the same types, dtypes and shapes, and equal to the last bit."""
    if anatomy(actual) != anatomy(expected):
        raise AssertionError(f"not the same to the last bit:\n{actual!r}\n{expected!r}")


@contextmanager
def untouched(opt, *trees):
    """Assert that what runs inside leaves an optimizer and the trees exactly as they are."""
    before = [anatomy(opt.state_dict()), opt.t, repr(opt)]
    leaves = [anatomy(tree) for tree in trees]
    yield
    assert [anatomy(opt.state_dict()), opt.t, repr(opt)] == before
    assert [anatomy(tree) for tree in trees] == leaves


def refuses(opt, error, *said, x, g, out=None, **options):
    """Assert that a step raises, says what it must, and changes nothing."""
    with untouched(opt, x, g, out), pytest.raises(error) as caught:
        opt.step(x, g, out=out, **options)
    message = str(caught.value)
    assert message.startswith(type(opt).__name__), message
    for part in said:
        assert part in message, f"{part!r} is not in: {message}"


def rows(array):
    """Return the indices of the runs of a sweep."""
    return itertools.product(*map(range, array.shape))
