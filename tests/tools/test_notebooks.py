"""The notebook tool, proved by tampering: each alteration turns a run red, nothing else does."""

import json
import re
import shutil
from xml.etree import ElementTree

import nbformat
import pytest
from nbformat import v4

from tests.tools.conftest import built, cell, command, write
from tools.notebooks import (
    canonical,
    check,
    fresh_id,
    main,
    progress,
    read,
    readable,
    run_one,
    slug,
)


def messages(path):
    return [str(violation) for violation in check([path])]


def test_every_committed_notebook_is_canonical_and_guarded():
    assert [str(violation) for violation in check([])] == []


# ------------------------------------------------------------------------------------------ nbval


def changed(**values):
    """Change what a cell stores."""
    return lambda altered: altered.update(values)


def replaced(old, new):
    """Replace a part of a cell's source."""
    return lambda altered: altered.update(source=altered.source.replace(old, new))


# notebook: {cell: (its alteration, the cell that turns red)}
TAMPERED = {
    "good": {},
    "stored": {
        "numbers": (lambda c: c.outputs[0].update(text="0.0626\n"), "numbers"),
        "check-results": (replaced("0.0625", "0.0624"), "check-results"),
        "figure": (changed(outputs=[]), "figure"),
        "stub": (replaced("limit", "np.float64(1) / 0\nlimit"), "stub"),
    },
    "computed": {
        "numbers": (lambda c: c.outputs[1].data.update({"text/plain": "2"}), "numbers"),
        "figure": (replaced("ax.plot(powers)", "powers[2] = 1\nax.plot(powers)"), "check-figure"),
    },
    "missing": {"numbers": (changed(outputs=[]), "numbers")},
    "law": {"imports": (replaced("0.5 **", "1 + 0.5 *"), "check-law")},
}


@pytest.fixture(scope="session")
def judged(executed, tmp_path_factory):
    """Judge altered copies with strict nbval, without the guard; name the cells that turn red."""
    folder = tmp_path_factory.mktemp("judged")
    code = [c.id for c in read(executed)[1].cells if c.cell_type == "code"]
    for name, alterations in TAMPERED.items():
        nb = read(executed)[1]
        for cell_id, (alter, _) in alterations.items():
            alter(cell(nb, cell_id))
        write(nb, folder / f"{name}.ipynb")
    nb = read(executed)[1]
    for cell_id in code:
        cell(nb, cell_id).update(execution_count=None, outputs=[])
    write(nb, folder / "stripped.ipynb")
    report = folder / "report.xml"
    command("pytest", "--nbval", "--nbval-current-env", f"--junitxml={report}", ".", cwd=folder)
    red = {path.stem: set() for path in folder.glob("*.ipynb")}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        if list(case):
            number = int(case.get("name").removeprefix("Cell "))
            red[case.get("classname").removesuffix(".ipynb")].add(code[number])
    return folder, red


@pytest.mark.parametrize("name", ["good", "stored", "computed", "missing"])
def test_nbval_rejects_the_altered_cells_and_no_others(judged, name):
    assert judged[1][name] == {red for _, red in TAMPERED[name].values()}


def test_a_changed_law_fails_its_check(judged):
    assert "check-law" in judged[1]["law"]


def test_nbval_accepts_a_stripped_notebook_and_the_tool_does_not(judged):
    folder, red = judged
    assert red["stripped"] == set()
    found = messages(folder / "stripped.ipynb")
    assert sum("was never run" in message for message in found) == 7


