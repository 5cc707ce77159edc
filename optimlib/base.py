"""What every rule shares: checking, memory, blocks, in-place steps, saving, and the loops.

A rule is a class with ``defaults``, ``slots`` and an ``update`` that reads like its equation. All
the rest happens here, once.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import operator
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from . import arithmetic, trees
from .hyper import Swept, by_name, check_together, number, option, show, unknown, used
from .leaf import Leaf, finite, kept_dtype, overlaps_itself, real, same_elements
from .record import Run

# Blocks of 96 KiB stay in the cache with their temporaries.
_BLOCK = _BLOCK_ABOVE = 96 * 1024

# glibc returns freed temporaries of more than 128 KiB, alone or side by side, to the system, and
# fetches them again at the next operation, which costs more than the arithmetic. It keeps up to
# twice the size of the largest array that was ever freed: here is one, of memory never touched.
np.empty(2**22, np.uint8)

_AS_IT_IS = contextlib.nullcontext()

# Looked up once: in two dimensions a step is so short that finding these names shows.
_array, _blank = np.ndarray, object.__new__

_SMALLEST_EPS = float(np.finfo(np.float32).tiny)

# float16 is computed and remembered in float32.
_MEMORY_DTYPES = ("float32", "float64", np.dtype(np.longdouble).name)

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


class Progress:
    """What the steps so far have left: how many they were, and the memory of each leaf."""

    def __init__(self, t=0, memory=None, shapes=None):
        self.t = t
        self.memory = memory or {}
        self.shapes = shapes
        self.alike = None  # dtype, shape and setting, if the last step was one of a bare array
        self.torn = False  # an interrupted step has written a part of its results


class Setting:
    """The hyperparameters beside a leaf of one shape, and what follows from them."""

    def __init__(self, rule, values: dict, shape: tuple, path: str):
        sweeps = {name: value for name, value in values.items() if isinstance(value, Swept)}
        runs = max((value.ndim for value in sweeps.values()), default=0)
        # A matrix rule takes all of a leaf, or of its part of a sweep, as one vector.
        self.flat = shape if rule.elementwise else (*shape[:runs], math.prod(shape[runs:]))
        for name, value in sweeps.items():
            axes = value.ndim
            if axes > len(shape) or any(
                n not in (1, m) for n, m in zip(value.shape, shape[:axes], strict=True)
            ):
                raise ValueError(
                    f"{type(rule).__name__}: {name} is an array of shape {value.shape}, which must "
                    f"align with the leading axes of x{path}, whose shape is {shape}. Give x one "
                    "row for each run, e.g. np.tile(x0, (runs, 1))."
                )
            sweeps[name] = value.reshape(value.shape + (1,) * (len(self.flat) - axes))
        self.h = Hyper(**{**values, **sweeps})
        self.swept = bool(sweeps)
        # With eps = 0, or one that is 0 in float32, a coordinate without a gradient is 0/0.
        self.guarded = rule.elementwise and bool(np.any(values.get("eps", 1.0) < _SMALLEST_EPS))


class Optimizer:
    r"""Base class of the update rules: :math:`x_t = x_{t-1} - \text{update}_t`.

    Parameters
    ----------
    check_finite : bool, default True
        Refuse NaN and infinity in x and g. Turn it off for sweeps whose rows may diverge: then
        NumPy does not warn of overflows either, in the gradient function of a run neither.
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
    With ``eps=0`` a coordinate stays while its squared gradients are all 0: it has had no gradient,
    or only some below about 1e-161 (1e-21 in float32).

    To write a rule, subclass and give

    - ``defaults``: hyperparameters and their default values; a bool marks a yes-or-no option;
    - ``slots``: what is remembered for every coordinate, and its value before the first step (a
      number, or the name of the hyperparameter that gives it);
    - ``needs``: slots that exist only if the named hyperparameter is used;
    - ``scalars``: what is remembered once, not for every coordinate;
    - ``nonnegative``: slots and scalars that are never below 0, such as sums of squares;
    - ``update(xp, t, x, g, s, h)``: the equation. It returns what is subtracted from x, and binds
      new values to the attributes of ``s``; it changes no array.
    """

    defaults: dict = {}
    slots: dict = {}
    needs: dict = {}
    scalars: dict = {}
    nonnegative: tuple = ()
    elementwise = True

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        keywords = [*cls.defaults.items(), ("check_finite", True)]
        cls.__signature__ = inspect.Signature(
            [inspect.Parameter(k, inspect.Parameter.KEYWORD_ONLY, default=v) for k, v in keywords]
        )

    def __init__(self, *given, check_finite: bool = True, **hyperparameters):
        if given:
            raise TypeError(by_name(type(self).__name__, given, self.defaults))
        self._check_finite = option(type(self).__name__, "check_finite", check_finite)
        self._hyper = {}
        self.reset()
        self._adopt(self._checked({**self.defaults, **hyperparameters}))

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
        if callable(value) and not isinstance(value, type):
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

    @property
    def check_finite(self) -> bool:
        """Whether NaN and infinity are refused in x and g; set it like a hyperparameter."""
        return self._check_finite

    def set(self, **hyperparameters) -> None:
        """Change hyperparameters, or ``check_finite``, from the next step on.

        Raises
        ------
        TypeError, ValueError
            As at construction, and for a hyperparameter that only set the start of a memory which
            is already in use. Nothing is changed then.
        """
        rule = type(self).__name__
        check = hyperparameters.pop("check_finite", self._check_finite)
        check = option(rule, "check_finite", check)
        checked = self._checked(hyperparameters)
        late = self._starts() & checked.keys() if self._progress.memory else ()
        if late:
            name = min(late)
            raise ValueError(
                f"{rule}: {name} sets where the memory starts, and {self.t} steps are done; call "
                "reset() first or make a new optimizer."
            )
        self._adopt(checked)
        self._check_finite = check

    def _adopt(self, checked):
        hyper = {**self._hyper, **checked}
        self._grid = check_together(type(self).__name__, hyper)
        self._hyper = hyper
        self._scheduled = any(callable(value) for value in hyper.values())
        self._active = self.active_slots()
        self._settled = {}
        self._progress.alike = None

    def __getattr__(self, name):
        hyper = self.__dict__.get("_hyper", {})
        if name in hyper:
            value = hyper[name]
            return np.array(value) if isinstance(value, Swept) else value
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")

    def __setattr__(self, name, value):
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        elif name in self.defaults or name == "check_finite":
            self.set(**{name: value})
        else:
            raise AttributeError(unknown(type(self).__name__, name, self.defaults))

    def __dir__(self):
        return [*super().__dir__(), *self.defaults]

    def __repr__(self):
        options = [
            f"{name}={show(value)}"
            for name, value in self._hyper.items()
            if not (isinstance(self.defaults[name], bool) and value == self.defaults[name])
            and value is not None
        ]
        options += [] if self._check_finite else ["check_finite=False"]
        return f"{type(self).__name__}({', '.join(options)})"

    def _hyper_at(self, t: int) -> dict:
        """Return the hyperparameters at step t; what schedules return is checked."""
        if not self._scheduled:
            return self._hyper
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
        check_together(type(self).__name__, values)
        return values

    def _setting(self, values: dict, shape: tuple, path: str) -> Setting:
        """Return the hyperparameters as the rule sees them beside a leaf of this shape."""
        setting = self._settled.get(shape)
        if setting is None:
            setting = Setting(self, values, shape, path)
            if not self._scheduled:
                self._settled[shape] = setting
        return setting

    # ---------------------------------------------------------------- memory

    @property
    def t(self) -> int:
        """Number of steps done."""
        return self._progress.t

    def reset(self) -> None:
        """Forget all steps; keep the hyperparameters."""
        self._progress = Progress()

    def fresh(self) -> Optimizer:
        """Return a new optimizer with the same hyperparameters that has done no step."""
        return type(self)(check_finite=self._check_finite, **self._hyper)

    def active_slots(self, **hyperparameters) -> dict:
        """Return the slots (name to start) that the present, or given, hyperparameters call for."""
        values = {**self._hyper, **hyperparameters}
        return {
            slot: start
            for slot, start in self.slots.items()
            if slot not in self.needs or self._is_used(values[self.needs[slot]])
        }

    @staticmethod
    def _is_used(value):
        return value if isinstance(value, bool) else used(value)

    def _memory_of(self, leaf) -> dict:
        """Return the memory of a leaf: what is there, and the start of what is not."""
        memory = dict(self._progress.memory.get(leaf.path, {}))
        shape = self._slot_shape(leaf.setting.flat)
        for slot, start in self._active.items():
            if slot not in memory:
                value = getattr(leaf.setting.h, start) if isinstance(start, str) else start
                memory[slot] = np.empty(shape, leaf.dtype)
                memory[slot][...] = value
            elif memory[slot].shape != shape:
                raise ValueError(
                    f"{type(self).__name__}: x{leaf.path} and the present hyperparameters ask for "
                    f"a memory {slot!r} of shape {shape}, but the {self.t} steps so far made one "
                    f"of {memory[slot].shape}; reset() or make a new optimizer."
                )
        for scalar, start in self.scalars.items():
            memory.setdefault(scalar, start)
        return memory

    def _slot_shape(self, flat):
        if self.elementwise:
            return flat
        *runs, size = flat
        if size > _LARGEST_MATRIX:
            raise ValueError(
                f"{type(self).__name__} keeps an n x n matrix; n={size} would need "
                f"{8 * size**2 / 1e9:.1f} GB. Use AdaGrad, its diagonal form, or smaller leaves."
            )
        return (*runs, size, size)

    @property
    def sweep_shape(self) -> tuple:
        """Shape of the grid of runs that arrays of hyperparameters ask for; ``()`` for one run.

        Schedules are asked for their values at the next step.
        """
        if not self._scheduled:
            return self._grid
        return check_together(type(self).__name__, self._hyper_at(self.t + 1))

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
        state = {"rule": np.array(type(self).__name__), "t": np.array(self.t)}
        for path, shape in (self._progress.shapes or {}).items():
            state[f"x{path}"] = np.array(shape, dtype=np.int64)
            for slot, value in self._progress.memory[path].items():
                state[f"{slot}{path}"] = np.array(value)
        return state

    def load_state_dict(self, state: Mapping) -> None:
        """Take over the steps and the memory of `state_dict`; arrays are copied.

        Raises
        ------
        TypeError
            If the state is no mapping.
        ValueError
            If the state is of another rule, incomplete, or has entries this rule does not know.

        Notes
        -----
        After an error nothing has changed.
        """
        rule = type(self).__name__
        if not isinstance(state, Mapping):
            raise TypeError(
                f"{rule}: the state is a {type(state).__name__}; expected what state_dict() "
                "returns, or np.load of a file that holds it."
            )
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
            slot, bracket, rest = str(key).partition("[")
            path = bracket + rest
            if slot == "x":
                shapes[path] = self._loaded_shape(key, value)
            elif slot in names:
                memory.setdefault(path, {})[slot] = value
            elif key not in ("rule", "t"):
                raise ValueError(f"{rule}: the state has an entry {key!r}; it knows {names}.")
        if memory.keys() - shapes.keys():
            path = min(memory.keys() - shapes.keys())
            raise ValueError(f"{rule}: the state has no shape 'x{path}' for its leaf; it is torn.")
        if bool(t) != bool(shapes):
            raise ValueError(
                f"{rule}: the state has t={t} and {len(shapes)} leaves; it is incomplete."
            )
        for path, shape in shapes.items():
            memory.setdefault(path, {})
            for slot in [*self._active, *self.scalars]:
                if slot not in memory[path]:
                    raise ValueError(f"{rule}: the state has no {slot + path!r}; it is incomplete.")
            for slot, value in memory[path].items():
                self._check_loaded(slot, path, value, shape)
            dtypes = {v.dtype for slot, v in memory[path].items() if slot in self.slots}
            if len(dtypes) > 1:
                raise ValueError(
                    f"{rule}: the memory of x{path} has dtypes {sorted(map(str, dtypes))}; "
                    "expected one."
                )
            for slot in self.scalars:
                value = memory[path][slot]
                memory[path][slot] = value.view(Swept) if value.ndim else float(value)
        self._progress = Progress(int(t), memory, shapes or None)

    def _loaded_shape(self, key, value):
        whole = value.dtype.kind in "iu" or value.size == 0
        if value.ndim != 1 or not whole or (value < 0).any():
            raise ValueError(
                f"{type(self).__name__}: the state's {key!r} is {value!r}; expected a shape."
            )
        return tuple(int(n) for n in value)

    def _check_loaded(self, slot, path, value, shape):
        rule = type(self).__name__
        if slot in self.scalars:
            allowed = ("float64",)
            aligned = value.ndim == len(shape) and all(
                n in (1, m) for n, m in zip(value.shape, shape, strict=True)
            )
            expected = value.shape if value.ndim == 0 or aligned else ()
        else:
            allowed = _MEMORY_DTYPES
            runs = max(0, value.ndim - 2) if self._scheduled else len(self._grid)
            flat = shape if self.elementwise else (*shape[:runs], math.prod(shape[runs:]))
            expected = self._slot_shape(flat)
        if value.dtype.name not in allowed:
            raise ValueError(
                f"{rule}: {slot + path!r} has dtype {value.dtype}; expected {' or '.join(allowed)}."
            )
        if value.shape != expected:
            raise ValueError(
                f"{rule}: {slot + path!r} has shape {value.shape}; x{path} asks for {expected}."
            )
        if slot in self.nonnegative:
            # Of a matrix, the sums of squares are on its diagonal.
            sizes = value if self.elementwise else np.diagonal(value, axis1=-2, axis2=-1)
            if (sizes < 0).any():
                raise ValueError(
                    f"{rule}: {slot + path!r} holds {sizes.min()}; it is never negative, so the "
                    "state is damaged or of something else."
                )

    def _refuse_torn(self):
        if self._progress.torn:
            raise RuntimeError(
                f"{type(self).__name__}: step {self.t + 1} was interrupted while it wrote its "
                "results; load_state_dict() a saved state or reset()."
            )

    # ---------------------------------------------------------------- one step

    def evaluate(self, xp, t, x, g, memory: Mapping | Memory, hyperparameters: Mapping):
        """Run the bare equation on numbers of any kind. All readers of a rule go through here.

        Parameters
        ----------
        xp : namespace
            Where the rule finds ``sqrt``, ``maximum``, ``where`` …
        t, x, g
            Step count from 1, iterate, gradient: arrays, symbols, quantities.
        memory : mapping or Memory
            By name. A `Memory` is bound to in place.
        hyperparameters : mapping
            By name; missing ones are the optimizer's own, schedules at ``t``.

        Returns
        -------
        update, memory
            What is subtracted from x, and the new memory as a dict.
        """
        s = memory if isinstance(memory, Memory) else Memory(**memory)
        declared = set(s.__dict__)
        values = {**self._hyper, **hyperparameters}
        for name in self._hyper.keys() - hyperparameters.keys():
            if callable(values[name]):
                values[name] = values[name](t)
        update = self.update(xp, t, x, g, s, Hyper(**values))
        self._refuse_stray(s, declared)
        return update, dict(s.__dict__)

    def _refuse_stray(self, s, declared):
        if s.__dict__.keys() != declared:
            stray = sorted(s.__dict__.keys() - declared)
            raise AttributeError(
                f"{type(self).__name__}.update sets s.{stray[0]}, which its slots do not declare; "
                "it would be lost."
            )

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

        Notes
        -----
        All errors are raised before t, the memory, x, g or ``out`` change.
        """
        self._refuse_torn()
        if self._checks(check_finite):
            return self._step(x, g, out, True)
        with _warnings_as(False):
            return self._step(x, g, out, False)

    def _step(self, x, g, out, check):
        result = self._step_alike(x, g, out, check)
        if result is not None:
            return result
        progress = self._progress
        leaves = self._leaves(x, g, out, check)
        t = progress.t + 1
        values = self._hyper_at(t)
        for leaf in leaves:
            leaf.setting = self._setting(values, leaf.shape, leaf.path)
        for leaf in leaves:
            leaf.memory = self._memory_of(leaf)
        for leaf in leaves:
            if not self._in_blocks(leaf):
                leaf.update, leaf.new = self._apply(t, leaf.x, leaf.g, leaf.memory, leaf.setting)
                leaf.compute()
        for leaf in leaves:
            if leaf.new is None:
                self._write_in_blocks(t, leaf)
            elif leaf.out is not None:
                progress.torn = True
                leaf.write()
        progress.torn = True
        progress.memory = {leaf.path: leaf.new or leaf.memory for leaf in leaves}
        progress.shapes = {leaf.path: leaf.shape for leaf in leaves}
        progress.alike = self._kind(x, leaves)
        progress.t = t
        progress.torn = False
        if out is not None:
            return out
        return trees.rebuild(x, {leaf.path: leaf.result for leaf in leaves})

    def _checks(self, check_finite):
        if check_finite is None:
            return self._check_finite
        return option(type(self).__name__, "check_finite", check_finite)

    def _kind(self, x, leaves):
        leaf = leaves[0]
        bare = len(leaves) == 1 and leaf.given is x and leaf.x is x and x.ndim > 0
        if bare and self.elementwise and leaf.new is not None:
            return x.dtype, x.shape, None if self._scheduled else leaf.setting
        return None

    def _step_alike(self, x, g, out, check):
        """Take the step of an array that is like the one before; return None for any other.

        Most steps are such. What has been checked need not be checked again, and there is no tree.
        """
        progress = self._progress
        if progress.alike is None or type(x) is not _array or type(g) is not _array:
            return None
        dtype, shape, setting = progress.alike
        if not (
            x.dtype is dtype
            and g.dtype is dtype
            and x.shape == shape
            and g.shape == shape
            and (out is None or (out is x and x.flags.writeable and not overlaps_itself(x)))
            and (not check or finite(x, g))
        ):
            return None
        t = progress.t + 1
        if setting is None:
            setting = self._setting(self._hyper_at(t), shape, "")
        update, new = self._apply(t, x, g, progress.memory[""], setting)
        if out is None:
            result = x - update
            if result.dtype is not dtype:
                result = result.astype(dtype)
            progress.torn = True
        else:
            progress.torn = True
            result = np.subtract(x, update, out=out)
        progress.memory = {"": new}
        progress.t = t
        progress.torn = False
        return result

    def _leaves(self, x, g, out, check) -> list:
        xs = trees.flatten(x)
        gs = trees.flatten(g)
        self._check_structure(x, xs, g, gs, "g")
        outs = {} if out is None else xs if out is x else trees.flatten(out)
        if out is not None:
            self._check_structure(x, xs, out, outs, "out")
        if not xs:
            raise ValueError(f"{type(self).__name__}: x is {trees.describe(x)}; nothing to step.")
        shapes = self._progress.shapes
        if shapes is not None and shapes.keys() != xs.keys():
            raise ValueError(
                f"{type(self).__name__}: x is {trees.describe(x)}, but the {self.t} steps so far "
                f"had the leaves {', '.join(map(repr, shapes))}. One optimizer serves one set of "
                "parameters; make another or reset()."
            )
        rule = type(self).__name__
        leaves = []
        for path in xs:
            leaf = Leaf(rule, path, xs[path], gs[path])
            self._check_continuity(leaf)
            if check:
                leaf.check_finite()
            if out is not None:
                leaf.give(outs[path])
            leaves.append(leaf)
        if len(leaves) > 1:
            self._check_sharing("x", {leaf.path: leaf.given for leaf in leaves})
            if out is not None and any(leaf.out is not leaf.given for leaf in leaves):
                self._check_sharing("out", outs)
        if out is not None:
            _shield(leaves)
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

    def _check_continuity(self, leaf):
        if self._progress.shapes is None:
            return
        rule, path = type(self).__name__, leaf.path
        if self._progress.shapes[path] != leaf.shape:
            raise ValueError(
                f"{rule}: x{path} has shape {leaf.shape}, but {self._progress.shapes[path]} at the "
                f"{self.t} steps so far. One optimizer serves one set of parameters; make another "
                "or reset()."
            )
        for slot, value in self._progress.memory[path].items():
            if slot not in self.scalars and value.dtype != leaf.dtype:
                raise ValueError(
                    f"{rule}: x{path} has dtype {leaf.given.dtype}, but its memory {slot!r} is "
                    f"{value.dtype}; keep one dtype, or reset()."
                )

    def _check_sharing(self, name, arrays):
        clash = trees.shared_memory(arrays)
        if clash:
            raise ValueError(
                f"{type(self).__name__}: {name}{clash[0]} and {name}{clash[1]} share memory; the "
                "parameter would be stepped twice. Give each parameter once."
            )

    def _in_blocks(self, leaf) -> bool:
        return self.elementwise and leaf.x.nbytes > _BLOCK_ABOVE and not leaf.setting.swept

    def _apply(self, t, x, g, memory, setting):
        """Run the equation on arrays; return the update, and the new memory in arrays of ours."""
        shape = kept = x.shape
        if not self.elementwise:
            # Matrix products round differently in another memory layout.
            x, g = (np.ascontiguousarray(a).reshape(setting.flat) for a in (x, g))
            kept = self._slot_shape(setting.flat)
        s = _blank(Memory)
        s.__dict__ = new = memory.copy()
        if setting.guarded:
            update = self._guarded(t, x, g, s, setting.h)
        else:
            update = self.update(arithmetic, t, x, g, s, setting.h)
        if len(new) != len(memory):
            self._refuse_stray(s, memory.keys())
        dtype = x.dtype
        for slot, value in new.items():
            if (
                type(value) is not _array
                or value.base is not None
                or value.dtype is not dtype
                or value.shape != kept
                or value is x
                or value is g
            ):
                new[slot] = self._owned(slot, value, memory[slot])
        if type(update) is not _array or update.shape != shape:
            update = self._fitted("its update", update, x).reshape(shape)
        return update, new

    def _owned(self, slot, value, old):
        if slot not in self.scalars:
            return self._fitted(f"s.{slot}", value, old).copy()
        return value if type(value) is Swept else float(value)

    def _fitted(self, name, value, like):
        array = np.asarray(value)
        if array.dtype.kind not in "fiu":
            raise TypeError(
                f"{type(self).__name__}.update makes {name} a {type(value).__name__}; expected "
                "real numbers."
            )
        if array.shape not in ((), like.shape):
            raise ValueError(
                f"{type(self).__name__}.update makes {name} of shape {array.shape}; expected "
                f"{like.shape}."
            )
        return np.broadcast_to(array.astype(like.dtype, copy=False), like.shape)

    def _guarded(self, t, x, g, s, h):
        """Run the equation with eps = 0; a coordinate whose squared gradients are all 0 stays.

        Without a gradient its step is 0/0, and 0 for every eps > 0. With gradients so small that
        their squares are 0 it is g/0, though the equation's own step is bounded; its length is lost
        with the squares. In both cases the step for another eps stands in, which is next to 0.
        """
        other = Memory(**s.__dict__)
        with np.errstate(divide="ignore", invalid="ignore"):
            update = self.update(arithmetic, t, x, g, s, h)
        lost = ~np.isfinite(update) & np.isfinite(g)
        if not np.any(lost):
            return update
        spare = self.update(arithmetic, t, x, g, other, Hyper(**{**h.__dict__, "eps": 1.0}))
        for slot in s.__dict__.keys() - self.scalars.keys():
            new = getattr(s, slot)
            setattr(s, slot, np.where(lost & ~np.isfinite(new), getattr(other, slot), new))
        return np.where(lost, spare, update)

    def _write_in_blocks(self, t, leaf):
        x, g = leaf.x.reshape(-1), leaf.g.reshape(-1)
        result = leaf.out if leaf.out is not None else np.empty(leaf.shape, leaf.kept)
        flat = result.reshape(-1) if result.flags.c_contiguous else np.empty(x.shape, leaf.kept)
        arrays, scalars = self._flat_memory(leaf)
        new = {}
        block = _BLOCK // x.itemsize
        for i in range(0, x.size, block):
            part = slice(i, i + block)
            memory = {k: v[part] for k, v in arrays.items()} | scalars
            update, new = self._apply(t, x[part], g[part], memory, leaf.setting)
            self._progress.torn = True
            np.subtract(x[part], update, out=flat[part])
            for k, v in arrays.items():
                v[part] = new[k]
        if not result.flags.c_contiguous:
            result[...] = flat.reshape(result.shape)
        leaf.memory.update({k: new[k] for k in scalars})
        leaf.result = result

    def _flat_memory(self, leaf):
        """Return the memory as flat views that can be written, and the scalars."""
        arrays, scalars = {}, {}
        for slot, value in leaf.memory.items():
            if slot in self.scalars:
                scalars[slot] = value
                continue
            # Arrays that a rule made, or that were loaded, may be in any order, or be one.
            shared = any(value is other.base for other in arrays.values())
            if shared or not value.flags.c_contiguous:
                leaf.memory[slot] = value.copy(order="C")
            arrays[slot] = leaf.memory[slot].reshape(-1)
        return arrays, scalars

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
        self._check_callable(grad, "grad")
        self._refuse_torn()
        return self._iterate(grad, self._start(x0), check_finite)

    def _iterate(self, grad, x, check_finite):
        while True:
            with _warnings_as(self._checks(check_finite)):
                g = grad(_lent(x))
                x = self.step(x, g, check_finite=check_finite)
            yield self.t, x, g

    def _start(self, x0):
        """Return a copy of a start, integers as floats, everything else as it will stay."""
        rule = type(self).__name__
        leaves = {}
        for path, leaf in trees.flatten(x0).items():
            array = real(f"{rule}: x{path}", leaf)
            array = array.astype(kept_dtype(array))
            leaves[path] = array if array.ndim or isinstance(leaf, np.ndarray) else array[()]
        if not leaves:
            raise ValueError(f"{rule}: x is {trees.describe(x0)}; nothing to step.")
        return trees.rebuild(x0, leaves)

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
        self._check_callable(grad, "grad")
        if callback is not None:
            self._check_callable(callback, "callback")
        steps = self._whole(steps, "steps", 0)
        every = self._whole(every, "every", 1)
        check = self._checks(check_finite)
        self._refuse_torn()
        x = self._start(x0)
        recorder = Recorder(x, self.t, steps, every)
        with _warnings_as(check):
            for i in range(1, steps + 1):
                g = grad(_lent(x))
                try:
                    x = self._step(x, g, None, check)
                except (TypeError, ValueError) as error:
                    kind = TypeError if isinstance(error, TypeError) else ValueError
                    raise kind(f"{error} (at step {i} of {steps} of this run)") from error
                stop = callback is not None and _is_true(callback(self.t, _owned(x)))
                if stop or i % every == 0 or i == steps:
                    recorder.keep(i, x)
                if stop:
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

    def _check_callable(self, function, name):
        if not callable(function):
            raise TypeError(
                f"{type(self).__name__}: {name} is a {type(function).__name__}; expected "
                + (
                    "a function x -> gradient. To take one step with a gradient at hand, use "
                    "step(x, g)."
                    if name == "grad"
                    else "a function (t, x)."
                )
            )

    def __call__(self, fun, x0, args=(), jac=None, callback=None, **options):
        """Be a ``method`` of `scipy.optimize.minimize`: a fresh copy of this optimizer runs.

        Options are those of SciPy's own gradient methods: ``maxiter`` (steps, 1000 by default);
        ``gtol``, or SciPy's ``tol``: stop when the largest partial derivative is at most this;
        ``disp``: print how it ended; ``return_all``: keep all iterates as ``allvecs``. By default
        ``gtol`` is 0: the run ends early only where the gradient is exactly 0, and ``maxiter``
        steps count as success. A callback that raises ``StopIteration`` ends the run.

        Returns
        -------
        scipy.optimize.OptimizeResult
            If the run diverges, ``success`` is False, ``status`` is 3, ``message`` says what is not
            finite, and ``x`` is the last iterate that is.
        """
        from .bridge import minimize

        return minimize(self, fun, x0, args, jac, callback, **options)


