"""A moving figure as HTML: Bokeh draws, JavaScript printed by SymPy computes, no kernel is needed.

The page that shows it loads Bokeh's script and `engine.js`, which stands beside this file.
"""

from __future__ import annotations

import base64
import json
from html import escape
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import sympy
from bokeh.core.json_encoder import serialize_json
from bokeh.document import Document
from bokeh.models import ColumnDataSource, CustomJS, LinearColorMapper, Range1d
from bokeh.palettes import Cividis256
from bokeh.plotting import figure as bokeh_figure

from .. import symbolic
from ..javascript import function_source, source, start
from ..objectives import Objective
from ..plotting import STYLES
from .description import Curves, Map, Plane, call, first_step, wants

#: The script that a page with a moving figure loads after Bokeh's.
ENGINE = Path(__file__).with_name("engine.js")

#: What formulas do their mathematics in when they are fed symbols.
namespace = SimpleNamespace(
    **vars(symbolic.namespace),
    exp=sympy.exp,
    log=sympy.log,
    cos=sympy.cos,
    sin=sympy.sin,
    equal=sympy.Eq,
    mod=sympy.Mod,
)

GRID = (320, 220)
_INK, _PAPER, _LINE = "#1f2428", "#ffffff", "#c9ced3"
# Fifteen bands, hardly apart, and the lines between them.
_BANDS = [f"#{v:02x}{v + 3:02x}{v + 6:02x}" for v in np.linspace(249, 228, 15).round().astype(int)]
_BANDS.append("#aab2ba")
_DASHES = {"-": "solid", "--": [7, 4], ":": [2, 3], "-.": [8, 3, 2, 3]}
_CYCLE = ("#0072B2", "#D55E00", "#009E73", "#B65C93", "#5F6670", "#D98E00")


# ---------------------------------------------------------------- looks, shared with the kernel


def looks(figure) -> dict:
    """Return label to ``(colour, line style)``: its rule's own, or the next of a cycle."""
    walked = {label: label for label in figure.walks}
    for panel in figure.panels:
        if isinstance(panel, Curves):
            walked |= {label: walk for label, walk, _ in panel.parts() if label not in walked}
    free = [(colour, dash) for dash in _DASHES for colour in _CYCLE]
    result = {}
    for label, name in walked.items():
        walk = figure.walks.get(name)
        own = walk and STYLES.get(type(walk.optimizer).__name__)
        if own is None or own in result.values():
            own = next(pair for pair in free if pair not in result.values())
        result[label] = own
    return result


def bands(panel, xp, c, grid=GRID):
    """Return the value of a plane on a grid, as arrays x, y (edges of the view) and value."""
    (x_low, x_high), (y_low, y_high) = panel.window
    x = np.linspace(x_low, x_high, grid[0])
    y = np.linspace(y_low, y_high, grid[1])
    return x, y, panel.level(xp, c, tuple(np.meshgrid(x, y)))


# ---------------------------------------------------------------- the printed functions


