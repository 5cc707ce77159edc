"""Hand-ins of every kind, made from the release and the right answers, each with its honest mark.

A kind changes the notebook of a student who has everything right. It states how many tests the
answers left in it pass, and the status that the teacher must see.
"""

import ast
import copy
import io
import json
import zipfile
from dataclasses import dataclass

from grading.source import BEGIN, END

GRADED, REVIEW, REFUSED = "graded", "review", "refused"


def right(course, name):
    """Return the students' notebook with the model answers in it."""
    source, nb = (
        json.loads((course / kind / name / f"{name}.ipynb").read_text(encoding="utf-8"))
        for kind in ("source", "release")
    )
    answers = {cell["id"]: "".join(cell["source"]) for cell in source["cells"]}
    for cell in nb["cells"]:
        cell["source"] = "".join(cell["source"])
        if cell["metadata"]["nbgrader"]["solution"]:
            lines = answers[cell["id"]].splitlines()
            kept = [line for line in lines if line.strip() not in (BEGIN, END)]
            cell["source"] = "\n".join(kept)
    return nb


def idle(nb, value):
    """Return a notebook whose functions return `value` and whose names are bound to it.

    The value "first" stands for a function's first argument.
    """
    nb = copy.deepcopy(nb)
    for cell in nb["cells"]:
        if not cell["metadata"]["nbgrader"]["solution"] or cell["cell_type"] != "code":
            continue
        lines = []
        for node in ast.parse(cell["source"]).body:
            if isinstance(node, ast.FunctionDef):
                given = node.args.args[0].arg if value == "first" else value
                node.body = ast.parse(f"return {given}").body
                lines.append(ast.unparse(node))
            elif isinstance(node, ast.Assign):
                bound = {n.id for n in ast.walk(node) if _binds(n)}
                lines += [f"{name} = {0.0 if value == 'first' else value}" for name in bound]
        cell["source"] = "\n\n".join(lines)
    return nb


def _binds(node):
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def find(nb, cell_id):
    """Return a cell of a notebook by its id."""
    return next(cell for cell in nb["cells"] if cell["id"] == cell_id)


def put(nb, cell_id, source):
    """Put a source into a cell."""
    find(nb, cell_id)["source"] = source
    return nb


def add(nb, source, before="adam", kind="code"):
    """Add a cell as a student does: no nbgrader metadata, an id of its own."""
    place = next(n for n, cell in enumerate(nb["cells"]) if cell["id"] == before)
    cell = {"cell_type": kind, "id": f"new{len(nb['cells'])}", "metadata": {}, "source": source}
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    nb["cells"].insert(place, cell)
    return nb


def drop(nb, cell_id):
    """Delete a cell."""
    nb["cells"] = [cell for cell in nb["cells"] if cell["id"] != cell_id]
    return nb


def double(nb, cell_id, source=None):
    """Copy a cell as Jupyter does: same metadata, a new id, below the first."""
    place = next(n for n, cell in enumerate(nb["cells"]) if cell["id"] == cell_id)
    twin = copy.deepcopy(nb["cells"][place])
    twin["id"] = f"twin-{place}"
    if source is not None:
        twin["source"] = source
    nb["cells"].insert(place + 1, twin)
    return nb


def nbgrader(nb, cell_id, **changes):
    """Change a cell's nbgrader metadata."""
    find(nb, cell_id)["metadata"]["nbgrader"] |= changes
    return nb


def colab(nb):
    """Strip a notebook as Colab does: metadata of its own, no ids of cells."""
    for n, cell in enumerate(nb["cells"]):
        cell["metadata"] = {"id": f"AbC{n:08d}", "colab": {"base_uri": ""}}
        del cell["id"]
        cell["source"] = cell["source"].splitlines(keepends=True)
    nb["metadata"] = {"colab": {"provenance": []}, "kernelspec": nb["metadata"]["kernelspec"]}
    nb["nbformat_minor"] = 0
    return nb


def vscode(nb):
    """Strip a notebook as an editor does that writes all cells anew: new ids, no metadata."""
    for n, cell in enumerate(nb["cells"]):
        cell["metadata"] = {}
        cell["id"] = f"{n:08x}"
    return nb


