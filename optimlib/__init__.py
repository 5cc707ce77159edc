"""Gradient optimizers, each rule once, as the lines of its equation."""

from .base import Optimizer
from .libraries import like
from .record import Record, Run, minimize
from .rules import (
    RULES,
    SGD,
    AdaDelta,
    AdaDeltaMomentum,
    AdaGrad,
    Adam,
    AdaMax,
    AdamL2,
    AdamW,
    AMSGrad,
    FullAdaGrad,
    Momentum,
    Nadam,
    Nesterov,
    RMSProp,
    Rprop,
)

__all__ = [  # noqa: RUF022 - the rules stand in the order of the book
    "Optimizer",
    "RULES",
    "Record",
    "Run",
    "like",
    "minimize",
    "SGD",
    "Momentum",
    "Nesterov",
    "Rprop",
    "AdaGrad",
    "FullAdaGrad",
    "RMSProp",
    "AdaDelta",
    "AdaDeltaMomentum",
    "Adam",
    "AdaMax",
    "Nadam",
    "AMSGrad",
    "AdamW",
    "AdamL2",
]
__version__ = "0.1.0"