def script(figure) -> str:
    """Return the source of everything that the figure computes, as the body of a function.

    The body returns an object: ``walks`` (step, first memory, hyperparameters, start, gradient for
    each), ``curves``, ``levels``, ``maps`` and ``readout``.
    """
    controls = [control.name for control in figure.controls]
    printer = _Printer(controls)
    rules, functions, walks = {}, [], []
    for i, walk in enumerate(figure.walks.values()):
        opt = walk.optimizer
        moving = {name: sympy.Symbol(f"hyper_{name}", positive=True) for name in walk.hyper}
        fixed = {k: v for k, v in opt._hyper.items() if k not in moving}
        key = (type(opt).__name__, tuple(sorted(map(repr, fixed.items()))), tuple(moving))
        if key not in rules:
            rules[key] = f"rule{len(rules)}"
            numbers = {k: v for k, v in fixed.items() if not isinstance(v, bool)}
            printed = _freed(opt, walk.hyper)
            functions.append(source(printed, name=rules[key], **numbers))
            functions.append(start(printed, name=f"{rules[key]}Start", **numbers))
        functions += printer.walk(i, walk)
        walks.append(
            f"{{step: {rules[key]}, memory: {rules[key]}Start, set: set{i}, start: start{i}, "
            f"gradient: gradient{i}, eps: {float(opt._hyper.get('eps') or 0)!r}}}"
        )
    curves, levels, maps, readout = [], [], [], []
    for panel in figure.panels:
        if isinstance(panel, Curves):
            for _, walk, formula in panel.parts():
                name = f"curve{len(curves)}"
                functions.append(printer.curve(name, formula, figure.walks.get(walk)))
                curves.append(name)
        elif isinstance(panel, Plane):
            functions.append(printer.level(f"level{len(levels)}", panel))
            levels.append(f"level{len(levels)}")
        else:
            functions.append(printer.map(f"map{len(maps)}", panel))
            maps.append(f"map{len(maps)}")
    for _, walk, formula in figure.readout:
        name = f"readout{len(readout)}"
        functions.append(printer.curve(name, formula, figure.walks.get(walk), bare=True))
        readout.append(name)
    lists = {"walks": walks, "curves": curves, "levels": levels, "maps": maps, "readout": readout}
    made = ", ".join(f"{key}: [{', '.join(names)}]" for key, names in lists.items())
    return "\n".join([*functions, f"return {{{made}}};"])


def _freed(opt, hyper):
    """Return the rule with every moving hyperparameter at a value that prints all of its terms."""
    copy = opt.fresh()
    for name in hyper:
        default = opt.defaults[name]
        if not default:
            copy.set(**{name: 0.5})
    return copy


class _Printer:
    """Feeds symbols to formulas and prints what comes out."""

    def __init__(self, controls):
        self.names = {}
        self.c = SimpleNamespace(**{name: self._symbol(f"c.{name}") for name in controls})
        self.t = sympy.Symbol("t", integer=True, nonnegative=True)
        self.names[self.t] = "t"

    def _symbol(self, printed):
        symbol = sympy.Symbol(printed, real=True)
        self.names[symbol] = printed
        return symbol

    def _tuple(self, letter, size):
        return tuple(self._symbol(f"{letter}[{i}]") for i in range(size))

    def _dim(self, walk):
        return len(walk.first(namespace, self.c))

    def _feed(self, walk):
        fed = {"xp": namespace, "c": self.c, "t": self.t}
        if walk is not None:
            dim = self._dim(walk)
            fed |= {name: self._tuple(name, dim) for name in "xzgd"}
            opt = walk.optimizer
            fed["s"] = SimpleNamespace(
                **{
                    slot: tuple(self._symbol(f"s[{i}].{slot}") for i in range(dim))
                    for slot in [*opt.active_slots(), *opt.scalars]
                }
            )
        return fed

    def _print(self, arguments, values, name, keys=None):
        return function_source(arguments, values, self.names, name=name, keys=keys)

    def walk(self, i, walk):
        fed = self._feed(walk)
        with sympy.evaluate(False):
            first = walk.first(namespace, self.c)
            hyper = walk.set(namespace, self.c, self.t)
            gradient = walk.gradient(namespace, self.c, self.t, fed["x"], fed["z"])
        return [
            self._print("c", first, f"start{i}"),
            self._print("c, t", list(hyper.values()), f"set{i}", list(hyper)),
            self._print("c, t, x, z", gradient, f"gradient{i}"),
        ]

    def curve(self, name, formula, walk, bare=False):
        with sympy.evaluate(False):
            values = call(formula, **self._feed(walk))
        values = values if isinstance(values, tuple) else (values,)
        if not bare and len(values) == 1:
            values = (self.t, *values)
        return self._print("c, t, x, g, d, s", values, name)

    def level(self, name, panel):
        with sympy.evaluate(False):
            value = panel.level(namespace, self.c, self._tuple("x", 2))
        return self._print("c, x", [value], name)

    def map(self, name, panel):
        with sympy.evaluate(False):
            value = call(panel.value, xp=namespace, c=self.c)
        return self._print("c", [value], name)


