"""A moving figure where a kernel runs: ipywidgets set the controls, Matplotlib draws."""

from __future__ import annotations

import base64
import io
from html import escape
from types import SimpleNamespace

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .description import FAR, Curves, Map, Plane, call, namespace
from .page import bands, looks, map_colours

WIDGET = "application/vnd.jupyter.widget-view+json"
_DPI = 96


def picture(figure, **given) -> bytes:
    """Return the figure as a PNG file, with the controls at the values given.

    Parameters
    ----------
    figure : Explorable
    **given
        Values of controls.
    """
    computed = figure.compute(**given)
    c = figure.values(**given)
    drawn = looks(figure)
    count = len(figure.panels)
    width = 6.8 if count == 1 else 4.6 * count
    canvas = Figure(figsize=(width, 3.7), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(canvas)
    for i, panel in enumerate(figure.panels):
        ax = canvas.add_subplot(1, count, i + 1)
        if isinstance(panel, Plane):
            _plane(ax, figure, panel, c, computed, drawn)
        elif isinstance(panel, Curves):
            _curves(ax, panel, computed.curves[i], drawn)
        else:
            _map(ax, figure, panel, c)
        if not isinstance(panel, Map):
            ax.legend(fontsize=9, frameon=False)
    file = io.BytesIO()
    canvas.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def widget(figure) -> dict:
    """Return what shows the figure as ipywidgets, by mime type; empty where there are none."""
    try:
        box = controls(figure)
    except ImportError:
        return {}
    return {WIDGET: box._repr_mimebundle_()[WIDGET]}


def controls(figure):
    """Return the figure as a box of widgets: controls, Reset, picture, readout.

    Raises
    ------
    ImportError
        If ipywidgets is not installed.
    """
    import ipywidgets as widgets

    fields = {}
    longest = max((len(control.label) for control in figure.controls), default=0)
    look = label_room(longest)
    for control in figure.controls:
        make = widgets.SelectionSlider if control.choices is None else widgets.Dropdown
        fields[control.name] = make(
            options=list(zip(control.texts, control.values, strict=True)),
            value=control.initial,
            description=control.label,
            **look,
        )
    reset = widgets.Button(description="Reset", tooltip="Set every control to its first value")
    image, said = widgets.HTML(), widgets.HTML()

    def draw(_=None):
        given = {name: field.value for name, field in fields.items()}
        png = base64.b64encode(picture(figure, **given)).decode()
        image.value = (
            f'<img alt="{escape(figure.alt)}" style="max-width:100%" '
            f'src="data:image/png;base64,{png}">'
        )
        said.value = "<br>".join(map(escape, figure.compute(**given).readout))

    def restore(_):
        for control in figure.controls:
            field = fields[control.name]
            field.unobserve(draw, "value")
            field.value = control.initial
            field.observe(draw, "value")
        draw()

    for field in fields.values():
        field.observe(draw, "value")
    reset.on_click(restore)
    draw()
    question = widgets.HTML(f"<b>{escape(figure.question)}</b>")
    return widgets.VBox([question, *fields.values(), reset, image, said])


def label_room(letters: int) -> dict:
    """Return the style and layout of a widget whose label has so many letters: all are shown."""
    room = 0.6 * letters + 2.5  # short words may be wide ones
    return dict(
        style={"description_width": f"{room:.3g}em"},
        layout={"width": f"min({room + 22:.3g}em, 100%)"},
    )


def _shown(values):
    """Return values with those that are far outside of every picture left out."""
    values = np.asarray(values, dtype=float)
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(values) < FAR, values, np.nan)


def _plane(ax, figure, panel, c, computed, drawn):
    x, y, value = bands(panel, namespace, c)
    floor = getattr(panel.value, "minimum", None)
    floor = np.min(value) if floor is None else floor
    root = np.sqrt(np.maximum(value - floor, 0))
    ax.contour(
        x, y, root, levels=np.linspace(0, root.max(), 15)[1:], colors="#aab2ba", linewidths=0.7
    )
    for label in panel.walks or figure.walks:
        colour, dash = drawn[label]
        path = _shown(computed.walks[label].x)
        ax.plot(
            path[:, 0],
            path[:, 1],
            dash,
            color=colour,
            label=label,
            linewidth=1.2,
            marker=".",
            markersize=3.5,
        )
    for point in getattr(panel.value, "minimisers", ()):
        ax.plot(*point, "*", color="#111111", markersize=11)
    for label in (panel.walks or tuple(figure.walks))[:1]:
        ax.plot(
            *computed.walks[label].x[0], "o", color="white", markeredgecolor="#111111", markersize=7
        )
    ax.set(
        xlim=panel.window[0], ylim=panel.window[1], xlabel=panel.labels[0], ylabel=panel.labels[1]
    )


def _curves(ax, panel, curves, drawn):
    for label, _, _ in panel.parts():
        colour, dash = drawn[label]
        x, y = map(_shown, curves[label])
        ax.plot(
            x,
            np.where(y > 0, y, np.nan) if "y" in panel.log else y,
            dash,
            color=colour,
            label=label,
        )
    if "x" in panel.log:
        ax.set_xscale("log")
    if "y" in panel.log:
        ax.set_yscale("log")
    if panel.x is not None:
        ax.set_xlim(panel.x)
    if panel.y is not None:
        ax.set_ylim(panel.y)
    ax.set(xlabel=panel.labels[0], ylabel=panel.labels[1])
    ax.grid(True, color="#e4e7ea", linewidth=0.6)


def _map(ax, figure, panel, c):
    pair = [next(k for k in figure.controls if k.name == name) for name in (panel.x, panel.y)]
    x, y = (np.array(control.values) for control in pair)
    grid = np.meshgrid(x, y)
    at = SimpleNamespace(**vars(c) | {panel.x: grid[0], panel.y: grid[1]})
    with np.errstate(all="ignore"):
        value = np.broadcast_to(call(panel.value, xp=namespace, c=at), grid[0].shape)
    edges = [-np.inf, *panel.levels, np.inf]
    ax.contourf(x, y, value, levels=edges, colors=map_colours(len(edges) - 1), extend="neither")
    ax.plot(
        getattr(c, panel.x),
        getattr(c, panel.y),
        "o",
        color="white",
        markeredgecolor="#111111",
        markersize=8,
    )
    for scale, control in zip((ax.set_xscale, ax.set_yscale), pair, strict=True):
        if control.scale == "log":
            scale("log")
    ax.set(xlabel=pair[0].label, ylabel=pair[1].label)
