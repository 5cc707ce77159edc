"""One array of a step: what is accepted, what is refused, and where its result goes."""

from __future__ import annotations

import reprlib
from math import isfinite

import numpy as np
from numpy import vdot

from .hyper import is_masked


class Leaf:
    """One parameter of a step: what was given, checked and cast, and what comes out."""

    def __init__(self, rule, path, x, g):
        self.rule, self.path = rule, path
        self.given, self.g_given = real(f"{rule}: x{path}", x), real(f"{rule}: g{path}", g)
        self.shape = self.given.shape
        self.scalar = self.shape == () and not isinstance(x, np.ndarray)
        if self.g_given.shape != self.shape:
            raise ValueError(
                f"{rule}: x{path} has shape {self.shape}, its gradient g{path} has "
                f"{self.g_given.shape}; they must be equal (nothing is broadcast)."
            )
        self.kept = kept_dtype(self.given)
        self.dtype = np.dtype(np.float32) if self.kept == np.float16 else self.kept
        self.x, self.g = self._cast(self.given), self._cast(self.g_given)
        self.out = self.setting = self.memory = self.update = self.new = self.result = None

    def _cast(self, array):
        if array.dtype == self.dtype:
            return array
        with np.errstate(over="ignore"):
            return array.astype(self.dtype)

    def check_finite(self):
        """Refuse NaN and infinity in x and g; name the first."""
        if finite(self.x, self.g):
            return
        name, array, given = "x", self.x, self.given
        if np.isfinite(array).all():
            name, array, given = "g", self.g, self.g_given
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        where = f"[{', '.join(map(str, index))}]" if index else ""
        value = given[index]
        why = f" (too large for {self.dtype})" if np.isfinite(value) else ""
        raise ValueError(
            f"{self.rule}: {name}{self.path}{where} is {value!s}{why}; expected a finite "
            "number. Lower lr if the run diverged, or pass check_finite=False."
        )

    def give(self, out):
        """Take the array that the result goes to."""
        if not (
            isinstance(out, np.ndarray)
            and out.shape == self.shape
            and out.dtype == self.kept
            and out.flags.writeable
            and not overlaps_itself(out)
        ):
            self._refuse(out)
        self.out = out

    def _refuse(self, out):
        where = f"{self.rule}: out{self.path}"
        if not isinstance(out, np.ndarray):
            raise TypeError(f"{where} is a {type(out).__name__}; expected an array to write into.")
        if out.shape != self.shape:
            raise ValueError(f"{where} has shape {out.shape}; expected x's shape {self.shape}.")
        if out.dtype != self.kept:
            raise TypeError(
                f"{where} has dtype {out.dtype}; the result is {self.kept}. Give an array of that "
                "dtype."
            )
        if not out.flags.writeable:
            raise ValueError(f"{where} is read-only; give an array that can be written.")
        raise ValueError(
            f"{where} has several elements in one place, strides {out.strides}; give an array of "
            "its own memory."
        )

    def compute(self):
        """Compute the new iterate, unless it is to be written over an array."""
        if self.out is None:
            result = np.asarray(self.x - self.update)
            self.result = result if result.dtype == self.kept else result.astype(self.kept)
            if self.scalar:
                self.result = self.result[()]

    def write(self):
        """Write the new iterate over ``out``."""
        self.result = np.subtract(self.x, self.update, out=self.out)


def real(what, value) -> np.ndarray:
    """Return a leaf as an array, if it holds real numbers."""
    if is_masked(value):
        raise TypeError(f"{what} is a masked array; its mask would be lost. Pass filled values.")
    array = np.asarray(value)
    kind = array.dtype.kind
    if kind not in "fiu":
        given = f"of dtype {array.dtype}" if isinstance(value, np.ndarray) else reprlib.repr(value)
        raise TypeError(
            f"{what} is {given}; expected real numbers (float or integer)." + _ADVICE.get(kind, "")
        )
    return array


_ADVICE = {
    "c": " Split complex parameters into real and imaginary parts.",
    "b": " Convert with .astype(float) if 0 and 1 are meant.",
}


# For longer vectors BLAS wakes its threads, which on a busy machine can take milliseconds.
_UNTHREADED = 8192


def finite(a, b) -> bool:
    """Tell whether all entries of two arrays of one shape are finite."""
    if a.size > _UNTHREADED:
        a, b = a.reshape(-1), b.reshape(-1)
        parts = (slice(i, i + _UNTHREADED) for i in range(0, a.size, _UNTHREADED))
        return all(finite(a[part], b[part]) for part in parts)
    # One pass over each: a scalar product is finite unless an entry is not, or it overflows.
    return isfinite(vdot(a, b)) or bool(np.isfinite(a).all() and np.isfinite(b).all())


def overlaps_itself(array) -> bool:
    """Tell whether two elements of an array may be in one place: broadcast or strided views."""
    if array.flags.c_contiguous:
        return False
    extent = array.itemsize
    for stride, n in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True)):
        if n > 1 and stride < extent:
            return True
        extent += stride * (n - 1)
    return False


def same_elements(a, b) -> bool:
    """Tell whether two arrays of one shape and dtype are views of the same elements."""
    return a is b or (
        a.__array_interface__["data"][0] == b.__array_interface__["data"][0]
        and a.strides == b.strides
    )


def kept_dtype(array) -> np.dtype:
    """Return the dtype that results have: that of x, and float64 for integers."""
    return array.dtype if array.dtype.kind == "f" else np.dtype(np.float64)
