"""Read the text source of an assignment, and draw the numbers in which courses differ."""

import ast
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from . import GradingError

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "assignments"
BEGIN, END = "# BEGIN SOLUTION", "# END SOLUTION"
EXPECTED = "# expected"
OPTIONS = {
    "text": set(),
    "given": set(),
    "teacher": set(),
    "answer": set(),
    "test": {"rtol", "atol"},
    "hidden": {"rtol", "atol"},
    "manual": {"points"},
}
TESTS = ("test", "hidden")
UNNAMED = ("text", "given", "teacher")
_MARK = re.compile(r"# %%(?P<markdown> \[markdown\])?(?P<words>.*)")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PARAMETER = re.compile(r"\bP\.([A-Za-z_]\w*)")
_PROSE = re.compile(r'r?"""\n?(.*?)\n?"""', re.S)


class SourceError(GradingError):
    """A source that breaks the format; the message gives file, line and remedy."""


class Draw:
    """Draws the parameters of an assignment from the salt of a course.

    The numbers come from SHA-256, not from a library's generator: the same salt gives the same
    assignment on every machine and in every year.
    """

    def __init__(self, salt, assignment):
        self._seed = f"{salt}/{assignment}"
        self._count = 0

    def _unit(self):
        """Return the next number of the stream, in [0, 1)."""
        self._count += 1
        digest = hashlib.sha256(f"{self._seed}/{self._count}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64

    def choice(self, *options):
        """Return one of the options."""
        return options[int(self._unit() * len(options))]

    def integer(self, low, high):
        """Return an integer from `low` to `high`, both included."""
        return low + int(self._unit() * (high - low + 1))

    def number(self, low, high, digits=2):
        """Return a number between `low` and `high` with so many decimals."""
        return round(low + self._unit() * (high - low), digits)

    def numbers(self, count, low, high, digits=2):
        """Return a list of numbers between `low` and `high`."""
        return [self.number(low, high, digits) for _ in range(count)]

    def signed(self, count, low, high, digits=2):
        """Return a list of numbers of size `low` to `high` in which both signs occur."""
        sizes = self.numbers(count, low, high, digits)
        signs = [self.choice(-1, 1) for _ in sizes]
        if count > 1 and len(set(signs)) == 1:
            signs[self.integer(0, count - 1)] *= -1
        return [sign * size for sign, size in zip(signs, sizes, strict=True)]


@dataclass
class Cell:
    """One cell of a source, its parameters put in."""

    role: str
    name: str
    kind: str
    source: str
    line: int
    options: dict = field(default_factory=dict)

    @property
    def title(self):
        """The comment that opens a test: what the student may know about it."""
        lines = self.source.splitlines()
        comment = []
        for line in lines:
            if not line.startswith("#"):
                break
            comment.append(line.removeprefix("#").strip())
        return " ".join(comment)

    @property
    def points(self):
        """What the cell is worth."""
        return int(self.options["points"]) if self.role == "manual" else int(self.role in TESTS)


@dataclass
class Assignment:
    """A source with the parameters of one course."""

    name: str
    title: str
    withheld: list
    parameters: dict
    cells: list

    def of(self, *roles):
        """List the cells of some roles."""
        return [cell for cell in self.cells if cell.role in roles]


def names(folder=FOLDER):
    """List the assignments that there are."""
    return sorted(path.stem for path in Path(folder).glob("*.py"))


def read(name, salt, folder=FOLDER):
    """Read the source of an assignment and put in the parameters that the salt gives.

    Raises
    ------
    SourceError
        If there is no such source or it breaks the format.
    """
    path = Path(folder) / f"{name}.py"
    if not path.is_file():
        known = ", ".join(names(folder))
        raise SourceError(f"{path} does not exist: give one of {known or 'none yet'}")
    header, raw = _split(path)
    scope = {"__name__": name}
    exec(compile(header, str(path), "exec"), scope)
    for needed in ("parameters", "WITHHELD", "__doc__"):
        if scope.get(needed) is None:
            raise SourceError(f"{path}: the lines before the first cell must give {needed}")
    parameters = scope["parameters"](Draw(salt, name))
    assignment = Assignment(
        name=name,
        title=scope["__doc__"].strip().splitlines()[0].rstrip("."),
        withheld=list(scope["WITHHELD"]),
        parameters=parameters,
        cells=[_cell(path, parameters, *one) for one in raw],
    )
    _check(path, assignment)
    return assignment


def _split(path):
    """Return the lines before the first cell, and the (line, mark, body) of every cell."""
    lines = path.read_text(encoding="utf-8").splitlines()
    starts = [n for n, line in enumerate(lines) if line.startswith("# %%")]
    if not starts:
        raise SourceError(f"{path}: no cell found: a cell begins with a line '# %% ...'")
    raw = []
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        body = "\n".join(lines[start + 1 : end]).strip("\n")
        raw.append((start + 1, _MARK.fullmatch(lines[start]), body))
    return "\n".join(lines[: starts[0]]), raw


def _cell(path, parameters, line, mark, body):
    """Make a cell of its mark and body."""

    def fail(message):
        raise SourceError(f"{path}, line {line}: {message}")

    kind = "markdown" if mark["markdown"] else "code"
    words = mark["words"].split()
    role = words.pop(0) if words else ("text" if kind == "markdown" else "given")
    if role not in OPTIONS:
        fail(f"'{role}' is no role: give one of {', '.join(OPTIONS)}")
    if (role == "text") != (kind == "markdown") and role != "manual":
        fail(f"a {role} cell is {'markdown' if role == 'text' else 'code'}")
    name = words.pop(0) if words and "=" not in words[0] else ""
    if not _NAME.fullmatch(name or ("x" if role in UNNAMED else "")):
        fail(f"a {role} cell needs a name such as 'first-step', not {name!r}")
    options = dict(word.partition("=")[::2] for word in words)
    if set(options) - OPTIONS[role]:
        fail(f"a {role} cell takes {sorted(OPTIONS[role]) or 'no options'}, not {sorted(options)}")
    try:
        options = {key: float(value) for key, value in options.items()}
    except ValueError:
        fail(f"options are numbers, not {options}")
    if kind == "markdown":
        prose = _PROSE.fullmatch(body)
        if not prose:
            fail('the body of a markdown cell is one r"""..."""')
        body = prose[1]

    def value(match):
        if match[1] not in parameters:
            fail(f"{match[0]} is no parameter: `parameters` gives {', '.join(parameters)}")
        given = parameters[match[1]]
        return str(given) if kind == "markdown" and isinstance(given, str) else repr(given)

    return Cell(role, name, kind, _PARAMETER.sub(value, body), line, options)


def _check(path, assignment):
    """Raise if cells that are sound by themselves do not fit together."""

    def fail(cell, message):
        raise SourceError(f"{path}, line {cell.line}: {message}")

    numbered = dict.fromkeys(UNNAMED, 0)
    seen = {}
    before = None
    for cell in assignment.cells:
        if not cell.name:
            numbered[cell.role] += 1
            cell.name = f"{cell.role}-{numbered[cell.role]}"
        if cell.name in seen:
            fail(cell, f"the name {cell.name!r} is taken by line {seen[cell.name]}")
        seen[cell.name] = cell.line
        if cell.kind == "code":
            try:
                ast.parse(cell.source)
            except SyntaxError as error:
                fail(cell, f"not Python: {error}")
        if cell.role in TESTS:
            if not cell.title:
                fail(cell, "a test begins with a comment: its title, which students see")
            for part in split_test(cell):
                tree = ast.parse(part).body
                if not tree or not isinstance(tree[-1], ast.Expr):
                    fail(cell, "both parts of a test end in an expression, its numbers")
        elif cell.role == "answer" and BEGIN not in cell.source:
            fail(cell, f"an answer holds a part between {BEGIN!r} and {END!r}")
        elif cell.role == "manual":
            marks = [int(n) for n in re.findall(r"^- (\d+) points?: ", before.source, re.M)]
            if before.role != "text" or "**Rubric**" not in before.source:
                fail(cell, "the text before a manual cell holds its question and a '**Rubric**'")
            if cell.options.get("points") != sum(marks):
                fail(cell, f"points={cell.options.get('points')}, but the rubric adds to {marks}")
        if cell.source.count(BEGIN) != cell.source.count(END):
            fail(cell, f"{BEGIN!r} and {END!r} do not pair up")
        if cell.role not in ("answer", "manual") and BEGIN in cell.source:
            fail(cell, f"only answer and manual cells hold {BEGIN!r}")
        before = cell


def split_test(cell):
    """Return the two parts of a test: what the student's code computes, and what is right."""
    probe, separator, expected = cell.source.partition(f"\n{EXPECTED}\n")
    if not separator:
        raise SourceError(f"{cell.name}, line {cell.line}: a line '{EXPECTED}' parts a test in two")
    return probe, expected


def last_expression(code):
    """Return code in two parts: everything before its last statement, and that expression."""
    last = ast.parse(code).body[-1]
    lines = code.splitlines()
    return "\n".join(lines[: last.lineno - 1]), "\n".join(lines[last.lineno - 1 : last.end_lineno])
