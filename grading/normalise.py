"""Put a student's answers into the pristine notebook, and say what had to be repaired."""

import ast
import copy
import json
import re
from dataclasses import dataclass, field

from rapidfuzz import fuzz

from . import GradingError

LARGEST = 30_000_000
MOST_CELLS = 400
LONGEST_ANSWER = 200_000
ALIKE = 90
ALTERED = 60
PICTURES = ("image/png", "image/jpeg")
OUTSIDE = {
    *("socket", "ssl", "urllib", "http", "requests", "httpx", "ftplib", "smtplib", "asyncio"),
    *("subprocess", "multiprocessing", "ctypes", "signal", "shutil", "sqlite3", "nbgrader"),
    *("nbformat", "grading", "gc", "inspect", "pickle", "resource", "pty", "tempfile", "glob"),
}
BUILTINS = {"open", "eval", "exec", "compile", "__import__", "globals", "setattr", "delattr"}
BUILTINS |= {"get_ipython"}
REACHING = {
    *("system", "popen", "_exit", "kill", "fork", "listdir", "walk", "scandir", "read_text"),
    *("read_bytes", "write_text", "write_bytes", "rglob", "iterdir", "unlink", "_getframe"),
    *("settrace", "setprofile", "import_module", "reload"),
}
MODULES = {"np", "numpy", "sp", "sympy", "optimlib", "plt", "matplotlib", "builtins", "sys"}


class Refused(GradingError):
    """A hand-in that no notebook can be read from; the message says why."""


@dataclass
class Given:
    """A cell of a student's notebook, whatever state it is in."""

    kind: str
    source: str
    grade_id: str
    cell_id: str
    points: object
    attachments: dict
    number: int
    used: bool = False


@dataclass
class Normalised:
    """The pristine notebook with a student's answers.

    `repairs` are told to the teacher; `flags` ask for a look at the hand-in.
    """

    nb: dict
    repairs: list = field(default_factory=list)
    flags: list = field(default_factory=list)


# --- reading --------------------------------------------------------------------------------------


def read(content):
    """Read a notebook from bytes, as leniently as can be.

    Returns
    -------
    cells : list of Given
    repairs : list of str

    Raises
    ------
    Refused
        If there is no notebook in the bytes.
    """
    repairs = []
    if not content:
        raise Refused("the file is empty (0 bytes)")
    if len(content) > LARGEST:
        raise Refused(f"the file has {len(content):,} bytes, more than {LARGEST:,}")
    text, encoding = _decode(content)
    if encoding != "UTF-8":
        repairs.append(f"the file was saved as {encoding}")
    try:
        data = json.loads(text)
    except ValueError as error:
        raise Refused(f"not a notebook: not JSON ({error})") from None
    except RecursionError:
        raise Refused("not a notebook: nested too deeply") from None
    if not isinstance(data, dict):
        raise Refused("not a notebook: the JSON in it is no object")
    listed = data.get("cells")
    if listed is None and isinstance(data.get("worksheets"), list):
        repairs.append("the notebook is of the old format 3")
        listed = [
            {**cell, "source": cell.get("input", cell.get("source"))}
            for sheet in data["worksheets"]
            if isinstance(sheet, dict) and isinstance(sheet.get("cells"), list)
            for cell in sheet["cells"]
            if isinstance(cell, dict)
        ]
    if not isinstance(listed, list):
        raise Refused("not a notebook: it has no list of cells")
    if not listed:
        raise Refused("the notebook has no cells")
    if len(listed) > MOST_CELLS:
        repairs.append(f"only the first {MOST_CELLS} of {len(listed)} cells were read")
    cells = [_given(cell, n) for n, cell in enumerate(listed[:MOST_CELLS], 1)]
    kept = [cell for cell in cells if cell]
    if len(kept) < len(cells):
        repairs.append(f"{len(cells) - len(kept)} entries that are no cells were dropped")
    if not any(cell.source.strip() for cell in kept):
        raise Refused("the notebook has no cell with anything in it")
    kernel = data.get("metadata")
    kernel = kernel.get("kernelspec") if isinstance(kernel, dict) else None
    language = kernel.get("language", "python") if isinstance(kernel, dict) else "python"
    if str(language).lower() != "python":
        repairs.append(f"the kernel was {str(language)[:40]!r}; Python was used")
    return kept, repairs


