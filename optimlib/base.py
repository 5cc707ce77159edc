"""What every rule shares: checking, memory, blocks, in-place steps, saving, and the loops.

A rule is a class with ``defaults``, ``slots`` and an ``update`` that reads like its equation. All
the rest happens here, once.
"""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from . import arithmetic, trees
from .hyper import Swept, number, option, unknown, used
from .record import Run

# Below 512 KiB an array and its temporaries stay in the cache anyway. Blocks of 96 KiB do too, and
# are small enough for the C library to keep their memory instead of returning it at every block.
_BLOCK_ABOVE = 512 * 1024
_BLOCK = 96 * 1024

_SMALLEST_EPS = float(np.finfo(np.float32).tiny)

# A matrix for every leaf: 10,000 numbers already ask for 800 MB.
_LARGEST_MATRIX = 10_000


class Memory:
    """What a rule remembers of one leaf: attributes named by the rule's ``slots``."""

    def __init__(self, **values):
        self.__dict__.update(values)

    def __contains__(self, name):
        return name in self.__dict__


class Hyper:
    """The values of the hyperparameters at one step, as attributes."""

    def __init__(self, **values):
        self.__dict__.update(values)


class Optimizer:
    r"""Base class of the update rules: :math:`x_t = x_{t-1} - \text{update}_t`.

    Parameters
    ----------
    check_finite : bool, default True
        Refuse NaN and infinity in x and g. Turn it off for sweeps whose rows may diverge.
    **hyperparameters
        Those in the class's ``defaults``. A number; an array, whose axes then align with the
        leading axes of x (a sweep); or a callable ``t -> value``, ``t = 1, 2, …`` (a schedule).

    Raises
    ------
    TypeError
        For an unknown hyperparameter or one of a wrong type.
    ValueError
        For a value out of range.

    Notes
    -----
    To write a rule, subclass and give

    - ``defaults``: hyperparameters and their default values; a bool marks a yes-or-no option;
    - ``slots``: what is remembered for every coordinate, and its value before the first step (a
      number, or the name of the hyperparameter that gives it);
    - ``needs``: slots that exist only if the named hyperparameter is used;
    - ``scalars``: what is remembered once, not for every coordinate;
    - ``update(xp, t, x, g, s, h)``: the equation. It returns what is subtracted from x, and binds
      new values to the attributes of ``s``; it changes no array.
    """

    defaults: dict = {}
    slots: dict = {}
    needs: dict = {}
    scalars: dict = {}
    elementwise = True

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        keywords = [*cls.defaults.items(), ("check_finite", True)]
        cls.__signature__ = inspect.Signature(
            [inspect.Parameter(k, inspect.Parameter.KEYWORD_ONLY, default=v) for k, v in keywords]
        )

    def __init__(self, *, check_finite: bool = True, **hyperparameters):
        self._check_finite = option(type(self).__name__, "check_finite", check_finite)
        self._hyper = self._checked({**self.defaults, **hyperparameters})
        self.reset()

    def update(self, xp, t, x, g, s, h):
        """Return what is subtracted from x; bind the new memory to ``s``. See the class notes."""
        raise NotImplementedError(f"{type(self).__name__} defines no update.")

    # ---------------------------------------------------------------- hyperparameters

    def _checked(self, hyperparameters: dict) -> dict:
        return {name: self._coerce(name, value) for name, value in hyperparameters.items()}

    def _coerce(self, name, value):
        rule = type(self).__name__
        if name not in self.defaults:
            raise TypeError(unknown(rule, name, self.defaults))
        default = self.defaults[name]
        if isinstance(default, bool):
            return option(rule, name, value)
        if value is None and default is None:
            return None
        if callable(value):
            if name in self._starts():
                raise TypeError(
                    f"{rule}: {name} only sets where the memory starts, so it cannot be a schedule;"
                    " give a number."
                )
            return value
        return number(rule, name, value)

    @classmethod
    def _starts(cls):
        return {start for start in cls.slots.values() if isinstance(start, str)}

    def set(self, **hyperparameters) -> None:
        """Change hyperparameters from the next step on.

        Raises
        ------
        TypeError, ValueError
            As at construction, and for a hyperparameter that only set the start of a memory which
            is already in use. Nothing is changed then.
        """
        checked = self._checked(hyperparameters)
        late = self._starts() & checked.keys() if self._memory else ()
        if late:
            name = min(late)
            raise ValueError(
                f"{type(self).__name__}: {name} sets where the memory starts, and {self.t} steps "
                "are done; call reset() first or make a new optimizer."
            )
        self._hyper.update(checked)
        self._at_rest = {}

    def __getattr__(self, name):
        hyper = self.__dict__.get("_hyper", {})
        if name in hyper:
            value = hyper[name]
            return np.array(value) if isinstance(value, Swept) else value
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")

    def __setattr__(self, name, value):
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        elif name in self.defaults:
            self.set(**{name: value})
        else:
            raise AttributeError(unknown(type(self).__name__, name, self.defaults))

    def __repr__(self):
        options = [
            f"{name}={_show(value)}"
            for name, value in self._hyper.items()
            if not (isinstance(self.defaults[name], bool) and value == self.defaults[name])
            and value is not None
        ]
        return f"{type(self).__name__}({', '.join(options)})"

    def _hyper_at(self, t: int) -> dict:
        """Return the hyperparameters at step t; what schedules return is checked."""
        values = dict(self._hyper)
        for name, value in values.items():
            if callable(value):
                given = value(t)
                if callable(given):
                    raise TypeError(
                        f"{type(self).__name__}: the schedule for {name} returned a callable at "
                        f"t={t}; it must return a number."
                    )
                try:
                    values[name] = number(type(self).__name__, name, given)
                except (TypeError, ValueError) as error:
                    raise type(error)(f"{error} (from its schedule at t={t})") from None
        low, high = values.get("step_min", 0.0), values.get("step_max", math.inf)
        if np.any(low > high):
            raise ValueError(
                f"{type(self).__name__}: step_min={low!r} is above step_max={high!r}; swap them."
            )
        return values

    def _hyper_for(self, t: int, shape: tuple, path: str) -> Hyper:
        """Return the hyperparameters as the rule sees them beside a leaf of this shape."""
        constant = self._at_rest.get(shape)
        if constant is not None:
            return constant
        values = self._hyper_at(t)
        for name, value in values.items():
            if isinstance(value, Swept):
                values[name] = self._aligned(name, value, shape, path)
        hyper = Hyper(**values)
        if not any(callable(v) for v in self._hyper.values()):
            self._at_rest[shape] = hyper
        return hyper

    def _aligned(self, name, value, shape, path):
        axes = value.ndim
        fits = axes <= len(shape) and all(
            n in (1, m) for n, m in zip(value.shape, shape[:axes], strict=True)
        )
        if not fits:
            raise ValueError(
                f"{type(self).__name__}: {name} is an array of shape {value.shape}, which must "
                f"align with the leading axes of x{path}, whose shape is {shape}. Give x one row "
                "for each run, e.g. np.tile(x0, (runs, 1))."
            )
        return value.reshape(value.shape + (1,) * (len(shape) - axes))

    # ---------------------------------------------------------------- memory

    @property
    def t(self) -> int:
        """Number of steps done."""
        return self._t

    def reset(self) -> None:
        """Forget all steps; keep the hyperparameters."""
        self._t = 0
        self._memory = {}
        self._shapes = None
        self._at_rest = {}
        self._torn = False

    def fresh(self) -> Optimizer:
        """Return a new optimizer with the same hyperparameters that has done no step."""
        return type(self)(check_finite=self._check_finite, **self._hyper)

    def active_slots(self) -> dict:
        """Return the slots (name to start) that the present hyperparameters call for."""
        return {
            slot: start
            for slot, start in self.slots.items()
            if slot not in self.needs or self._is_used(self._hyper[self.needs[slot]])
        }

    @staticmethod
    def _is_used(value):
        return value if isinstance(value, bool) else used(value)

    def _memory_of(self, path, shape, dtype, h) -> dict:
        """Return the memory of a leaf: what is there, and the start of what is not."""
        memory = dict(self._memory.get(path, {}))
        for slot, start in self.active_slots().items():
            if slot not in memory:
                value = getattr(h, start) if isinstance(start, str) else start
                full = np.empty(self._slot_shape(shape), dtype)
                full[...] = value if self.elementwise else 0.0
                memory[slot] = full
        for scalar, start in self.scalars.items():
            memory.setdefault(scalar, start)
        return memory

    def _slot_shape(self, shape):
        if self.elementwise:
            return shape
        runs = self._sweep_axes()
        size = math.prod(shape[runs:])
        if size > _LARGEST_MATRIX:
            raise ValueError(
                f"{type(self).__name__} keeps an n x n matrix; n={size} would need "
                f"{8 * size**2 / 1e9:.1f} GB. Use AdaGrad, its diagonal form, or smaller leaves."
            )
        return (*shape[:runs], size, size)

    @property
    def sweep_shape(self) -> tuple:
        """Shape of the grid of runs that arrays of hyperparameters ask for; ``()`` for one run."""
        shapes = [v.shape for v in self._hyper.values() if isinstance(v, Swept)]
        axes = max(map(len, shapes), default=0)
        return np.broadcast_shapes(*(shape + (1,) * (axes - len(shape)) for shape in shapes))

    def _sweep_axes(self):
        return len(self.sweep_shape)

    def state_dict(self) -> dict:
        """Return the steps done and the memory as a flat dict of copied arrays.

        ``np.savez(file, **opt.state_dict())`` stores it; ``opt.load_state_dict(np.load(file))``
        brings it back bit for bit. Hyperparameters are not part of it: give the new optimizer the
        same ones.

        Returns
        -------
        dict
            ``rule``, ``t``, and for each slot and leaf ``slot + path``, e.g. ``"m['w'][0]"``.
        """
        self._refuse_torn()
        state = {"rule": np.array(type(self).__name__), "t": np.array(self._t)}
        for path, shape in (self._shapes or {}).items():
            state[f"x{path}"] = np.array(shape, dtype=np.int64)
            for slot, value in self._memory[path].items():
                state[f"{slot}{path}"] = np.array(value)
        return state

    def load_state_dict(self, state: Mapping) -> None:
        """Take over the steps and the memory of `state_dict`; arrays are copied.

        Raises
        ------
        ValueError
            If the state is of another rule, incomplete, or has entries this rule does not know.
            Nothing is changed then.
        """
        rule = type(self).__name__
        state = {key: np.array(state[key]) for key in state}
        missing = [key for key in ("rule", "t") if key not in state]
        if missing:
            raise ValueError(f"{rule}: the state has no {missing[0]!r}; expected a state_dict().")
        if str(state["rule"]) != rule:
            raise ValueError(f"{rule}: the state is of {state['rule']}; expected one of {rule}.")
        t = state["t"]
        if t.shape != () or t.dtype.kind not in "iu" or t < 0:
            raise ValueError(f"{rule}: the state's t is {t!r}; expected a whole number >= 0.")
        names = [*self.slots, *self.scalars]
        shapes, memory = {}, {}
        for key, value in state.items():
            slot, bracket, rest = key.partition("[")
            path = bracket + rest
            if slot == "x":
                shapes[path] = tuple(int(n) for n in value)
            elif slot in names:
                memory.setdefault(path, {})[slot] = value
            elif key not in ("rule", "t"):
                raise ValueError(f"{rule}: the state has an entry {key!r}; it knows {names}.")
        if memory.keys() - shapes.keys():
            path = min(memory.keys() - shapes.keys())
            raise ValueError(f"{rule}: the state has no shape 'x{path}' for its leaf; it is torn.")
        for path, shape in shapes.items():
            memory.setdefault(path, {})
            for slot in [*self.active_slots(), *self.scalars]:
                if slot not in memory[path]:
                    raise ValueError(f"{rule}: the state has no {slot + path!r}; it is incomplete.")
            for slot, value in memory[path].items():
                self._check_loaded(slot, path, value, shape)
                if slot in self.scalars:
                    memory[path][slot] = value.view(Swept) if value.ndim else float(value)
        self.reset()
        self._t = int(t)
        self._memory = memory
        self._shapes = shapes if shapes else None

    def _check_loaded(self, slot, path, value, shape):
        rule = type(self).__name__
        if value.dtype.kind != "f":
            raise ValueError(f"{rule}: {slot + path!r} has dtype {value.dtype}; expected a float.")
        expected = value.shape if slot in self.scalars else self._slot_shape(shape)
        if value.shape != expected:
            raise ValueError(
                f"{rule}: {slot + path!r} has shape {value.shape}; x{path} asks for {expected}."
            )

    def _refuse_torn(self):
        if self._torn:
            raise RuntimeError(
                f"{type(self).__name__}: step {self._t + 1} was interrupted while it wrote its "
                "results; load_state_dict() a saved state or reset()."
            )

    # ---------------------------------------------------------------- one step

    def evaluate(self, xp, t, x, g, memory: Mapping, hyperparameters: Mapping):
        """Run the bare equation on numbers of any kind. All readers of a rule go through here.

        Parameters
        ----------
        xp : namespace
            Where the rule finds ``sqrt``, ``maximum``, ``where`` …
        t, x, g
            Step count from 1, iterate, gradient: arrays, symbols, quantities.
        memory, hyperparameters : mapping
            By name; missing hyperparameters are the optimizer's own.

        Returns
        -------
        update, memory
            What is subtracted from x, and the new memory as a dict.
        """
        s = Memory(**memory)
        update = self.update(xp, t, x, g, s, Hyper(**{**self._hyper, **hyperparameters}))
        return update, dict(s.__dict__)

    def step(self, x, g, out=None, *, check_finite: bool | None = None):
        """Take one step.

        Parameters
        ----------
        x : array, scalar, or dict, list or tuple of them, nested
            The iterate. float16 is computed in float32; integers become float64.
        g : same structure and shapes as x
            The gradient at x.
        out : same structure as x, optional
            Arrays that receive the result, for instance x itself. Without it x stays untouched.
        check_finite : bool, optional
            Overrides the optimizer's own setting.

        Returns
        -------
        Same structure, shapes and dtypes as x; ``out`` if given.

        Raises
        ------
        ValueError
            Structures or shapes of x, g, ``out`` or of an earlier step differ; NaN or infinity;
            two parameters share memory; a schedule leaves its range.
        TypeError
            A leaf is not of real numbers.
        RuntimeError
            An earlier step was interrupted while it wrote.

        All of these are raised before t, the memory, x, g or ``out`` change.
        """
        self._refuse_torn()
        check = self._check_finite if check_finite is None else check_finite
        leaves = self._leaves(x, g, out, check)
        t = self._t + 1
        for leaf in leaves.values():
            leaf.h = self._hyper_for(t, leaf.shape, leaf.path)
        for leaf in leaves.values():
            leaf.memory = self._memory_of(leaf.path, leaf.shape, leaf.dtype, leaf.h)
        small = [leaf for leaf in leaves.values() if not self._in_blocks(leaf)]
        for leaf in small:
            leaf.update, leaf.new = self._apply(t, leaf.x, leaf.g, leaf.memory, leaf.h)
        self._torn = True
        for leaf in leaves.values():
            if leaf.update is None:
                self._write_in_blocks(t, leaf)
            else:
                leaf.write()
            self._memory[leaf.path] = leaf.memory
        self._shapes = {path: leaf.shape for path, leaf in leaves.items()}
        self._t = t
        self._torn = False
        if out is not None:
            return out
        return trees.rebuild(x, {path: leaf.result for path, leaf in leaves.items()})

    def _leaves(self, x, g, out, check) -> dict:
        xs = trees.flatten(x)
        gs = trees.flatten(g)
        self._check_structure(x, xs, g, gs, "g")
        outs = trees.flatten(out) if out is not None else {}
        if out is not None:
            self._check_structure(x, xs, out, outs, "out")
        if not xs:
            raise ValueError(f"{type(self).__name__}: x is {trees.describe(x)}; nothing to step.")
        if self._shapes is not None and self._shapes.keys() != xs.keys():
            raise ValueError(
                f"{type(self).__name__}: x is {trees.describe(x)}, but the {self._t} steps so far "
                f"had the leaves {', '.join(map(repr, self._shapes))}. One optimizer serves one "
                "set of parameters; make another or reset()."
            )
        leaves = {
            path: Leaf(type(self).__name__, path, xs[path], gs[path], outs.get(path)) for path in xs
        }
        for path, leaf in leaves.items():
            self._check_continuity(path, leaf)
            if check:
                leaf.check_finite()
        if len(leaves) > 1:
            self._check_sharing(leaves, "x", {p: v for p, v in xs.items() if _is_array(v)})
        if outs:
            if len(leaves) > 1:
                self._check_sharing(leaves, "out", outs)
            for leaf in leaves.values():
                leaf.shield(leaves.values())
        return leaves

    def _check_structure(self, x, xs, other, others, name):
        if xs.keys() == others.keys():
            return
        lost = [p for p in xs if p not in others]
        extra = [p for p in others if p not in xs]
        detail = "; ".join(
            part
            for part in (
                f"{name} lacks {', '.join(map(repr, lost[:4]))}" if lost else "",
                f"{name} has {', '.join(map(repr, extra[:4]))} that x lacks" if extra else "",
            )
            if part
        )
        raise ValueError(
            f"{type(self).__name__}: x is {trees.describe(x)}, {name} is {trees.describe(other)}; "
            f"they must have the same structure ({detail})."
        )

    def _check_continuity(self, path, leaf):
        if self._shapes is None:
            return
        rule = type(self).__name__
        if self._shapes[path] != leaf.shape:
            raise ValueError(
                f"{rule}: x{path} has shape {leaf.shape}, but {self._shapes[path]} at the "
                f"{self._t} steps so far. One optimizer serves one set of parameters; make another "
                "or reset()."
            )
        for slot, value in self._memory[path].items():
            if slot not in self.scalars and value.dtype != leaf.dtype:
                raise ValueError(
                    f"{rule}: x{path} has dtype {leaf.given.dtype}, but its memory {slot!r} is "
                    f"{value.dtype}; keep one dtype, or reset()."
                )

    def _check_sharing(self, leaves, name, arrays):
        clash = trees.shared_memory(arrays)
        if clash:
            raise ValueError(
                f"{type(self).__name__}: {name}{clash[0]} and {name}{clash[1]} share memory; the "
                "parameter would be stepped twice. Give each parameter once."
            )

    def _in_blocks(self, leaf) -> bool:
        return (
            self.elementwise
            and leaf.x.nbytes > _BLOCK_ABOVE
            and not any(isinstance(v, Swept) for v in leaf.h.__dict__.values())
        )

    def _apply(self, t, x, g, memory, h):
        """Run the equation on arrays; return the update and the new memory."""
        if not self.elementwise:
            shape, runs = x.shape, self._sweep_axes()
            flat = (*shape[:runs], math.prod(shape[runs:]))
            h = self._hyper_for(t, flat, "")
            x, g = x.reshape(flat), g.reshape(flat)
        s = Memory(**memory)
        if self._may_divide_zero_by_zero(h):
            with np.errstate(divide="ignore", invalid="ignore"):
                update = self.update(arithmetic, t, x, g, s, h)
            update = np.where(np.isnan(update) & ~np.isnan(g), 0, update)
            for slot in memory.keys() - self.scalars.keys():
                new = getattr(s, slot)
                setattr(s, slot, np.where(np.isnan(new) & ~np.isnan(g), memory[slot], new))
        else:
            update = self.update(arithmetic, t, x, g, s, h)
        if s.__dict__.keys() != memory.keys():
            stray = sorted(s.__dict__.keys() - memory.keys())
            raise AttributeError(
                f"{type(self).__name__}.update sets s.{stray[0]}, which its slots do not declare; "
                "it would be lost."
            )
        if not self.elementwise:
            update = update.reshape(shape)
        return update, s.__dict__

    def _may_divide_zero_by_zero(self, h) -> bool:
        # With eps = 0, or one that is 0 in float32, a coordinate that has seen no gradient is 0/0:
        # it then stays where it is.
        return self.elementwise and bool(np.any(h.__dict__.get("eps", 1.0) < _SMALLEST_EPS))

    def _write_in_blocks(self, t, leaf):
        x, g = leaf.x.reshape(-1), leaf.g.reshape(-1)
        result = leaf.target()
        flat = result.reshape(-1) if result.flags.c_contiguous else np.empty(x.shape, leaf.dtype)
        arrays = {k: v.reshape(-1) for k, v in leaf.memory.items() if k not in self.scalars}
        scalars = {k: v for k, v in leaf.memory.items() if k in self.scalars}
        new = {}
        block = _BLOCK // x.itemsize
        for i in range(0, x.size, block):
            part = slice(i, i + block)
            memory = {k: v[part] for k, v in arrays.items()} | scalars
            update, new = self._apply(t, x[part], g[part], memory, leaf.h)
            for k, v in arrays.items():
                v[part] = new[k]
            np.subtract(x[part], update, out=flat[part], casting="same_kind")
        if not result.flags.c_contiguous:
            result[...] = flat.reshape(result.shape)
        leaf.memory.update({k: new[k] for k in scalars})
        leaf.result = result

    # ---------------------------------------------------------------- loops

    def iterate(
        self, grad: Callable, x0, *, check_finite: bool | None = None
    ) -> Iterator[tuple[int, object, object]]:
        """Step for ever; the caller breaks the loop.

        Parameters
        ----------
        grad : callable
            ``grad(x)`` returns the gradient, structured like x.
        x0
            Start; it stays untouched.

        Yields
        ------
        t, x, g
            After step t: the step count, the new iterate, and the gradient that led to it (taken
            at the iterate before).
        """
        self._check_callable(grad)
        x = x0
        while True:
            g = grad(x)
            x = self.step(x, g, check_finite=check_finite)
            yield self._t, x, g

    def run(
        self,
        grad: Callable,
        x0,
        steps: int,
        *,
        every: int = 1,
        callback: Callable | None = None,
        check_finite: bool | None = None,
    ) -> Run:
        """Take ``steps`` steps and record the path.

        The optimizer goes on from where it is: a second ``run`` continues the first. For a new
        start call ``fresh()`` or ``reset()``.

        Parameters
        ----------
        grad : callable
            ``grad(x)`` returns the gradient, structured like x.
        x0
            Start; it stays untouched.
        steps : int
            Number of steps, at least 0.
        every : int, default 1
            Record every so many steps. Start and end are always recorded.
        callback : callable, optional
            Called as ``callback(t, x)`` after each step with an array of its own; stop early by
            returning ``True``.

        Returns
        -------
        Run
            ``x`` (last iterate), ``path`` (recorded iterates on a new first axis; without
            ``every``, ``steps + 1`` of them), ``t`` (the step counts they belong to).
        """
        self._check_callable(grad)
        steps = self._whole(steps, "steps", 0)
        every = self._whole(every, "every", 1)
        x = _owned(x0)
        recorder = Recorder(x, self._t, steps, every)
        for i in range(1, steps + 1):
            try:
                x = self.step(x, grad(x), check_finite=check_finite)
            except ValueError as error:
                raise ValueError(f"{error} (at step {i} of {steps} of this run)") from error
            recorder.keep(i, x, last=i == steps)
            if callback is not None and callback(self._t, _owned(x)) is True:
                recorder.keep(i, x, last=True)
                break
        return recorder.run(repr(self), x)

    def _whole(self, value, name, least):
        try:
            whole = operator.index(value)
        except TypeError:
            whole = None
        if whole is None or isinstance(value, bool) or whole < least:
            raise ValueError(
                f"{type(self).__name__}: {name}={value!r}; expected a whole number >= {least}."
            )
        return whole

    def _check_callable(self, grad):
        if not callable(grad):
            raise TypeError(
                f"{type(self).__name__}: grad is a {type(grad).__name__}; expected a function "
                "x -> gradient. To take one step with a gradient at hand, use step(x, g)."
            )

    def __call__(self, fun, x0, args=(), jac=None, callback=None, maxiter=1000, gtol=0.0, **others):
        """Be a ``method`` of `scipy.optimize.minimize`: a fresh copy of this optimizer runs.

        Options are ``maxiter`` (steps) and ``gtol`` (stop when the largest partial derivative is
        at most this; 0 never stops early unless the gradient is exactly 0).

        Returns
        -------
        scipy.optimize.OptimizeResult
        """
        from scipy.optimize import OptimizeResult

        rule = type(self).__name__
        if not callable(jac):
            raise ValueError(f"{rule} needs the gradient: pass jac=, a function, or jac=True.")
        for name in ("bounds", "constraints"):
            if others.pop(name, None):
                raise ValueError(f"{rule} minimises without {name}; use another method for them.")
        others.pop("hess", None)
        others.pop("hessp", None)
        if others:
            raise TypeError(f"{rule}: unknown options {sorted(others)}; it has maxiter and gtol.")
        maxiter = self._whole(maxiter, "maxiter", 0)
        opt = self.fresh()
        x = np.array(x0)
        evaluations, success = 0, False
        while True:
            g = jac(x.copy(), *args)
            evaluations += 1
            success = bool(np.max(np.abs(g), initial=0.0) <= gtol)
            if success or opt.t >= maxiter:
                break
            x = opt.step(x, g)
            if callback is not None:
                callback(x.copy())
        return OptimizeResult(
            x=x,
            fun=fun(x.copy(), *args),
            jac=g,
            nit=opt.t,
            nfev=1,
            njev=evaluations,
            success=success or gtol == 0,
            status=0 if success else 1,
            message="gradient within gtol" if success else f"{opt.t} steps done",
        )


