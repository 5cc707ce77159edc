"""What `make` decides: when to renew, when to build, and what it says when it cannot."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from types import SimpleNamespace

import pytest

from tests.site.conftest import serving
from tools import frontdoor

ROOT = frontdoor.ROOT
TARGETS = (
    *("help", "book", "site", "test", "assignments"),
    *("notebooks", "lint", "format", "lock", "bench", "ends", "clean"),
)


# --- stamps ---------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose packages and site are made by functions that only note the call."""
    for name in ("requirements.txt", "constraints.txt", "pyproject.toml", "_config.yml"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    (tmp_path / "optimlib").mkdir()
    (tmp_path / "optimlib" / "rules.py").write_text("a = 1\n", encoding="utf-8")
    done = []

    def make_environment(folder, *_):
        folder.mkdir(exist_ok=True)
        done.append("environment")

    def run(*command):
        done.append("zips" if "grading" in command else command[1])
        html = tmp_path / "_build" / "html"
        html.mkdir(parents=True, exist_ok=True)
        (html / "index.html").write_text("<h1>Book</h1>", encoding="utf-8")

    monkeypatch.setattr(frontdoor, "ROOT", tmp_path)
    monkeypatch.setattr(frontdoor, "make_environment", make_environment)
    monkeypatch.setattr(frontdoor, "install_project", lambda _: done.append("project"))
    monkeypatch.setattr(frontdoor, "run", run)
    return SimpleNamespace(root=tmp_path, done=done)


def called(project, command):
    """Return what a command did."""
    project.done.clear()
    command(None)
    return list(project.done)


def test_digest_sees_contents_and_names_only(project):
    root = project.root
    before = frontdoor.digest(root, ["optimlib", "*.txt"])
    os.utime(root / "requirements.txt", (1, 1))
    (root / "other.md").write_text("x", encoding="utf-8")
    (root / "optimlib" / "__pycache__").mkdir()
    (root / "optimlib" / "__pycache__" / "rules.pyc").write_text("x", encoding="utf-8")
    assert frontdoor.digest(root, ["optimlib", "*.txt"]) == before

    (root / "optimlib" / "rules.py").rename(root / "optimlib" / "rule.py")
    renamed = frontdoor.digest(root, ["optimlib", "*.txt"])
    (root / "optimlib" / "rule.py").write_text("a = 2\n", encoding="utf-8")
    assert len({before, renamed, frontdoor.digest(root, ["optimlib", "*.txt"])}) == 3


def test_the_environment_is_made_once(project):
    assert called(project, frontdoor.env) == ["environment", "project"]
    assert called(project, frontdoor.env) == []


@pytest.mark.parametrize("name", ["requirements.txt", "constraints.txt"])
def test_a_changed_requirement_renews_the_environment(project, name):
    frontdoor.env(None)
    (project.root / name).write_text("numpy==2.0\n", encoding="utf-8")
    assert called(project, frontdoor.env) == ["environment", "project"]
    assert called(project, frontdoor.env) == []


def test_another_python_renews_the_environment(project, monkeypatch):
    frontdoor.env(None)
    monkeypatch.setattr(frontdoor, "PYTHON_VERSION", "another")
    assert called(project, frontdoor.env) == ["environment", "project"]


def test_a_changed_project_file_reinstalls_optimlib_alone(project):
    frontdoor.env(None)
    (project.root / "pyproject.toml").write_text("changed", encoding="utf-8")
    assert called(project, frontdoor.env) == ["project"]


def test_an_interrupted_installation_is_begun_again(project, monkeypatch):
    """Also if what was being installed is taken back: the environment is no longer the old one."""
    frontdoor.env(None)
    requirements = project.root / "requirements.txt"
    before = requirements.read_text(encoding="utf-8")
    requirements.write_text("changed", encoding="utf-8")
    with monkeypatch.context() as broken:
        broken.setattr(frontdoor, "install_project", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            frontdoor.env(None)
    requirements.write_text(before, encoding="utf-8")
    assert called(project, frontdoor.env) == ["environment", "project"]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"packages": 1}'])
def test_a_damaged_stamp_renews_the_environment(project, content):
    frontdoor.env(None)
    (project.root / ".venv" / "frontdoor.json").write_text(content, encoding="utf-8")
    assert called(project, frontdoor.env) == ["environment", "project"]


def test_the_site_is_built_once_and_again_after_a_change(project, capsys):
    assert called(project, frontdoor.site) == ["zips", "build"]
    assert called(project, frontdoor.site) == []
    assert "up to date" in capsys.readouterr().out
    (project.root / "optimlib" / "rules.py").write_text("a = 2\n", encoding="utf-8")
    assert called(project, frontdoor.site) == ["zips", "build"]
    shutil.rmtree(project.root / "_build" / "html")
    assert called(project, frontdoor.site) == ["zips", "build"]


@pytest.mark.parametrize("left", [None, ""])
def test_a_build_without_html_is_an_error(project, monkeypatch, left):
    def build(*_):
        html = project.root / "_build" / "html"
        html.mkdir(parents=True, exist_ok=True)
        if left is not None:
            (html / "index.html").write_text(left, encoding="utf-8")

    monkeypatch.setattr(frontdoor, "run", build)
    for _ in range(2):  # a failed build is not taken for a finished one
        with pytest.raises(frontdoor.DoorError, match=r"left no index\.html"):
            frontdoor.site(None)


def test_a_failed_command_ends_the_run():
    with pytest.raises(frontdoor.DoorError, match="exit status 3"):
        frontdoor.run(sys.executable, "-c", "raise SystemExit(3)")


# --- server ---------------------------------------------------------------------------------------


def test_the_server_serves_on_a_free_port(tmp_path):
    (tmp_path / "index.html").write_text("<h1>Book</h1>", encoding="utf-8")
    with serving(tmp_path) as home:
        assert home.startswith("http://127.0.0.1:")
        assert b"Book" in urllib.request.urlopen(home).read()
        port = int(home.rstrip("/").rpartition(":")[2])
        with pytest.raises(frontdoor.DoorError, match=f"port {port} cannot be used"):
            frontdoor.server(tmp_path, port)


# --- errors name what to install ------------------------------------------------------------------


def make(*arguments, **environment):
    """Run make in the project's folder without the variables of an outer make."""
    outer = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(
        ["make", *arguments],
        cwd=ROOT,
        env={**outer, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def script(path, text):
    """Write an executable shell script."""
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_a_python_without_venv_names_the_package(missing):
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    with pytest.raises(frontdoor.DoorError, match=f"apt install python{version}-venv") as error:
        frontdoor.check_venv_modules(lambda name: None if name == missing else object())
    assert missing in str(error.value)


def test_no_python_names_the_package():
    failed = make("env", "PYTHON=python-that-is-not-there")
    assert failed.returncode
    assert "python-that-is-not-there was not found" in failed.stderr
    assert "apt install python3 python3-venv" in failed.stderr


def test_an_old_python_says_so(tmp_path):
    old = script(tmp_path / "python", 'test "$1" = --version && echo Python 3.9.2 || exit 1')
    failed = make("env", f"PYTHON={old}")
    assert failed.returncode
    assert "Python 3.9.2 is too old: the book needs Python 3.11 or newer" in failed.stderr
    assert "apt install python3.11 python3.11-venv" in failed.stderr


# --- make and continuous integration --------------------------------------------------------------


def test_help_is_the_default_and_lists_every_target():
    shown = make().stdout
    assert shown == make("help").stdout
    assert [line.split()[1] for line in shown.splitlines()] == list(TARGETS)


def test_every_target_named_in_the_readme_exists():
    words = (ROOT / "README.md").read_text(encoding="utf-8").split("`make ")[1:]
    named = {word.partition("`")[0].split()[-1] for word in words}
    assert named
    assert named <= set(TARGETS)


@pytest.fixture
def ci(tmp_path):
    """Run .ci/run where only stand-ins can be called; return its exit status and their calls."""
    log = tmp_path / "calls"
    for name in ("bash", "dirname"):
        (tmp_path / name).symlink_to(shutil.which(name))
    script(tmp_path / "make", f'echo "make $* $BOOK_BROWSER $BOOK_SANDBOX" >> {log}')
    script(tmp_path / "sleep", f'echo "sleep" >> {log}')

    def run(present, *updates):
        log.write_text("", encoding="utf-8")
        states = "\n".join(
            f"test $(grep -c update {log}) = {n} && exit {status}"
            for n, status in enumerate(updates, start=1)
        )
        (tmp_path / "grep").unlink(missing_ok=True)
        (tmp_path / "grep").symlink_to(shutil.which("grep"))
        script(
            tmp_path / "apt-get",
            f'test $1 = update && echo "apt-get update" >> {log} || echo "apt-get $*" >> {log}\n'
            f"if test $1 = update; then\n{states}\nfi",
        )
        for program in ("chromium", "bwrap"):
            (tmp_path / program).unlink(missing_ok=True)
            if program in present:
                script(tmp_path / program, "exit 0")
        status = subprocess.run(
            [tmp_path / "bash", ROOT / ".ci" / "run"],
            env={"PATH": str(tmp_path)},
            capture_output=True,
            check=False,
        ).returncode
        return status, log.read_text(encoding="utf-8").splitlines()

    return run


def test_ci_with_browser_and_sandbox_only_runs_make_test(ci):
    assert ci(("chromium", "bwrap")) == (0, ["make test required required"])


@pytest.mark.parametrize(
    ("present", "missing"),
    [((), "chromium bubblewrap"), (("bwrap",), "chromium"), (("chromium",), "bubblewrap")],
)
def test_ci_installs_what_is_missing_and_tries_an_update_again(ci, present, missing):
    install = f"apt-get install -y --no-install-recommends {missing}"
    calls = ["apt-get update", "sleep", "apt-get update", install, "make test required required"]
    assert ci(present, 100, 0) == (0, calls)


def test_lock_is_complete():
    """Every pinned package is locked, at the version that is pinned."""
    pins, locked = (
        {
            name.lower().replace("_", "-"): version
            for name, _, version in (
                line.partition("==")
                for line in (ROOT / file).read_text(encoding="utf-8").splitlines()
                if "==" in line
            )
        }
        for file in ("requirements.txt", "constraints.txt")
    )
    assert len(pins) > 20
    assert len(locked) > len(pins)
    assert {name: locked.get(name) for name in pins} == pins


def test_stamp_file_is_json(project):
    frontdoor.env(None)
    stamp = json.loads((project.root / ".venv" / "frontdoor.json").read_text(encoding="utf-8"))
    assert set(stamp) == {"packages", "python", "project"}
