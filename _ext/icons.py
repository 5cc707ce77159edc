"""Keep of the theme's icon set only the icons that the site shows.

The theme loads all of Font Awesome on every page: a script of 1.5 MB and three fonts. Its template
`static/webpack-macros.html` is replaced beside this file so that it loads `icons.css` in their
place, which is written here with a font of a few kilobytes, cut from the theme's own.
"""

import re
import shutil
from pathlib import Path

from fontTools import subset

STYLE = "icons.css"
# class on the page: (the theme's font file, weight under which its style sheets ask for it)
FACES = {"solid": ("fa-solid-900.ttf", 900), "regular": ("fa-regular-400.ttf", 400)}
HEAD = """/* Icons: Font Awesome Free, CC BY 4.0 (icons), SIL OFL 1.1 (font). */
:root { --fa-font-solid: normal 900 1em/1 "Font Awesome 6 Free";
  --fa-font-regular: normal 400 1em/1 "Font Awesome 6 Free"; }
.fas, .far, .fa-solid, .fa-regular { display: inline-block; font-family: "Font Awesome 6 Free";
  font-style: normal; line-height: 1; text-rendering: auto; -webkit-font-smoothing: antialiased; }
.fas, .fa-solid { font-weight: 900; }
.far, .fa-regular { font-weight: 400; }
.fa-lg { font-size: 1.25em; line-height: .05em; vertical-align: -.075em; }
"""


def codes(css):
    """Return name to code point (in hexadecimal) of every icon in Font Awesome's style sheet."""
    rules = re.findall(r'((?:\.fa-[a-z0-9-]+:before,?)+)\{content:"\\([0-9a-f]+)"\}', css)
    return {name: code for names, code in rules for name in re.findall(r"\.fa-([a-z0-9-]+)", names)}


def cut(font, code_points, target):
    """Write to `target` the part of `font` with the given code points; False if it has none."""
    options = subset.Options(flavor="woff", layout_features=[], notdef_outline=True)
    options.drop_tables += ["FFTM"]
    with subset.load_font(font, options) as loaded:
        wanted = code_points & loaded.getBestCmap().keys()
        if wanted:
            cutter = subset.Subsetter(options)
            cutter.populate(unicodes=wanted)
            cutter.subset(loaded)
            subset.save_font(loaded, target, options)
    return bool(wanted)


def finish(app, error):
    """Write the small icon set and drop the large one."""
    if error is not None or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    (awesome,) = (static / "vendor" / "fontawesome").iterdir()
    known = codes((awesome / "css" / "all.min.css").read_text(encoding="utf-8"))

    pages = [*Path(app.outdir).rglob("*.html"), *static.glob("scripts/*.js"), *static.glob("*.js")]
    shown = {
        name
        for page in pages
        for name in re.findall(r"\bfa-([a-z0-9-]+)", page.read_text(encoding="utf-8"))
        if name in known
    }
    # Style sheets name an icon by its code point, escaped or as it is.
    sheets = "".join(
        sheet.read_text(encoding="utf-8")
        for sheet in [*static.glob("styles/*.css"), *static.glob("*.css")]
    )
    wanted = {int(known[name], 16) for name in shown}
    wanted |= {int(code, 16) for code in re.findall(r"\\([ef][0-9a-f]{3})\b", sheets)}
    wanted |= {ord(sign) for sign in re.findall("[\ue000-\uf8ff]", sheets)}

    style = HEAD
    for face, (file, weight) in FACES.items():
        if cut(awesome / "webfonts" / file, wanted, static / f"icons-{face}.woff"):
            style += (
                f'@font-face {{ font-family: "Font Awesome 6 Free"; font-weight: {weight}; '
                f'src: url("icons-{face}.woff") format("woff"); }}\n'
            )
    style += "".join(f'.fa-{n}::before {{ content: "\\{known[n]}"; }}\n' for n in sorted(shown))
    (static / STYLE).write_text(style, encoding="utf-8")
    shutil.rmtree(static / "vendor")


def setup(app):
    """Register the step after the build."""
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