def test_the_summary_and_its_guard_count_what_was_compared(judged, tmp_path):
    for name in ("good", "stripped", "missing"):
        shutil.copy(judged[0] / f"{name}.ipynb", tmp_path)
    ignored = read(judged[0] / "good.ipynb")[1]
    cell(ignored, "stub").metadata.tags = ["nbval-ignore-output"]
    write(ignored, tmp_path / "ignored.ipynb")
    animated = moving(read(judged[0] / "good.ipynb")[1])
    cell(animated, "try-base").source = "powers"
    write(animated, tmp_path / "moving.ipynb")
    (tmp_path / "test_numbers.py").write_text(
        "import pytest\n"
        "from tests.conftest import tally\n"
        "@pytest.mark.parametrize('n', range(5))\n"
        "def test_pair(pytestconfig, n):\n"
        "    tally(pytestconfig, 'parity', pairs=1, equal=1)\n"
        "    assert n != 3\n"
        "def test_mutants(pytestconfig):\n"
        "    tally(pytestconfig, 'mutants', made=70, killed=69)\n"
        "@pytest.fixture\n"
        "def browser():\n"
        "    pytest.skip('no browser: install chromium')\n"
        "@pytest.mark.browser\n"
        "@pytest.mark.parametrize('n', range(2))\n"
        "def test_page(browser, n):\n"
        "    assert n\n"
        "@pytest.mark.browser\n"
        "@pytest.mark.parametrize('n', range(3))\n"
        "def test_other_page(n):\n"
        "    assert n\n"
        "def test_misuse(pytestconfig):\n"
        "    for wrong in (('no', {'made': 1}), ('parity', {'made': 1}), ('parity', {}),\n"
        "                  ('parity', {'pairs': -1})):\n"
        "        with pytest.raises(ValueError):\n"
        "            tally(pytestconfig, wrong[0], **wrong[1])\n"
    )
    options = ("-p", "tests.conftest", "-o", "markers=browser", "--nbval", "--nbval-current-env")
    done = command("pytest", *options, ".", cwd=tmp_path)
    assert done.returncode == 1
    summary = done.stdout.partition("what this run established")[2].splitlines()[1:8]
    assert summary == [
        "rules × libraries at parity: 4 of 5",
        "reports replayed: not run in this selection",
        "mutants killed: 69 of 70",
        "fabricated hand-ins graded as stated: not run in this selection",
        "notebooks compared: 2 of 5, cells equal to what is stored: 27 of 36, "
        "moving figures run: 1",
        "browser tests: 2 of 3 passed",
        "browser tests NOT RUN: 2: no browser: install chromium",
    ]
    never_run = re.findall(r"stripped\.ipynb, cell ([\w-]+): never run", done.stdout)
    assert len(set(never_run)) == 7
    empty = command("pytest", "-p", "tests.conftest", "-k", "misuse", ".", cwd=tmp_path)
    assert empty.returncode == 0
    assert empty.stdout.count("not run in this selection") == 7


# -------------------------------------------------------------------------------------------- run


@pytest.fixture(scope="session")
def folder_run(executed, tmp_path_factory):
    """Run a folder with good and bad files in one command."""
    folder = tmp_path_factory.mktemp("run")

    def notebook(name, *sources):
        cells = [
            v4.new_code_cell(source, id=f"cell-{'abc'[n]}") for n, source in enumerate(sources)
        ]
        write(v4.new_notebook(cells=cells), folder / name)

    shutil.copy(executed, folder / "again.ipynb")
    notebook("dies.ipynb", "import os\nos._exit(3)")
    notebook("empty.ipynb")
    notebook("here.ipynb", "from pathlib import Path\n\nassert Path('here.ipynb').exists()")
    stale = read(executed)[1]
    cell(stale, "numbers").outputs[0].text = "stale"
    cell(stale, "stub").update(execution_count=None)
    write(stale, folder / "stale.ipynb")
    notebook("fails.ipynb", "print(1)", "def f():\n    return 1 / 0", "f()")
    notebook("chunks.ipynb", "for i in range(3):\n    print(i, flush=True)\n    time = None")
    prose = v4.new_notebook(cells=[v4.new_markdown_cell("Only prose.", id="prose")])
    write(prose, folder / "prose.ipynb")
    bom = b"\xef\xbb\xbf" + (folder / "prose.ipynb").read_bytes().replace(b"\n", b"\r\n")
    (folder / "windows.ipynb").write_bytes(bom)
    (folder / "text.ipynb").write_text("<<<<<<< ours\n", encoding="utf-8")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "old.ipynb").write_text("not looked at", encoding="utf-8")
    before = {path.name: path.read_bytes() for path in folder.glob("*.ipynb")}
    done = command("tools.notebooks", "run", folder)
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    return done, before, after