def _decode(content):
    for mark, codec, name in (
        (b"\xef\xbb\xbf", "utf-8-sig", "UTF-8 with a byte-order mark"),
        (b"\xff\xfe", "utf-16", "UTF-16"),
        (b"\xfe\xff", "utf-16", "UTF-16"),
        (b"", "utf-8", "UTF-8"),
    ):
        if content.startswith(mark):
            try:
                return content.decode(codec), name
            except UnicodeDecodeError as error:
                raise Refused(f"not a notebook: not text in {name} ({error.reason})") from None
    raise AssertionError("the empty mark begins every file")


def _given(cell, number):
    """Make a cell of whatever stands in the list, or None."""
    if not isinstance(cell, dict):
        return None
    source = cell.get("source")
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    if not isinstance(source, str):
        return None
    metadata = cell.get("metadata") if isinstance(cell.get("metadata"), dict) else {}
    nbgrader = metadata.get("nbgrader") if isinstance(metadata.get("nbgrader"), dict) else {}
    attachments = cell.get("attachments") if isinstance(cell.get("attachments"), dict) else {}
    # lone surrogates are JSON but not text that can be written
    source = source.encode("utf-8", "replace").decode("utf-8")
    return Given(
        kind=str(cell.get("cell_type")),
        source=source.replace("\r\n", "\n").replace("\r", "\n")[:LONGEST_ANSWER],
        grade_id=str(nbgrader.get("grade_id", "")),
        cell_id=str(cell.get("id", "")),
        points=nbgrader.get("points"),
        attachments=_pictures(attachments),
        number=number,
    )


def is_base64(data):
    """Tell whether a picture's data is what it should be, and cannot end the attribute it fills."""
    return isinstance(data, str) and re.fullmatch(r"[A-Za-z0-9+/=\s]*", data) is not None


def harmless(text):
    """Return Markdown in which no HTML, and no link inside mathematics, is left.

    It is shown in the browsers of teachers, on pages of nbgrader that pass HTML through. A tag is
    one only if its name follows the bracket at once.
    """
    return re.sub(r"<(?=[A-Za-z/!?])", "< ", text).replace("\\href", "\\ href")


def _pictures(attachments):
    """Keep the pictures that a student pasted into a text."""
    kept = {}
    for name, bundle in attachments.items():
        if isinstance(bundle, dict):
            good = {
                mime: data for mime, data in bundle.items() if mime in PICTURES and is_base64(data)
            }
            if good and re.fullmatch(r"[\w. ()-]+", str(name)):
                kept[name] = good
    return kept


# --- matching -------------------------------------------------------------------------------------


def normalise(content, key):
    """Return the pristine notebook of a key with the answers found in the bytes of a hand-in."""
    given, repairs = read(content)
    release = copy.deepcopy(key["release"])
    pristine = [_Slot(cell) for cell in release["cells"]]
    result = Normalised(release, repairs)
    _match(pristine, given, result)
    leftover = [cell for cell in given if not cell.used]
    cells = []
    after = _followers(pristine, leftover)
    cells += after.pop(None, [])
    for slot in pristine:
        cells += _filled(slot, result)
        cells += after.pop(slot.name, [])
    release["cells"] = cells
    answers = [slot.match for slot in pristine if slot.answer and slot.match]
    extra = [cell for cell in leftover if cell.kind == "code"]
    for cell in [*answers, *extra]:
        if cell.kind == "code":
            result.flags += suspicions(cell.source, key["withheld"], cell.number)
    tests = {test["name"]: test["title"] for test in key["tests"]}
    hidden = {test["name"] for test in key["tests"] if test["hidden"]}
    for slot in pristine:
        if slot.name in tests and slot.match and _squeezed(slot.match) != _squeezed(slot):
            what = "hidden test" if slot.name in hidden else "test"
            result.flags.append(f"{what} {slot.name}: its text was changed (and put back)")
    return result


class _Slot:
    """A cell of the pristine notebook, and the student's cell that belongs there."""

    def __init__(self, cell):
        self.cell = cell
        self.source = "".join(cell["source"])
        self.meta = cell["metadata"].get("nbgrader", {})
        self.name = self.meta.get("grade_id", "")
        self.answer = bool(self.meta.get("solution"))
        self.match = None
        self.how = ""
        self.doubles = []
        defined = re.search(r"^(?:def|class)\s+(\w+)|^(\w+)\s*=", self.source, re.M)
        self.anchor = defined and defined[0]

    def take(self, cell, how):
        self.match, self.how = cell, how
        cell.used = True


