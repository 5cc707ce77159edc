"""Wrong rules made out of the right ones, one change at a time.

`mutants("Adam")` parses the class, puts something else in every place where a hand could slip, and
returns the results. The file classics.diff adds the mistakes that have a history.
"""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from optimlib import rules

_HERE = Path(__file__).parent
_SWAPPED = {
    ast.Add: [ast.Sub, ast.Mult],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Div, ast.Add],
    ast.Div: [ast.Mult],
    ast.Pow: [ast.Mult],
    ast.Lt: [ast.LtE, ast.Gt],
    ast.Gt: [ast.GtE, ast.Lt],
    ast.Eq: [ast.NotEq, ast.LtE, ast.GtE],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
    ast.Is: [ast.IsNot],
}
_OTHER_CALL = {"maximum": "minimum", "minimum": "maximum", "sqrt": "abs", "sign": "abs"}


@dataclass(frozen=True)
class Mutant:
    """A rule with one mistake.

    Attributes
    ----------
    rule : str
        Name of the class.
    kind : str
        What was changed: ``"operator"``, ``"epsilon"``, ``"memory"`` …, or ``"classic"``.
    change : str
        The lines that differ, as a diff without context.
    source : str
        The class as Python source.
    """

    rule: str
    kind: str
    change: str
    source: str = field(repr=False)

    def build(self) -> type:
        """Return the class, as if it had been written in optimlib.rules."""
        namespace = dict(vars(rules))
        exec(compile(self.source, f"<mutant of {self.rule}>", "exec"), namespace)
        return namespace[self.rule]

    def __str__(self):
        return f"{self.rule} ({self.kind})\n{self.change}"


def mutants(rule: str) -> list[Mutant]:
    """Return every mutant of a rule; those with the same source count once."""
    written = inspect.getsource(rules.RULES[rule])
    tree = _parsed(written)
    right = ast.unparse(tree)
    found = {}
    for kind, source in [*_classics(rule, written), *_rewritten(tree)]:
        if source != right:
            found.setdefault(source, Mutant(rule, kind, _diff(right, source), source))
    return [*found.values()]


def update_lines(rule: str) -> list[str]:
    """Return the lines of a rule's ``update``, as the mutants' changes show them."""
    lines = ast.unparse(_parsed(inspect.getsource(rules.RULES[rule]))).splitlines()
    start = next(i for i, line in enumerate(lines) if "def update" in line)
    return [line.strip() for line in lines[start + 1 :]]


def _parsed(source):
    tree = ast.parse(source)
    # The docstring is not the rule, and would be in every diff.
    tree.body[0].body = tree.body[0].body[1:]
    return tree


def _diff(right, wrong):
    lines = difflib.ndiff(right.splitlines(), wrong.splitlines())
    return "\n".join(f"{line[0]} {line[2:].strip()}" for line in lines if line[0] in "+-")


def _classics(rule, written):
    for names, mistake, lines in read_diff("classics.diff"):
        if rule in names:
            source = written
            groups = [[line[2:] for line in g] for _, g in itertools.groupby(lines, lambda x: x[0])]
            for old, new in zip(groups[::2], groups[1::2], strict=True):
                source = _replaced(source, old, new, f"{rule}: {mistake}")
            yield f"classic: {mistake}", ast.unparse(_parsed(source))


