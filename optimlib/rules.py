"""The update rules, simplest first.

Each ``update`` is the rule's equation, a line of mathematics a line of code. It does not know what
its numbers are: arrays, symbols, or quantities with units. It returns what is *subtracted* from x.

``t`` counts steps from 1, ``x`` is the iterate, ``g`` the gradient there, ``s`` the memory of the
rule, ``h`` its hyperparameters, ``xp`` the namespace of ``sqrt``, ``maximum``, ``where`` …
Defaults are PyTorch's. Where texts and libraries differ, an option names the difference.
"""

from __future__ import annotations

from .base import Optimizer
from .hyper import used


class SGD(Optimizer):
    r"""(Stochastic) gradient descent.

    .. math:: x_t = x_{t-1} - \eta\, g_t

    Parameters
    ----------
    lr : float, array or callable, default 1e-3
        Step size :math:`\eta \ge 0`; its unit is that of :math:`x^2/f`.
    weight_decay : float, array or callable, default 0
        L2 penalty :math:`\lambda`: the gradient becomes :math:`g + \lambda x`.

    Notes
    -----
    Source: Robbins and Monro (1951) for noisy gradients; Cauchy (1847) for exact ones.

    Examples
    --------
    >>> SGD(lr=0.25).step(8.0, 16.0)
    np.float64(4.0)
    """

    defaults = dict(lr=1e-3, weight_decay=0.0)
    slots = dict()

    def update(self, xp, t, x, g, s, h):
        if used(h.weight_decay):
            g = g + h.weight_decay * x
        return h.lr * g


class Momentum(Optimizer):
    r"""Gradient descent with momentum (the heavy ball).

    .. math::

        b_t &= \mu\, b_{t-1} + (1 - \tau)\, g_t, \qquad b_1 = g_1 \\
        x_t &= x_{t-1} - \eta\, b_t

    Parameters
    ----------
    lr : float, array or callable, default 1e-3
        Step size :math:`\eta \ge 0`.
    momentum : float, array or callable, default 0.9
        :math:`\mu`, in [0, 1).
    dampening : float, array or callable, default 0
        :math:`\tau`, in [0, 1]. As in PyTorch, the first gradient is not dampened.
    lr_inside : bool, default False
        Keep the step size inside the velocity, :math:`b_t = \mu b_{t-1} + \eta (1-\tau) g_t` and
        :math:`x_t = x_{t-1} - b_t`, as Keras, scikit-learn and Sutskever et al. do. The two forms
        are the same while ``lr`` is constant; after a change the old one lives on in ``b``.
    weight_decay : float, array or callable, default 0
        L2 penalty :math:`\lambda`.

    Notes
    -----
    Source: Polyak (1964), eq. (9). ``lr=(1 - momentum) * a`` gives the averaging form with step
    size ``a``.

    Examples
    --------
    >>> opt = Momentum(lr=0.1, momentum=0.5)
    >>> x = opt.step(0.0, 1.0)
    >>> opt.step(x, 1.0)
    np.float64(-0.25)
    """

    defaults = dict(lr=1e-3, momentum=0.9, dampening=0.0, lr_inside=False, weight_decay=0.0)
    slots = dict(b=0.0)

    def update(self, xp, t, x, g, s, h):
        if used(h.weight_decay):
            g = g + h.weight_decay * x
        weight = xp.where(t > 1, 1.0 - h.dampening, 1.0)
        if h.lr_inside:
            s.b = h.momentum * s.b + h.lr * weight * g
            return s.b
        s.b = h.momentum * s.b + weight * g
        return h.lr * s.b


