"""Find what was handed in: a folder, or the zip that Canvas or Moodle gives a teacher."""

import contextlib
import csv
import io
import re
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import dateutil.parser

from . import GradingError
from .normalise import LARGEST

CANVAS = re.compile(r"(?P<who>[^_/]+)_(?P<late>LATE_)?(?P<id>\d+)_(?P<turn>\d+)_(?P<file>[^/]+)")
MOODLE = re.compile(
    r"(?P<who>[^/]+)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)_?/?(?P<file>.*)"
)
IGNORED = ("__MACOSX", ".ipynb_checkpoints", ".DS_Store", "Thumbs.db")
STAMP = "timestamp.txt"


@dataclass
class HandIn:
    """What one student handed in."""

    student: str
    content: bytes = None
    time: str = ""
    refused: str = ""
    repairs: list = field(default_factory=list)
    flags: list = field(default_factory=list)


@dataclass
class _File:
    name: str
    turn: int
    read: object
    late: bool = False


def collect(path, assignment):
    """Return the hand-ins found at a path, sorted by student.

    A folder holds a folder a student, or notebooks named after students, or what Canvas or Moodle
    unpacks to; a folder of students may hold a folder of the assignment's name, as nbgrader's
    ``submitted`` does. A zip holds any of these.

    Raises
    ------
    GradingError
        If there is nothing there, or the zip cannot be read.
    """
    path = Path(path)
    with contextlib.ExitStack() as opened:
        if path.is_dir():
            files = {
                file.relative_to(path).as_posix(): _reader(file)
                for file in sorted(path.rglob("*"))
                if file.is_file() and not file.is_symlink()
            }
        elif path.is_file():
            try:
                files = _members(opened.enter_context(zipfile.ZipFile(path)))
            except (zipfile.BadZipFile, NotImplementedError) as error:
                raise GradingError(f"{path} is no zip ({error}): download it again") from error
        else:
            raise GradingError(f"{path} does not exist: give a folder or the zip of the LMS")
        return _sorted_out(path.name, files, assignment)


def _sorted_out(name, files, assignment):
    """Return the hand-ins among files that are given by name."""
    students = {}
    for where, read in files.items():
        if any(part in IGNORED or part.startswith("._") for part in where.split("/")):
            continue
        student, inside, turn, late = _whose(where)
        if student:
            students.setdefault(student, []).append(_File(inside, turn, read, late))
    if not students:
        raise GradingError(
            f"no hand-in was found in {name}: it holds {list(files)[:3] or 'nothing'}"
        )
    found = []
    for student, files in sorted(students.items()):
        hand_in = _one(_safe(student), files, assignment)
        while any(other.student == hand_in.student for other in found):
            hand_in.student += "-2"
            hand_in.flags.append(f"two students are called {_safe(student)}")
        found.append(hand_in)
    return sorted(found, key=lambda hand_in: hand_in.student)


def _reader(file):
    return lambda: file.read_bytes() if file.stat().st_size <= LARGEST else b" " * (LARGEST + 1)


def _members(archive):
    """Return the files of a zip by name; nothing is unpacked to the disk."""

    def reader(info):
        def read():
            if info.file_size > LARGEST:
                return b" " * (LARGEST + 1)
            with archive.open(info) as member:
                return member.read(LARGEST + 1)

        return read

    return {
        info.filename.replace("\\", "/"): reader(info)
        for info in archive.infolist()
        if not info.is_dir()
    }


def _whose(where):
    """Return a file's student, its name, its turn if there are several, and if it is late."""
    parts = [part for part in where.split("/") if part not in ("", ".", "..")]
    for n in range(len(parts)):
        moodle = MOODLE.fullmatch("/".join(parts[n:]))
        if moodle:
            return moodle["id"], moodle["file"] or parts[-1], 0, False
    canvas = CANVAS.fullmatch(parts[-1]) if parts else None
    if canvas:
        again = re.search(r"-(\d+)\.\w+$", canvas["file"])
        return canvas["id"], canvas["file"], int(again[1]) if again else 0, bool(canvas["late"])
    if len(parts) > 2 and parts[0] in ("submitted", "submissions", "handins"):
        parts = parts[1:]
    if len(parts) == 1:
        stem, _, ending = parts[0].rpartition(".")
        return (stem if ending == "ipynb" else ""), parts[0], 0, False
    return (parts[0], "/".join(parts[1:]), 0, False) if parts else ("", "", 0, False)


