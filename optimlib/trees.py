"""Parameters as people keep them: one array, a scalar, or nested dicts, lists and tuples of them.

A tree is read as a flat ``dict`` from a leaf's path to the leaf. The path is what one would type
after the tree's name to reach the leaf: ``""`` for a bare array, ``"['w'][0]"`` in
``{"w": [...]}``.
"""

from __future__ import annotations

import copy

import numpy as np

_CONTAINERS = (dict, list, tuple)


def flatten(tree) -> dict:
    """Return ``{path: leaf}`` in the tree's own order.

    >>> flatten({"w": [1.0, 2.0], "b": 3.0})
    {"['w'][0]": 1.0, "['w'][1]": 2.0, "['b']": 3.0}
    """
    leaves = {}
    _collect(tree, "", leaves)
    return leaves


def _collect(tree, path, leaves):
    if isinstance(tree, dict):
        for key, branch in tree.items():
            _collect(branch, f"{path}[{key!r}]", leaves)
    elif isinstance(tree, list | tuple):
        for i, branch in enumerate(tree):
            _collect(branch, f"{path}[{i}]", leaves)
    elif path in leaves:
        raise ValueError(f"Two keys of one dict print as {path}; give them names that differ.")
    else:
        leaves[path] = tree


def rebuild(tree, leaves: dict):
    """Return a tree shaped and typed like ``tree`` whose leaf at each path is ``leaves[path]``.

    >>> rebuild(("a", ["b"]), {"[0]": 1, "[1][0]": 2})
    (1, [2])
    """
    return _rebuild(tree, "", leaves)


def _rebuild(tree, path, leaves):
    if isinstance(tree, dict):
        rebuilt = copy.copy(tree)
        for key, branch in tree.items():
            rebuilt[key] = _rebuild(branch, f"{path}[{key!r}]", leaves)
        return rebuilt
    if isinstance(tree, list | tuple):
        branches = [_rebuild(branch, f"{path}[{i}]", leaves) for i, branch in enumerate(tree)]
        if hasattr(tree, "_fields"):
            return type(tree)(*branches)
        return type(tree)(branches)
    return leaves[path]


def describe(tree) -> str:
    """Say in a few words what a tree is, for error messages.

    >>> describe(np.zeros((3, 2)))
    'an array of shape (3, 2)'
    >>> describe({"w": np.zeros(3), "b": 0.0})
    "a dict with leaves ['w'], ['b']"
    """
    if not isinstance(tree, _CONTAINERS):
        shape = np.shape(tree)
        return f"an array of shape {shape}" if shape else "a scalar"
    paths = list(flatten(tree))
    listed = ", ".join(paths[:6]) + (f", … ({len(paths)} in all)" if len(paths) > 6 else "")
    kind = type(tree).__name__
    return f"a {kind} with leaves {listed}" if paths else f"an empty {kind}"


def shared_memory(arrays: dict):
    """Return the paths of two arrays that share memory, or ``None``.

    Interleaved views are not a clash.
    """
    return next((pair for pair in meetings(arrays) if _overlap(*map(arrays.get, pair))), None)


def meetings(arrays: dict):
    """Yield the pairs of keys of arrays whose address ranges overlap.

    Addresses are looked up only of arrays with a common owner. Those are sorted by address, so that
    many of them cost little.
    """
    groups = {}
    for key, a in arrays.items():
        groups.setdefault(owner(a), {})[key] = a
    if None in groups:
        groups = {None: arrays}
    for group in groups.values():
        if len(group) > 1:
            yield from _meetings(group)


def _meetings(arrays):
    spans = ((*_span(a), key) for key, a in arrays.items())
    open_spans = []
    for low, high, key in sorted(spans, key=lambda span: span[0]):
        open_spans = [(end, other) for end, other in open_spans if end > low]
        yield from ((other, key) for _, other in open_spans)
        open_spans.append((high, key))


def owner(a):
    """Return the id of the array that owns the memory of an array, or ``None`` if it is unknown.

    Arrays of two known owners never overlap. Memory of unknown owners may be anything's.
    """
    base = a.base
    if base is None:
        base = a
    elif not isinstance(base, np.ndarray):
        return None
    return id(base) if base.flags.owndata else None


def _span(a):
    if not a.flags.forc:
        return np.lib.array_utils.byte_bounds(a)
    first = a.__array_interface__["data"][0]
    return first, first + a.nbytes


def _overlap(a, b) -> bool:
    try:
        return np.shares_memory(a, b, max_work=10**6)
    except np.exceptions.TooHardError:
        return True