class Nesterov(Optimizer):
    r"""Nesterov's accelerated gradient, in the variables the libraries use.

    .. math::

        b_t &= \mu\, b_{t-1} + g_t \\
        x_t &= x_{t-1} - \eta\, (g_t + \mu\, b_t)

    Parameters
    ----------
    lr : float, array or callable, default 1e-3
        Step size :math:`\eta \ge 0`.
    momentum : float, array or callable, default 0.9
        :math:`\mu`, in [0, 1).
    lr_inside : bool, default False
        Keep the step size inside the velocity: :math:`b_t = \mu b_{t-1} + \eta g_t`,
        :math:`x_t = x_{t-1} - (\mu b_t + \eta g_t)` (Keras, scikit-learn).
    weight_decay : float, array or callable, default 0
        L2 penalty :math:`\lambda`.

    Notes
    -----
    With :math:`y = x - \eta\mu b` this is the textbook form that evaluates the gradient at the
    look-ahead point: the iterate kept here *is* that point. Source: Nesterov (1983); Sutskever
    et al. (2013), eqs. (3)-(4).

    Examples
    --------
    >>> Nesterov(lr=0.1, momentum=0.5).step(0.0, 1.0)
    np.float64(-0.15000000000000002)
    """

    defaults = dict(lr=1e-3, momentum=0.9, lr_inside=False, weight_decay=0.0)
    slots = dict(b=0.0)

    def update(self, xp, t, x, g, s, h):
        if used(h.weight_decay):
            g = g + h.weight_decay * x
        if h.lr_inside:
            s.b = h.momentum * s.b + h.lr * g
            return h.momentum * s.b + h.lr * g
        s.b = h.momentum * s.b + g
        return h.lr * (g + h.momentum * s.b)


class Rprop(Optimizer):
    r"""Resilient propagation: only the sign of each partial derivative counts.

    .. math::

        \Delta_t &= \begin{cases}
            \eta_+ \Delta_{t-1} & g_t\, g_{t-1} > 0 \\
            \eta_- \Delta_{t-1} & g_t\, g_{t-1} < 0 \\
            \Delta_{t-1} & \text{else}
        \end{cases}
        \quad\text{kept within } [\Delta_{\min}, \Delta_{\max}] \\
        x_t &= x_{t-1} - \operatorname{sign}(g_t)\, \Delta_t

    and after a change of sign :math:`g_t` counts as 0: no move now, no comparison next time.

    Parameters
    ----------
    lr : float or array, default 1e-2
        First step :math:`\Delta_0`, in the unit of x. It cannot change later.
    eta_minus, eta_plus : float, array or callable, default 0.5 and 1.2
        Factors, ``0 < eta_minus < 1 < eta_plus``.
    step_min, step_max : float, array or callable, default 1e-6 and 50
        Bounds of the step, in the unit of x; they hold from the first step on.

    Notes
    -----
    The signs are compared, not the product :math:`g_t g_{t-1}`, which underflows to 0 for small
    gradients. Source: Riedmiller and Braun (1993); the variant without backtracking that PyTorch
    has; Igel and Hüsken (2003) call it iRprop-.

    Examples
    --------
    >>> opt = Rprop(lr=0.1)
    >>> x = opt.step(0.0, 1.0)
    >>> opt.step(x, 1.0)
    np.float64(-0.22)
    """

    defaults = dict(lr=1e-2, eta_minus=0.5, eta_plus=1.2, step_min=1e-6, step_max=50.0)
    slots = dict(step="lr", prev=0.0)
    nonnegative = ("step",)

    def update(self, xp, t, x, g, s, h):
        turn = xp.sign(g) * xp.sign(s.prev)
        shrunk = xp.where(turn < 0, h.eta_minus * s.step, s.step)
        grown = xp.where(turn > 0, h.eta_plus * s.step, shrunk)
        s.step = xp.minimum(xp.maximum(grown, h.step_min), h.step_max)
        s.prev = xp.where(turn < 0, 0, g)
        return xp.sign(s.prev) * s.step


class AdaGrad(Optimizer):
    r"""AdaGrad, diagonal form: a step size for every coordinate.

    .. math::

        G_t &= G_{t-1} + g_t^2 \\
        x_t &= x_{t-1} - \frac{\eta_t}{\sqrt{G_t} + \varepsilon}\, g_t, \qquad
        \eta_t = \frac{\eta}{1 + (t-1)\,\delta}

    Parameters
    ----------
    lr : float, array or callable, default 1e-2
        :math:`\eta \ge 0`, in the unit of x.
    eps : float, array or callable, default 1e-10
        :math:`\varepsilon \ge 0`, in the unit of g (of :math:`g^2` with ``eps_inside``).
    initial : float or array, default 0
        :math:`G_0 \ge 0`. Optax and Keras start at 0.1. It cannot change later.
    eps_inside : bool, default False
        :math:`\sqrt{G_t + \varepsilon}`, as Optax and Keras have it.
    lr_decay : float, array or callable, default 0
        :math:`\delta`, PyTorch's own addition.

    Notes
    -----
    Source: Duchi, Hazan and Singer (2011), Figure 1.

    Examples
    --------
    >>> AdaGrad(lr=0.5, eps=0.0).step(5.0, 100.0)
    np.float64(4.5)
    """

    defaults = dict(lr=1e-2, eps=1e-10, initial=0.0, eps_inside=False, lr_decay=0.0)
    slots = dict(G="initial")
    nonnegative = ("G",)

    def update(self, xp, t, x, g, s, h):
        s.G = s.G + g**2
        lr = h.lr / (1 + (t - 1) * h.lr_decay)
        if h.eps_inside:
            return lr * g / xp.sqrt(s.G + h.eps)
        return lr * g / (xp.sqrt(s.G) + h.eps)


