"""Write and verify the canonical form of the book's notebooks.

    python -m tools.notebooks run     execute notebooks and write their canonical form
    python -m tools.notebooks check   name every departure from it, and every unguarded claim
    python -m tools.notebooks text    print one notebook as text, for `git diff`

A chapter is committed as one executed notebook. Its canonical form keeps what a reader of a diff
and a strict comparison of outputs need, and drops what changes from run to run. `claims` holds
what a chapter states and must therefore guard.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("chapters", "contributing", "playground.ipynb")
RERUN = "run `make notebooks`"

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
CELL_METADATA = ("mystnb", "tags")
# nbval passes over exactly these, so they can be dropped and the rest of an output still compares
DROPPED = ("application/vnd.jupyter.widget-view+json", "image/jpeg", "image/png")
KEPT = ("text/html", "text/latex", "text/markdown", "text/plain")
UNCOMPARED_TAGS = ("nbval-ignore-output", "nbval-skip", "raises-exception", "skip-execution")
# A moving figure offers widgets and HTML besides its text; nbval can't pass over the HTML alone.
MOVING = re.compile(r"(?:Explorable|Playground)\(([a-z0-9-]+):")
MOVING_TAG = "nbval-ignore-output"
UNCOMPARED_COMMENT = re.compile(r"^\s*#\s*(NBVAL_\w+|PYTEST_VALIDATE_IGNORE_OUTPUT)\s*$", re.M)
UNSTABLE = {
    "a memory address": re.compile(r"\b0x[0-9a-fA-F]{6,}\b"),
    "a random id": re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"),
    "a path of one machine": re.compile(r"(?:/home|/Users|/root|/tmp|/private)/\w|\b[A-Z]:\\Users"),
}
SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
MACHINE_MADE = re.compile(r"[0-9a-f]{8}|[0-9a-f]{12,}|(?:[0-9a-f]+-){4}[0-9a-f]+|[0-9-]+|vsc-.*")


class NotebookError(Exception):
    """A file that cannot be read as a notebook, or a notebook that does not run."""


@dataclass(frozen=True)
class Violation:
    """A departure from the form of a chapter: where, what, and what to do."""

    notebook: Path
    cell: str
    message: str

    def __str__(self):
        return f"{self.notebook}{self.cell and ', ' + self.cell}: {self.message}"


# ---------------------------------------------------------------------------------------- reading


def find(paths):
    """List the notebooks that `paths` name: files, folders, or by default the book's folders."""
    found = []
    for path in map(Path, paths or (ROOT / folder for folder in FOLDERS)):
        if path.is_file() and path.suffix == ".ipynb":
            found.append(path)
        elif path.is_dir():
            below = sorted(path.rglob("*.ipynb"))
            found.extend(file for file in below if ".ipynb_checkpoints" not in file.parts)
        elif paths:
            why = "not a notebook" if path.exists() else "no such file or folder"
            raise NotebookError(f"{path}: {why}: give an .ipynb file or a folder")
    if not found:
        where = ", ".join(map(str, paths)) or " and ".join(FOLDERS)
        raise NotebookError(f"no notebook found below {where}: give an .ipynb file or a folder")
    return [shown(path) for path in dict.fromkeys(found)]


def shown(path):
    """Return `path` as messages show it: relative to the current folder where that is shorter."""
    return Path(os.path.relpath(path)) if path.resolve().is_relative_to(Path.cwd()) else path