# ---------------------------------------------------------------- the description for engine.js


def description(figure) -> dict:
    """Return what `engine.js` needs beside the printed functions, ready for JSON."""
    drawn = looks(figure)
    labels = list(figure.walks)
    walks = [
        {
            "label": label,
            "steps": walk.steps,
            "seed": walk.seed,
            "moves": any(callable(v) and "t" in wants(v) for v in walk.hyper.values()),
            "noisy": _noisy(walk),
            "bounds": walk.bounds,
        }
        for label, walk in figure.walks.items()
    ]
    panels = []
    for panel in figure.panels:
        if isinstance(panel, Plane):
            panels.append(
                {
                    "kind": "plane",
                    "view": panel.window,
                    "walks": [labels.index(name) for name in panel.walks or labels],
                    "start": panel.start,
                    "grid": GRID,
                    "fixed": isinstance(panel.value, Objective) or "c" not in wants(panel.value),
                    "floor": getattr(panel.value, "minimum", None),
                }
            )
        elif isinstance(panel, Curves):
            panels.append(
                {
                    "kind": "curves",
                    "curves": [
                        {
                            "walk": labels.index(walk) if walk else None,
                            "first": first_step(formula),
                        }
                        for _, walk, formula in panel.parts()
                    ],
                    "steps": panel.steps,
                    "x": panel.x,
                    "y": panel.y,
                    "log": panel.log,
                }
            )
        else:
            panels.append({"kind": "map", "start": (panel.x, panel.y), "levels": panel.levels})
    return {
        "name": figure.name,
        "controls": [
            {
                "name": control.name,
                "values": control.values,
                "texts": control.texts,
                "start": control.values.index(control.initial),
                "log": control.scale == "log",
            }
            for control in figure.controls
        ],
        "walks": walks,
        "panels": panels,
        # Where optimlib ends, with the controls as at first; a test compares the page with it.
        "ends": [walk.x[-1].tolist() for walk in figure.compute().walks.values()],
        "readout": [
            {"template": template, "walk": labels.index(walk) if walk else None}
            for template, walk, _ in figure.readout
        ],
        "colours": [drawn[label][0] for label in labels],
    }


def _noisy(walk):
    """Tell whether a walk uses its noise."""
    if isinstance(walk.on, Objective):
        return callable(walk.noise) or walk.noise != 0
    return "z" in wants(walk.on)


# ---------------------------------------------------------------- what Bokeh draws


def document(figure):
    """Return the Bokeh document: a plot for each panel, and the functions in a `CustomJS`."""
    document = Document()
    drawn = looks(figure)
    for i, panel in enumerate(figure.panels):
        plot = _plot(figure, panel, drawn)
        plot.name = f"panel{i}"
        document.add_root(plot)
    # A callback must hang on something; the engine takes it by its name and calls it itself.
    functions = CustomJS(code=script(figure), name="functions")
    document.roots[0].js_on_change("name", functions)
    return document