class FullAdaGrad(Optimizer):
    r"""AdaGrad with the full matrix of outer products.

    .. math::

        G_t &= G_{t-1} + g_t g_t^{\mathsf T} \\
        x_t &= x_{t-1} - \eta\, \bigl(G_t^{1/2} + \varepsilon I\bigr)^{-1} g_t

    Parameters
    ----------
    lr : float, array or callable, default 1e-2
        :math:`\eta \ge 0`.
    eps : float, array or callable, default 1e-10
        :math:`\varepsilon \ge 0`, in the unit of g.

    Notes
    -----
    Each leaf of n numbers is one vector; its matrix has n² entries and a step costs O(n³). In
    directions that no gradient has shown, the inverse is taken as zero (the pseudo-inverse).
    Source: Duchi, Hazan and Singer (2011), Figure 2.

    Examples
    --------
    >>> FullAdaGrad(lr=0.5, eps=0.0).step(np.array([1.0, 1.0]), np.array([3.0, 4.0])).round(12)
    array([0.7, 0.6])
    """

    defaults = dict(lr=1e-2, eps=1e-10)
    slots = dict(G=0.0)
    nonnegative = ("G",)
    elementwise = False

    def update(self, xp, t, x, g, s, h):
        s.G = s.G + xp.outer(g, g)
        return h.lr * xp.inverse_root(s.G, h.eps)(g)


class RMSProp(Optimizer):
    r"""RMSProp: divide by the root of a moving mean of squares.

    .. math::

        v_t &= \rho\, v_{t-1} + (1-\rho)\, g_t^2 \\
        x_t &= x_{t-1} - \frac{\eta}{\sqrt{v_t} + \varepsilon}\, g_t

    Parameters
    ----------
    lr : float, array or callable, default 1e-2
        :math:`\eta \ge 0`, in the unit of x.
    rho : float, array or callable, default 0.99
        :math:`\rho`, in [0, 1). Keras, Optax and Hinton's lecture use 0.9.
    eps : float, array or callable, default 1e-8
        :math:`\varepsilon \ge 0`, in the unit of g (of :math:`g^2` with ``eps_inside``).
    momentum : float, array or callable, default 0
        :math:`\mu`, in [0, 1): the scaled gradients are accumulated, :math:`b_t = \mu b_{t-1} +
        g_t / (\sqrt{v_t} + \varepsilon)`, and x moves by :math:`\eta\, b_t`.
    initial : float or array, default 0
        :math:`v_0 \ge 0`. It cannot change later.
    centered : bool, default False
        Divide by the root of the *variance* :math:`v_t - \bar g_t^2`, where :math:`\bar g_t` is
        the moving mean of g. Rounding can make it negative; it is cut off at 0.
    eps_inside : bool, default False
        :math:`\sqrt{v_t + \varepsilon}`, as Optax and Keras have it.
    lr_inside : bool, default False
        With momentum: :math:`\eta` inside the velocity, as Optax and Keras have it.

    Notes
    -----
    Source: Tieleman and Hinton (2012), lecture 6.5; the centred form is Graves (2013), eqs.
    (38)-(41).

    Examples
    --------
    >>> RMSProp(lr=0.1, rho=0.75, eps=0.0).step(1.0, 3.0)
    np.float64(0.8)
    """

    defaults = dict(
        lr=1e-2,
        rho=0.99,
        eps=1e-8,
        momentum=0.0,
        initial=0.0,
        centered=False,
        eps_inside=False,
        lr_inside=False,
    )
    slots = dict(v="initial", mean=0.0, b=0.0)
    needs = dict(mean="centered", b="momentum")
    nonnegative = ("v",)

    def update(self, xp, t, x, g, s, h):
        s.v = h.rho * s.v + (1 - h.rho) * g**2
        v = s.v
        if h.centered:
            s.mean = h.rho * s.mean + (1 - h.rho) * g
            v = xp.maximum(s.v - s.mean**2, 0)
        scaled = g / xp.sqrt(v + h.eps) if h.eps_inside else g / (xp.sqrt(v) + h.eps)
        if "b" not in s:
            return h.lr * scaled
        if h.lr_inside:
            s.b = h.momentum * s.b + h.lr * scaled
            return s.b
        s.b = h.momentum * s.b + scaled
        return h.lr * s.b