def test_run_is_idempotent_byte_for_byte(folder_run):
    done, before, after = folder_run
    assert before["again.ipynb"] == after["again.ipynb"]
    assert re.search(r"^\[1/10\] .*again\.ipynb: unchanged \([\d.]+ s\)$", done.stdout, re.M)


def test_run_names_notebook_cell_and_error_and_goes_on(folder_run):
    done, _, _ = folder_run
    assert done.returncode == 1
    expected = [
        r"\[3/10\] .*dies\.ipynb, cell 1 \(cell-a\): DeadKernelError: Kernel died",
        r"\[4/10\] .*empty\.ipynb: has no cells",
        r"\[5/10\] .*fails\.ipynb, cell 3 \(cell-c\): ZeroDivisionError: division by zero\n",
        r"return 1 / 0",
        r"\[9/10\] .*text\.ipynb: not JSON",
        r"4 of 10 notebooks failed",
    ]
    for pattern in expected:
        assert re.search(pattern, done.stdout), pattern
    assert done.stdout.count("The file is as it was.") == 4
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_run_leaves_a_failing_notebook_and_nothing_else_behind(folder_run):
    _, before, after = folder_run
    for name in ("dies.ipynb", "empty.ipynb", "fails.ipynb", "text.ipynb"):
        assert before[name] == after[name]
    assert set(before) == set(after)


def test_run_writes_notebooks_without_code_and_repairs_windows_files(folder_run):
    _, _, after = folder_run
    assert after["prose.ipynb"] == after["windows.ipynb"]
    assert b"\r" not in after["windows.ipynb"]
    assert after["windows.ipynb"].startswith(b"{")


def test_run_stops_a_cell_that_takes_too_long(tmp_path):
    cells = [v4.new_code_cell("import time\n\ntime.sleep(60)", id="sleep")]
    path = write(v4.new_notebook(cells=cells), tmp_path / "slow.ipynb")
    before = path.read_bytes()
    done = command("tools.notebooks", "run", "--timeout", "1", path)
    assert done.returncode == 1
    assert re.search(r"slow\.ipynb, cell 1 \(sleep\): CellTimeoutError: ", done.stdout)
    assert path.read_bytes() == before


def test_run_replaces_stale_outputs(folder_run):
    _, before, after = folder_run
    assert before["stale.ipynb"] != after["stale.ipynb"] == after["again.ipynb"]