class Leaf:
    """One parameter of a step: what was given, checked and cast, and what comes out."""

    def __init__(self, rule, path, x, g, out):
        self.rule, self.path, self.out = rule, path, out
        self.scalar = not isinstance(x, np.ndarray)
        self.given = self._real("x", x)
        kind = self.given.dtype
        self.kept = kind if kind.kind == "f" else np.dtype(np.float64)
        self.dtype = np.dtype(np.float32) if self.kept == np.float16 else self.kept
        self.shape = self.given.shape
        self.scalar = self.scalar and self.shape == ()
        g = self._real("g", g)
        if g.shape != self.shape:
            raise ValueError(
                f"{rule}: x{path} has shape {self.shape}, its gradient g{path} has {g.shape}; "
                "they must be equal (nothing is broadcast)."
            )
        self.x = self._cast(self.given)
        self.g = self._cast(g)
        self.g_given = g
        self.update = self.new = self.result = self.h = self.memory = None
        if out is not None:
            self._check_out()

    def _real(self, name, value):
        if isinstance(value, np.ma.MaskedArray):
            raise TypeError(
                f"{self.rule}: {name}{self.path} is a masked array; its mask would be lost. Pass "
                "filled values."
            )
        array = np.asarray(value)
        if array.dtype.kind not in "fiu":
            raise TypeError(
                f"{self.rule}: {name}{self.path} is of dtype {array.dtype}; expected real numbers "
                "(float or integer)." + _advice(array.dtype.kind)
            )
        return array

    def _cast(self, array):
        if array.dtype == self.dtype:
            return array
        with np.errstate(over="ignore"):
            return array.astype(self.dtype)

    def check_finite(self):
        for name, array, given in (("x", self.x, self.given), ("g", self.g, self.g_given)):
            if not _finite(array):
                index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
                where = f"[{', '.join(map(str, index))}]" if index else ""
                value = given[index]
                why = f" (too large for {self.dtype})" if np.isfinite(value) else ""
                raise ValueError(
                    f"{self.rule}: {name}{self.path}{where} is {value}{why}; expected a finite "
                    "number. Lower lr if the run diverged, or pass check_finite=False."
                )

    def _check_out(self):
        out, where = self.out, f"{self.rule}: out{self.path}"
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

    def shield(self, leaves):
        """Copy inputs that writing some leaf's ``out`` would overwrite before they are read."""
        for other in leaves:
            for name in ("x", "g"):
                array = getattr(self, name)
                same = other is self and _same_elements(array, other.out)
                if not same and np.may_share_memory(array, other.out):
                    setattr(self, name, array.copy())

    def target(self):
        return self.out if self.out is not None else np.empty(self.shape, self.kept)

    def write(self):
        """Commit: copy the new memory into the arrays we own, then the new iterate."""
        for slot, new in self.new.items():
            own = self.memory[slot]
            if isinstance(own, np.ndarray) and not isinstance(own, Swept):
                own[...] = new
            else:
                self.memory[slot] = new
        if self.out is not None:
            np.subtract(self.x, self.update, out=self.out, casting="same_kind")
            self.result = self.out
            return
        result = np.asarray(self.x - self.update)
        self.result = result if result.dtype == self.kept else result.astype(self.kept)
        if self.scalar:
            self.result = self.result[()]