class AdaDelta(Optimizer):
    r"""AdaDelta: the missing unit of the step comes from the steps themselves.

    .. math::

        v_t &= \rho\, v_{t-1} + (1-\rho)\, g_t^2 \\
        d_t &= \frac{\sqrt{D_{t-1} + \varepsilon_x}}{\sqrt{v_t + \varepsilon}}\, g_t \\
        D_t &= \rho\, D_{t-1} + (1-\rho)\, d_t^2 \\
        x_t &= x_{t-1} - \eta\, d_t

    Parameters
    ----------
    lr : float, array or callable, default 1.0
        :math:`\eta \ge 0`, a pure number. The paper has none (1); Keras's default is 0.001.
    rho : float, array or callable, default 0.9
        :math:`\rho`, in [0, 1).
    eps : float, array or callable, default 1e-6
        :math:`\varepsilon \ge 0`, in the unit of :math:`g^2`.
    eps_x : float, array, callable or None, default None
        :math:`\varepsilon_x \ge 0`, in the unit of :math:`x^2`. ``None`` uses ``eps`` for both, as
        the paper and every library do; the two then cannot both have the right unit. With 0 the
        method never leaves its start.

    Notes
    -----
    :math:`D` lags by one step: it holds the steps *before* this one. It takes the step before
    ``lr`` scales it. Source: Zeiler (2012), Algorithm 1.

    Examples
    --------
    >>> AdaDelta(rho=0.75, eps=1.0).step(0.0, 2.0)
    np.float64(-1.414213562373095)
    """

    defaults = dict(lr=1.0, rho=0.9, eps=1e-6, eps_x=None)
    slots = dict(v=0.0, D=0.0)
    nonnegative = ("v", "D")

    def update(self, xp, t, x, g, s, h):
        eps_x = h.eps if h.eps_x is None else h.eps_x
        s.v = h.rho * s.v + (1 - h.rho) * g**2
        d = xp.sqrt(s.D + eps_x) / xp.sqrt(s.v + h.eps) * g
        s.D = h.rho * s.D + (1 - h.rho) * d**2
        return h.lr * d


class AdaDeltaMomentum(AdaDelta):
    r"""AdaDelta whose steps are accumulated by momentum.

    .. math::

        b_t &= \mu\, b_{t-1} + \eta\, d_t \\
        x_t &= x_{t-1} - b_t

    with :math:`d_t` from `AdaDelta`.

    Parameters
    ----------
    lr, rho, eps, eps_x
        As in `AdaDelta`.
    momentum : float, array or callable, default 0.9
        :math:`\mu`, in [0, 1).

    Notes
    -----
    :math:`D` keeps AdaDelta's own step :math:`d_t`, not the velocity: fed with the velocity, it
    would raise the next step by up to :math:`1/(1-\mu)`, and that step would raise it again. No
    library has this rule; the variant is ours.

    Examples
    --------
    >>> opt = AdaDeltaMomentum(rho=0.75, eps=1.0, momentum=0.5)
    >>> opt.step(0.0, 2.0)
    np.float64(-1.414213562373095)
    """

    defaults = dict(lr=1.0, rho=0.9, eps=1e-6, eps_x=None, momentum=0.9)
    slots = dict(v=0.0, D=0.0, b=0.0)

    def update(self, xp, t, x, g, s, h):
        s.b = h.momentum * s.b + super().update(xp, t, x, g, s, h)
        return s.b