def _squeezed(cell):
    return re.sub(r"\s+", " ", cell.source).strip()


def _match(pristine, given, result):
    """Give every pristine cell the student's cell that belongs there."""
    by_name = {slot.name: slot for slot in pristine}
    claims = {}
    for attribute in ("grade_id", "cell_id"):
        for cell in given:
            slot = by_name.get(getattr(cell, attribute))
            if slot and not cell.used and (attribute == "grade_id" or slot.name not in claims):
                if _plausible(slot, cell, by_name):
                    claims.setdefault(slot.name, []).append(cell)
                    cell.used = True
                else:
                    result.flags.append(
                        f"cell {cell.number} says that it is {slot.name}, but it is another cell"
                    )
    for name, cells in claims.items():
        slot = by_name[name]
        _choose(slot, cells, result, "id")
    _match_text(pristine, given, result)
    _match_position(pristine, given)
    how = {}
    for slot in pristine:
        if slot.match and slot.how in ("text", "position"):
            how.setdefault(slot.how, []).append(slot.name)
        if slot.match and (slot.answer or slot.meta.get("grade")):
            _compare_metadata(slot, result)
    for way, names in how.items():
        listed = ", ".join(names) if len(names) <= 5 else f"{len(names)} of {len(pristine)} cells"
        result.repairs.append(f"matched by {way}, for want of an id: {listed}")


def _plausible(slot, cell, by_name):
    """Whether a cell may be what its id says: no if its text is that of another pristine cell."""
    others = [
        other
        for other in by_name.values()
        if other is not slot and _squeezed(other) != _squeezed(slot)
    ]
    if slot.answer and slot.anchor:
        theirs = [other for other in others if other.answer and other.anchor]
        return slot.anchor in cell.source or not any(
            re.search(rf"^{re.escape(other.anchor)}\b", cell.source, re.M) for other in theirs
        )
    return not any(_squeezed(other) == _squeezed(cell) for other in others)


def _choose(slot, cells, result, how):
    """Take one of several cells that claim a place: of answers the first that says something."""
    if not slot.answer:
        slot.take(next((c for c in cells if _squeezed(c) == _squeezed(slot)), cells[0]), how)
    else:
        written = [cell for cell in cells if _squeezed(cell) != _squeezed(slot)] or cells
        slot.take(written[0], how)
        if len({_squeezed(cell) for cell in written}) > 1:
            result.flags.append(
                f"{slot.name}: {len(written)} different answers; the first one was taken"
            )
    slot.doubles = [cell for cell in cells if cell is not slot.match]
    for cell in slot.doubles:
        cell.used = True
    if slot.doubles:
        result.repairs.append(f"{slot.name}: {len(slot.doubles)} copies were kept as text, unrun")


def _match_text(pristine, given, result):
    """Match by what a cell holds: first the very text, then the name it defines, then likeness."""
    for slot in pristine:
        same = [cell for cell in given if not cell.used and _squeezed(cell) == _squeezed(slot)]
        if slot.match is None and not slot.answer and same:
            _choose(slot, same, result, "text")
    for slot in pristine:
        free = [cell for cell in given if not cell.used]
        if slot.match is not None:
            continue
        if slot.answer:
            head = slot.anchor and re.compile(rf"^{re.escape(slot.anchor)}(?!\w)", re.M)
            found = [c for c in free if head and c.kind == "code" and head.search(c.source)]
            if found:
                _choose(slot, found, result, "text")
        else:
            limit = ALIKE if slot.meta.get("grade") else ALTERED
            scored = [(-fuzz.ratio(cell.source, slot.source), n) for n, cell in enumerate(free)]
            if scored and -min(scored)[0] >= limit:
                slot.take(free[min(scored)[1]], "text")


def _match_position(pristine, given):
    """Match what is left by what stands before and after it."""
    place = {id(cell): n for n, cell in enumerate(given)}
    for index, slot in enumerate(pristine):
        if slot.match or not slot.answer:
            continue
        before = [place[id(s.match)] for s in pristine[:index] if s.match]
        behind = [place[id(s.match)] for s in pristine[index + 1 :] if s.match]
        low, high = max(before, default=-1), min(behind, default=len(given))
        for cell in given[low + 1 : high]:
            if not cell.used and cell.kind == slot.cell["cell_type"]:
                slot.take(cell, "position")
                break


