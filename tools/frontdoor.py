"""What the Makefile needs beyond one line: environment, site, server and lock.

Run as ``python tools/frontdoor.py env|site|serve|lock``. Only the standard library is used, because
``env`` runs before anything is installed.
"""

import argparse
import functools
import hashlib
import http.server
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SITE_SOURCES = (
    "_config.yml",
    "_toc.yml",
    "*.md",
    "*.bib",
    "*.ipynb",
    "_ext",
    "assignments",
    "chapters",
    "contributing",
    "grading",
    "optimlib",
    "teaching",
    "requirements.txt",
    "constraints.txt",
)
NEVER_SOURCES = {"__pycache__", ".ipynb_checkpoints"}
PYTHON_VERSION = f"{sys.implementation.name} {sys.version.split()[0]}"


class DoorError(Exception):
    """A failure the user can mend; the message says how."""


# --- stamps ---------------------------------------------------------------------------------------


def digest(root, patterns):
    """Return a hash of the names and contents of every file under `root` that matches a pattern.

    Contents, not times: a fresh clone or a switched branch changes times and nothing else.
    """
    files = set()
    for pattern in patterns:
        for path in root.glob(pattern):
            files.update(path.rglob("*") if path.is_dir() else [path])
    found = hashlib.sha256()
    for path in sorted(files):
        if path.is_file() and not NEVER_SOURCES.intersection(path.parts):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            found.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return found.hexdigest()


def read_stamp(path):
    """Return the stamp stored at `path`, or an empty one if there is none that can be read."""
    try:
        stamp = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def environment_stamp(root):
    """Return what .venv depends on: `packages` means make it anew, `project` reinstall optimlib."""
    return {
        "packages": digest(root, ["requirements.txt", "constraints.txt"]),
        "python": PYTHON_VERSION,
        "project": digest(root, ["pyproject.toml"]),
    }


def environment_work(old, new):
    """Return what must be done to .venv: "nothing", "project" or "all"."""
    if any(old.get(key) != new[key] for key in ("packages", "python")):
        return "all"
    return "nothing" if old.get("project") == new["project"] else "project"


def site_stamp(root):
    """Return what the built site depends on."""
    return {"sources": digest(root, SITE_SOURCES), "python": PYTHON_VERSION}


# --- commands -------------------------------------------------------------------------------------


def run(*command):
    """Run a command in the project's folder, its output shown; a failure ends the run."""
    environment = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")
    }
    status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    if status:
        raise DoorError(f"`{' '.join(map(str, command))}` failed (exit status {status}).")


def check_venv_modules(find=importlib.util.find_spec):
    """Raise if this Python cannot make an environment: some systems ship that apart."""
    missing = [name for name in ("venv", "ensurepip") if find(name) is None]
    if missing:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise DoorError(
            f"{sys.executable} lacks the module {' and '.join(missing)}, so it cannot make an "
            f"environment. Debian, Ubuntu: sudo apt install python{version}-venv. Elsewhere: "
            "install a full Python and name it: make PYTHON=... "
        )


def make_environment(folder, *install):
    """Make a virtual environment in `folder` and install the arguments of `pip install`."""
    check_venv_modules()
    run(sys.executable, "-m", "venv", "--clear", folder)
    python = Path(folder) / "bin" / "python"
    run(python, "-m", "pip", "install", "--disable-pip-version-check", *install)
    return python


def install_project(python):
    """Install optimlib, editable, with the pinned build tool already in the environment."""
    run(
        *(python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"),
        *("--no-build-isolation", "--no-deps", "--editable", "."),
    )


def env(_options):
    """Make or renew .venv, if what it depends on has changed."""
    folder = ROOT / ".venv"
    path = folder / "frontdoor.json"
    stamp = environment_stamp(ROOT)
    work = environment_work(read_stamp(path), stamp)
    if work == "nothing":
        return
    path.unlink(missing_ok=True)
    if work == "all":
        print("Making .venv and installing the pinned packages (a few minutes) ...", flush=True)
        make_environment(folder, "--requirement", "requirements.txt")
    print("Installing optimlib into .venv ...", flush=True)
    install_project(folder / "bin" / "python")
    path.write_text(json.dumps(stamp), encoding="utf-8")


def check_built(html):
    """Raise unless the builder left a site: Jupyter Book 2 can end well and build nothing."""
    index = html / "index.html"
    if not index.is_file() or not index.stat().st_size:
        raise DoorError(
            f"the build ended without an error but left no {index.name} in {html}. Is "
            "jupyter-book older than 2 installed? `make clean` and try again."
        )


def site(_options):
    """Build the book with warnings as errors, if its sources have changed."""
    build = ROOT / "_build"
    path = build / "sources.json"
    stamp = site_stamp(ROOT)
    if read_stamp(path) == stamp and (build / "html" / "index.html").is_file():
        print("The site is up to date: _build/html/index.html")
        return
    # From nothing, so that every notebook runs (a changed optimlib changes them all) and every
    # page's warnings are seen.
    shutil.rmtree(build, ignore_errors=True)
    print("Building the site; every notebook runs (some minutes) ...", flush=True)
    run(sys.executable, "-m", "grading", "build", "--zips", "_build/zips")
    builder = Path(sys.executable).with_name("jupyter-book")
    run(builder, "build", "-W", "-n", "--keep-going", ".")
    check_built(build / "html")
    path.write_text(json.dumps(stamp), encoding="utf-8")
    print("Built: _build/html/index.html")


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line for each request; errors are still shown."""

    def log_request(self, *_):
        """Say nothing."""


def server(folder, port=0):
    """Return a server of `folder` on localhost; port 0 lets the system choose a free one."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise DoorError(
            f"port {port} cannot be used ({error.strerror}). Leave PORT out: a free one is taken."
        ) from error


def serve(options):
    """Serve the built site until interrupted."""
    html = ROOT / "_build" / "html"
    check_built(html)
    with server(html, options.port) as running:
        host, port = running.server_address
        print(f"The book is at http://{host}:{port}/  (Ctrl-C ends)", flush=True)
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            print()


def lock(_options):
    """Install requirements.txt without its lock in a new environment and write the lock anew."""
    wanted = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    with tempfile.TemporaryDirectory() as folder:
        unlocked = Path(folder) / "requirements.txt"
        unlocked.write_text(
            "".join(line for line in wanted if not line.startswith("-c ")), encoding="utf-8"
        )
        python = make_environment(Path(folder) / "env", "--requirement", unlocked)
        frozen = subprocess.run(
            [python, "-m", "pip", "freeze", "--all", "--exclude", "pip"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    header = "# The whole environment, written by `make lock` from requirements.txt.\n"
    (ROOT / "constraints.txt").write_text(header + frozen, encoding="utf-8")
    print("Wrote constraints.txt")


def main(arguments=None):
    """Run the command named on the command line."""
    parser = argparse.ArgumentParser(description="Environment, site, server and lock of the book.")
    commands = parser.add_subparsers(required=True)
    for command in (env, site, serve, lock):
        sub = commands.add_parser(command.__name__, help=command.__doc__)
        sub.set_defaults(run=command)
        if command is serve:
            sub.add_argument("--port", type=int, default=0, help="0 takes a free one")
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except DoorError as error:
        sys.exit(f"make: {error}")
    except KeyboardInterrupt:
        sys.exit("make: interrupted")


if __name__ == "__main__":
    main()
