"""Start a Jupyter kernel that sees no network, no course and nobody's files.

The wall is bubblewrap (`bwrap`), a small program of the Linux distributions. Inside stand, read
only: the system's programs, this Python environment, and a copy of `optimlib` without the rules
that the assignment withholds. A folder in memory is all that can be written.
"""

import ast
import compileall
import contextlib
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import zmq
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

from . import GradingError
from .source import ROOT

MISSING = """\
bubblewrap cannot be used here: {why}
Without it the code of students runs with your rights: it could read other hand-ins and this
course's answers, write any file of yours and use the network. Ways out:
- Debian, Ubuntu: sudo apt install bubblewrap. Fedora: sudo dnf install bubblewrap.
- macOS, Windows, a locked server: the same command in WSL or in a Linux container that has
  bubblewrap and may make namespaces:
  podman run --rm -it --network none --security-opt seccomp=unconfined --security-opt unmask=ALL
  -v "$PWD:/book" -w /book IMAGE .venv/bin/python -m grading grade ...
- only if you trust every student: --unprotected, in a container without a network. What is in the
  container, this course's answers and the other hand-ins included, is then within reach."""
LARGEST_MESSAGE = 16_000_000
MEGABYTE = 2**20
MOST_PROCESSES = 40


class SandboxError(GradingError):
    """The kernel did not start: no fault of the student."""


@functools.cache
def unusable():
    """Return why bubblewrap cannot be used, or an empty string if it can."""
    program = shutil.which("bwrap")
    if program is None:
        return "the program bwrap was not found."
    command = [program, "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"{program} failed: {tried.stderr.strip()}"
    return ""


@functools.cache
def _bwrap_takes(option):
    return option in subprocess.run(["bwrap", "--help"], capture_output=True, text=True).stdout


# --- what stands inside ---------------------------------------------------------------------------


def package():
    """Return the files of optimlib by their names below the project."""
    files = sorted((ROOT / "optimlib").rglob("*"))
    return {
        file.relative_to(ROOT).as_posix(): file
        for file in files
        if file.is_file() and "__pycache__" not in file.parts
    }


def library(cache, withheld):
    """Return a folder with optimlib in which the withheld rules raise when they are asked to step.

    Their lines are gone from the file, so nothing a student's code does brings them back.
    """
    rules = (ROOT / "optimlib" / "rules.py").read_text(encoding="utf-8")
    tree = ast.parse(rules)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    unknown = set(withheld) - set(classes)
    if unknown:
        raise GradingError(f"WITHHELD names {sorted(unknown)}, which optimlib.rules does not have")
    for name in withheld:
        message = f"optimlib.{name} is withheld while this notebook is graded: write the rule"
        for node in classes[name].body:
            if isinstance(node, ast.FunctionDef):
                node.body = ast.parse(f"raise NotImplementedError({message!r})").body
    content = {name: file.read_bytes() for name, file in package().items()}
    content["optimlib/rules.py"] = ast.unparse(tree).encode()
    digest = hashlib.sha256(repr(content).encode()).hexdigest()[:16]
    folder = Path(cache) / "optimlib" / digest
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            new = Path(temporary) / "new"
            for name, text in content.items():
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                (new / name).write_bytes(text)
            compileall.compile_dir(new, quiet=1)
            try:
                new.rename(folder)
            except OSError:  # another worker was first
                if not folder.is_dir():
                    raise
    return folder


def fonts(cache):
    """Return a folder with Matplotlib's list of fonts, whose making takes seconds."""
    folder = Path(cache) / "matplotlib"
    if not list(folder.glob("fontlist-*.json")):
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [sys.executable, "-c", "import matplotlib.font_manager"],
            env={**os.environ, "MPLCONFIGDIR": str(folder)},
            check=True,
            capture_output=True,
        )
    return folder


