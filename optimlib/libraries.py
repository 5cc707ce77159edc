"""What the same name means elsewhere: the options and defaults of other libraries.

Read from and tested against PyTorch 2.13, Optax 0.2.8, Keras 3.15, scikit-learn 1.9 and HIPS
autograd 1.9.
"""

from __future__ import annotations

import copy
import math

_LIBRARIES = {
    "torch": dict(
        SGD=dict(lr=1e-3),
        # torch.optim.SGD has no momentum unless it is given.
        Momentum=dict(lr=1e-3, momentum=0.0, dampening=0.0),
        Nesterov=dict(lr=1e-3, momentum=0.0),
        Rprop=dict(lr=1e-2, eta_minus=0.5, eta_plus=1.2, step_min=1e-6, step_max=50.0),
        AdaGrad=dict(lr=1e-2, eps=1e-10, initial=0.0, lr_decay=0.0),
        RMSProp=dict(lr=1e-2, rho=0.99, eps=1e-8, momentum=0.0),
        AdaDelta=dict(lr=1.0, rho=0.9, eps=1e-6),
        Adam=dict(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8),
        AdaMax=dict(lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8),
        Nadam=dict(lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8, momentum_decay=4e-3),
        AMSGrad=dict(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8),
        AdamW=dict(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=1e-2),
        AdamL2=dict(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0),
    ),
    # Optax asks for the learning rate; its Rprop (0.2.8) lags by a step and is left out.
    "optax": dict(
        SGD=dict(),
        Momentum=dict(),
        Nesterov=dict(),
        AdaGrad=dict(eps=1e-7, initial=0.1, eps_inside=True),
        RMSProp=dict(rho=0.9, eps=1e-8, eps_inside=True, lr_inside=True),
        AdaDelta=dict(rho=0.9, eps=1e-6),
        Adam=dict(beta1=0.9, beta2=0.999, eps=1e-8),
        AdaMax=dict(beta1=0.9, beta2=0.999, eps=1e-8),
        Nadam=dict(beta1=0.9, beta2=0.999, eps=1e-8, momentum_decay=math.inf),
        AMSGrad=dict(beta1=0.9, beta2=0.999, eps=1e-8, corrected=True),
        AdamW=dict(beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=1e-4),
    ),
    "keras": dict(
        SGD=dict(lr=1e-2),
        Momentum=dict(lr=1e-2, momentum=0.0, lr_inside=True),
        Nesterov=dict(lr=1e-2, momentum=0.0, lr_inside=True),
        AdaGrad=dict(lr=1e-3, eps=1e-7, initial=0.1, eps_inside=True),
        RMSProp=dict(lr=1e-3, rho=0.9, eps=1e-7, eps_inside=True, lr_inside=True),
        AdaDelta=dict(lr=1e-3, rho=0.95, eps=1e-7),
        Adam=dict(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-7, eps_hat=True),
        AdaMax=dict(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-7, eps_outside=True),
        Nadam=dict(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-7, momentum_decay=1.0),
        AMSGrad=dict(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-7, eps_hat=True),
        AdamW=dict(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-7, eps_hat=True, weight_decay=4e-3),
    ),
    # The optimizers of MLPClassifier and MLPRegressor, with the defaults of those classes.
    "sklearn": dict(
        SGD=dict(lr=1e-3),
        Momentum=dict(lr=1e-3, momentum=0.9, lr_inside=True),
        Nesterov=dict(lr=1e-3, momentum=0.9, lr_inside=True),
        Adam=dict(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, eps_hat=True),
    ),
    # autograd.misc.optimizers; its sgd averages the gradient, hence the factor 1 - momentum.
    "autograd": dict(
        Momentum=dict(lr=0.1 * (1 - 0.9), momentum=0.9),
        RMSProp=dict(lr=0.1, rho=0.9, eps=1e-8, initial=1.0),
        Adam=dict(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8),
    ),
}


def like(library: str) -> dict:
    """Return the hyperparameters with which each rule equals another library's.

    Parameters
    ----------
    library : {"torch", "optax", "keras", "sklearn", "autograd"}

    Returns
    -------
    dict
        Name of a rule to its keyword arguments: the library's defaults, and the options that name
        its variants. Rules that the library does not have are absent. Optax has no default ``lr``.

    Raises
    ------
    ValueError
        For a library that is not known here.

    Examples
    --------
    >>> Adam(**like("keras")["Adam"])
    Adam(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-07, eps_hat=True)
    """
    if library not in _LIBRARIES:
        raise ValueError(f"library={library!r}; expected one of {', '.join(_LIBRARIES)}.")
    return copy.deepcopy(_LIBRARIES[library])
