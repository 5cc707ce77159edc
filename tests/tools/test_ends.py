"""What `make ends` installs: the lowest and the highest versions that pyproject.toml states."""

import re

import pytest

from tools import ends
from tools.frontdoor import DoorError


def write(folder, dependencies, **extras):
    """Write a project whose requirements are these."""
    lines = ["[project]", 'name = "p"', f"dependencies = {dependencies}"]
    lines += ["[project.optional-dependencies]", *(f"{k} = {v}" for k, v in extras.items())]
    (folder / "pyproject.toml").write_text("\n".join(lines), encoding="utf-8")
    (folder / "requirements.txt").write_text(
        "-c constraints.txt\n\n# a comment\nnumpy==2.1\npytest==9.0\nmpmath==1.3.0\nruff==1.0\n",
        encoding="utf-8",
    )
    return folder


def test_the_ends_of_this_project():
    oldest, newest = ends.requirements("oldest"), ends.requirements("newest")
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", one) for one in oldest)
    assert "numpy==2.0" in oldest
    assert "numpy>=2.0,<3" in newest
    names = {re.split("[=>]", one)[0] for one in newest}
    assert names == {re.split("[=>]", one)[0] for one in oldest}
    assert names >= {"scipy", "sympy", "pint", "numba", "matplotlib", "bokeh", "pytest", "mpmath"}
    assert len(names) == len(newest)


def test_each_requirement_once_and_the_tools_as_pinned(tmp_path):
    write(tmp_path, ["numpy>=2.0,<3"], a=["sympy>=1.12"], b=["sympy>=1.12"], all=["p[a,b]"])
    assert ends.requirements("oldest", tmp_path) == [
        *("numpy==2.0", "sympy==1.12", "pytest==9.0", "mpmath==1.3.0"),
    ]
    assert ends.requirements("newest", tmp_path)[:2] == ["numpy>=2.0,<3", "sympy>=1.12"]


@pytest.mark.parametrize("wrong", ["numpy", "numpy<3", "numpy~=2.0", "numpy>=2.0,!=2.1"])
def test_a_requirement_without_a_lowest_version_is_named(tmp_path, wrong):
    write(tmp_path, [wrong])
    with pytest.raises(DoorError, match=re.escape(f"{wrong!r} states no range such as")):
        ends.ranges(tmp_path)


def test_two_ranges_of_one_package_are_named(tmp_path):
    write(tmp_path, ["numpy>=2.0"], a=["sympy>=1.12"], b=["sympy>=1.13"])
    with pytest.raises(DoorError, match="sympy has two ranges"):
        ends.ranges(tmp_path)


@pytest.mark.parametrize("only", [None, "oldest", "newest"])
def test_each_end_gets_an_environment_of_its_own_and_the_tests(only, monkeypatch, capsys):
    made, ran = [], []
    monkeypatch.setattr(ends, "make_environment", lambda folder, *what: made.append(what) or "py")
    monkeypatch.setattr(ends, "run", lambda *command: ran.append(command))
    ends.main(["--only", only] if only else [])
    chosen = [only] if only else ["oldest", "newest"]
    assert made == [("--quiet", *ends.requirements(end)) for end in chosen]
    assert [(command[0], command[-1]) for command in ran] == [("py", "tests/optimlib")] * len(
        chosen
    )
    shown = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in shown] == chosen