def _compare_metadata(slot, result):
    cell = slot.match
    if cell.grade_id and cell.grade_id != slot.name:
        result.flags.append(f"{slot.name}: its grade id was changed to {cell.grade_id[:60]!r}")
    points = slot.meta.get("points")
    if cell.points is not None and cell.points != points:
        result.flags.append(f"{slot.name}: its points were changed from {points} to {cell.points}")
    if cell.kind != slot.cell["cell_type"]:
        result.repairs.append(f"{slot.name}: was turned into a {cell.kind} cell (and back)")


def _followers(pristine, leftover):
    """Say after which pristine cell every cell stands that the student added."""
    after = {}
    placed = sorted((s.match.number, n) for n, s in enumerate(pristine) if s.match)
    for cell in leftover:
        before = [n for number, n in placed if number < cell.number]
        name = pristine[max(before)].name if before else None
        # Markdown a student adds is of no use to a grader without its place; all of it is kept.
        made = _code(cell) if cell.kind == "code" else _text(cell.source, cell.attachments)
        made["metadata"]["added"] = True
        made["id"] = f"added-{cell.number}"
        after.setdefault(name, []).append(made)
    return after


def _filled(slot, result):
    """Return what stands in the place of a pristine cell: it, its answer, copies of it."""
    cell, match = slot.cell, slot.match
    made = [cell]
    if match is None:
        if slot.answer:
            result.repairs.append(f"{slot.name}: the cell was deleted; its empty form was put back")
        elif slot.meta.get("grade"):
            result.repairs.append(f"{slot.name}: the test was deleted and put back")
    elif slot.answer:
        cell["source"] = match.source
        if cell["cell_type"] == "markdown":
            cell["source"] = harmless(match.source)
            if match.attachments:
                cell["attachments"] = match.attachments
    elif not slot.meta.get("grade") and _squeezed(match) != _squeezed(slot):
        # An import added to a given cell may be needed, a text written into the question is an
        # answer: both are kept beside the original.
        code = cell["cell_type"] == match.kind == "code"
        changed = _code(match) if code else _text(match.source, match.attachments)
        changed["metadata"]["added"] = True
        changed["id"] = f"changed-{match.number}"
        made = [changed, cell] if code else [cell, changed]
        what = "run as changed, then as it was given" if code else "both texts are kept"
        result.repairs.append(f"{slot.name}: was changed; {what}")
    for double in slot.doubles:
        kept = _text(f"*A copy of {slot.name}, not run:*\n\n```\n{double.source}\n```", {})
        kept["id"] = f"copy-{double.number}"
        made.append(kept)
    return made


def _code(cell):
    return {
        "cell_type": "code",
        "metadata": {},
        "source": cell.source,
        "execution_count": None,
        "outputs": [],
    }


def _text(source, attachments):
    made = {"cell_type": "markdown", "metadata": {}, "source": harmless(source)}
    if attachments:
        made["attachments"] = attachments
    return made


# --- what asks for a look -------------------------------------------------------------------------


def suspicions(source, withheld, number):
    """List what a piece of code does that an answer has no need of. It is run all the same."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in OUTSIDE]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module.split(".")[0] in OUTSIDE:
                found.append(module)
            taken = {alias.name for alias in node.names}
            if module.split(".")[0] == "optimlib":
                found += [f"optimlib.{name}" for name in sorted(taken & {*withheld, "*"})]
            elif module == "os" or taken & REACHING:
                found += [f"{module}.{name}" for name in sorted(taken & {*REACHING, "*"})]
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "id", "")
            method = getattr(node.func, "attr", "")
            if name in BUILTINS or method in REACHING:
                found.append(f"{name or method}(...)")
        elif isinstance(node, ast.Attribute) and node.attr in withheld:
            found.append(f"optimlib.{node.attr}")
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        for target in targets if isinstance(node, ast.Assign | ast.AugAssign) else []:
            if isinstance(target, ast.Subscript):
                target = target.value
                if isinstance(target, ast.Attribute) and target.attr == "modules":
                    found.append("sys.modules = ...")
            elif isinstance(target, ast.Attribute) and _root(target) in MODULES:
                found.append(f"{ast.unparse(target)} = ...")
    return [f"cell {number} uses {what}" for what in dict.fromkeys(found)]


def _root(node):
    while isinstance(node, ast.Attribute):
        node = node.value
    return getattr(node, "id", "")
