"""How long things take, as ratios: our time over that of a reference, measured in turns.

``python -m benchmarks`` (or ``make bench``) runs every module of this folder that has a function
``cases(tiny)``; it returns a list of `benchmarks.measure.Case`. A new module is found by itself.
"""