def read(path):
    """Read a notebook file.

    Returns
    -------
    text : str
        What the file holds, without a byte-order mark.
    nb : nbformat.NotebookNode
        The notebook, valid in format 4.5 but for its cell ids.

    Raises
    ------
    NotebookError
        If there is no notebook of format 4 in the file; the message says why.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        data = json.loads(text)
    except OSError as error:
        raise NotebookError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise NotebookError(
            f"{path}: not JSON ({error}): restore it from version control, or resolve the merge"
        ) from error
    if not isinstance(data, dict) or data.get("nbformat") != 4:
        raise NotebookError(f"{path}: not a notebook of format 4: save it in JupyterLab")
    cells = data.get("cells")
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise NotebookError(f"{path}: not a valid notebook: it has no list of cells")
    numbered = [{**cell, "id": f"cell-{n}"} for n, cell in enumerate(cells, 1)]
    try:
        nbformat.validate({**data, "nbformat_minor": 5, "cells": numbered})
    except nbformat.ValidationError as error:
        first = str(error).splitlines()[0]
        raise NotebookError(f"{path}: not a valid notebook: {first}") from error
    return text, nbformat.v4.to_notebook(data)


def located(nb):
    """Pair every cell with the words that locate it in a message."""
    return [(f"cell {n} ({cell.get('id', 'no id')})", cell) for n, cell in enumerate(nb.cells, 1)]


# ------------------------------------------------------------------------------- canonical form


def canonical(nb):
    """Return a copy of a notebook in canonical form, with the outputs that it has."""
    cells = []
    for cell in nb.cells:
        source = tidy(cell.source)
        if not source:
            continue
        metadata = {key: cell.metadata[key] for key in CELL_METADATA if cell.metadata.get(key)}
        kept = dict(cell_type=cell.cell_type, id=cell.get("id", ""), metadata=metadata)
        if cell.cell_type == "code":
            kept.update(execution_count=cell.execution_count, outputs=tidy_outputs(cell.outputs))
        elif cell.get("attachments"):
            kept.update(attachments=cell.attachments)
        cells.append({**kept, "source": source})
    taken = set()
    for cell in cells:
        if readable(cell["id"]) and cell["id"] not in taken:
            taken.add(cell["id"])
        else:
            cell["id"] = ""
    for cell in cells:
        if not cell["id"]:
            cell["id"] = fresh_id(cell, taken)
            taken.add(cell["id"])
    metadata = {**METADATA, **{key: nb.metadata[key] for key in ("mystnb",) if key in nb.metadata}}
    return nbformat.from_dict(
        dict(cells=cells, metadata=metadata, nbformat=4, nbformat_minor=5),
    )


def written(nb):
    """Return the text of a notebook file."""
    return nbformat.v4.writes(nb) + "\n"


def tidy(source):
    """Return a cell's source with plain line ends and no whitespace at the end of a line."""
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def tidy_outputs(outputs):
    """Return outputs without payloads; neighbouring parts of one stream become one."""
    kept = []
    for output in outputs:
        output = dict(output)
        if "data" in output:
            dropped = (*DROPPED, "text/html") if moving_figure(output) else DROPPED
            output["data"] = {k: v for k, v in output["data"].items() if k not in dropped}
            output["metadata"] = {}
        if kept and "text" in output and kept[-1].get("name") == output["name"]:
            kept[-1]["text"] += output["text"]
        else:
            kept.append(output)
    return kept


def moving_figure(output):
    """Return the name of the moving figure that an output shows, or None."""
    match = MOVING.match(output.get("data", {}).get("text/plain", ""))
    return match and match[1]


def readable(cell_id):
    """Tell whether a cell id is a slug that somebody chose."""
    return bool(SLUG.fullmatch(cell_id)) and not MACHINE_MADE.fullmatch(cell_id)


def fresh_id(cell, taken):
    """Derive a readable id from what a cell says first."""
    figure = cell["metadata"].get("mystnb", {}).get("figure", {}).get("name")
    heading = re.search(r"^#+ (.+)$", cell["source"], re.M)
    label = re.search(r"^:label: *(\S+)", cell["source"], re.M)
    comment = re.search(r"^# *(.+)$", cell["source"], re.M)
    if cell["cell_type"] == "code":
        words = figure or (comment and comment[1]) or cell["source"]
    else:
        words = (heading and heading[1]) or (label and label[1]) or cell["source"]
    base = slug(words)
    if not readable(base):
        base = f"{cell['cell_type']}-{base}".rstrip("-")
    n, cell_id = 1, base
    while cell_id in taken:
        n += 1
        cell_id = f"{base}-{n}"
    return cell_id


def slug(words, longest=40):
    """Turn words into a slug; Greek letters are spelt out."""
    spelt = "".join(
        f" {unicodedata.name(char).split()[3]} "
        if unicodedata.name(char, "").startswith(("GREEK SMALL LETTER", "GREEK CAPITAL LETTER"))
        else char
        for char in words
    )
    plain = unicodedata.normalize("NFKD", spelt).encode("ascii", "ignore").decode().lower()
    short = ""
    for word in re.findall(r"[a-z0-9]+", plain):
        if len(short) + len(word) >= longest:
            break
        short = f"{short}-{word}".strip("-")
    return short


# ---------------------------------------------------------------------------------------- running


def run(paths, timeout):
    """Execute notebooks and write them; return the number of those that failed."""
    failures = 0
    notebooks = find(paths)
    for n, path in enumerate(notebooks, 1):
        say = f"[{n}/{len(notebooks)}] {path}"
        try:
            start = time.monotonic()
            changed = run_one(path, timeout, say)
        except NotebookError as error:
            failures += 1
            progress(f"[{n}/{len(notebooks)}] {error}\n    The file is as it was.", end="\n")
        else:
            state = "written" if changed else "unchanged"
            progress(f"{say}: {state} ({time.monotonic() - start:.1f} s)", end="\n")
    if failures:
        progress(f"{failures} of {len(notebooks)} notebooks failed", end="\n")
    return failures