def _plot(figure, panel, drawn):
    if isinstance(panel, Curves):
        kinds = {axis: "log" if axis in panel.log else "linear" for axis in "xy"}
        ranges = {
            f"{axis}_range": Range1d(*(given or (0.1, 1)))
            for axis, given in (("x", panel.x), ("y", panel.y))
        }
        labels = panel.labels
    elif isinstance(panel, Plane):
        kinds = {"x": "linear", "y": "linear"}
        ranges = {f"{a}_range": Range1d(*w) for a, w in zip("xy", panel.window, strict=True)}
        labels = panel.labels
    else:
        pair = [next(c for c in figure.controls if c.name == name) for name in (panel.x, panel.y)]
        kinds = {
            a: "log" if c.scale == "log" else "linear" for a, c in zip("xy", pair, strict=True)
        }
        ranges = {
            f"{a}_range": Range1d(c.values[0], c.values[-1])
            for a, c in zip("xy", pair, strict=True)
        }
        labels = [control.label for control in pair]
    plot = bokeh_figure(
        height=320,
        min_width=240,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        x_axis_type=kinds["x"],
        y_axis_type=kinds["y"],
        x_axis_label=labels[0],
        y_axis_label=labels[1],
        background_fill_color=_PAPER,
        border_fill_color=_PAPER,
        outline_line_color=_LINE,
        min_border=6,
        min_border_right=22,
        # Wide enough for any tick label, so that the frame stays where it is.
        min_border_left=66,
        min_border_bottom=48,
        output_backend="canvas",
        **ranges,
    )
    plot.axis.axis_label_text_font_style = "normal"
    plot.axis.axis_label_text_color = plot.axis.major_label_text_color = _INK
    plot.axis.axis_label_text_font_size = plot.axis.major_label_text_font_size = "12px"
    plot.axis.axis_line_color = plot.axis.major_tick_line_color = _LINE
    plot.axis.minor_tick_line_color = None
    plot.grid.grid_line_color = None if isinstance(panel, Plane | Map) else "#e4e7ea"
    if isinstance(panel, Plane | Map):
        _fill(plot, panel)
    for label, _, _ in panel.parts() if isinstance(panel, Curves) else ():
        colour, dash = drawn[label]
        data = ColumnDataSource({"x": [], "y": []}, name=f"curve:{label}")
        plot.line("x", "y", source=data, color=colour, line_dash=_DASHES[dash], line_width=2)
    if isinstance(panel, Plane):
        for label in panel.walks or figure.walks:
            colour, dash = drawn[label]
            data = ColumnDataSource({"x": [], "y": []}, name=f"walk:{label}")
            plot.line("x", "y", source=data, color=colour, line_dash=_DASHES[dash], line_width=1.5)
            plot.scatter("x", "y", source=data, color=colour, size=3.5)
        points = getattr(panel.value, "minimisers", ())
        stars = {"x": [p[0] for p in points], "y": [p[1] for p in points]}
        plot.scatter(
            "x", "y", source=ColumnDataSource(stars), marker="star", size=14, color="#111111"
        )
    if isinstance(panel, Plane | Map):
        spot = ColumnDataSource({"x": [], "y": []}, name="spot")
        plot.scatter(
            "x", "y", source=spot, size=12, fill_color="white", line_color="#111111", line_width=2
        )
    return plot


def _fill(plot, panel):
    count = len(panel.levels) + 1 if isinstance(panel, Map) else len(_BANDS)
    palette = map_colours(count) if isinstance(panel, Map) else _BANDS
    data = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []}, name="image")
    plot.image(
        "image",
        x="x",
        y="y",
        dw="dw",
        dh="dh",
        source=data,
        color_mapper=LinearColorMapper(
            palette=palette, low=-0.5, high=len(palette) - 0.5, nan_color="#ffffff"
        ),
    )


def map_colours(count):
    """Return a few colours from light to dark, distinct in grey too."""
    at = np.linspace(250, 40, count).round().astype(int)
    return [Cividis256[i] for i in at]


# ---------------------------------------------------------------- HTML


