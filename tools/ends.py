"""The ends of the version ranges that pyproject.toml states, tried.

``python tools/ends.py [--only oldest|newest]`` makes an environment outside the project for each
end, with all that optimlib and its extras name at the lowest versions stated, or at the highest
that can be had, and runs the tests of optimlib in it. What the highest are changes from day to day,
so this is not part of `make test`.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.frontdoor import DoorError, make_environment, run  # noqa: E402

# What the tests need beside the extras, at the versions of requirements.txt at both ends.
_TOOLS = ("pytest", "hypothesis", "playwright", "mpmath")
_ENDS = ("oldest", "newest")
_RANGE = re.compile(r"(?P<name>[A-Za-z0-9_.-]+)>=(?P<lowest>[0-9.]+)(,<[0-9.]+)?")


def ranges(root: Path = ROOT) -> list[str]:
    """Return the requirements of optimlib and of all its extras, each once.

    Raises
    ------
    DoorError
        If one does not say from which version on, or one stands there with two ranges.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    stated = {*project["dependencies"], *(one for extra in extras for one in extra)}
    stated = sorted(one for one in stated if not one.startswith(f"{project['name']}["))
    for one in stated:
        if not _RANGE.fullmatch(one):
            raise DoorError(f"pyproject.toml: {one!r} states no range such as name>=1.2,<3.")
    names = [_RANGE.fullmatch(one)["name"] for one in stated]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise DoorError(f"pyproject.toml: {', '.join(sorted(twice))} has two ranges.")
    return stated


def requirements(end: str, root: Path = ROOT) -> list[str]:
    """Return what pip is to install for an end, "oldest" or "newest"."""
    stated = ranges(root)
    if end == "oldest":
        stated = ["{name}=={lowest}".format(**_RANGE.fullmatch(one).groupdict()) for one in stated]
    pinned = (root / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return stated + [line for line in pinned if line.partition("==")[0] in _TOOLS]


def main(arguments=None):
    """Run the command."""
    parser = argparse.ArgumentParser(description="Test optimlib at the ends of its version ranges.")
    parser.add_argument("--only", choices=_ENDS, help="one end instead of both")
    only = parser.parse_args(arguments).only
    for end in [only] if only else _ENDS:
        wanted = requirements(end)
        print(f"{end}: {' '.join(wanted)}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            python = make_environment(folder, "--quiet", *wanted)
            # Old versions use what newer ones of their own needs call deprecated.
            run(
                *(python, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                *("-W", "ignore::DeprecationWarning", "tests/optimlib"),
            )


if __name__ == "__main__":
    try:
        main()
    except DoorError as error:
        sys.exit(f"make: {error}")
