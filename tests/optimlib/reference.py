"""Every rule in 50-digit arithmetic, written from its equation and for nothing but being right.

``walk("Adam", x0, gradients, lr=0.1)`` returns the iterates as mpmath numbers. A rule is a function
of the step number, the position, the gradient and a state that starts at zero; it returns the next
position. Its keyword defaults say what optimlib promises. A hyperparameter may be a function of t.
`FullAdaGrad` works on vectors, every other rule on one coordinate.
"""

from __future__ import annotations

import inspect

from mpmath import mp

DIGITS = 50


class State:
    """Attributes that are zero until they are set."""

    def __getattr__(self, name):
        return mp.zero


def exact(value):
    """Return a float, or a vector of them, as the same number in mpmath."""
    if value is None or isinstance(value, bool):
        return value
    if hasattr(value, "__len__"):
        return mp.matrix([float(v) for v in value])
    return mp.mpf(float(value))


def defaults(rule):
    """Return the hyperparameters of a rule and what they are unless given."""
    parameters = [*inspect.signature(RULES[rule]).parameters.values()]
    return {p.name: p.default for p in parameters[len(("t", "x", "g", "s")) :]}


def walk(rule, x0, gradients, digits=DIGITS, **hyper):
    """Return the positions after each of the gradients."""
    step = RULES[rule]
    hyper = defaults(rule) | hyper
    with mp.workdps(digits):
        x, state, path = exact(x0), State(), []
        for t, g in enumerate(gradients, 1):
            now = {name: exact(h(t) if callable(h) else h) for name, h in hyper.items()}
            x = step(t, x, exact(g), state, **now)
            path.append(x)
        return path


def sgd(t, x, g, s, lr=1e-3, weight_decay=0.0):
    return x - lr * (g + weight_decay * x)


def momentum(t, x, g, s, lr=1e-3, momentum=0.9, dampening=0.0, lr_inside=False, weight_decay=0.0):
    share = 1 if t == 1 else 1 - dampening
    inside, outside = (lr, 1) if lr_inside else (1, lr)
    s.b = momentum * s.b + inside * share * (g + weight_decay * x)
    return x - outside * s.b


def nesterov(t, x, g, s, lr=1e-3, momentum=0.9, lr_inside=False, weight_decay=0.0):
    inside, outside = (lr, 1) if lr_inside else (1, lr)
    g = inside * (g + weight_decay * x)
    s.b = momentum * s.b + g
    return x - outside * (g + momentum * s.b)


def rprop(t, x, g, s, lr=0.01, eta_minus=0.5, eta_plus=1.2, step_min=1e-6, step_max=50.0):
    agreement = mp.sign(g * s.previous)
    factor = {1: eta_plus, 0: 1, -1: eta_minus}[int(agreement)]
    s.size = min(max((lr if t == 1 else s.size) * factor, step_min), step_max)
    s.previous = mp.zero if agreement < 0 else g
    return x - mp.sign(s.previous) * s.size


def adagrad(t, x, g, s, lr=0.01, eps=1e-10, initial=0.0, eps_inside=False, lr_decay=0.0):
    s.sum += g**2
    return x - lr / (1 + (t - 1) * lr_decay) * g / root(initial + s.sum, eps, eps_inside)


def full_adagrad(t, x, g, s, lr=0.01, eps=1e-10):
    s.sum = g * g.T + (s.sum if t > 1 else mp.zeros(len(g)))
    values, vectors = mp.eigsy(s.sum)
    along = vectors.T * g
    scaled = [a / (mp.sqrt(max(v, 0)) + eps) for a, v in zip(along, values, strict=True)]
    return x - lr * vectors * mp.matrix(scaled)


def rmsprop(
    t, x, g, s, lr=0.01, rho=0.99, eps=1e-8, momentum=0.0, initial=0.0,
    centered=False, eps_inside=False, lr_inside=False,
):  # fmt: skip
    s.v = rho * (initial if t == 1 else s.v) + (1 - rho) * g**2
    s.m = rho * s.m + (1 - rho) * g
    inside, outside = (lr, 1) if lr_inside else (1, lr)
    s.b = momentum * s.b + inside * g / root(s.v - s.m**2 if centered else s.v, eps, eps_inside)
    return x - outside * s.b