class Adam(Optimizer):
    r"""Adam: two moments, each corrected for its start at zero.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1-\beta_1)\, g_t, & \hat m_t &= m_t / (1-\beta_1^t) \\
        v_t &= \beta_2 v_{t-1} + (1-\beta_2)\, g_t^2, & \hat v_t &= v_t / (1-\beta_2^t) \\
        x_t &= x_{t-1} - \eta\, \frac{\hat m_t}{\sqrt{\hat v_t} + \varepsilon}

    Parameters
    ----------
    lr : float, array or callable, default 1e-3
        :math:`\eta \ge 0`, in the unit of x.
    beta1, beta2 : float, array or callable, default 0.9 and 0.999
        In [0, 1).
    eps : float, array or callable, default 1e-8
        :math:`\varepsilon \ge 0`, in the unit of g.
    eps_hat : bool, default False
        Add :math:`\varepsilon` to :math:`\sqrt{v_t}` instead of :math:`\sqrt{\hat v_t}`, which is
        the same as :math:`\varepsilon/\sqrt{1-\beta_2^t}` here: the paper's "ε-hat" form (end of
        its section 2), used by Keras and scikit-learn.
    bias_correction : bool, default True
        ``False`` uses :math:`m_t` and :math:`v_t` as they are.

    Notes
    -----
    A coordinate whose gradient is zero goes on moving while :math:`m` remembers older ones.
    Source: Kingma and Ba (2015), Algorithm 1.

    Examples
    --------
    >>> Adam(lr=0.1, eps=0.0).step(1.0, 20.0)
    np.float64(0.9)
    """

    defaults = dict(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, eps_hat=False, bias_correction=True)
    slots = dict(m=0.0, v=0.0)
    nonnegative = ("v",)

    def update(self, xp, t, x, g, s, h):
        s.m = h.beta1 * s.m + (1 - h.beta1) * g
        s.v = h.beta2 * s.v + (1 - h.beta2) * g**2
        c1 = 1 - h.beta1**t if h.bias_correction else 1.0
        c2 = 1 - h.beta2**t if h.bias_correction else 1.0
        m_hat = s.m / c1
        v_hat = s.v / c2
        eps = h.eps / xp.sqrt(c2) if h.eps_hat else h.eps
        return h.lr * m_hat / (xp.sqrt(v_hat) + eps)


class AdaMax(Optimizer):
    r"""AdaMax: Adam with the largest recent gradient in place of the root mean square.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1-\beta_1)\, g_t \\
        u_t &= \max(\beta_2 u_{t-1},\ |g_t| + \varepsilon) \\
        x_t &= x_{t-1} - \frac{\eta}{1-\beta_1^t}\, \frac{m_t}{u_t}

    Parameters
    ----------
    lr : float, array or callable, default 2e-3
        :math:`\eta \ge 0`, in the unit of x.
    beta1, beta2 : float, array or callable, default 0.9 and 0.999
        In [0, 1).
    eps : float, array or callable, default 1e-8
        :math:`\varepsilon \ge 0`, in the unit of g. The paper has none; without it a coordinate
        that never had a gradient is 0/0.
    eps_outside : bool, default False
        :math:`u_t = \max(\beta_2 u_{t-1}, |g_t|)`, divide by :math:`u_t + \varepsilon` (Keras).

    Notes
    -----
    Source: Kingma and Ba (2015), Algorithm 2.

    Examples
    --------
    >>> AdaMax(lr=0.5, eps=0.0).step(1.0, -3.0)
    np.float64(1.5)
    """

    defaults = dict(lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8, eps_outside=False)
    slots = dict(m=0.0, u=0.0)
    nonnegative = ("u",)

    def update(self, xp, t, x, g, s, h):
        s.m = h.beta1 * s.m + (1 - h.beta1) * g
        m_hat = s.m / (1 - h.beta1**t)
        if h.eps_outside:
            s.u = xp.maximum(h.beta2 * s.u, xp.abs(g))
            return h.lr * m_hat / (s.u + h.eps)
        s.u = xp.maximum(h.beta2 * s.u, xp.abs(g) + h.eps)
        return h.lr * m_hat / s.u


