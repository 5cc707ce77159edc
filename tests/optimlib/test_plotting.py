"""Figures: every rule has a look of its own, and what is drawn is what was computed."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from optimlib import RULES, SGD, Adam, AdamW, minimize, plotting
from optimlib.objectives import ravine, saddle


@pytest.fixture
def ax():
    with plt.rc_context():
        plotting.use_style()
        figure, ax = plt.subplots()
        yield ax
        plt.close(figure)


def test_every_rule_has_a_colour_and_line_style_of_its_own():
    assert plotting.STYLES.keys() == RULES.keys()
    assert len(set(plotting.STYLES.values())) == len(RULES)


def test_style_takes_names_classes_optimizers_and_records():
    look = {"color": "#0072B2", "linestyle": "-"}
    assert plotting.style("Adam") == look
    assert plotting.style(Adam) == look
    assert plotting.style(Adam(lr=0.5)) == look
    assert plotting.style(repr(Adam()), linestyle=":") == look | {"linestyle": ":"}
    with pytest.raises(ValueError, match=r"'Adagrad' has no style; expected one of SGD"):
        plotting.style("Adagrad")


def test_contours_mark_start_and_minimisers(ax):
    plotting.contours(ax, saddle)
    stars = [line for line in ax.lines if line.get_marker() == "*"]
    rings = [line for line in ax.lines if line.get_marker() == "o"]
    assert {tuple(line.get_xydata()[0]) for line in stars} == {(0.0, 1.0), (0.0, -1.0)}
    assert [tuple(line.get_xydata()[0]) for line in rings] == [saddle.start]
    assert ax.get_xlim() == saddle.view[0]


def test_contours_of_an_objective_without_known_minimum(ax):
    from dataclasses import replace

    plotting.contours(ax, replace(ravine, minimum=None, minimisers=()))
    assert len(ax.collections) > 0


def test_a_path_is_drawn_point_by_point(ax):
    run = minimize(ravine, Adam(lr=0.3), steps=20)
    plotting.path(ax, run)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), run.path)
    assert ax.lines[0].get_label() == "Adam"
    plotting.path(ax, run, label="mine", color="black")
    assert ax.lines[1].get_label() == "mine"
    assert ax.lines[1].get_color() == "black"


@pytest.mark.parametrize(
    "run",
    [
        minimize(ravine, Adam(lr=[0.1, 0.2]), steps=2),
        Adam().run(lambda x: x, np.ones(3), 2),
        Adam().run(lambda x: x, {"w": np.ones(2)}, 2),
    ],
)
def test_what_is_not_one_path_in_the_plane_is_refused(ax, run):
    with pytest.raises(ValueError, match="not one path in the plane"):
        plotting.path(ax, run)


def test_gaps_are_drawn_on_a_log_scale_and_stop_at_zero(ax):
    records = [minimize(ravine, SGD(lr=0.5), steps=60), minimize(ravine, AdamW(lr=0.1), steps=5)]
    gap = records[0].gap.copy()
    assert gap[-2] < 0.01
    gap[-1] = 0.0
    object.__setattr__(records[0], "gap", gap)
    plotting.gaps(ax, records)
    assert ax.get_yscale() == "log"
    drawn = ax.lines[0].get_ydata()
    np.testing.assert_array_equal(drawn[:-1], gap[:-1])
    assert np.isnan(drawn[-1])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["SGD", "AdamW"]
    plotting.gaps(ax, records, labels=["a", "b"])
    assert [text.get_text() for text in ax.get_legend().get_texts()][2:] == ["a", "b"]