class Recorder:
    """Keeps copies of iterates during a run, in arrays that are allocated once."""

    def __init__(self, x0, t0, steps, every):
        self.every, self.t0 = every, t0
        rows = 1 + steps // every + (steps % every > 0)
        self.x0 = x0
        self.rows = {
            path: np.empty((rows, *np.shape(leaf)), _kept(leaf))
            for path, leaf in trees.flatten(x0).items()
        }
        self.at = []
        self._put(0, x0)

    def keep(self, i, x, last):
        if i % self.every == 0 or (last and self.at[-1] != i):
            self._put(i, x)

    def _put(self, i, x):
        if self.at and self.at[-1] == i:
            return
        for path, leaf in trees.flatten(x).items():
            self.rows[path][len(self.at)] = leaf
        self.at.append(i)

    def run(self, rule, x):
        done = len(self.at)
        path = trees.rebuild(self.x0, {p: rows[:done] for p, rows in self.rows.items()})
        return Run(x=x, path=path, t=np.array(self.at) + self.t0, rule=rule)


def _show(value) -> str:
    if isinstance(value, Swept):
        return f"<{'x'.join(map(str, value.shape))} values from {value.min():g} to {value.max():g}>"
    if callable(value):
        # The repr of a function or of a plain object holds its address, which changes every time.
        shown = repr(value)
        return getattr(value, "__qualname__", type(value).__name__) if " at 0x" in shown else shown
    return repr(value)


def _advice(kind) -> str:
    return {
        "c": " Split complex parameters into real and imaginary parts.",
        "b": " Convert with .astype(float) if 0 and 1 are meant.",
    }.get(kind, "")


def _finite(array) -> bool:
    # One pass instead of two: a sum of squares is finite unless an entry is not, or it overflows.
    square = float(np.vdot(array, array))
    return square - square == 0 or bool(np.isfinite(array).all())


def _is_array(leaf) -> bool:
    return isinstance(leaf, np.ndarray)


def _same_elements(a, b) -> bool:
    return (
        a.__array_interface__["data"][0] == b.__array_interface__["data"][0]
        and a.strides == b.strides
        and a.shape == b.shape
        and a.dtype == b.dtype
    )


def _kept(leaf) -> np.dtype:
    dtype = np.asarray(leaf).dtype
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


def _owned(tree):
    """Copy a tree's leaves; a caller may keep or change what it is handed."""
    copies = {
        path: leaf.copy() if isinstance(leaf, np.ndarray) else leaf
        for path, leaf in trees.flatten(tree).items()
    }
    return trees.rebuild(tree, copies)