class Nadam(Optimizer):
    r"""Nadam: Adam with Nesterov's look-ahead in the first moment.

    .. math::

        \mu_t &= \beta_1 \bigl(1 - \tfrac12\, 0.96^{\,\psi t}\bigr), \qquad
        P_t = P_{t-1}\, \mu_t,\ P_0 = 1 \\
        m_t &= \beta_1 m_{t-1} + (1-\beta_1)\, g_t \\
        v_t &= \beta_2 v_{t-1} + (1-\beta_2)\, g_t^2 \\
        \bar m_t &= \frac{\mu_{t+1}\, m_t}{1 - P_t\, \mu_{t+1}} + \frac{(1-\mu_t)\, g_t}{1 - P_t} \\
        x_t &= x_{t-1} - \eta\, \frac{\bar m_t}{\sqrt{v_t / (1-\beta_2^t)} + \varepsilon}

    Parameters
    ----------
    lr : float, array or callable, default 2e-3
        :math:`\eta \ge 0`, in the unit of x.
    beta1, beta2 : float, array or callable, default 0.9 and 0.999
        In [0, 1).
    eps : float, array or callable, default 1e-8
        :math:`\varepsilon \ge 0`, in the unit of g.
    momentum_decay : float, array or callable, default 4e-3
        :math:`\psi \ge 0`. 4e-3 is PyTorch's schedule, 1 is Keras's, ``inf`` a constant
        :math:`\mu = \beta_1` (Optax).

    Notes
    -----
    Source: Dozat (2016), the rule with a schedule of :math:`\mu_t`.

    Examples
    --------
    >>> Nadam(lr=0.1, eps=0.0, momentum_decay=float("inf")).step(0.0, 1.0).round(12)
    np.float64(-0.147368421053)
    """

    defaults = dict(lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8, momentum_decay=4e-3)
    slots = dict(m=0.0, v=0.0)
    scalars = dict(mu_product=1.0)
    nonnegative = ("v", "mu_product")

    def update(self, xp, t, x, g, s, h):
        mu = h.beta1 * (1 - 0.5 * 0.96 ** (h.momentum_decay * t))
        mu_next = h.beta1 * (1 - 0.5 * 0.96 ** (h.momentum_decay * (t + 1)))
        s.mu_product = s.mu_product * mu
        s.m = h.beta1 * s.m + (1 - h.beta1) * g
        s.v = h.beta2 * s.v + (1 - h.beta2) * g**2
        ahead = mu_next / (1 - s.mu_product * mu_next) * s.m
        now = (1 - mu) / (1 - s.mu_product) * g
        v_hat = s.v / (1 - h.beta2**t)
        return h.lr * (ahead + now) / (xp.sqrt(v_hat) + h.eps)


class AMSGrad(Optimizer):
    r"""AMSGrad: Adam that divides by the largest second moment so far.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1-\beta_1)\, g_t \\
        v_t &= \beta_2 v_{t-1} + (1-\beta_2)\, g_t^2 \\
        v^{\max}_t &= \max(v^{\max}_{t-1}, v_t) \\
        x_t &= x_{t-1} - \eta\, \frac{m_t / (1-\beta_1^t)}
        {\sqrt{v^{\max}_t / (1-\beta_2^t)} + \varepsilon}

    Parameters
    ----------
    lr : float, array or callable, default 1e-3
        :math:`\eta \ge 0`, in the unit of x.
    beta1, beta2 : float, array or callable, default 0.9 and 0.999
        In [0, 1).
    eps : float, array or callable, default 1e-8
        :math:`\varepsilon \ge 0`, in the unit of g.
    eps_hat : bool, default False
        Divide by :math:`\sqrt{1-\beta_2^t}` in ε too, as in `Adam` (Keras).
    corrected : bool, default False
        Take the maximum of the corrected :math:`\hat v_t` (Optax) instead of correcting the
        maximum of :math:`v_t` with today's factor (PyTorch, Keras).
    bias_correction : bool, default True
        ``False`` is the paper's rule: no correction of either moment.

    Notes
    -----
    The maximum runs over the whole past, not over the last two values. Source: Reddi, Kale and
    Kumar (2018), Algorithm 2.

    Examples
    --------
    >>> AMSGrad(lr=0.1, eps=0.0).step(1.0, 20.0)
    np.float64(0.9)
    """

    defaults = dict(
        lr=1e-3,
        beta1=0.9,
        beta2=0.999,
        eps=1e-8,
        eps_hat=False,
        corrected=False,
        bias_correction=True,
    )
    slots = dict(m=0.0, v=0.0, v_max=0.0)
    nonnegative = ("v", "v_max")

    def update(self, xp, t, x, g, s, h):
        s.m = h.beta1 * s.m + (1 - h.beta1) * g
        s.v = h.beta2 * s.v + (1 - h.beta2) * g**2
        c1 = 1 - h.beta1**t if h.bias_correction else 1.0
        c2 = 1 - h.beta2**t if h.bias_correction else 1.0
        m_hat = s.m / c1
        if h.corrected:
            s.v_max = xp.maximum(s.v_max, s.v / c2)
            v_hat = s.v_max
        else:
            s.v_max = xp.maximum(s.v_max, s.v)
            v_hat = s.v_max / c2
        eps = h.eps / xp.sqrt(c2) if h.eps_hat else h.eps
        return h.lr * m_hat / (xp.sqrt(v_hat) + eps)


