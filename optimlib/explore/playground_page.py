"""The playground as HTML: Bokeh draws, JavaScript printed by SymPy computes, no kernel is needed.

The page that shows it loads Bokeh's script, `engine.js` and `playground.js`, which stand beside
this file.
"""

from __future__ import annotations

import base64
import json
import math
import re
from html import escape
from pathlib import Path

import sympy
from bokeh.core.json_encoder import serialize_json
from bokeh.document import Document
from bokeh.models import ColumnDataSource, CustomJS
from sympy.printing.pretty.pretty_symbology import pretty_symbol

from .. import objectives, symbolic
from ..hyper import _range, within
from ..javascript import source, start
from ..rules import SGD
from . import page
from .description import Plane, Walk
from .playground import FIRST, LARGEST_SEED, LOSSES, MOST_STEPS, NOISES, QUESTION
from .playground_kernel import picture

#: The script that a page with the playground loads after `engine.js`.
SCRIPT = Path(__file__).with_name("playground.js")

# ---------------------------------------------------------------- the printed functions


def script(ground) -> str:
    """Return the source of everything that a page computes, as the body of a function.

    The body returns ``rules``: for each a list of ``step`` and first ``memory``, of which the
    second, where there is one, has the hyperparameters that may be left blank; and ``objectives``:
    the ``gradient`` and the ``value`` of each.
    """
    functions, rules, on = [], [], []
    for name, rule in ground.rules.items():
        variants = []
        for free in _variants(rule):
            printed = f"rule{len(functions)}"
            opt = page._freed(rule(), free)
            functions.append(source(opt, name=printed))
            functions.append(start(opt, name=f"{printed}Start"))
            variants.append(f"{{step: {printed}, memory: {printed}Start}}")
        rules.append(f"{name}: [{', '.join(variants)}]")
    printer = page._Printer(["noise"])
    for i, (name, objective) in enumerate(ground.objectives.items()):
        walk = Walk(SGD, objective, noise=lambda c: c.noise)
        functions.append(printer.walk(i, walk)[2])  # its gradient
        functions.append(printer.level(f"value{i}", Plane(objective)))
        on.append(f"{json.dumps(name)}: {{gradient: gradient{i}, value: value{i}}}")
    made = f"return {{rules: {{{', '.join(rules)}}}, objectives: {{{', '.join(on)}}}}};"
    return "\n".join([*functions, made])


def _numbers(rule):
    """Return the numeric hyperparameters of a rule and their defaults."""
    return {name: v for name, v in rule.defaults.items() if not isinstance(v, bool)}


def _variants(rule):
    """Return the sets of hyperparameters that a printed rule takes: without blank ones, with."""
    numbers = _numbers(rule)
    given = [name for name, value in numbers.items() if value is not None]
    return [given] if len(given) == len(numbers) else [given, list(numbers)]


def document(ground) -> Document:
    """Return the Bokeh document: a map, the loss curves, and the functions in a `CustomJS`."""
    made = Document()
    figure = ground.race(rules=tuple(ground.rules)).figure()
    drawn = page.looks(figure)
    for i, panel in enumerate(figure.panels):
        plot = page._plot(figure, panel, drawn)
        plot.name, plot.height = f"panel{i}", 400
        made.add_root(plot)
        if i == 0:
            _redot(plot)
        heads = _points("heads", plot, size=10, line_color="#ffffff", line_width=1.5)
        heads.level = "annotation"
    functions = CustomJS(code=script(ground), name="functions")
    made.roots[0].js_on_change("name", functions)
    return made


def _points(name, plot, **look):
    """Add points whose colour is a column of their source."""
    source = ColumnDataSource({"x": [], "y": [], "colour": []}, name=name)
    return plot.scatter("x", "y", source=source, fill_color="colour", **look)


def _redot(plot):
    """Let one glyph draw the dots of all paths: many small ones are slow, most hide each other."""
    kept, stars = [], None
    for renderer in plot.renderers:
        marker = getattr(renderer.glyph, "marker", None)
        if marker == "star":
            renderer.data_source.name = "stars"
            stars = len(kept)
        if marker is None or not renderer.data_source.name.startswith("walk:"):
            kept.append(renderer)
    kept.insert(stars, _points("dots", plot, size=3.5, line_color=None))
    plot.renderers = kept


