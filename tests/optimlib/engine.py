"""A JavaScript engine: the system's node, or the one inside the playwright package."""

import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

_READ = """"use strict";
const given = JSON.parse(require("fs").readFileSync(0, "utf8"), (key, value) =>
  value === "Infinity" ? Infinity : value);
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
    answer = "const answer = (value) => console.log(JSON.stringify(value));"
    done = subprocess.run(
        [node(), "-e", "\n".join([_READ, answer, script])],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
