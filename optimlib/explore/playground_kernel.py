"""The playground where a kernel runs: ipywidgets set the race, Matplotlib draws."""

from __future__ import annotations

import base64
import io
from html import escape
from types import SimpleNamespace

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .description import _short
from .kernel import WIDGET, _curves, _plane, label_room
from .page import looks
from .playground import FIRST, LARGEST_SEED, LOSSES, MOST_STEPS, NOISES, TRIAL


def picture(race, at: int | None = None) -> bytes:
    """Return a race as a PNG file, drawn up to a step."""
    figure = race.figure()
    drawn = looks(figure)
    plane, curves = figure.panels
    ran = race.run()
    stop = (race.steps if at is None else at) + 1
    shown = {name: SimpleNamespace(x=taken.x[:stop]) for name, taken in ran.items()}
    losses = {name: (np.arange(stop), taken.gap[:stop]) for name, taken in ran.items()}
    canvas = Figure(figsize=(9.2, 4.7), dpi=96, layout="constrained")
    FigureCanvasAgg(canvas)
    left, right = canvas.subplots(1, 2, width_ratios=(1.35, 1))
    _plane(left, figure, plane, SimpleNamespace(), SimpleNamespace(walks=shown), drawn)
    _curves(right, curves, losses, drawn)
    gaps = np.concatenate([taken.gap for taken in ran.values()] or [[1.0]])
    gaps = gaps[(gaps >= LOSSES[0]) & (gaps <= LOSSES[1])]
    if gaps.size:
        right.set_ylim(gaps.min() / 2, gaps.max() * 2)
    if ran:
        canvas.legend(
            *left.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False
        )
    file = io.BytesIO()
    canvas.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def table(race, at: int) -> str:
    """Return the standing of a race at a step as an HTML table."""
    rows = "".join(
        f"<tr><th>{name}</th><td>{race.rules[name].lr:g}</td><td>{_short(taken.f[at])}</td>"
        f"<td>({_short(taken.x[at, 0])}, {_short(taken.x[at, 1])})</td></tr>"
        for name, taken in race.run().items()
    )
    return (
        "<table><tr><th>Rule</th><th>step size η</th><th>f</th><th>point (x, y)</th></tr>"
        f"{rows}</table>"
    )


def widget(ground) -> dict:
    """Return what shows the playground as ipywidgets, by mime type; empty where there are none."""
    try:
        box = controls(ground)
    except ImportError:
        return {}
    return {WIDGET: box._repr_mimebundle_()[WIDGET]}


def controls(ground):
    """Return the playground as a box of widgets: controls, Reset, picture, standing.

    Raises
    ------
    ImportError
        If ipywidgets is not installed.
    """
    import ipywidgets as widgets

    look = label_room(len("seed of the noise"))
    first = ground.race()
    factors = [(f"{v:g}", v) for v in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)]
    objective = widgets.Dropdown(
        options=list(ground.objectives), value=FIRST.objective, description="objective f", **look
    )
    chosen = widgets.SelectMultiple(
        options=list(ground.rules), value=FIRST.rules, rows=len(ground.rules), description="rules",
        **look,
    )  # fmt: skip
    factor = widgets.SelectionSlider(options=factors, value=1, description="step sizes ×", **look)
    x = widgets.FloatText(value=first.start[0], description="start x", **look)
    y = widgets.FloatText(value=first.start[1], description="start y", **look)
    noise = widgets.SelectionSlider(
        options=[(f"{v:g}", v) for v in NOISES], value=0, description="noise σ", **look
    )
    seed = widgets.BoundedIntText(
        value=0, min=0, max=LARGEST_SEED, description="seed of the noise", **look
    )
    at = widgets.IntSlider(value=TRIAL, min=0, max=MOST_STEPS, description="step t", **look)
    reset = widgets.Button(description="Reset", tooltip="Set the first race again")
    image, standing = widgets.HTML(), widgets.HTML()
    fields = (chosen, factor, x, y, noise, seed, at)

    def draw(_=None):
        try:
            race = ground.race(
                objective.value,
                chosen.value,
                start=(x.value, y.value),
                lr=factor.value,
                steps=max(at.value, TRIAL),
                noise=noise.value,
                seed=seed.value,
            )
        except ValueError as error:  # a start that is no number
            standing.value = escape(str(error))
            return
        png = base64.b64encode(picture(race, at.value)).decode()
        image.value = (
            f'<img alt="{escape(race.alt())}" style="max-width:100%" '
            f'src="data:image/png;base64,{png}">'
        )
        standing.value = table(race, at.value)

    def put(values):
        # All of them change before one redraw.
        for field_, value in values.items():
            field_.unobserve(draw, "value")
            field_.value = value
            field_.observe(draw, "value")
        draw()

    def move(_):
        # Each objective has a start of its own.
        put(dict(zip((x, y), ground.objectives[objective.value].start, strict=True)))

    initial = {field_: field_.value for field_ in fields}

    def restore(_):
        objective.unobserve(move, "value")
        objective.value = FIRST.objective
        objective.observe(move, "value")
        put(initial)

    objective.observe(move, "value")
    for control in fields:
        control.observe(draw, "value")
    reset.on_click(restore)
    draw()
    return widgets.VBox([objective, *fields, reset, image, standing])