def adadelta(t, x, g, s, lr=1.0, rho=0.9, eps=1e-6, eps_x=None):
    return adadelta_momentum(t, x, g, s, lr, rho, eps, eps_x, momentum=0)


def adadelta_momentum(t, x, g, s, lr=1.0, rho=0.9, eps=1e-6, eps_x=None, momentum=0.9):
    s.g2 = rho * s.g2 + (1 - rho) * g**2
    d = mp.sqrt(s.d2 + (eps if eps_x is None else eps_x)) / mp.sqrt(s.g2 + eps) * g
    s.d2 = rho * s.d2 + (1 - rho) * d**2
    s.b = momentum * s.b + lr * d
    return x - s.b


def adam(
    t, x, g, s, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, eps_hat=False, bias_correction=True
):
    s.m = beta1 * s.m + (1 - beta1) * g
    s.v = beta2 * s.v + (1 - beta2) * g**2
    c1, c2 = corrections(t, beta1, beta2, bias_correction)
    return x - adam_step(lr, s.m / c1, s.v / c2, c2, eps, eps_hat)


def adamax(t, x, g, s, lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8, eps_outside=False):
    s.m = beta1 * s.m + (1 - beta1) * g
    s.u = max(beta2 * s.u, abs(g) + (0 if eps_outside else eps))
    return x - lr * s.m / (1 - beta1**t) / (s.u + (eps if eps_outside else 0))


def nadam(t, x, g, s, lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8, momentum_decay=4e-3):
    def mu(t):
        return beta1 * (1 - mp.mpf("0.5") * mp.mpf(0.96) ** (t * momentum_decay))

    s.product = mu(t) * (1 if t == 1 else s.product)
    s.m = beta1 * s.m + (1 - beta1) * g
    s.v = beta2 * s.v + (1 - beta2) * g**2
    ahead = mu(t + 1) * s.m / (1 - s.product * mu(t + 1)) + (1 - mu(t)) * g / (1 - s.product)
    return x - lr * ahead / (mp.sqrt(s.v / (1 - beta2**t)) + eps)


def amsgrad(
    t, x, g, s, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8,
    eps_hat=False, corrected=False, bias_correction=True,
):  # fmt: skip
    s.m = beta1 * s.m + (1 - beta1) * g
    s.v = beta2 * s.v + (1 - beta2) * g**2
    c1, c2 = corrections(t, beta1, beta2, bias_correction)
    s.largest = max(s.largest, s.v / c2 if corrected else s.v)
    v_hat = s.largest if corrected else s.largest / c2
    return x - adam_step(lr, s.m / c1, v_hat, c2, eps, eps_hat)


def adamw(
    t, x, g, s, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8,
    weight_decay=1e-2, eps_hat=False, bias_correction=True, decay_times_lr=True,
):  # fmt: skip
    decay = weight_decay * (lr if decay_times_lr else 1)
    return adam(t, x, g, s, lr, beta1, beta2, eps, eps_hat, bias_correction) - decay * x


def adam_l2(
    t, x, g, s, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8,
    weight_decay=1e-2, eps_hat=False, bias_correction=True,
):  # fmt: skip
    g = g + weight_decay * x
    return adam(t, x, g, s, lr, beta1, beta2, eps, eps_hat, bias_correction)


def root(square, eps, eps_inside):
    return mp.sqrt(square + eps) if eps_inside else mp.sqrt(square) + eps


def corrections(t, beta1, beta2, bias_correction):
    return (1 - beta1**t, 1 - beta2**t) if bias_correction else (1, 1)


def adam_step(lr, m_hat, v_hat, c2, eps, eps_hat):
    # Kingma and Ba's epsilon-hat is added to the root of v, not of v / c2.
    return lr * m_hat / (mp.sqrt(v_hat) + (eps / mp.sqrt(c2) if eps_hat else eps))


RULES = {
    "SGD": sgd,
    "Momentum": momentum,
    "Nesterov": nesterov,
    "Rprop": rprop,
    "AdaGrad": adagrad,
    "FullAdaGrad": full_adagrad,
    "RMSProp": rmsprop,
    "AdaDelta": adadelta,
    "AdaDeltaMomentum": adadelta_momentum,
    "Adam": adam,
    "AdaMax": adamax,
    "Nadam": nadam,
    "AMSGrad": amsgrad,
    "AdamW": adamw,
    "AdamL2": adam_l2,
}