def run_one(path, timeout, say=""):
    """Execute one notebook and write its canonical form; tell whether the file changed."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    _, original = read(path)
    if not original.cells:
        raise NotebookError(f"{path}: has no cells: write some, or delete the file")
    nb = canonical(original)
    reached = "start of the kernel"

    def on_cell_start(cell, cell_index):
        nonlocal reached
        reached = f"cell {cell_index + 1} ({cell.id})"
        progress(f"{say}: {reached} of {len(nb.cells)}")

    client = NotebookClient(
        nb,
        km=kernel_manager(),
        timeout=timeout,
        resources={"metadata": {"path": str(path.resolve().parent)}},
        on_cell_start=on_cell_start,
        # the kernel talks to this process alone, and says at length that others could listen
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )
    try:
        client.execute()
    except CellExecutionError as error:
        trace = re.sub(r"\x1b\[[0-9;]*m", "", error.traceback).strip().replace("\n", "\n    ")
        message = f"{path}, {reached}: {error.ename}: {error.evalue}\n    {trace}"
        raise NotebookError(message) from error
    except Exception as error:  # whatever stops a kernel: time-out, death, no memory
        first = str(error).strip().split("\n")[0]
        raise NotebookError(f"{path}, {reached}: {type(error).__name__}: {first}") from error
    return replace(path, written(canonical(nb)))


def kernel_manager():
    """Manage a kernel of this very environment, whatever kernels a user has installed."""
    from ipykernel.kernelspec import RESOURCES, get_kernel_dict
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    class ThisEnvironment(KernelSpecManager):
        def get_kernel_spec(self, kernel_name):
            return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())

    return AsyncKernelManager(kernel_name="python3", kernel_spec_manager=ThisEnvironment())


def replace(path, text):
    """Write `text` in one step, so that a file is old or new, never half; tell if it changed."""
    data = text.encode("utf-8")
    if path.read_bytes() == data:
        return False
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, path.stat().st_mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    return True


def progress(message, end=""):
    """Report progress: on a terminal, on one line that is overwritten; in a log, only results."""
    if sys.stdout.isatty():
        print(f"\r\x1b[K{message}", end=end, flush=True)
    elif end:
        print(message, flush=True)


# --------------------------------------------------------------------------------------- checking


def check(paths):
    """List the violations in notebooks, those between notebooks included."""
    from tools.claims import Claims

    violations = []
    owners = defaultdict(list)
    for path in find(paths):
        try:
            text, nb = read(path)
        except NotebookError as error:
            violations.append(Violation(path, "", str(error).removeprefix(f"{path}: ")))
            continue
        violations += [Violation(path, *found) for found in form(path, text, nb)]
        claims = Claims(nb)
        violations += [Violation(path, *found) for found in claims.violations()]
        for label, where in claims.labels.items():
            owners[label].append((path, where))
    for label, places in owners.items():
        for path, where in places[1:]:
            message = f"label {label} is also in {places[0][0]}: rename one"
            violations.append(Violation(path, where, message))
    return violations


def form(path, text, nb):
    """Yield (cell, message) for each departure from canonical form."""
    found = list(file_form(path, nb))
    count = 0
    taken = set()
    for where, cell in located(nb):
        found += [(where, message) for message in cell_form(cell, taken)]
        taken.add(cell.get("id"))
        if cell.cell_type == "code" and tidy(cell.source):
            count += 1
            found += [(where, message) for message in code_form(cell, count)]
    if not found and text != written(canonical(nb)):
        found.append(("", f"its JSON is not laid out as the tool writes it: {RERUN}"))
    return found


def file_form(path, nb):
    """Yield violations of the file as a whole."""
    data = path.read_bytes()
    if data.startswith(b"\xef\xbb\xbf"):
        yield "", f"begins with a byte-order mark: {RERUN}"
    if b"\r\n" in data:
        yield "", f"has Windows line ends (CRLF): {RERUN}"
    if not nb.cells:
        yield "", "has no cells: write some, or delete the file"
    if nb.get("nbformat_minor") != 5:
        yield "", f"is in format 4.{nb.get('nbformat_minor')}, not 4.5: {RERUN}"
    for key in sorted(set(nb.metadata) - {*METADATA, "mystnb"}):
        yield "", f"metadata {key!r} is not part of a chapter: {RERUN}"
    for key, value in METADATA.items():
        if nb.metadata.get(key) != value:
            yield "", f"metadata {key!r} is {nb.metadata.get(key)}, not {value}: {RERUN}"


def cell_form(cell, taken):
    """Yield violations in a cell of any type; `taken` holds the ids above it."""
    cell_id = cell.get("id", "")
    if not readable(cell_id):
        yield f"its id is no readable slug ([a-z0-9-]+, chosen by a person): {RERUN}"
    elif cell_id in taken:
        yield f"its id is also that of a cell above: {RERUN}"
    if not tidy(cell.source):
        yield f"is empty: {RERUN}"
    elif cell.source != tidy(cell.source):
        yield f"has whitespace at the end of a line or blank lines at its end: {RERUN}"
    for key in sorted(set(cell.metadata) - set(CELL_METADATA)):
        yield f"metadata {key!r} is not part of a chapter: {RERUN}"
    if cell.get("attachments"):
        yield "holds an attached image: draw it in a code cell"


def code_form(cell, count):
    """Yield violations in a code cell that should be the `count`-th to run."""
    if cell.execution_count is None:
        yield f"was never run (its execution count is null, so nbval compares nothing): {RERUN}"
    elif cell.execution_count != count:
        yield f"has execution count {cell.execution_count}, not {count}: {RERUN}"
    tags = set(cell.metadata.get("tags", ()))
    if cell.outputs and all(map(moving_figure, cell.outputs)):
        if MOVING_TAG not in tags:
            yield f"shows a moving figure, whose HTML can't be compared: tag it {MOVING_TAG}"
        tags.discard(MOVING_TAG)
    for tag in tags.intersection(UNCOMPARED_TAGS):
        yield f"tag {tag!r} keeps its output from being compared: print what is stable, untag it"
    for comment in UNCOMPARED_COMMENT.findall(cell.source):
        yield f"comment {comment} changes what is compared: print what is stable, remove it"
    for output in cell.outputs:
        yield from output_form(output, cell)


def output_form(output, cell):
    """Yield violations in one output."""
    if output.output_type == "error":
        yield f"ends in {output.ename}: catch the error and print its message, or repair the cell"
        return
    if output.output_type == "stream":
        if output.name == "stderr":
            yield f"writes to stderr ({output.text.strip()[:60]!r}): remove the cause"
        texts = {"text/plain": output.text}
    else:
        texts = {mime: data for mime, data in output.data.items() if mime in KEPT}
        for mime in sorted(set(output.data) - set(KEPT)):
            if mime in DROPPED:
                yield f"stores a payload ({mime}): {RERUN}"
            else:
                yield f"stores {mime}, which never compares equal: show a PNG or text instead"
        if "text/plain" not in output.data:
            yield "has an output without text, so nothing is compared: give its object a __repr__"
        if output.metadata:
            yield f"an output has metadata: {RERUN}"
        if output.get("execution_count", cell.execution_count) != cell.execution_count:
            yield f"its output has another execution count: {RERUN}"
    for mime, text in texts.items():
        for what, pattern in UNSTABLE.items():
            if match := pattern.search(text):
                yield f"{mime} holds {what} ({match[0]}): print what is stable"


# ------------------------------------------------------------------------------------------- text


def text_of(path):
    """Return a file as text: a notebook as `as_text` gives it, anything else as it stands."""
    try:
        return as_text(read(path)[1])
    except NotebookError:
        if not path.is_file():
            raise
        # a diff must show a broken file, too
        return path.read_text(encoding="utf-8", errors="replace")


def as_text(nb):
    """Return a notebook as MyST-like text: prose as it is, code and outputs in fences."""
    parts = []
    for cell in nb.cells:
        head = " ".join([cell.get("id", ""), *cell.metadata.get("tags", [])])
        if cell.cell_type != "code":
            parts.append(f"+++ {head}\n{cell.source}")
            continue
        options = cell.metadata.get("mystnb")
        options = f"{json.dumps(options, ensure_ascii=False)}\n" if options else ""
        parts.append(f"```{{code-cell}} {head}\n{options}{cell.source}\n```")
        for output in cell.outputs:
            text = output.get("text") or output.get("data", {}).get("text/plain")
            text = text or f"{output.get('ename')}: {output.get('evalue')}"
            parts.append(f"```{{output}}\n{text.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


# ------------------------------------------------------------------------------------------ command


def main(arguments=None):
    """Run the command line; return the exit code: 0 good, 1 violations, 2 cannot be done."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.notebooks", description=__doc__.split("\n")[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    default = f"notebooks or folders (default: {' and '.join(FOLDERS)})"
    one = commands.add_parser("run", help="execute notebooks and write their canonical form")
    one.add_argument("paths", nargs="*", help=default)
    one.add_argument("--timeout", type=int, default=300, help="seconds for one cell (default: 300)")
    one = commands.add_parser("check", help="verify the form and the claims, without executing")
    one.add_argument("paths", nargs="*", help=default)
    one = commands.add_parser("text", help="print a notebook as text, for `git diff`")
    one.add_argument("path", type=Path)
    options = parser.parse_args(arguments)
    try:
        if options.command == "text":
            print(text_of(options.path), end="")
            return 0
        if options.command == "run":
            return 1 if run(options.paths, options.timeout) else 0
        violations = check(options.paths)
    except NotebookError as error:
        print(error, file=sys.stderr)
        return 2
    for violation in violations:
        print(violation)
    if violations:
        print(f"{len(violations)} violations", file=sys.stderr)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
