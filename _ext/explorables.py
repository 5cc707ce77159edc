"""Give pages with moving figures their scripts: Bokeh's own, the figures' engine, the playground's.

They are copied from the installed packages; a page without a moving figure loads none of them.
"""

import shutil
from pathlib import Path

from bokeh.resources import Resources

from optimlib.explore.page import ENGINE
from optimlib.explore.playground_page import SCRIPT

FIGURE, PLAYGROUND = 'class="explorable"', 'class="playground"'
STATE = "application/vnd.jupyter.widget-state+json"


def scripts(body=PLAYGROUND):
    """Return the files that a page loads, in order; by default all that any page loads."""
    if FIGURE not in body and PLAYGROUND not in body:
        return []
    (bokeh,) = Resources(mode="absolute", components=["bokeh"], minified=True).js_files
    return [Path(bokeh), ENGINE, *([SCRIPT] if PLAYGROUND in body else [])]


def install(app):
    """Copy the scripts into the site."""
    target = Path(app.outdir) / "_static" / "explore"
    target.mkdir(parents=True, exist_ok=True)
    for script in scripts():
        shutil.copyfile(script, target / script.name)


def load(app, pagename, templatename, context, doctree):
    """Name the scripts in pages that need them."""
    if needed := scripts(context.get("body", "")):
        # The widgets of the kernel that built the page are of no use to its readers. The list is
        # Sphinx's own, which `add_js_file` adds to.
        files = context["script_files"]
        files[:] = [f for f in files if getattr(f, "attributes", {}).get("type") != STATE]
        for priority, script in enumerate(needed, 900):
            app.add_js_file(f"explore/{script.name}", priority=priority, defer="defer")


def setup(app):
    """Register both steps."""
    app.connect("builder-inited", install)
    app.connect("html-page-context", load, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
