"""Shrink the figures of the built pages: at most 64 colours, chosen for each figure.

A plot has a few colours and their blends at its edges. With a palette of its own, its file is about
a quarter of the size and looks the same. Photographs would suffer; the book has none.
"""

from pathlib import Path

from PIL import Image


def shrink(path):
    """Rewrite a PNG file with a palette, if that makes it smaller."""
    with Image.open(path) as image:
        if image.mode == "P":
            return
        flat = Image.new("RGB", image.size, "white")
        flat.paste(image, mask=image.getchannel("A") if "A" in image.getbands() else None)
    small = path.with_suffix(".small")
    flat.quantize(64, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    if small.stat().st_size < path.stat().st_size:
        small.replace(path)
    else:
        small.unlink()


def finish(app, error):
    """Shrink every figure of the site."""
    if error is None and app.builder.format == "html":
        for path in (Path(app.outdir) / "_images").glob("*.png"):
            shrink(path)


def setup(app):
    """Register the step after the build."""
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