def description(ground) -> dict:
    """Return what `playground.js` needs beside the printed functions, ready for JSON."""
    first = ground.race()
    looks = page.looks(ground.race(rules=tuple(ground.rules)).figure())
    return {
        "name": "playground",
        "controls": [],
        "first": {"objective": FIRST.objective, "rules": FIRST.rules, "steps": first.steps},
        "noises": NOISES,
        "steps": _field("steps", 1, MOST_STEPS),
        "seed": _field("seed", 0, LARGEST_SEED),
        "losses": LOSSES,
        "objectives": {
            name: {
                "python": _variable(on),
                "start": on.start,
                "view": on.view,
                "nudge": [_nudge(high - low) for low, high in on.view],
                "x": _field("x", *on.view[0]),
                "y": _field("y", *on.view[1]),
                "floor": on.minimum,
                "minimisers": on.minimisers,
                "text": _text(on),
                "rates": ground.rates[name],
            }
            for name, on in ground.objectives.items()
        },
        "rules": {
            name: {
                "colour": looks[name][0],
                "numbers": [_hyper(key, value) for key, value in _numbers(rule).items()],
            }
            for name, rule in ground.rules.items()
        },
        # Where optimlib ends, as the page stands at first; a test compares the page with it.
        "ends": {name: taken.x[-1].tolist() for name, taken in first.run().items()},
    }


def _field(name, low, high):
    """Return the range of a field that no rule has."""
    whole = isinstance(low, int) and isinstance(high, int)
    kind = "a whole number, " if whole else ""
    text = f"{kind}{low:g} <= {name} <= {high if whole else f'{high:g}'}"
    return {
        "name": name, "low": low, "above": True, "high": high, "below": True,
        "within": text, "whole": whole,
    }  # fmt: skip


def _hyper(name, value):
    low, above, high, below = _range(name)
    return {
        "name": name,
        "value": value,
        "low": low,
        "above": above,
        "high": None if high == math.inf else high,
        "below": below,
        "within": within(name),
        "blank": value is None,
    }


def _variable(on):
    """Return the name under which `optimlib.objectives` has an objective."""
    return next(name for name, value in vars(objectives).items() if value is on)


def _nudge(width):
    """Return the step of an arrow key: 1, 2 or 5 by a power of ten, at most a hundredth."""
    power = 10.0 ** math.floor(math.log10(width / 100))
    return float(f"{max(m * power for m in (1, 2, 5) if m * power <= width / 100):g}")


def _text(on):
    """Return the formula of an objective in plain letters."""
    x, y = sympy.symbols("x y", real=True)
    text = sympy.sstr(on.formula(symbolic.namespace, x, y))
    text = re.sub(r"\*\*(\d)", lambda found: "⁰¹²³⁴⁵⁶⁷⁸⁹"[int(found[1])], text)
    text = re.sub(r"Abs\((\w)\)", r"|\1|", text)
    return text.replace("*", "·").replace("-", "−")


# ---------------------------------------------------------------- HTML


def html(ground) -> str:
    """Return the playground as a piece of HTML; scripts off, it is a picture of the first race."""
    made = document(ground)
    roots = {root.name: root.id for root in made.roots}
    payload = {
        "figure": description(ground),
        "document": json.loads(serialize_json(made.to_json())),
        "roots": {roots[f"panel{i}"]: f"race-{i}" for i in range(2)},
    }
    # "<" must not close the script element.
    data = json.dumps(payload, separators=(",", ":")).replace("<", "\\u003c")
    first = ground.race()
    looks = page.looks(ground.race(rules=tuple(ground.rules)).figure())
    marks = {name: page._swatch(*look) for name, look in looks.items()}
    plane, curves = first.figure().panels
    still = base64.b64encode(picture(first)).decode()
    return (
        '<figure class="playground" id="race">'
        f"<figcaption>{escape(QUESTION)}</figcaption>"
        '<form aria-label="The race" hidden novalidate autocomplete="off">'
        f'<div class="explorable-controls">{_conditions(ground)}</div>'
        '<fieldset class="playground-rules"><legend>Rules</legend>'
        '<div><button type="button" data-do="all">All rules</button> '
        '<button type="button" data-do="none">No rule</button></div>'
        f"<ul>{_choices(ground, marks)}</ul></fieldset>"
        '<div class="explorable-live" hidden><div class="playground-panels">'
        '<div class="explorable-panel">'
        f'<div role="img" aria-label="{escape(plane.alt)}"><div id="race-0" data-root-id="race-0">'
        "</div></div>"
        '<div class="explorable-pad" tabindex="0" role="application" aria-describedby="race-said" '
        'aria-label="Start of the race: arrow keys move it, with Shift ten times as far">'
        '<div class="playground-handle"></div></div></div>'
        '<div class="explorable-panel">'
        f'<div role="img" aria-label="{escape(curves.alt)}"><div id="race-1" data-root-id="race-1">'
        "</div></div></div></div>"
        '<p class="playground-formula"></p>'
        f"{_TRANSPORT}"
        '<p class="explorable-readout" id="race-said" role="status"></p>'
        '<div class="playground-table"><table><thead><tr><th scope="col">Rule</th>'
        '<th scope="col">step size η</th><th scope="col">f</th>'
        f'<th scope="col">point (x, y)</th></tr></thead><tbody>{_rows(ground, marks)}</tbody>'
        "</table></div>"
        '<div class="playground-hyper" role="group" aria-label="Hyperparameters">'
        f"{''.join(_details(name, rule) for name, rule in ground.rules.items())}</div>"
        f"{_ACTIONS}</div></form>"
        f'<img class="explorable-still" alt="{escape(first.alt())}" '
        f'src="data:image/png;base64,{still}">'
        f'<script type="application/json" class="playground-data">{data}</script>'
        "</figure>"
    )


