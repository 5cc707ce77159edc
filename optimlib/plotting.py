"""Figures in one style: one colour and one line style for each method, in the whole book.

Matplotlib is imported here, not by ``import optimlib``.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

# Okabe and Ito's palette, readable with any colour vision; the line style is the second cue. A
# method shares its colour with its family, and never shares both cues.
_BLUE, _SKY, _GREEN, _ORANGE = "#0072B2", "#3A9BD9", "#009E73", "#D98E00"
_RED, _PURPLE, _GREY = "#D55E00", "#B65C93", "#5F6670"

#: Colour and line style by the name of the rule.
STYLES = {
    "SGD": (_GREY, "-"),
    "Momentum": (_ORANGE, "-"),
    "Nesterov": (_ORANGE, "--"),
    "Rprop": (_GREY, ":"),
    "AdaGrad": (_GREEN, "-"),
    "FullAdaGrad": (_GREEN, ":"),
    "RMSProp": (_PURPLE, "-"),
    "AdaDelta": (_SKY, "-"),
    "AdaDeltaMomentum": (_SKY, "--"),
    "Adam": (_BLUE, "-"),
    "AdaMax": (_PURPLE, "--"),
    "Nadam": (_BLUE, "--"),
    "AMSGrad": (_RED, "-"),
    "AdamW": (_RED, "--"),
    "AdamL2": (_RED, ":"),
}


def use_style() -> None:
    """Set Matplotlib's defaults for the book: sizes, light grid, no frame on top and right."""
    plt.rcParams.update(
        {
            "figure.figsize": (6.4, 3.6),
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "savefig.bbox": "tight",
            "font.size": 10.5,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "grid.color": "#d8dce0",
            "grid.linewidth": 0.6,
            "lines.linewidth": 1.8,
            "legend.frameon": False,
        }
    )


def style(rule, **changes) -> dict:
    """Return ``color`` and ``linestyle`` of a rule, for Matplotlib's ``plot``.

    Parameters
    ----------
    rule : str, class or optimizer
        A name in `STYLES`, or anything whose class or own name is one.
    **changes
        Added, or put in place of the usual ones.

    Examples
    --------
    >>> style("Adam")
    {'color': '#0072B2', 'linestyle': '-'}
    """
    name = rule if isinstance(rule, str) else getattr(rule, "__name__", type(rule).__name__)
    name = name.partition("(")[0]
    if name not in STYLES:
        raise ValueError(f"{name!r} has no style; expected one of {', '.join(STYLES)}.")
    color, linestyle = STYLES[name]
    return {"color": color, "linestyle": linestyle, **changes}


def contours(ax, objective, levels: int = 14, points: int = 241) -> None:
    """Draw level lines of a planar objective, its minimisers (stars) and start (a ring).

    Levels are spaced evenly in the square root of the gap, so that a valley shows as well as its
    walls.
    """
    (x_low, x_high), (y_low, y_high) = objective.view
    x, y = np.meshgrid(np.linspace(x_low, x_high, points), np.linspace(y_low, y_high, points))
    value = objective.value(np.stack([x, y], axis=-1))
    floor = value.min() if objective.minimum is None else objective.minimum
    root = np.sqrt(np.maximum(value - floor, 0))
    spaced = floor + np.linspace(0, root.max(), levels + 1)[1:] ** 2
    ax.contour(x, y, value, levels=spaced, colors="#aab2ba", linewidths=0.7)
    for point in objective.minimisers:
        ax.plot(*point, marker="*", markersize=11, color="#111111", linestyle="none", zorder=4)
    ax.plot(
        *objective.start,
        marker="o",
        markersize=7,
        markerfacecolor="white",
        markeredgecolor="#111111",
        linestyle="none",
        zorder=4,
    )
    ax.set(xlim=(x_low, x_high), ylim=(y_low, y_high), xlabel="$x$", ylabel="$y$")
    ax.grid(False)


def path(ax, run, label: str | None = None, **changes) -> None:
    """Draw the path of a `Run` in the plane in its rule's style.

    Raises
    ------
    ValueError
        If the run is not one path in the plane.
    """
    if not isinstance(run.path, np.ndarray) or run.path.shape[1:] != (2,):
        raise ValueError(
            f"{run!r} is not one path in the plane: its start is of shape "
            f"{np.shape(run.x)}; expected (2,). Draw the rows of a sweep one by one."
        )
    looks = {"marker": ".", "markersize": 3.5, "linewidth": 1.2, **style(run.rule), **changes}
    ax.plot(run.path[:, 0], run.path[:, 1], label=label or _name(run), **looks)


def gaps(ax, records, labels=None) -> None:
    """Draw f minus its minimum against the step, on a logarithmic scale, a line for each record."""
    for i, record in enumerate(records):
        label = labels[i] if labels else _name(record)
        # A gap of exactly 0 has no logarithm; the line ends there.
        gap = np.where(record.gap > 0, record.gap, np.nan)
        ax.plot(record.t, gap, label=label, **style(record.rule))
    ax.set(yscale="log", xlabel="step $t$", ylabel=r"$f(x_t) - f^\star$")
    ax.legend()


def _name(run) -> str:
    return run.rule.partition("(")[0]