def test_run_uses_the_kernel_of_its_own_environment(tmp_path):
    broken = tmp_path / "kernels" / "python3"
    broken.mkdir(parents=True)
    (broken / "kernel.json").write_text(
        '{"argv": ["false"], "display_name": "Python 3", "language": "python"}'
    )
    cells = [v4.new_code_cell("1 + 1", id="sum")]
    path = write(v4.new_notebook(cells=cells), tmp_path / "sum.ipynb")
    done = command(
        *("tools.notebooks", "run", path),
        JUPYTER_PATH=str(tmp_path),
        JUPYTER_PREFER_ENV_PATH="0",
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_run_joins_the_parts_of_a_stream(folder_run):
    (only,) = json.loads(folder_run[2]["chunks.ipynb"])["cells"]
    assert [output["text"] for output in only["outputs"]] == [["0\n", "1\n", "2\n"]]


def test_run_keeps_the_file_when_writing_fails(tmp_path, monkeypatch):
    monkeypatch.setattr("nbclient.NotebookClient.execute", lambda self: self.nb)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    path = write(built(), tmp_path / "good.ipynb")
    before = path.read_bytes()
    with pytest.raises(OSError, match="No space"):
        run_one(path, timeout=1)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_run_keeps_the_permissions_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr("nbclient.NotebookClient.execute", lambda self: self.nb)
    path = write(v4.new_notebook(cells=[v4.new_markdown_cell("Text")]), tmp_path / "a.ipynb")
    path.chmod(0o640)
    assert run_one(path, timeout=1) is True
    assert path.stat().st_mode & 0o777 == 0o640
    assert run_one(path, timeout=1) is False


# ------------------------------------------------------------------------------------------- form


def test_a_good_notebook_has_no_violations(executed):
    assert messages(executed) == []


def test_the_canonical_form_keeps_text_and_drops_what_changes(executed):
    nb = json.loads(executed.read_text(encoding="utf-8"))
    code = [c for c in nb["cells"] if c["cell_type"] == "code"]
    assert [c["execution_count"] for c in code] == list(range(1, 8))
    figure = next(c for c in code if c["id"] == "figure")
    assert figure["outputs"] == [
        {
            "data": {"text/plain": ["<Figure size 640x480 with 1 Axes>"]},
            "metadata": {},
            "output_type": "display_data",
        }
    ]
    assert nb["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert canonical(nbformat.from_dict(read(executed)[1])) == read(executed)[1]


def output(mime, data, cell_id="figure"):
    """Alter the first rich output of a cell."""

    def alter(nb):
        rich = next(o for o in cell(nb, cell_id).outputs if "data" in o)
        rich.data[mime] = data

    return alter


def source(cell_id, old, new):
    """Alter the source of a cell."""

    def alter(nb):
        altered = cell(nb, cell_id)
        assert old in altered.source
        altered.source = altered.source.replace(old, new)

    return alter


def metadata(cell_id, **changes):
    """Alter the metadata of a cell."""
    return lambda nb: cell(nb, cell_id).metadata.update(changes)


def error(nb):
    failed = v4.new_output("error", ename="ValueError", evalue="no", traceback=["no"])
    cell(nb, "stub").outputs.append(failed)


def stderr(nb):
    cell(nb, "stub").outputs.append(v4.new_output("stream", name="stderr", text="careful"))


FORM = {
    "never run": (
        lambda nb: cell(nb, "numbers").update(execution_count=None),
        r"cell 5 \(numbers\): was never run",
    ),
    "another count": (
        lambda nb: cell(nb, "numbers").update(execution_count=7),
        r"cell 5 \(numbers\): has execution count 7, not 3",
    ),
    "a result's count": (
        lambda nb: cell(nb, "numbers").outputs[1].update(execution_count=9),
        r"\(numbers\): its output has another execution count",
    ),
    "png": (output("image/png", "aGk="), r"\(figure\): stores a payload \(image/png\)"),
    "jpeg": (output("image/jpeg", "aGk="), r"\(figure\): stores a payload \(image/jpeg\)"),
    "svg": (
        output("image/svg+xml", "<svg/>"),
        r"stores image/svg\+xml, which never",
    ),
    "a script": (output("application/javascript", "1"), "stores application/javascript, which"),
    "no text": (lambda nb: cell(nb, "figure").outputs[0].update(data={}), "an output without text"),
    "output metadata": (
        lambda nb: cell(nb, "figure").outputs[0].metadata.update(isolated=True),
        "an output has metadata",
    ),
    "an address": (
        output("text/plain", "<f at 0x7f01a2b3c4d5>"),
        r"a memory address \(0x7f01a2b3c4d5\)",
    ),
    "an address in HTML": (
        output("text/html", "at 0x7f01a2b3c4d5"),
        "text/html holds a memory address",
    ),
    "an address in a stream": (
        lambda nb: cell(nb, "numbers").outputs[0].update(text="0x7f01a2b3c4d5"),
        "holds a memory address",
    ),
    "a random id": (
        output("text/html", "<div id='a1b2c3d4-0000-4000-8000-0123456789ab'>"),
        "text/html holds a random id",
    ),
    "a path": (output("text/plain", "'/home/me/x.npz'"), "holds a path of one machine"),
    "an error": (error, r"\(stub\): ends in ValueError"),
    "stderr": (stderr, r"\(stub\): writes to stderr \('careful'\)"),
    "timestamps": (
        metadata("stub", execution={"iopub.status.busy": "x"}),
        "'execution' is not part",
    ),
    "widget state": (lambda nb: nb.metadata.update(widgets={}), "metadata 'widgets' is not part"),
    "a version": (
        lambda nb: nb.metadata.language_info.update(version="3.11.7"),
        "metadata 'language_info' is .*3.11.7",
    ),
    "another kernel": (
        lambda nb: nb.metadata.kernelspec.update(name="venv"),
        "metadata 'kernelspec' is .*venv",
    ),
    "an old format": (lambda nb: nb.update(nbformat_minor=4), r"format 4\.4, not 4\.5"),
    "a machine's id": (lambda nb: cell(nb, "stub").update(id="5c5c68df"), "no readable slug"),
    "an unreadable id": (lambda nb: cell(nb, "stub").update(id="My_Cell"), "no readable slug"),
    "a duplicate id": (
        lambda nb: cell(nb, "stub").update(id="numbers"),
        r"cell 11 \(numbers\): its id is also that of a cell above",
    ),
    "no id": (lambda nb: cell(nb, "stub").pop("id"), r"cell 11 \(no id\): its id is no readable"),
    "trailing whitespace": (source("stub", "limit", "limit = 1  \nlimit"), "whitespace at the end"),
    "blank lines at the end": (source("stub", "answer", "answer\n\n"), "blank lines at its end"),
    "an empty cell": (lambda nb: nb.cells.append(v4.new_code_cell("", id="rest")), "is empty"),
    "an attachment": (
        lambda nb: cell(nb, "law").update(attachments={"a.png": {"image/png": "aGk="}}),
        r"\(law\): holds an attached image",
    ),
    "an ignored cell": (metadata("stub", tags=["nbval-ignore-output"]), "keeps its output from"),
    "a skipped cell": (metadata("stub", tags=["nbval-skip"]), "keeps its output from"),
    "an expected error": (metadata("stub", tags=["raises-exception"]), "keeps its output from"),
    "a comment for nbval": (
        source("stub", "limit", "# NBVAL_IGNORE_OUTPUT\nlimit"),
        "comment NBVAL_IGNORE_OUTPUT changes what is compared",
    ),
}


@pytest.mark.parametrize(("alter", "expected"), FORM.values(), ids=FORM)
def test_check_names_every_departure_from_the_form(good, tmp_path, alter, expected):
    alter(good)
    path = tmp_path / "bad.ipynb"
    path.write_text(json.dumps(good, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    found = messages(path)
    assert any(re.search(expected, message) for message in found), found
    assert all(message.startswith(str(path)) for message in found)


@pytest.mark.parametrize(
    "alter",
    [
        lambda text: text.rstrip("\n"),
        lambda text: json.dumps(json.loads(text)),
        lambda text: text.replace("\n ", "\n  "),
        lambda text: json.dumps(json.loads(text), indent=1, sort_keys=True) + "\n",
    ],
    ids=["no newline at the end", "one line", "other indentation", "escaped letters"],
)
def test_check_compares_the_layout_byte_for_byte(executed, tmp_path, alter):
    path = tmp_path / "bad.ipynb"
    text = executed.read_text(encoding="utf-8").replace("How fast does", "How fast — does")
    path.write_text(alter(text), encoding="utf-8")
    assert [m for m in messages(path) if "laid out" in m and "make notebooks" in m]


def test_check_names_byte_order_mark_and_windows_line_ends(executed, tmp_path):
    path = tmp_path / "bad.ipynb"
    path.write_bytes(b"\xef\xbb\xbf" + executed.read_bytes().replace(b"\n", b"\r\n"))
    found = messages(path)
    assert len(found) == 2
    assert "byte-order mark" in found[0]
    assert "CRLF" in found[1]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", r"not JSON \("),
        (b"# Title\n", r"not JSON \("),
        (b"\xff\xfe{}", r"not JSON \("),
        (b"[]", "not a notebook of format 4"),
        (b"{}", "not a notebook of format 4"),
        (b'{"nbformat": 3, "nbformat_minor": 0, "worksheets": []}', "not a notebook of format 4"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "not a valid notebook"),
        (
            b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": {"a": 1}}',
            "not a valid notebook",
        ),
        (
            b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [1]}',
            "not a valid notebook",
        ),
        (
            b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"source": 3}]}',
            "not a valid notebook",
        ),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}', "has no cells"),
    ],
)
def test_check_says_why_a_file_is_no_notebook(tmp_path, content, expected):
    path = tmp_path / "bad.ipynb"
    path.write_bytes(content)
    assert any(re.search(expected, message) for message in messages(path))