_TRANSPORT = (
    '<div class="playground-transport" role="group" aria-label="Steps of the race">'
    '<button type="button" data-do="first">Start</button>'
    '<button type="button" data-do="play">Play</button>'
    '<button type="button" data-do="step">Step</button>'
    '<div><label for="race-at">step t</label>'
    '<input type="range" id="race-at" name="at" min="0" max="200" step="1" value="200">'
    '<output for="race-at">200 of 200</output></div></div>'
)
_ACTIONS = (
    '<div class="playground-actions"><button type="button" data-do="link">Copy link</button>'
    '<button type="button" data-do="python" aria-expanded="false" aria-controls="race-python">'
    "Show Python</button>"
    '<button type="reset">Reset</button></div>'
    '<div id="race-python" class="playground-python" hidden>'
    '<button type="button" data-do="copy">Copy code</button>'
    '<pre tabindex="0" role="region" aria-label="Python lines of this race"><code></code></pre>'
    "</div>"
)


def _number(key, label, name, whole=False, blank=""):
    mode = "numeric" if whole else "decimal"
    hint = f' placeholder="{blank}"' if blank else ""
    return (
        f'<div class="explorable-control"><label for="{key}">{escape(label)}</label>'
        f'<input type="number" id="{key}" name="{name}" step="{1 if whole else "any"}" '
        f'inputmode="{mode}"{hint} aria-describedby="{key}-wrong">'
        f'<p class="playground-wrong" id="{key}-wrong" role="alert"></p></div>'
    )


def _conditions(ground):
    options = "".join(f"<option>{escape(name)}</option>" for name in ground.objectives)
    return (
        '<div class="explorable-control"><label for="race-objective">objective f</label>'
        f'<select id="race-objective" name="objective">{options}</select></div>'
        f"{_number('race-x', 'start x', 'x')}{_number('race-y', 'start y', 'y')}"
        '<div class="explorable-control"><label for="race-noise">noise σ</label>'
        f'<input type="range" id="race-noise" name="noise" min="0" max="{len(NOISES) - 1}" '
        'step="1" value="0"><output for="race-noise">0</output></div>'
        f"{_number('race-seed', 'seed of the noise', 'seed', whole=True)}"
        f"{_number('race-steps', 'number of steps', 'steps', whole=True)}"
    )


def _broken(name):
    """Return a name that may be broken where its second word begins."""
    return re.sub(r"(?<=Delta)(?=M)", "<wbr>", name)


def _choices(ground, marks):
    return "".join(
        f'<li><label><input type="checkbox" name="rule" value="{name}">{marks[name]}'
        f"<span>{_broken(name)}</span></label></li>"
        for name in ground.rules
    )


def _rows(ground, marks):
    return "".join(
        f'<tr data-rule="{name}" hidden><th scope="row">{marks[name]}{_broken(name)}</th>'
        "<td></td><td></td><td></td></tr>"
        for name in ground.rules
    )


def _symbol(rule, name):
    """Return the letter of a hyperparameter, or of the memory that begins with it."""
    began = next((slot for slot, first in rule.slots.items() if first == name), None)
    letter = symbolic._LETTERS.get(began or name, began or name)
    plain = re.sub(r"[\\{}]|var", "", letter)
    printed = pretty_symbol(plain).replace("_-", "₋").replace("_+", "₊")
    return f"{printed}₀" if began else printed


def _details(name, rule):
    fields = "".join(
        _number(
            f"race-{name}-{key}",
            f"{key} {_symbol(rule, key)}",
            f"{name}.{key}",
            # What a blank stands for is the rule's business; it names the other number.
            blank="as eps" if value is None else "",
        )
        for key, value in _numbers(rule).items()
    )
    return (
        f'<details data-rule="{name}" hidden><summary>{name}</summary>'
        f'<div class="explorable-controls" role="group" aria-label="{name}">{fields}</div>'
        "</details>"
    )