class AdamW(Adam):
    r"""Adam with decoupled weight decay.

    .. math:: x_t = x_{t-1} - \eta\, \frac{\hat m_t}{\sqrt{\hat v_t} + \varepsilon}
        - \eta \lambda\, x_{t-1}

    Parameters
    ----------
    lr, beta1, beta2, eps, eps_hat, bias_correction
        As in `Adam`.
    weight_decay : float, array or callable, default 1e-2
        :math:`\lambda \ge 0`.
    decay_times_lr : bool, default True
        ``False`` subtracts :math:`\lambda x_{t-1}` whatever :math:`\eta` is: the paper's rule, in
        which only a schedule multiplies both terms.

    Notes
    -----
    The decay acts on the iterate before the step. Source: Loshchilov and Hutter (2019),
    Algorithm 2.

    Examples
    --------
    >>> AdamW(lr=0.1, eps=0.0, weight_decay=0.5).step(1.0, 1.0)
    np.float64(0.85)
    """

    defaults = dict(
        lr=1e-3,
        beta1=0.9,
        beta2=0.999,
        eps=1e-8,
        weight_decay=1e-2,
        eps_hat=False,
        bias_correction=True,
        decay_times_lr=True,
    )

    def update(self, xp, t, x, g, s, h):
        decay = h.lr * h.weight_decay if h.decay_times_lr else h.weight_decay
        return super().update(xp, t, x, g, s, h) + decay * x


class AdamL2(Adam):
    r"""Adam on a loss with an L2 penalty: the decay passes through both moments.

    .. math:: g_t \leftarrow g_t + \lambda\, x_{t-1}, \qquad\text{then as in Adam.}

    Parameters
    ----------
    lr, beta1, beta2, eps, eps_hat, bias_correction
        As in `Adam`.
    weight_decay : float, array or callable, default 1e-2
        :math:`\lambda \ge 0`: the penalty is :math:`\tfrac{\lambda}{2}\lVert x\rVert^2`. (This is
        ``torch.optim.Adam(weight_decay=...)``, whose default is 0; here it is AdamW's, so that the
        pair compares.)

    Notes
    -----
    Source: Loshchilov and Hutter (2019), Algorithm 2, the line marked as L2 regularisation.

    Examples
    --------
    >>> AdamL2(lr=0.1, eps=0.0, weight_decay=0.5).step(1.0, 1.0)
    np.float64(0.9)
    """

    defaults = dict(
        lr=1e-3,
        beta1=0.9,
        beta2=0.999,
        eps=1e-8,
        weight_decay=1e-2,
        eps_hat=False,
        bias_correction=True,
    )

    def update(self, xp, t, x, g, s, h):
        return super().update(xp, t, x, g + h.weight_decay * x, s, h)


#: Every rule by its name.
RULES = {
    rule.__name__: rule
    for rule in (
        SGD,
        Momentum,
        Nesterov,
        Rprop,
        AdaGrad,
        FullAdaGrad,
        RMSProp,
        AdaDelta,
        AdaDeltaMomentum,
        Adam,
        AdaMax,
        Nadam,
        AMSGrad,
        AdamW,
        AdamL2,
    )
}