def test_canonical_form_drops_empty_cells_and_the_metadata_of_editors():
    nb = built()
    before = canonical(nb)
    nb.cells.insert(1, v4.new_code_cell(" \n", id="blank"))
    nb.cells[0].metadata.update(collapsed=True, tags=[])
    nb.metadata.update(widgets={}, mystnb={"execution_mode": "force"})
    after = canonical(nb)
    assert after.cells == before.cells
    assert after.metadata == {**before.metadata, "mystnb": {"execution_mode": "force"}}


# -------------------------------------------------------------------------------------------- ids


@pytest.mark.parametrize(
    "cell_id", ["title", "check-law", "fig-2", "step-1-of-3", "long-" * 8 + "id"]
)
def test_ids_that_somebody_chose_are_readable(cell_id):
    assert readable(cell_id)


@pytest.mark.parametrize(
    "cell_id",
    [
        "",
        "5c5c68df",
        "0123456789ab",
        "xSHmXEJ5vGyz",
        "a1b2c3d4-0000-4000-8000-0123456789ab",
        "#VSC-1a2b3c",
        "vsc-1a2b3c",
        "My-Cell",
        "my_cell",
        "my--cell",
        "-cell",
        "12",
    ],
)
def test_ids_that_a_machine_made_are_not_readable(cell_id):
    assert not readable(cell_id)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("markdown", "# Bias *correction*, derived\n\nText", "bias-correction-derived"),
        ("markdown", "Text\n\n## Why $\\hat{v}_t$?", "why-hat-v-t"),
        ("markdown", "```{prf:lemma}\n:label: lem-sum\n\nText\n```", "lem-sum"),
        (
            "markdown",
            "We see that η and β₁ matter here, and so on",
            "we-see-that-eta-and-beta-1-matter-here",
        ),
        ("markdown", "!!!", "markdown"),
        ("code", "# check: prop-decay, fig-powers\nassert x", "check-prop-decay-fig-powers"),
        ("code", "x = 1  # one\n# the sum\n", "the-sum"),
        ("code", "plt.plot(x)", "plt-plot-x"),
        ("code", "12", "code-12"),
        ("code", "# 数学", "code"),
    ],
)
def test_a_missing_id_is_derived_from_what_the_cell_says_first(kind, text, expected):
    assert fresh_id({"cell_type": kind, "source": text, "metadata": {}}, set()) == expected


