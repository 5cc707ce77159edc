"""Figures are made small while building, and look the same."""

import matplotlib.figure
import numpy as np
import pytest
from PIL import Image

from _ext.images import shrink


def pixels(path):
    with Image.open(path) as image:
        ground = Image.new("RGBA", image.size, "white")
        ground.alpha_composite(image.convert("RGBA"))
        return np.asarray(ground.convert("RGB"), dtype=int)


@pytest.mark.parametrize("transparent", [True, False])
def test_a_plot_loses_bytes_and_nothing_else(tmp_path, transparent):
    path = tmp_path / "plot.png"
    figure = matplotlib.figure.Figure(dpi=110)
    axes = figure.subplots()
    t = np.linspace(0, 6, 200)
    for k in range(4):
        axes.plot(t, np.sin(t + k), label=f"curve {k}")
    axes.legend()
    figure.savefig(path, transparent=transparent)
    before, size = pixels(path), path.stat().st_size

    shrink(path)
    after = pixels(path)
    assert path.stat().st_size < 0.6 * size
    assert after.shape == before.shape
    assert np.abs(after - before).mean() < 0.5
    assert np.percentile(np.abs(after - before), 99) < 16

    small = path.read_bytes()
    shrink(path)
    assert path.read_bytes() == small


def test_a_file_that_would_grow_stays(tmp_path):
    path = tmp_path / "dot.png"
    Image.new("RGB", (1, 1), "white").save(path, optimize=True)
    before = path.read_bytes()
    shrink(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["dot.png"]
