"""What holds of every assignment, and what its source may not be."""

import html
import json
import re
import zipfile

import numpy as np
import pytest

from grading import build, source
from grading.marks import agrees, as_numbers
from tests.assignments.conftest import NAMES
from tests.assignments.fabricate import idle, right

SALTS = ("public", "another", "a third", "Ω 4", "5" * 64, "")
SOUND = '''"""A title."""

from grading import P

WITHHELD = ["Adam"]


def parameters(draw):
    """Return one number."""
    return {"x": draw.integer(2, 5)}


# %% [markdown]
r"""
See `ex-adam-sums`. The number is P.x.
"""

# %% answer power
def power(n):
    """Return P.x to the power n."""
    # BEGIN SOLUTION
    return P.x**n
    # END SOLUTION


# %% test shown
# Three powers.
[power(n) for n in (1, 2, 3)]
# expected
[P.x, P.x * P.x, P.x * P.x * P.x]
'''


def write(folder, text):
    (folder / "hw.py").write_text(text, encoding="utf-8")
    return source.read("hw", "salt", folder)


def test_there_are_assignments():
    assert "hw4" in NAMES


def test_the_page_for_teachers_offers_every_assignment():
    page = (source.ROOT / "teaching" / "assignments.md").read_text(encoding="utf-8")
    offered = {
        name: title.strip() for name, title in re.findall(r"^\| (hw\d+) \|([^|]+)\|", page, re.M)
    }
    assert offered == {name: source.read(name, "public").title for name in NAMES}
    for name in NAMES:
        assert f"<../_build/zips/{name}.zip>" in page


@pytest.mark.parametrize("name", NAMES)
def test_source_is_sound_whatever_the_salt(name):
    seen = []
    for salt in SALTS:
        assignment = source.read(name, salt)
        tests = build.solve(assignment)
        seen.append([test["expected"] for test in tests])
        by_hand = assignment.of("manual")
        assert {cell.kind for cell in by_hand} == {"markdown", "code"}, "a derivation and a plot"
        assert {test["hidden"] for test in tests} == {True, False}
        assert any("sympy" in cell.source for cell in assignment.of("given"))
    for other in seen[1:]:
        assert other != seen[0], "two salts give one assignment"
    assert [t["expected"] for t in build.solve(source.read(name, SALTS[0]))] == seen[0]


@pytest.mark.parametrize("name", NAMES)
def test_release_and_zip_hold_no_answer(course, name):
    key = json.loads((course / "keys" / f"{name}.json").read_text(encoding="utf-8"))
    assert key["secrets"]["hidden"]
    assert key["secrets"]["answers"]
    teachers = (course / "source" / name / f"{name}.ipynb").read_text(encoding="utf-8")
    # the scan sees what is there: all but the teacher's own helpers is in the teacher's notebook
    assert len(build.leaks(teachers, key)) > len(key["secrets"]["answers"])
    release = (course / "release" / name / f"{name}.ipynb").read_text(encoding="utf-8")
    assert build.leaks(release, key) == []
    with zipfile.ZipFile(course / "zips" / f"{name}.zip") as archive:
        notebook, wheel = sorted(archive.namelist())
        assert notebook == f"{name}/{name}.ipynb"
        assert wheel.startswith(f"{name}/optimlib-")
        assert archive.read(notebook).decode() == release
        (course / "inner.whl").write_bytes(archive.read(wheel))
    with zipfile.ZipFile(course / "inner.whl") as inner:
        assert not any("assignments" in n or "grading" in n for n in inner.namelist())
        for member in inner.namelist():
            assert build.leaks(inner.read(member).decode("utf-8", "replace"), key) == []


@pytest.mark.parametrize("name", NAMES)
def test_release_asks_for_the_answers(course, name):
    nb = json.loads((course / "release" / name / f"{name}.ipynb").read_text(encoding="utf-8"))
    asked = [c for c in nb["cells"] if c["metadata"]["nbgrader"]["solution"]]
    for cell in asked:
        assert "rite your " in "".join(cell["source"])
    assert next(c["id"] for c in nb["cells"] if c["cell_type"] == "code") == "setup"
    for cell in nb["cells"]:
        assert not cell.get("outputs")
        assert cell["metadata"]["nbgrader"]["grade_id"] == cell["id"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["None", "0.0", "1.0", "first"])
def test_idle_answers_earn_nothing(course, name, value):
    """Quick, without a sandbox: what the probes compute with answers that do nothing."""
    key = json.loads((course / "keys" / f"{name}.json").read_text(encoding="utf-8"))
    scope = {}
    with build._quiet():
        for cell in idle(right(course, name), value)["cells"]:
            nbgrader = cell["metadata"]["nbgrader"]
            if cell["cell_type"] == "code" and not nbgrader["grade"]:
                exec(cell["source"], scope)
        for test in key["tests"]:
            own = dict(scope)
            try:
                exec(test["probe"], own)
                answer = as_numbers(own["answer"])
            except Exception:
                continue
            assert not agrees(answer, test["expected"], **test["tolerance"]), test["name"]