def test_derived_ids_name_figures_and_never_collide():
    figure = {"mystnb": {"figure": {"name": "fig-a"}}}
    made = {"cell_type": "code", "source": "# draw", "metadata": figure}
    assert fresh_id(made, set()) == "fig-a"
    assert fresh_id(made, {"fig-a", "fig-a-2"}) == "fig-a-3"
    assert len(slug("word " * 50)) <= 40


def test_canonical_ids_keep_the_chosen_and_replace_the_rest():
    nb = built()
    nb.cells[0].id = "5c5c68df"
    nb.cells[2].id = "numbers"  # taken by a cell further down: the first keeps it
    del nb.cells[10]["id"]
    ids = [c.id for c in canonical(nb).cells]
    assert ids[0] == "powers"
    assert ids[2] == "numbers"
    assert ids[4] == "print-powers-1-np-round-powers-sum-3"
    assert ids[10] == "your-answer" or ids[10].startswith("limit")
    assert len(set(ids)) == len(ids)


# ---------------------------------------------------------------------------------------- command


def test_the_command_reports_and_returns_what_it_found(executed, good, tmp_path, capsys):
    assert main(["check", str(executed)]) == 0
    assert capsys.readouterr() == ("", "")
    cell(good, "stub").execution_count = None
    bad = write(good, tmp_path / "bad.ipynb")
    assert main(["check", str(executed), str(bad)]) == 1
    out, err = capsys.readouterr()
    assert "bad.ipynb, cell 11 (stub): was never run" in out
    assert "make notebooks" in out
    assert "rename one" in out  # both notebooks have the same labels
    assert err.endswith("violations\n")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("missing.ipynb", "missing.ipynb: no such file or folder: give"),
        ("text.md", "text.md: not a notebook: give"),
        ("folder", "no notebook found below .*folder: give"),
    ],
)
@pytest.mark.parametrize("action", ["run", "check"])
def test_the_command_refuses_what_is_no_notebook(tmp_path, capsys, action, name, expected):
    (tmp_path / "text.md").touch()
    (tmp_path / "folder").mkdir()
    assert main([action, str(tmp_path / name)]) == 2
    assert re.search(expected, capsys.readouterr().err)


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_overwrites_a_line_on_a_terminal_only(monkeypatch, capsys, terminal):
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    progress("cell 1")
    progress("done", end="\n")
    expected = "\r\x1b[Kcell 1\r\x1b[Kdone\n" if terminal else "done\n"
    assert capsys.readouterr().out == expected