@functools.cache
def read_diff(name) -> list[tuple[list[str], str, list[str]]]:
    """Return (rules, title, lines with - and +) for each block of a file beside this one."""
    blocks = []
    for line in (_HERE / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            names, _, title = line[2:].partition(": ")
            blocks.append((names.split(", "), title, []))
        elif blocks and line:
            blocks[-1][2].append(line)
    return blocks


def _replaced(source, old, new, mistake):
    lines = source.splitlines()
    places = [
        i for i in range(len(lines)) if [line.strip() for line in lines[i : i + len(old)]] == old
    ]
    if len(places) != 1:
        raise ValueError(
            f"classics.diff, {mistake}: {old[0]!r} … is {len(places)} times in the rule, not once; "
            "write there what the rule says now."
        )
    i = places[0]
    margin = lines[i][: len(lines[i]) - len(lines[i].lstrip())]
    lines[i : i + len(old)] = [margin + line for line in new]
    return "\n".join(lines)


def _rewritten(tree) -> Iterator[tuple[str, str]]:
    """Put every replacement in its place, print the class, and put the original back."""
    names = _Names(tree)
    for node, get, put in _places(tree):
        original = get()
        for kind, replacement in _replacements(original, node, names):
            put(replacement)
            yield kind, ast.unparse(ast.fix_missing_locations(tree))
            put(original)


def _places(tree):
    """Yield each node's parent with functions that read and write the place it has there.

    A list of statements is a place too, so that statements can be taken out and put in.
    """
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if isinstance(value, list):
                if value and isinstance(value[0], ast.stmt):
                    yield parent, lambda p=parent, n=name: getattr(p, n), _setter(parent, name)
                for i, item in enumerate(value):
                    if isinstance(item, ast.AST):
                        yield parent, lambda v=value, i=i: v[i], _item_setter(value, i)
            elif isinstance(value, ast.AST):
                yield parent, lambda p=parent, n=name: getattr(p, n), _setter(parent, name)


def _setter(parent, name) -> Callable:
    return lambda new: setattr(parent, name, new)


def _item_setter(items, i) -> Callable:
    return lambda new: items.__setitem__(i, new)


class _Names:
    """The names that a slip could confuse: of numbers, of options, of memory, of local values."""

    def __init__(self, tree):
        update = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef))
        rule = rules.RULES[tree.body[0].name]
        options = [k for k, v in rule.defaults.items() if isinstance(v, bool)]
        self.inside = {id(node) for node in ast.walk(update)}
        self.alike = [options, [k for k in rule.defaults if k not in options]]
        self.memory = [*rule.slots, *rule.scalars]
        self.needed = set(rule.needs.values())
        self.born = {}
        for node in ast.walk(update):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self.born.setdefault(node.id, node.lineno)

    def like(self, hyperparameter):
        group = next((g for g in self.alike if hyperparameter in g), [])
        return [other for other in group if other != hyperparameter]

    def locals_like(self, node):
        if node.id not in self.born:
            return []
        return [n for n, line in self.born.items() if n != node.id and line < node.lineno]


def _replacements(node, parent, names):
    if isinstance(node, list):
        if id(node[0]) in names.inside and isinstance(parent, ast.FunctionDef | ast.If):
            yield from _statements(node)
    elif id(node) not in names.inside:
        yield from _declarations(node, parent, names)
    elif not isinstance(getattr(node, "ctx", None), ast.Store):
        yield from _expressions(node, names)


def _declarations(node, parent, names):
    """Rewrite what a class declares: where a memory starts, and the defaults."""
    if not (isinstance(node, ast.Constant) and isinstance(parent, ast.keyword)):
        return
    value = node.value
    if isinstance(value, bool):
        yield "default", ast.Constant(not value)
    elif isinstance(value, str) and value in names.needed:
        yield from (("needs", ast.Constant(other)) for other in names.needed - {value})
    elif isinstance(value, str):
        yield "start", ast.Constant(0.0)
        yield "start", ast.Constant(1.0)
    elif value is None:
        yield "default", ast.Constant(1e-3)
    else:
        # Smaller keeps every hyperparameter within its range.
        yield "start or default", ast.Constant(0.9 * value if value else 0.1)
        yield "start or default", ast.Constant(0.5 * value if value > 1.2 else 1e-4)