def _safe(name):
    """Return a name that is a folder everywhere, and nbgrader's id of a student."""
    return re.sub(r"[^\w.@+-]+", "-", name).strip("-.") or "unnamed"


def _one(student, files, assignment):
    """Choose the notebook among the files of one student."""
    hand_in = HandIn(student)
    notebooks, dropped = [], []
    for file in files:
        low = file.name.lower()
        if PurePosixPath(low).name == STAMP:
            _stamp(hand_in, file)
        elif low.endswith(".ipynb"):
            notebooks.append(file)
        elif low.endswith(".zip"):
            notebooks += _inner(hand_in, file)
        else:
            dropped.append(file.name)
    if dropped:
        hand_in.repairs.append(f"files dropped: {', '.join(sorted(dropped)[:10])}")
        if any(name.split("/")[-1].startswith(("optimlib", "numpy", "sympy")) for name in dropped):
            hand_in.flags.append("a file in the hand-in has the name of a library")
    if not notebooks:
        hand_in.refused = f"no notebook (.ipynb) among {sorted(f.name for f in files)[:5]}"
        return hand_in
    right = [file for file in notebooks if assignment in PurePosixPath(file.name).stem]
    chosen = max(right or notebooks, key=lambda file: (file.turn, -len(file.name), file.name))
    if len(notebooks) > 1:
        others = sorted(file.name for file in notebooks if file is not chosen)
        hand_in.repairs.append(f"{chosen.name} was taken, not {', '.join(others[:5])}")
        if len(right) != 1 and not chosen.turn:
            hand_in.flags.append("several notebooks could be the hand-in")
    if chosen.late:
        hand_in.repairs.append("marked LATE by Canvas; give --times for a penalty")
    if not right and PurePosixPath(chosen.name).stem != student:
        hand_in.repairs.append(f"the notebook was named {chosen.name}")
    try:
        hand_in.content = chosen.read()
    except Exception as error:  # a damaged or encrypted member: whatever zipfile raises
        hand_in.refused = f"{chosen.name} cannot be read from the zip: {error}"
    return hand_in


def _inner(hand_in, file):
    """Return the notebooks in a zip that a student handed in."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(file.read()))
    except Exception as error:  # whatever zipfile raises
        hand_in.repairs.append(f"{file.name} is no zip that can be read ({error})")
        return []
    hand_in.repairs.append(f"{file.name} was opened")
    return [
        _File(name, file.turn, read)
        for name, read in _members(archive).items()
        if name.lower().endswith(".ipynb") and not any(part in name for part in IGNORED)
    ]


def _stamp(hand_in, file):
    """Read when a student handed in, as nbgrader writes it: in UTC, if no zone is named."""
    try:
        parsed = dateutil.parser.parse(file.read().decode("utf-8").strip())
    except Exception:
        hand_in.flags.append(f"{STAMP} cannot be read; counted as on time")
    else:
        zoned = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        hand_in.time = _naive(zoned).isoformat()


def _naive(zoned):
    """Return a time as nbgrader stores it: UTC without saying so."""
    return zoned.astimezone(UTC).replace(tzinfo=None)


def read_times(path):
    """Read a CSV of ``student,time`` lines: when each handed in, as the LMS tells it."""
    times = {}
    with open(path, newline="", encoding="utf-8-sig") as file:
        for number, row in enumerate(csv.reader(file), 1):
            if not row or (number == 1 and row[0].strip().lower() == "student"):
                continue
            try:
                student, time = row
                times[_safe(student.strip())] = moment(time.strip()).isoformat()
            except ValueError as error:
                raise GradingError(f"{path}, line {number}: {row} is no student,time") from error
            except GradingError as error:
                raise GradingError(f"{path}, line {number}: {error}") from error
    return times


def moment(text):
    """Return a time with its zone as naive UTC, which is what nbgrader stores."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise GradingError(f"{text!r} is no time such as 2026-03-01T23:59+01:00") from error
    if parsed.tzinfo is None:
        raise GradingError(f"{text!r} names no zone: write 2026-03-01T23:59+01:00, or Z for UTC")
    return _naive(parsed)