def test_text_shows_prose_code_options_and_outputs(executed, capsys, tmp_path):
    assert main(["text", str(executed)]) == 0
    text = capsys.readouterr().out
    for part in (
        "+++ title\n# Powers\n",
        "```{code-cell} check-law check remove-cell\n# check: prop-decay\n",
        "```{output}\n0.0625\n```",
        "```{output}\nnp.float64(1.938)\n```",
        '{"figure": {"caption": "How fast do the powers',
    ):
        assert part in text
    (tmp_path / "broken.ipynb").write_text("<<<<<<< ours\n")
    assert main(["text", str(tmp_path / "broken.ipynb")]) == 0
    assert capsys.readouterr().out == "<<<<<<< ours\n"
    assert main(["text", str(tmp_path / "missing.ipynb")]) == 2
    assert "missing.ipynb: cannot be read: No such file" in capsys.readouterr().err


def test_labels_are_unique_across_notebooks(executed, good, tmp_path):
    source("law", "prop-decay", "prop-other")(good)
    source("check-law", "prop-decay", "prop-other")(good)
    other = write(good, tmp_path / "other.ipynb")
    found = [str(violation) for violation in check([executed, other])]
    labels = {re.search(r"label (\S+) is also in .*good\.ipynb", message)[1] for message in found}
    assert labels == {"eq-power", "fig-powers", "ex-sum"}


MOVES = "Explorable(powers-base: rho=0.5)"


def moving(nb, *, tags=("hide-input", "nbval-ignore-output"), html=False, check=True):
    """Add a cell that shows a moving figure, and its check."""
    data = {"text/plain": MOVES, **({"text/html": "<figure></figure>"} if html else {})}
    shown = v4.new_code_cell("figure", id="try-base", metadata={"tags": list(tags)})
    shown.outputs = [v4.new_output("execute_result", data, execution_count=1)]
    guard = v4.new_code_cell(
        "# check: explore-powers-base\nassert powers[0] == 1",
        id="check-base",
        metadata={"tags": ["check", "remove-cell"]},
    )
    nb.cells += [shown, guard] if check else [shown]
    for count, code in enumerate((c for c in nb.cells if c.cell_type == "code"), 1):
        code.execution_count = count
        for output in code.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
    return nb


def test_a_moving_figure_keeps_its_text_alone(good):
    kept = canonical(moving(good, html=True))
    assert cell(kept, "try-base").outputs[0].data == {"text/plain": MOVES}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, []),
        (dict(tags=["hide-input"]), ["tag it nbval-ignore-output"]),
        (dict(tags=["nbval-skip", "nbval-ignore-output"]), ["tag 'nbval-skip' keeps"]),
        (dict(check=False), ["explore-powers-base has no check cell"]),
    ],
)
def test_a_moving_figure_is_not_compared_but_checked(good, tmp_path, given, expected):
    found = messages(write(moving(good, **given), tmp_path / "moving.ipynb"))
    assert len(found) == len(expected), found
    assert all(text in message for text, message in zip(expected, found, strict=True))