def _expressions(node, names):
    """Rewrite an expression of ``update``."""
    match node:
        case ast.BinOp(left, op, right):
            for other in _SWAPPED[type(op)]:
                yield "operator", ast.BinOp(left, other(), right)
            yield "dropped", left
            yield "dropped", right
            if isinstance(op, ast.Add) and _calls(left, "sqrt"):
                yield "epsilon", _xp("sqrt", ast.BinOp(left.args[0], ast.Add(), right))
                yield "epsilon", _xp("maximum", left, right)
        case ast.Compare(left, [op], [right]):
            for other in _SWAPPED[type(op)]:
                yield "condition", ast.Compare(left, [other()], [right])
        case ast.IfExp(test, body, orelse):
            yield "branch", ast.IfExp(test, orelse, body)
            yield "branch", body
            yield "branch", orelse
        case ast.Call(ast.Attribute(ast.Name("xp"), function), arguments):
            yield from _calls_rewritten(function, arguments)
        case ast.Attribute(ast.Name("h"), name):
            for other in names.like(name):
                yield "hyperparameter", ast.Attribute(ast.Name("h"), other)
        case ast.Attribute(ast.Name("s"), name):
            for other in names.memory:
                if other != name:
                    yield "memory", ast.Attribute(ast.Name("s"), other)
        case ast.Name("t"):
            yield "index", ast.BinOp(node, ast.Sub(), ast.Constant(1))
            yield "index", ast.BinOp(node, ast.Add(), ast.Constant(1))
        case ast.Name("x"):
            yield "argument", ast.Name("g")
        case ast.Name("g"):
            yield "argument", ast.Name("x")
        case ast.Name():
            for other in names.locals_like(node):
                yield "local value", ast.Name(other)
        case ast.Constant(int() | float() as value) if not isinstance(value, bool):
            yield "constant", ast.Constant(value + 1)
            yield "constant", ast.Constant(0 if value else 0.1)
            yield "constant", ast.Constant(value / 2 if value else -1)


def _calls_rewritten(function, arguments):
    if function in _OTHER_CALL:
        yield "function", _xp(_OTHER_CALL[function], *arguments)
    if function == "where":
        condition, a, b = arguments
        yield "branch", _xp("where", condition, b, a)
        yield "branch", a
        yield "branch", b
    elif function == "outer":
        yield "function", ast.BinOp(arguments[0], ast.Mult(), arguments[1])
    elif function == "inverse_root":
        yield "function", _xp(function, arguments[0], ast.Constant(0.0))
    else:
        for argument in arguments:
            yield "dropped", argument
    if function == "sqrt" and isinstance(arguments[0], ast.BinOp):
        inner = arguments[0]
        if isinstance(inner.op, ast.Add):
            yield "epsilon", ast.BinOp(_xp("sqrt", inner.left), ast.Add(), inner.right)


def _statements(body):
    """Rewrite a list of statements: memory lost, stored but not used, used but not stored."""
    for i, statement in enumerate(body):
        before, after = body[:i], body[i + 1 :]
        match statement:
            case ast.Assign([ast.Attribute(ast.Name("s"), slot)], value):
                yield "not stored", [*before, *after] or [ast.Pass()]
                late, read = _read_as("kept", slot, after)
                if read:
                    kept = ast.parse(f"kept = s.{slot}").body
                    yield "used late", [*before, *kept, statement, *late]
                    new = ast.Assign([ast.Name("new", ast.Store())], value)
                    yield "not stored", [*before, new, *_read_as("new", slot, after)[0]]
            case ast.If(test, then, orelse):
                yield (
                    "branch",
                    [*before, ast.If(ast.UnaryOp(ast.Not(), test), then, orelse), *after],
                )
                yield "branch", [*before, *then, *after]
                yield "branch", [*before, *orelse, *after]
            case ast.Return(value):
                yield "sign", [*before, ast.Return(ast.UnaryOp(ast.USub(), value))]


def _read_as(name, slot, statements):
    """Return the statements with a local value in place of a memory, and whether that is read."""
    places = []

    class Reader(ast.NodeTransformer):
        def visit_Attribute(self, node):
            match node:
                case ast.Attribute(ast.Name("s"), attribute, ast.Load()) if attribute == slot:
                    places.append(node)
                    return ast.Name(name, ast.Load())
            return node

    copied = [ast.parse(ast.unparse(statement)).body[0] for statement in statements]
    return [Reader().visit(statement) for statement in copied], bool(places)


def _calls(node, function):
    match node:
        case ast.Call(ast.Attribute(ast.Name("xp"), name)):
            return name == function
    return False


def _xp(function, *arguments):
    return ast.Call(ast.Attribute(ast.Name("xp"), function), [*arguments], [])