def wall(connections, library, fonts):
    """Return the words of the command that run a program behind the wall."""
    read_only = ["/usr", *("/bin", "/sbin", "/lib", "/lib32", "/lib64")]
    read_only += ["/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime"]
    words = ["bwrap", "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]
    words += ["--uid", "65534", "--gid", "65534", "--hostname", "grading", "--clearenv"]
    for path in read_only:
        if os.path.islink(path):
            words += ["--symlink", os.readlink(path), path]
        else:
            words += ["--ro-bind-try", path, path]
    words += ["--proc", "/proc", "--dev", "/dev"]
    if _bwrap_takes("--size"):
        words += ["--size", str(256 * MEGABYTE)]
    words += ["--tmpfs", "/tmp"]
    for path in dict.fromkeys([sys.base_prefix, sys.prefix]):
        if not path.startswith("/usr/"):
            words += ["--ro-bind", path, path]
    words += ["--ro-bind", str(library), "/library", "--dir", "/tmp/work", "--dir", "/tmp/fonts"]
    for file in sorted(fonts.glob("fontlist-*.json")):
        words += ["--ro-bind", str(file), f"/tmp/fonts/{file.name}"]
    words += ["--bind", str(connections), str(connections), "--chdir", "/tmp/work"]
    for name, value in environment("/library", "/tmp/fonts", "/tmp").items():
        words += ["--setenv", name, value]
    return words


def environment(library, fonts, home):
    """Return the environment of a kernel."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": home,
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(library),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONWARNINGS": "ignore",
        "MPLCONFIGDIR": str(fonts),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "1",
    }


# --- the kernel -----------------------------------------------------------------------------------


class Kernel:
    """A kernel behind the wall, and the client that talks to it. A context manager."""

    def __init__(self, cache, withheld, megabytes, protected=True):
        self._inside = library(cache, withheld), fonts(cache)
        self._megabytes = megabytes
        self._protected = protected

    def __enter__(self):
        # Not below TMPDIR: the path of a socket has room for 107 letters.
        base = "/tmp" if os.path.isdir("/tmp") else None
        self._folder = tempfile.mkdtemp(prefix="grading-", dir=base)
        connection = os.path.join(self._folder, "k.json")
        words = [
            *("prlimit", f"--as={self._megabytes * MEGABYTE}", f"--fsize={64 * MEGABYTE}"),
            *("--core=0", "--nofile=512", "--"),
        ]
        environ = None
        if self._protected:
            words += wall(self._folder, *self._inside)
        else:
            environ = environment(*self._inside, self._folder)
            words = words if shutil.which("prlimit") else []
        words += [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        words += ["--HistoryManager.hist_file=:memory:"]
        context = zmq.Context()
        context.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
        context.setsockopt(zmq.LINGER, 0)
        self._context = context
        self.manager = KernelManager(transport="ipc", connection_file=connection, context=context)
        self.manager._kernel_spec = KernelSpec(
            argv=words, display_name="graded", language="python", interrupt_mode="message"
        )
        self.client = None
        try:
            self.manager.start_kernel(
                cwd=self._folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                **({"env": environ} if environ else {}),
            )
            self.client = self.manager.client()
            self.client.start_channels()
            self.client.wait_for_ready(timeout=60)
        except BaseException as error:
            self.__exit__()
            if isinstance(error, RuntimeError | OSError):
                raise SandboxError(f"the kernel did not start: {error}") from error
            raise
        return self

    def __exit__(self, *_):
        if self.client is not None:
            self.client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()
        self._context.destroy(linger=0)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def alive(self):
        """Whether the kernel still runs."""
        return self.manager.is_alive()

    def use(self):
        """Return the processor seconds that the kernel and its children have used so far.

        And, as a second value, what they take too much of, or an empty string.
        """
        try:
            top = psutil.Process(self.manager.provisioner.pid)
            family = [top, *top.children(recursive=True)]
        except psutil.Error:
            return 0.0, ""
        seconds, memory = 0.0, 0
        for process in family:
            with contextlib.suppress(psutil.Error):
                seconds += sum(process.cpu_times()[:4])
                memory += process.memory_info().rss
        if memory > self._megabytes * MEGABYTE:
            return seconds, f"more than {self._megabytes} MB of memory"
        if len(family) > MOST_PROCESSES:
            return seconds, f"more than {MOST_PROCESSES} processes"
        used = sum(entry.stat(follow_symlinks=False).st_size for entry in os.scandir(self._folder))
        return seconds, "files where sockets belong" if used > MEGABYTE else ""
