"""Gradient optimizers, each rule once, as the lines of its equation."""

from .base import Optimizer
from .rules import (
    RULES,
    SGD,
    AdaDelta,
    AdaDeltaMomentum,
    AdaGrad,
    Adam,
    AdamL2,
    AdaMax,
    AdamW,
    AMSGrad,
    FullAdaGrad,
    Momentum,
    Nadam,
    Nesterov,
    RMSProp,
    Rprop,
)

__version__ = "0.1.0"
