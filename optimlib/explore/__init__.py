"""Figures that move: described once, shown as widgets where a kernel runs, as HTML where none does.

`explore` takes controls, walks (a rule on an objective or a stream of gradients) and panels. With
a kernel its result shows ipywidgets that run `optimlib`; in a built page the same description is a
Bokeh figure whose rules and gradients are printed as JavaScript by SymPy. `playground` is one such
figure, in which any of the rules race.
"""

from .description import Control, Curves, Explorable, Map, Plane, Walk, explore
from .noise import normal
from .playground import Playground, Race, playground

__all__ = [
    "Control",
    "Curves",
    "Explorable",
    "Map",
    "Plane",
    "Playground",
    "Race",
    "Walk",
    "explore",
    "normal",
    "playground",
]