def test_same_salt_same_bytes(course, tmp_path):
    for name in NAMES:
        (again,) = build.build(tmp_path, [name], "public")
        assert again.read_bytes() == (course / "zips" / f"{name}.zip").read_bytes()
        (other,) = build.build(tmp_path, [name], "other")
        assert other.read_bytes() != (course / "zips" / f"{name}.zip").read_bytes()


def test_a_leak_is_seen(course):
    key = json.loads((course / "keys" / "hw4.json").read_text(encoding="utf-8"))
    for kind in ("hidden", "answers"):
        line = key["secrets"][kind][0]
        assert build.leaks(json.dumps([line + "\n"]), key, [kind]) == [line]
        assert build.leaks(html.unescape(html.escape(line)), key, [kind]) == [line]
    assert build.leaks("x\n# BEGIN SOLUTION\n", key) == ["BEGIN SOLUTION"]


# --- the format -----------------------------------------------------------------------------------


def test_the_example_of_the_format_is_sound(tmp_path):
    assignment = write(tmp_path, SOUND)
    (test,) = build.solve(assignment)
    x = assignment.parameters["x"]
    assert test["expected"] == [x, x**2, x**3]
    assert test["title"] == "Three powers."
    assert f"The number is {x}." in assignment.cells[0].source


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# %% answer power", "# %% solution power", "'solution' is no role"),
        ("# %% answer power", "# %% answer", "needs a name"),
        ("# %% answer power", "# %% answer Power", "needs a name"),
        ("# %% answer power", "# %% answer shown", "is taken"),
        ("# %% test shown", "# %% test shown points=3", "takes"),
        ("# %% test shown", "# %% test shown rtol=low", "numbers"),
        ("# %% test shown", "# %% [markdown] test shown", "is code"),
        ("    # BEGIN SOLUTION\n", "", "between"),
        ("    # END SOLUTION\n", "", "pair up"),
        ("# expected\n", "", "parts a test in two"),
        ("# Three powers.\n", "", "its title"),
        ("[power(n) for n in (1, 2, 3)]", "y = power(3)", "end in an expression"),
        ("P.x**n", "P.y**n", "P.y is no parameter"),
        ("P.x**n", "P.x**", "not Python"),
        ('r"""\nSee', 'f"""\nSee', "one r"),
        ('WITHHELD = ["Adam"]\n', "", "WITHHELD"),
        ('"""A title."""\n', "", "__doc__"),
        ("# %%", "# %", "no cell found"),
    ],
)
def test_a_source_that_breaks_the_format_is_named(tmp_path, old, new, message):
    assert old in SOUND
    with pytest.raises(source.SourceError, match=message):
        write(tmp_path, SOUND.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("return P.x**n", "return P.x * n", "the answers of the source give"),
        ("return P.x**n", "return 1 / 0", "ZeroDivisionError"),
        ("[power(n) for n in (1, 2, 3)]", "[power(1), power(2)]", "expected part gives"),
        ("P.x, P.x * P.x, P.x * P.x * P.x", "power(1), power(2), power(3)", "NameError"),
        (
            "(1, 2, 3)]\n# expected\n[P.x, P.x * P.x, P.x * P.x * P.x]",
            "(0,)]\n# expected\n[1]",
            "1.0",
        ),
        ("ex-adam-sums", "ex-adam-summs", "no chapter has"),
        ("`ex-adam-sums`", "nothing", "no exercise"),
    ],
)
def test_an_unsound_source_is_refused(tmp_path, old, new, message):
    assert old in SOUND
    with pytest.raises(source.SourceError, match=message):
        build.solve(write(tmp_path, SOUND.replace(old, new)))


def test_a_rubric_adds_up(tmp_path):
    asked = SOUND + '\n# %% [markdown]\nr"""\n**Rubric**\n\n- 2 points: a\n- 1 point: b\n"""\n'
    by_hand = '\n# %% [markdown] manual why points={}\nr"""\nBecause.\n"""\n'
    write(tmp_path, asked + by_hand.format(3))
    with pytest.raises(source.SourceError, match="adds to"):
        write(tmp_path, asked + by_hand.format(4))
    with pytest.raises(source.SourceError, match="Rubric"):
        write(tmp_path, SOUND + by_hand.format(3))


def test_an_unknown_assignment_is_named(tmp_path):
    with pytest.raises(source.SourceError, match="give one of"):
        source.read("hw99", "salt")
    with pytest.raises(source.SourceError, match="none yet"):
        source.read("hw99", "salt", tmp_path)


# --- the draws ------------------------------------------------------------------------------------


def test_draws_never_change():
    """A course that was handed out must be gradable in any later year."""
    draw = source.Draw("salt", "hw")
    assert [draw.integer(0, 9) for _ in range(8)] == DRAWN


DRAWN = [3, 0, 8, 4, 1, 0, 7, 5]


def test_draws_cover_their_range():
    draw = source.Draw("salt", "hw")
    assert {draw.integer(3, 5) for _ in range(100)} == {3, 4, 5}
    assert {draw.choice("a", "b") for _ in range(50)} == {"a", "b"}
    numbers = draw.numbers(200, -1.0, 1.0)
    assert -1 <= min(numbers) < -0.9
    assert 0.9 < max(numbers) <= 1
    for count in (2, 3, 10):
        for _ in range(30):
            assert set(np.sign(draw.signed(count, 0.5, 2.0))) == {-1, 1}
