"""Print a rule, or an objective and its gradient, as JavaScript for figures that need no kernel.

The functions work on numbers, one coordinate at a time; a page loops over its coordinates. The
operations come in the order of the rule, so results equal those of NumPy to the last digit, but for
powers: ``Math.pow`` may round differently.
"""

from __future__ import annotations

import numpy as np
import sympy

from . import symbolic
from .printing import JavaScript, shared

_SMALLEST_EPS = float(np.finfo(np.float32).tiny)

# Names that the printed functions use, and words of the language that are short enough to be slots.
_TAKEN = frozenset(("t", "x", "g", "s", "h", "p", "update", "spare", "value", "gradient"))
_TAKEN |= {"do", "if", "in", "of", "for", "let", "new", "var", "const", "else", "case", "this"}


def source(rule, /, *, name: str | None = None, **hyperparameters) -> str:
    r"""Return a rule as the source of a JavaScript function of one coordinate.

    ``adam(t, x, g, s, h)`` takes the step count from 1, the iterate, the gradient, the memory and
    the hyperparameters (``h.lr``, ``h.beta1`` …), and returns ``{x: …, s: …}``. It changes nothing.
    `start` prints the function that makes the first memory.

    Parameters
    ----------
    rule : Optimizer or a class of them
        As in `symbolic.expression`: options are fixed, hyperparameters that are 0 or None leave
        out their terms, the others become fields of ``h``.
    name : str, optional
        Name of the function; the rule's in lower case if left out.
    **hyperparameters
        Options and numbers, printed in place.

    Raises
    ------
    TypeError
        For a rule that works on vectors, and as in `symbolic.expression`.

    Notes
    -----
    With ``h.eps = 0`` a coordinate that has seen no gradient is 0/0, which counts as 0 as in
    `Optimizer.step`. An eps of 0 is therefore not printed in place: it stays ``h.eps``.

    Examples
    --------
    >>> from optimlib import Momentum
    >>> print(source(Momentum))
    function momentum(t, x, g, s, h) {
      const b = h.momentum*s.b + g;
      const update = h.lr*b;
      return {x: x - update, s: {b: b}};
    }
    """
    read = _read(rule, hyperparameters)
    names = {symbol: f"h.{key}" for key, symbol in read.symbols.items()}
    names |= {read.symbols[key]: key for key in ("x", "g", "t")}
    names |= {read.symbols[slot]: f"s.{slot}" for slot in read.memory}
    names |= {symbol: f"{key}_" if key in _TAKEN else key for symbol, key in read.names.items()}
    update = sympy.Symbol("update")
    names[update] = "update"
    equations = shared([*read.equations, (update, read.update)], names)
    code = JavaScript(names)
    lines = [f"const {names[symbol]} = {code.print(value)};" for symbol, value in equations]
    name = name or _lower(read)
    new = {slot: names[symbol] for slot, symbol in read.memory.items()}
    divided = _divided_by_coordinates(read, equations) if "eps" in read.symbols else ()
    if update in divided:
        spare = new | {
            slot: f"Number.isNaN({new[slot]}) ? spare.s.{slot} : {new[slot]}"
            for slot, symbol in read.memory.items()
            if symbol in divided
        }
        lines += [
            f"if (Number.isNaN(update) && Number.isFinite(g) && h.eps < {_SMALLEST_EPS}) {{",
            "  // With eps = 0 a term that is 0/0 counts as 0, which it is for every eps > 0.",
            f"  const spare = {name}(t, x, g, s, {{...h, eps: 1}});",
            f"  return {{x: spare.x, s: {_object(spare)}}};",
            "}",
        ]
    lines.append(f"return {{x: x - update, s: {_object(new)}}};")
    return _function(name, "t, x, g, s, h", lines)


def start(rule, /, *, name: str | None = None, **hyperparameters) -> str:
    """Return the source of a JavaScript function ``h -> memory before the first step``.

    Parameters
    ----------
    rule, **hyperparameters
        As in `source`.
    name : str, optional
        Name of the function; that of `source` with ``Start`` behind it if left out.

    Examples
    --------
    >>> from optimlib import Adam
    >>> print(start(Adam))
    function adamStart(h) {
      return {m: 0, v: 0};
    }
    """
    read = _read(rule, hyperparameters)
    code = JavaScript({symbol: f"h.{key}" for key, symbol in read.symbols.items()})
    memory = _object({slot: code.print(value) for slot, value in read.start.items()})
    return _function(name or f"{_lower(read)}Start", "h", [f"return {memory};"])