def html(figure) -> str:
    """Return the figure as a piece of HTML; scripts off, it is a picture."""
    from .kernel import picture

    doc = document(figure)
    roots = {root.name: root.id for root in doc.roots}
    place = f"explore-{figure.name}"
    payload = {
        "figure": description(figure),
        "document": json.loads(serialize_json(doc.to_json())),
        "roots": {roots[f"panel{i}"]: f"{place}-{i}" for i in range(len(figure.panels))},
    }
    # "<" must not close the script element.
    data = json.dumps(payload, separators=(",", ":")).replace("<", "\\u003c")
    drawn = looks(figure)
    shown = [label for label in drawn if any(label in _labels(figure, p) for p in figure.panels)]
    legend = "".join(f"<li>{_swatch(*drawn[label])}{escape(label)}</li>" for label in shown)
    legend += "".join(_key(panel) for panel in figure.panels if isinstance(panel, Map))
    panels = "".join(_panel_html(figure, panel, i) for i, panel in enumerate(figure.panels))
    still = base64.b64encode(picture(figure)).decode()
    return (
        f'<figure class="explorable" id="{place}">'
        f"<figcaption>{escape(figure.question)}</figcaption>"
        f'<form class="explorable-controls" aria-label="Controls of the figure" hidden>'
        f"{''.join(_control_html(place, control) for control in figure.controls)}"
        '<button type="reset">Reset</button></form>'
        f'<div class="explorable-live" hidden>'
        f'<ul class="explorable-legend">{legend}</ul>'
        f'<div class="explorable-panels">{panels}</div>'
        '<p class="explorable-readout" role="status"></p></div>'
        f'<img class="explorable-still" alt="{escape(figure.alt)}" '
        f'src="data:image/png;base64,{still}">'
        f'<script type="application/json" class="explorable-data">{data}</script>'
        "</figure>"
    )


def _key(panel):
    """Return the key of a map's bands as list items."""
    edges = [f"{edge:.3g}" for edge in panel.levels]
    texts = [f"below {edges[0]}"]
    texts += [f"{low} to {high}" for low, high in pairwise(edges)]
    texts.append(f"from {edges[-1]}")
    items = "".join(
        '<li><svg width="14" height="14" aria-hidden="true"><rect width="14" height="14" '
        f'fill="{colour}"/></svg>{text}</li>'
        for colour, text in zip(map_colours(len(texts)), texts, strict=True)
    )
    return f"<li>{escape(panel.quantity)}:</li>{items}"


def _labels(figure, panel):
    """Return the labels of what a panel draws."""
    if isinstance(panel, Plane):
        return panel.walks or tuple(figure.walks)
    return panel.curves if isinstance(panel, Curves) else ()


def _swatch(colour, dash):
    """Return a short line in a colour and a line style."""
    given = _DASHES[dash]
    dashes = "" if given == "solid" else f' stroke-dasharray="{" ".join(map(str, given))}"'
    return (
        '<svg width="28" height="8" aria-hidden="true"><line x1="0" y1="4" x2="28" y2="4" '
        f'stroke="{colour}" stroke-width="2.5"{dashes}/></svg>'
    )


def _control_html(place, control):
    key = f"{place}-{control.name}"
    at = control.values.index(control.initial)
    label = f'<label for="{key}">{escape(control.label)}</label>'
    if control.choices is not None:
        options = "".join(
            f'<option value="{i}"{" selected" if i == at else ""}>{escape(text)}</option>'
            for i, text in enumerate(control.texts)
        )
        field = f'<select id="{key}" name="{control.name}">{options}</select>'
        return f'<div class="explorable-control">{label}{field}</div>'
    text = escape(control.texts[at])
    return (
        f'<div class="explorable-control">{label}'
        f'<input type="range" id="{key}" name="{control.name}" min="0" '
        f'max="{len(control.values) - 1}" step="1" value="{at}" aria-valuetext="{text}">'
        f'<output for="{key}">{text}</output></div>'
    )


def _panel_html(figure, panel, i):
    place = f"explore-{figure.name}"
    chosen = panel.start if isinstance(panel, Plane) else None
    if isinstance(panel, Map):
        chosen = (panel.x, panel.y)
    plot = f'<div id="{place}-{i}" data-root-id="{place}-{i}"></div>'
    plot = f'<div role="img" aria-label="{escape(panel.alt)}">{plot}</div>'
    if chosen:
        names = " and ".join(c.label for c in figure.controls if c.name in chosen)
        plot += (
            f'<div class="explorable-pad" tabindex="0" role="application" data-panel="{i}" '
            f'aria-label="Choose {escape(names)}: arrow keys move the point"></div>'
        )
    return f'<div class="explorable-panel">{plot}</div>'