def old(nb):
    """Return a notebook in format 3."""
    cells = []
    for cell in nb["cells"]:
        if cell["cell_type"] == "code":
            cells.append({"cell_type": "code", "input": cell["source"], "language": "python"})
        else:
            cells.append({"cell_type": "markdown", "source": cell["source"]})
    return {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": cells}]}


def encoded(nb):
    """Return the bytes of a notebook."""
    return json.dumps(nb, indent=1).encode()


@dataclass
class Kind:
    """A kind of hand-in: its files by name, and what must come of it.

    `alike` says that, once normalised, its code is that of the perfect hand-in: it need not be run.
    """

    name: str
    files: dict
    passed: int
    status: str
    alike: bool = False

    @property
    def student(self):
        """The name of the student who hands it in."""
        return self.name.replace(" ", "-")


ALL = 15  # the tests of hw4
REST = 11  # of them, those that do not call `adam`
HEAD = "def adam(gradients, lr, beta1, beta2, eps):\n"
RULE = """\
    gradients = np.asarray(gradients, dtype=float)
    updates = np.zeros_like(gradients)
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        updates[t - 1] = lr * m_hat / (np.sqrt(v_hat) + eps)
    return updates
"""

# what stands in the body of `adam`, which tests it then passes, and the status
BODIES = {
    "epsilon inside": (RULE.replace("np.sqrt(v_hat) + eps", "np.sqrt(v_hat + eps)"), 13, GRADED),
    "not corrected": (RULE.replace("v / (1 - beta2**t)", "v"), REST, GRADED),
    "from zero": (RULE.replace("start=1", "start=0"), REST, GRADED),
    "nan": ("    return np.full(np.shape(gradients), np.nan)", REST, GRADED),
    "infinite": ("    return np.full(np.shape(gradients), np.inf)", REST, GRADED),
    "complex": ("    return 1j * np.ones(np.shape(gradients))", REST, GRADED),
    "words": ("    return ['one'] * len(gradients)", REST, GRADED),
    "ragged": ("    return [[1], [1, 2]]", REST, GRADED),
    "ten million": ("    return np.ones(10**7)", REST, GRADED),
    "list": (RULE.replace("return updates", "return updates.tolist()"), ALL, GRADED),
    "raises": ("    raise ValueError(gradients)", REST, GRADED),
    "warns": (
        "    import sys, warnings\n    warnings.warn('loud')\n    print('x', file=sys.stderr)\n"
        + RULE,
        ALL,
        GRADED,
    ),
    "loop in function": ("    while True: pass", REST, GRADED),
    "deaf in function": (
        "    while True:\n        try:\n            while True: pass\n"
        "        except BaseException: pass",
        REST,
        GRADED,
    ),
    "exit in function": ("    import os\n    os._exit(3)", REST, REVIEW),
    "prints arguments": ("    print('ARGUMENTS', gradients)\n" + RULE, ALL, GRADED),
    "raises arguments": ("    raise ValueError(f'ARGUMENTS {gradients}')", REST, GRADED),
    "calls the library": (
        """\
    from optimlib import Adam
    inner = Adam(lr=lr, beta1=beta1, beta2=beta2, eps=eps)
    return [-inner.step(np.zeros_like(g), g) for g in np.asarray(gradients, dtype=float)]""",
        REST,
        REVIEW,
    ),
    "calls the library by name": (
        """\
    import optimlib
    inner = optimlib.RULES["Ad" + "am"](lr=lr, beta1=beta1, beta2=beta2, eps=eps)
    return [-inner.step(np.zeros_like(g), g) for g in np.asarray(gradients, dtype=float)]""",
        REST,
        GRADED,
    ),
}

# a cell added above the right answers: it costs nothing, and may ask for a look
CELLS = {
    "loop on top": ("while True: pass", GRADED),
    "deaf on top": (
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
        REVIEW,
    ),
    "one long call": ("sum(range(10**12))", GRADED),
    "sleeps": ("import time\ntime.sleep(1000)", GRADED),
    "exit": ("exit()", GRADED),
    "hard exit": ("import os\nos._exit(3)", REVIEW),
    "kills itself": ("import os, signal\nos.kill(os.getpid(), 9)", REVIEW),
    "segfault": ("import ctypes\nctypes.string_at(0)", REVIEW),
    "memory at once": ("hog = np.ones(10**10)", GRADED),
    "memory bit by bit": ("hog = []\nwhile True: hog.append(bytearray(10**7))", GRADED),
    "memory of children": (
        """\
import os
for _ in range(30):
    if os.fork() == 0:
        hog = bytearray(3 * 10**8)
        hog[::4096] = b"1" * len(hog[::4096])
        while True: pass
while True: pass""",
        REVIEW,
    ),
    "fork bomb": ("import os\nwhile True: os.fork()", REVIEW),
    "threads": (
        """\
import threading, time
def chatter():
    while True:
        print("chatter")
        time.sleep(0.01)
threading.Thread(target=chatter, daemon=True).start()""",
        GRADED,
    ),
    "output for ever": ("while True: print('x' * 1000)", GRADED),
    # slow enough for one limit, the one on output, to be first on any machine
    "output in pieces": (
        "import time\nwhile True:\n    print('x' * 20_000)\n    time.sleep(0.001)",
        GRADED,
    ),
    "output at once": ("print('x' * 10**8)", GRADED),
    "fills the disk": (
        """\
n = 0
while True:
    with open(f"/tmp/{n}", "wb") as file: file.write(bytes(10**7))
    n += 1""",
        REVIEW,
    ),
    "floods the sockets": (
        """\
import glob, time
for folder in glob.glob("/tmp/grading-*"):
    open(folder + "/x", "wb").write(bytes(10**7))
time.sleep(1)""",
        REVIEW,
    ),
    "input": ("name = input('Who are you? ')", GRADED),
    "reads the disk": (
        """\
import os
found = []
for folder, _, names in os.walk("/"):
    if not folder.startswith(("/proc", "/sys", "/usr", "/lib")) and "python3" not in folder:
        found += [n for n in names if n.endswith((".ipynb", ".db", ".csv")) or n.startswith("hw")]
print("FOUND", found)""",
        REVIEW,
    ),
    "reads the gradebook": ("print('FOUND', len(open(SECRET, 'rb').read()))", REVIEW),
    "writes the gradebook": (
        "import sqlite3\nsqlite3.connect(SECRET).execute('create table mine (x)')",
        REVIEW,
    ),
    "opens a socket": (
        """\
import socket
try:
    socket.create_connection(("127.0.0.1", PORT), timeout=1).sendall(b"hello")
    print("CONNECTED")
except OSError as error:
    print("no network:", type(error).__name__)""",
        REVIEW,
    ),
    "patches optimlib": (
        "import optimlib\noptimlib.rules.Adam.update = lambda *a: 0.0",
        REVIEW,
    ),
    "patches json": ("import json\njson.dumps = lambda *a, **k: '[1.0, 1.0, 1.0]'", GRADED),
    "shadows at run time": ("open('optimlib.py', 'w').write('Adam = None')", REVIEW),
    "overwrites itself": ("open('hw4.ipynb', 'w').write('{}')", REVIEW),
    "hooks": (
        """\
def look(*_):
    print("ARGUMENTS", get_ipython().user_ns["In"][-1])
get_ipython().events.register("post_run_cell", look)""",
        REVIEW,
    ),
    "html output": (
        """\
from IPython.display import HTML, display
display(HTML("<script>alert(3)</script>"))
display({"image/png": 'x"><script>alert(4)</script>'}, raw=True)
display({"image/svg+xml": "<svg><script>alert(5)</script></svg>"}, raw=True)
display({"text/latex": "$\\\\href{javascript:alert(6)}{x}$ <script>alert(7)</script>"}, raw=True)
display({"text/plain": "<script>alert(8)</script>"}, raw=True)
print("<script>alert(9)</script>")
raise ValueError("<script>alert(10)</script>")""",
        GRADED,
    ),
}

# a cell added to the stub: it must earn nothing
CHEATS = {
    "patches numpy testing": ("np.testing.assert_allclose = lambda *a, **k: None", REVIEW),
    "equal to all": (
        """\
class All(float):
    def __eq__(self, other): return True
    def __abs__(self): return 0.0
    def __le__(self, other): return True
def adam(*a, **k): return All(1)""",
        GRADED,
    ),
    "forges a message": (
        """\
from IPython.display import display
def adam(*a, **k):
    display({"application/x-second-moments": "[0.1, 0.1, 0.1]"}, raw=True)""",
        GRADED,
    ),
}


def stub_of(nb):
    """Return a notebook in which nothing was answered."""
    nb = copy.deepcopy(nb)
    for cell in nb["cells"]:
        if cell["metadata"]["nbgrader"]["solution"]:
            code = cell["cell_type"] == "code"
            cell["source"] = "# Write your code here.\n..." if code else "*Write your answer here.*"
    return nb


def kinds(perfect, port=9, secret="/nonexistent/gradebook.db"):
    """List the kinds of hand-in for hw4.

    Parameters
    ----------
    perfect : dict
        The notebook that `right` returns.
    port : int
        Where on localhost a server listens that no hand-in may reach.
    secret : str
        A file of the course that no hand-in may read or write.
    """
    listed = []
    stub = stub_of(perfect)
    adam = find(perfect, "adam")["source"]

    def new():
        return copy.deepcopy(perfect)

    def kind(name, content, passed=ALL, status=GRADED, files=(), alike=False):
        content = encoded(content) if isinstance(content, dict) else content
        files = {**({} if content is None else {"hw4.ipynb": content}), **dict(files)}
        listed.append(Kind(name, files, passed, status, alike))

    def cell_type(nb, cell_id):
        cell = find(nb, cell_id)
        cell["cell_type"] = "markdown"
        del cell["outputs"], cell["execution_count"]
        return nb

    # --- right, partly right, wrong
    kind("perfect", new())
    kind("empty", stub, 0)
    for value in ("None", "0.0", "first"):
        kind(f"returns {value}", idle(perfect, value), 0)
    for name, (body, passed, status) in BODIES.items():
        kind(name, put(new(), "adam", HEAD + body), passed, status)
    for name, (source, status) in CELLS.items():
        source = source.replace("PORT", str(port)).replace("SECRET", repr(secret))
        kind(name, add(new(), source), ALL, status)
    for name, (source, status) in CHEATS.items():
        kind(name, add(copy.deepcopy(stub), source), 0, status)
    kind("syntax error", put(new(), "adam", HEAD.replace(":", "") + RULE), REST)
    kind("import error", put(new(), "adam", "import torch_not_here\n" + adam), REST)
    helper = add(
        put(new(), "adam", HEAD + "    return helper(gradients, lr, beta1, beta2, eps)"),
        HEAD.replace("adam", "helper") + RULE,
    )
    kind("helper cell", helper)
    imported = put(new(), "imports", find(perfect, "imports")["source"] + "\nimport math")
    root = RULE.replace("np.sqrt", "np.vectorize(math.sqrt)")
    kind("import in setup", put(imported, "adam", HEAD + root))
    shown = "    handle.update({'text/plain': f'ARGUMENTS {gradients}'}, raw=True)\n"
    updating = add(
        put(new(), "adam", HEAD + shown + RULE),
        "from IPython.display import display\n"
        "handle = display({'text/plain': 'x'}, raw=True, display_id=True)",
    )
    kind("updates a display", updating)
    marked = put(
        new(), "derivation", "<script>alert(1)</script> <img src=x onerror=alert(2)> MARKUP"
    )
    evil = {"a.png": {"image/png": 'x"><script>alert(11)</script>'}}
    find(marked, "derivation")["attachments"] = evil
    kind("markup", add(marked, "<script>alert(12)</script>", kind="markdown"))

    # --- cells deleted, changed, doubled
    kind("deleted test", drop(new(), "adam-three-steps"))
    kind("deleted hidden test", drop(new(), "adam-late"), alike=True)
    kind("edited test", put(new(), "adam-three-steps", "answer = None"), ALL, REVIEW)
    kind("edited hidden test", put(new(), "adam-late", "print('passed')"), ALL, REVIEW)
    kind("doubled test", double(new(), "adam-three-steps"))
    kind("doubled answer", double(new(), "adam"))
    kind("two answers", double(new(), "adam", HEAD + "    return 0"), ALL, REVIEW)
    kind(
        "stub below answer",
        double(new(), "adam", find(idle(perfect, "None"), "adam")["source"]),
        ALL,
        REVIEW,
    )
    kind("deleted answer", drop(new(), "adam"), REST)
    given = {c["id"] for c in perfect["cells"] if not c["metadata"]["nbgrader"]["solution"]}
    bare = {**new(), "cells": [c for c in new()["cells"] if c["id"] not in given]}
    kind("deleted all but answers", bare)
    kind("points", nbgrader(new(), "adam-three-steps", points=100), ALL, REVIEW)
    kind("points by hand", nbgrader(new(), "derivation", points=60), ALL, REVIEW, alike=True)
    kind("grade id", nbgrader(new(), "adam", grade_id="mine"), ALL, REVIEW)
    swapped = nbgrader(nbgrader(new(), "adam", grade_id="scheduled"), "scheduled", grade_id="adam")
    kind("grade ids swapped", swapped, ALL, REVIEW)
    kind("cell type", cell_type(new(), "adam"))
    kind("cell type of a test", cell_type(new(), "adam-three-steps"))
    kind("reversed", {**new(), "cells": new()["cells"][::-1]}, alike=True)

    # --- the file
    text = encoded(perfect).decode()
    kind("crlf", text.replace("\n", "\r\n").encode())
    kind("crlf inside", put(new(), "adam", adam.replace("\n", "\r\n")), alike=True)
    kind("bom", b"\xef\xbb\xbf" + text.encode())
    kind("utf-16", text.encode("utf-16"), alike=True)
    kind("surrogate", put(new(), "derivation", "a lone \ud800 here"))
    kind("colab", colab(new()))
    kind("vscode", vscode(new()))
    kind("colab doubled", colab(double(new(), "adam")), alike=True)
    kind("format 3", old(new()), alike=True)
    junk = [None, 3, {"cell_type": "code"}, *new()["cells"], {"source": 5}]
    kind("junk cells", {**new(), "cells": junk}, alike=True)
    kind("junk metadata", {**new(), "metadata": "none"}, alike=True)
    other = {"name": "ir", "language": "R", "display_name": "R"}
    kind("wrong kernel", {**new(), "metadata": {"kernelspec": other}})
    kind("unknown kernel", {**new(), "metadata": {"kernelspec": {"name": "mine"}}}, alike=True)
    kind("wrong name", None, files={"My homework (2).ipynb": encoded(perfect)})
    kind("zipped", None, files={"a.zip": zipped({"x/hw4.ipynb": encoded(perfect)})}, alike=True)
    kind("more files", new(), files={"notes.txt": b"x", "data.bin": bytes(1000)}, alike=True)
    kind("two notebooks", new(), ALL, REVIEW, {"hw4_copy.ipynb": encoded(stub)}, alike=True)
    kind("shadows optimlib", new(), ALL, REVIEW, {"optimlib.py": b"raise SystemExit"})
    for name, content in {
        "zero bytes": b"",
        "not json": b"<html>Please log in</html>",
        "cut short": text[: len(text) // 2].encode(),
        "picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        "a list": b"[1, 2]",
        "deep": b"[" * 200_000,
        "no cells": {**new(), "cells": []},
        "blank cells": {**new(), "cells": [{"cell_type": "code", "source": " "}]},
        "cells a word": {**new(), "cells": "none"},
        "huge": b'{"cells": "' + b"x" * 31_000_000 + b'"}',
    }.items():
        kind(name, content, 0, REFUSED)
    kind("no notebook", None, 0, REFUSED, {"hw4.pdf": b"%PDF"})
    kind("broken zip", None, 0, REFUSED, {"hw4.zip": b"PK\x03\x04 nothing"})
    return listed


def zipped(files):
    """Return the bytes of a zip."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def write(folder, listed):
    """Write hand-ins as a folder of students."""
    for kind in listed:
        for name, content in kind.files.items():
            path = folder / kind.student / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return folder
