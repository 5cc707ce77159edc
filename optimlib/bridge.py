"""Any optimizer as a ``method`` of `scipy.optimize.minimize`."""

from __future__ import annotations

import inspect
import numbers

import numpy as np

from .leaf import real


def minimize(optimizer, fun, x0, args, jac, callback, maxiter=1000, gtol=None, tol=0.0, **others):
    """Run a fresh copy of an optimizer under SciPy's protocol; see `Optimizer.__call__`."""
    from scipy.optimize import OptimizeResult

    rule = type(optimizer).__name__
    if not callable(jac):
        raise ValueError(f"{rule} needs the gradient: pass jac=, a function, or jac=True.")
    if optimizer.sweep_shape:
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
        raise TypeError(f"{rule}: unknown options {sorted(others)}; it has maxiter and gtol.")
    maxiter = optimizer._whole(maxiter, "maxiter", 0)
    gtol = tol if gtol is None else gtol
    if not isinstance(gtol, numbers.Real) or isinstance(gtol, bool) or not gtol >= 0:
        raise ValueError(f"{rule}: gtol={gtol!r}; expected a number >= 0.")

    nfev = njev = 0

    def value(x):
        nonlocal nfev
        nfev += 1
        return fun(x.copy(), *args)

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
    opt, x, stopped = optimizer.fresh(), optimizer._start(x0), False
    while True:
        g = real(f"{rule}: jac(x)", jac(x.copy(), *args))
        njev += 1
        if stopped:
            status, message = 99, "callback raised StopIteration"
        elif np.max(np.abs(g), initial=0.0) <= gtol:
            status, message = 0, "gradient within gtol"
        elif opt.t >= maxiter:
            status, message = int(gtol > 0), f"{opt.t} steps done"
        else:
            x = opt.step(x, g)
            stopped = asks_to_stop(x)
            continue
        break
    return OptimizeResult(
        x=x,
        fun=value(x),
        jac=g,
        nit=opt.t,
        nfev=nfev,
        njev=njev,
        success=status == 0,
        status=status,
        message=message,
    )


def _parameters(function) -> set:
    try:
        return set(inspect.signature(function).parameters)
    except ValueError:  # some functions written in C do not tell
        return set()
