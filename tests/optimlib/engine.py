"""A JavaScript engine: the system's node, or the one inside the playwright package."""

import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

_GIVEN = """"use strict";
const answer = (value) => console.log(JSON.stringify(value));
const given = JSON.parse(%s, (key, value) => value === "Infinity" ? Infinity : value);
"""


def node():
    """Return the path of a node executable."""
    found = shutil.which("node")
    if found is None:
        package = Path(find_spec("playwright").origin).parent
        (found,) = package.glob("driver/node*")
    return str(found)


def run(script, given=None):
    """Run a script that finds ``given`` under that name; return what it gives to ``answer``."""
    # All of it goes through standard input: a command line may be too short for it.
    done = subprocess.run(
        [node(), "-"],
        input=_GIVEN % json.dumps(json.dumps(given)) + script,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