def gradient_source(expression, symbols, /, *, name: str = "objective", parameters=()) -> str:
    """Return a function of several variables and its gradient as the source of one function.

    Parameters
    ----------
    expression : sympy.Expr
        The value, e.g. ``ravine.formula(symbolic.namespace, x, y)``.
    symbols : sequence of sympy.Symbol
        The coordinates, in order, declared real.
    name : str, default "objective"
        Name of the function.
    parameters : sequence of sympy.Symbol
        Symbols that become fields of a second argument ``h``.

    Returns
    -------
    str
        ``objective(p, h)`` returns ``{value: …, gradient: […]}`` at the point ``p``, an array.

    Raises
    ------
    ValueError
        For a coordinate that is not declared real or whose name is no identifier, a symbol that is
        neither a coordinate nor a parameter, or a function that JavaScript lacks.

    Examples
    --------
    >>> x, y = sympy.symbols("x y", real=True)
    >>> print(gradient_source(x**2 / 20 + y**2, (x, y), name="ravine"))
    function ravine(p, h) {
      const [x, y] = p;
      const value = y*y + 0.05*(x*x);
      return {value: value, gradient: [0.1*x, 2*y]};
    }
    """
    for symbol in symbols:
        if not symbol.is_real:
            raise ValueError(
                f"{symbol} must be declared real: sympy.Symbol({symbol.name!r}, real=True)."
            )
        if not symbol.name.isidentifier() or symbol.name in _TAKEN - {"x", "t", "g", "s"}:
            raise ValueError(f"{symbol.name!r} cannot be a variable in JavaScript; rename it.")
    expression = sympy.sympify(expression)
    names = {symbol: symbol.name for symbol in symbols}
    names |= {symbol: f"h.{symbol.name}" for symbol in parameters}
    value = sympy.Symbol("value")
    partials = [sympy.Symbol(f"d{symbol.name}") for symbol in symbols]
    found = [(value, expression)]
    found += [(d, sympy.diff(expression, s)) for d, s in zip(partials, symbols, strict=True)]
    names |= {symbol: symbol.name for symbol, _ in found}
    code = JavaScript(names)
    body = [f"const [{', '.join(symbol.name for symbol in symbols)}] = p;"]
    printed = {}
    for symbol, part in shared(found, names):
        printed[symbol] = code.print(part)
        if symbol not in partials:
            body.append(f"const {names[symbol]} = {printed[symbol]};")
    gradient = ", ".join(printed[d] for d in partials)
    return _function(name, "p, h", [*body, f"return {{value: value, gradient: [{gradient}]}};"])


def function_source(arguments, values, names, /, *, name: str, keys=None) -> str:
    """Return formulas as the source of one function, operation by operation as they stand.

    Parameters
    ----------
    arguments : str
        What stands between the function's parentheses.
    values : sequence of sympy.Expr or numbers
        What it returns.
    names : mapping of sympy.Symbol to str
        How each symbol is written inside the function: ``x[0]``, ``c.lr``.
    name : str
        Name of the function.
    keys : sequence of str, optional
        Return an object with these keys instead of an array.

    Raises
    ------
    ValueError
        For a symbol without a name, or a function that JavaScript lacks.

    Examples
    --------
    >>> lr, t = sympy.symbols("lr t", real=True)
    >>> print(function_source("c, t", [lr / sympy.sqrt(t)], {lr: "c.lr", t: "t"}, name="rate"))
    function rate(c, t) {
      return [c.lr/Math.sqrt(t)];
    }
    """
    outs = [sympy.Dummy(f"value{i}") for i in range(len(values))]
    names = {**names, **{out: f"value{i}" for i, out in enumerate(outs)}}
    with sympy.evaluate(False):
        found = [(out, symbolic.exact(value)) for out, value in zip(outs, values, strict=True)]
    code = JavaScript(names)
    body, printed = [], []
    for symbol, part in shared(found, names):
        if symbol in outs:
            printed.append(code.print(part))
        else:
            body.append(f"const {names[symbol]} = {code.print(part)};")
    if keys is None:
        whole = f"[{', '.join(printed)}]"
    else:
        whole = _object(dict(zip(keys, printed, strict=True)))
    return _function(name, arguments, [*body, f"return {whole};"])


def _read(rule, hyperparameters):
    read = symbolic.lines(rule, **hyperparameters)
    if read.hyper.get("eps") == 0:
        eps = {"eps": sympy.Symbol("varepsilon", positive=True)}
        read = symbolic.lines(rule, **{**hyperparameters, **eps})
    if not read.rule.elementwise:
        raise TypeError(
            f"{type(read.rule).__name__} works on vectors; JavaScript is printed for rules that "
            "treat each coordinate alone."
        )
    return read


def _lower(read):
    return type(read.rule).__name__.lower()


def _function(name, arguments, lines):
    return "\n  ".join([f"function {name}({arguments}) {{", *lines]) + "\n}"


def _object(fields):
    return f"{{{', '.join(f'{key}: {value}' for key, value in fields.items())}}}"


def _divided_by_coordinates(read, equations):
    """Return the symbols whose value divides by something that depends on the coordinate."""
    arrays = {read.symbols[name] for name in ("x", "g", *read.memory)} - {
        read.symbols[scalar] for scalar in read.rule.scalars
    }
    divided = set()
    for symbol, value in equations:
        divisors = [p.base for p in value.atoms(sympy.Pow) if p.exp.is_negative]
        if value.free_symbols & divided or any(d.free_symbols & arrays for d in divisors):
            divided.add(symbol)
        if value.free_symbols & arrays:
            arrays.add(symbol)
    return divided