class Recorder:
    """Keeps copies of iterates during a run, in arrays that are allocated once."""

    def __init__(self, x0, t0, steps, every):
        rows = 1 + (steps + every - 1) // every
        self.x0, self.t0 = x0, t0
        self.rows = {
            path: np.empty((rows, *leaf.shape), leaf.dtype)
            for path, leaf in trees.flatten(x0).items()
        }
        self.bare = self.rows.get("")
        self.at = []
        self.keep(0, x0)

    def keep(self, i, x):
        row = len(self.at)
        if self.bare is not None:
            self.bare[row] = x
        else:
            for path, leaf in trees.flatten(x).items():
                self.rows[path][row] = leaf
        self.at.append(i)

    def run(self, rule, x):
        done = len(self.at)
        # A run that was stopped early must not hold on to the rows that it did not need.
        kept = {p: a if len(a) == done else a[:done].copy() for p, a in self.rows.items()}
        path = trees.rebuild(self.x0, kept)
        return Run(x=x, path=path, t=np.array(self.at) + self.t0, rule=rule)


def _shield(leaves):
    """Copy inputs that writing some leaf's ``out`` would overwrite before they are read."""
    owners = {trees.owner(leaf.out) for leaf in leaves}
    inputs = [(leaf, "g", leaf.g) for leaf in leaves]
    inputs += [(leaf, "x", leaf.x) for leaf in leaves if leaf.x is not leaf.out]
    arrays = {}
    for leaf, name, array in inputs:
        owner = trees.owner(array)
        if owner in owners or owner is None or None in owners:
            arrays[leaf, name] = array
    if not arrays:
        return
    arrays |= {(leaf, "out"): leaf.out for leaf in leaves}
    for pair in trees.meetings(arrays):
        (leaf, name), (other, out) = sorted(pair, key=lambda key: key[1] == "out")
        if name == "out" or out != "out":
            continue
        array = arrays[leaf, name]
        if leaf is not other or not same_elements(array, leaf.out):
            setattr(leaf, name, array.copy())


def _warnings_as(check):
    """Return a context in which NumPy warns of overflows, unless they are to be expected."""
    return _AS_IT_IS if check else np.errstate(over="ignore", invalid="ignore")


def _is_true(answer) -> bool:
    return isinstance(answer, bool | np.bool_) and bool(answer)


def _lent(x):
    """Return a copy for a function that may write into what it is given."""
    return x.copy() if type(x) is _array else _owned(x)


def _owned(tree):
    """Copy a tree's leaves; a caller may keep or change what it is handed."""
    copies = {
        path: leaf.copy() if isinstance(leaf, np.ndarray) else leaf
        for path, leaf in trees.flatten(tree).items()
    }
    return trees.rebuild(tree, copies)
