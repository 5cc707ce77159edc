"""Any optimizer as a ``method`` of `scipy.optimize.minimize`."""

from __future__ import annotations

import inspect
import numbers
import warnings

import numpy as np

from .leaf import real

_MAXITER = 1000
_ADVICE = "lower lr if the run diverged"


def minimize(
    optimizer,
    fun,
    x0,
    args,
    jac,
    callback,
    maxiter=None,
    gtol=None,
    tol=0.0,
    disp=False,
    return_all=False,
    **others,
):
    """Run a fresh copy of an optimizer under SciPy's protocol; see `Optimizer.__call__`."""
    from scipy.optimize import OptimizeResult

    rule = type(optimizer).__name__
    if not callable(jac):
        raise ValueError(f"{rule} needs the gradient: pass jac=, a function, or jac=True.")
    opt = optimizer.fresh()
    if opt.sweep_shape:
        raise ValueError(
            f"{rule} has arrays of hyperparameters, but SciPy minimises one run; give numbers, or "
            "use run() for a sweep."
        )
    for name in ("bounds", "constraints"):
        value = others.pop(name, None)
        if value is not None and (not hasattr(value, "__len__") or len(value)):
            raise ValueError(f"{rule} minimises without {name}; use another method for them.")
    others.pop("hess", None)
    others.pop("hessp", None)
    if others:
        raise TypeError(
            f"{rule}: unknown options {sorted(others)}; it has maxiter, gtol, disp and return_all."
        )
    maxiter = _MAXITER if maxiter is None else optimizer._whole(maxiter, "maxiter", 0)
    gtol = tol if gtol is None else gtol
    if not isinstance(gtol, numbers.Real) or isinstance(gtol, bool) or not gtol >= 0:
        raise ValueError(f"{rule}: gtol={gtol!r}; expected a number >= 0.")

    nfev = njev = nit = 0

    def value(x):
        nonlocal nfev
        nfev += 1
        result = real(f"{rule}: fun(x)", fun(x.copy(), *args))
        if result.size != 1:
            raise ValueError(f"{rule}: fun(x) has shape {result.shape}; expected one number.")
        return result.item()

    def gradient(x):
        nonlocal njev
        njev += 1
        return real(f"{rule}: jac(x)", jac(x.copy(), *args))

    def asks_to_stop(x):
        try:
            if wants_result:
                callback(intermediate_result=OptimizeResult(x=x.copy(), fun=value(x)))
            elif callback is not None:
                callback(x.copy())
        except StopIteration:
            return True
        return False

    wants_result = callback is not None and _parameters(callback) == {"intermediate_result"}
    x, stopped = opt._start(x0), False
    if not np.isfinite(x).all():
        raise ValueError(f"{rule}: x0 is {x}; expected finite numbers.")
    kept = [x]
    while True:
        g = gradient(x)
        if not np.isfinite(g).all():
            status, message = 3, f"jac(x) is not finite after {nit} steps; {_ADVICE}"
        elif stopped:
            status, message = 99, "`callback` raised `StopIteration`."
        elif np.max(np.abs(g), initial=0.0) <= gtol:
            status, message = 0, "gradient within gtol"
        elif nit >= maxiter:
            status, message = int(gtol > 0), f"{nit} steps done"
        else:
            after = opt.step(x, g, check_finite=False)
            if np.isfinite(after).all():
                x, nit = after, nit + 1
                if return_all:
                    kept.append(x)
                stopped = asks_to_stop(x)
                continue
            status, message = 3, f"x is not finite after {nit + 1} steps; {_ADVICE}"
        break
    best = value(x)
    if status != 3 and not np.isfinite(best):
        status, message = 3, f"fun(x) is not finite after {nit} steps; {_ADVICE}"
    result = OptimizeResult(
        x=x,
        fun=best,
        jac=g,
        nit=nit,
        nfev=nfev,
        njev=njev,
        success=status == 0,
        status=status,
        message=message,
    )
    if return_all:
        result.allvecs = [x.copy() for x in kept]
    if disp:
        _print(result)
    return result


def _parameters(function) -> set:
    try:
        return set(inspect.signature(function).parameters)
    except ValueError:  # some functions written in C do not tell
        return set()


def _print(result):
    """Say how a run ended, as SciPy's own methods do."""
    from scipy.optimize import OptimizeWarning

    if result.success:
        print(result.message)
    else:
        warnings.warn(result.message, OptimizeWarning, stacklevel=5)
    print(f"         Current function value: {result.fun:f}")
    print(f"         Iterations: {result.nit}")
    print(f"         Function evaluations: {result.nfev}")
    print(f"         Gradient evaluations: {result.njev}")
