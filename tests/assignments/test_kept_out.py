"""Answers and hidden tests reach neither the site, nor a wheel, nor an sdist, nor a zip."""

import html
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

from grading import build
from grading import course as courses
from grading.source import ROOT
from tests.assignments.conftest import NAMES

BUILD = """\
import sys
from setuptools import build_meta

out = sys.argv[1]  # setuptools writes its own arguments there
build_meta.build_sdist(out)
build_meta.build_wheel(out)
"""
EXPLAINS_MARKERS = ("contributing/assignments.html",)
LEFT_BEHIND = (".git", ".venv", "_build", "course", ".hypothesis", "build", "*.egg-info")


def members(name, content):
    """Yield the names and contents of a file and, if it is an archive, of all in it."""
    yield name, content
    if name.endswith((".zip", ".whl")):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for inner in archive.namelist():
                yield from members(f"{name}/{inner}", archive.read(inner))
    elif name.endswith(".tar.gz"):
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for inner in archive.getmembers():
                if inner.isfile():
                    yield f"{name}/{inner.name}", archive.extractfile(inner).read()


def leaking(root, keys):
    """Return the files below a folder, archives opened, that show what students must not see."""
    found = []
    for path in sorted(root.rglob("*")):
        if not path.is_file():
            continue
        for name, content in members(path.relative_to(root).as_posix(), path.read_bytes()):
            text = content.decode("utf-8", "replace")
            text = f"{text}\n{html.unescape(text)}" if name.endswith(".html") else text
            for key in keys:
                lines = build.leaks(text, key)
                if name in EXPLAINS_MARKERS:
                    lines = [line for line in lines if not line.startswith("BEGIN ")]
                found += [f"{name}: {line}" for line in lines]
    return found


@pytest.fixture(scope="module")
def keys(course):
    return [courses.read_key(course, name) for name in NAMES]


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """The sdist and the wheel of the project, built as they would be for an index."""
    folder = tmp_path_factory.mktemp("project")
    copy = folder / "copy"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_BEHIND), symlinks=True)
    out = folder / "out"
    out.mkdir()
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-W", "ignore", "-c", BUILD, str(out)]
    subprocess.run(command, cwd=copy, env=environ, check=True, capture_output=True)
    return out


def test_distributions(distributions, keys):
    files = sorted(path.name for path in distributions.iterdir())
    assert [name.rsplit(".", 1)[1] for name in files] == ["whl", "gz"]
    assert leaking(distributions, keys) == []


def test_zips(course, keys):
    assert len(list((course / "zips").glob("*.zip"))) == len(NAMES)
    assert leaking(course / "zips", keys) == []


def test_site(site, keys):
    assert list(site.rglob("*.zip")), "the site offers the zips"
    assert leaking(site, keys) == []


def test_the_scan_sees_a_leak_wherever_it_is(course, keys, tmp_path):
    key = keys[0]
    teachers = course / "source" / key["assignment"] / f"{key['assignment']}.ipynb"
    line = next(line for line in key["secrets"]["hidden"] if "<" not in line)
    (tmp_path / "page.html").write_text(f"<p>{html.escape(line)}</p>", encoding="utf-8")
    shutil.copy(teachers, tmp_path / "copied.ipynb")
    (tmp_path / "marked.py").write_text("# BEGIN SOLUTION\n", encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(teachers, "x.ipynb")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(teachers, "x.ipynb")
    seen = {found.partition(": ")[0] for found in leaking(tmp_path, keys)}
    assert seen == {"page.html", "copied.ipynb", "marked.py", "a.zip/x.ipynb", "a.tar.gz/x.ipynb"}
