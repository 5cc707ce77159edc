"""AMSGrad and AdamW."""

from grading import P

WITHHELD = ["AMSGrad", "Adam", "AdamW", "AdamL2"]


def parameters(draw):
    """Return what differs between two courses."""
    period = draw.integer(8, 10)
    return {
        "beta1": draw.choice(0.6, 0.7, 0.8),
        "beta2": draw.choice(0.8, 0.9, 0.95),
        "lam": draw.choice(0.2, 0.3, 0.4),
        "start": draw.choice(-2.5, -1.5, 1.5, 2.5),
        "shown": draw.signed(4, 1.0, 5.0, 1),
        "rates_shown": [draw.number(0.1, 0.5) for _ in range(4)],
        "peak": [
            draw.number(0.5, 1.5, 1),
            -draw.number(6.0, 9.0, 1),
            *draw.signed(6, 0.3, 3.0, 1),
        ],
        "table": [draw.signed(2, 0.5, 4.0) for _ in range(5)],
        "rates": [draw.number(0.05, 0.6) for _ in range(5)],
        "starts": draw.signed(3, 1.0, 6.0, 1),
        "faint": draw.signed(4, 1.0, 9.0, 1),
        "late": draw.integer(20, 60),
        "q": draw.choice(0.75, 0.8, 0.85),
        "slow": draw.choice(0.97, 0.98, 0.99),
        "gap": draw.integer(3, 5),
        "loud": draw.choice(1.5, 2.0),
        "louder": draw.number(2.5, 5.0, 1),
        "period": period,
        "last": period - 1,
        "pairs_shown": [draw.signed(2, 0.5, 4.0, 1) for _ in range(3)],
        "pairs": [draw.signed(2, 0.5, 4.0) for _ in range(4)],
        "steady": draw.choice(-0.9, -0.7, -0.5, 0.5, 0.7, 0.9),
    }


# %% [markdown]
r"""
# Assignment 5: AMSGrad and AdamW

You need the chapters *AMSGrad* and *AdamW*. Task 2 adds a gradient to the weight of
`ex-adamw-left`, `ex-amsgrad-cycle` is a first practice for task 3, and `ex-amsgrad-bugs` and
`ex-adamw-bugs` are one for task 4. Plan 110 minutes: 20 for task 1, 15 for task 2, 45 for task 3
with its plot, and 30 for task 4. Throughout $\lambda$ is the strength of the decay, and $\eta_t$
the learning rate of step $t = 1, 2, \dots$
"""

# %% given imports
import matplotlib.pyplot as plt
import numpy as np
import sympy as sp


def at(expression, **values):
    """Return a SymPy expression as a number; values go by the names of the symbols."""
    return float(expression.subs({s: values[s.name] for s in expression.free_symbols}))


# %% teacher reference
from scipy.optimize import brentq

from optimlib import SGD, Adam, AdamW, AMSGrad
from optimlib.schedules import Exponential


def visited(opt, x0, gradients):
    """Return the iterates of an optimizer of the package."""
    x, path = np.array(x0, dtype=float), []
    for g in gradients:
        x = opt.step(x, np.array(g, dtype=float))
        path.append(x)
    return np.array(path)


def decayed(x0, gradients, rates, lam, **options):
    """Return the iterates of AMSGrad with decoupled decay: the package's step, then the share."""
    opt, x, path = AMSGrad(lr=lambda t: rates[t - 1], **options), np.array(x0, dtype=float), []
    for g, lr in zip(gradients, rates, strict=True):
        x = opt.step(x, np.array(g, dtype=float)) - lr * lam * x
        path.append(x)
    return np.array(path)


def old_drift(C, beta2, n, k):
    """Return what Adam without momentum moves in the last period of a long run of task 3."""
    period = np.zeros(n)
    period[0], period[k] = C, -1.0
    opt = Adam(lr=1.0, beta1=0.0, beta2=beta2, eps=0.0)
    steps = 40 * n + int(40 / (1 - beta2))
    steps += -steps % n
    moves = [float(opt.step(0.0, period[t % n])) for t in range(steps)]
    return sum(moves[-n:])


# %% [markdown]
r"""
## 1 The largest moment and a decay

PyTorch's `AdamW` has a switch `amsgrad`. Write what it then computes, and the same with Optax's
form of AMSGrad:

- `corrected=False` is PyTorch's form of AMSGrad, `corrected=True` Optax's, as in the chapter's
  *Four rules by one name*. Both correct the first moment, and both add $\varepsilon$ outside the
  root.
- The decay is decoupled, in the libraries' convention: it takes the share $\eta_t\lambda$ of
  $x_{t-1}$.

The function gets all gradients and all learning rates, `gradients[0]` is $g_1$ and `rates[0]` is
$\eta_1$. It returns the iterates $x_1, \dots, x_T$, without $x_0$. The start and the gradients are
numbers, or arrays of one shape.
"""


# %% answer amsgradw
def amsgradw(x0, gradients, rates, lam, beta1, beta2, eps, corrected):
    """Return the array of iterates after each step."""
    # BEGIN SOLUTION
    x, path = np.array(x0, dtype=float), []
    m = v = largest = np.zeros_like(x)
    for t, (g, lr) in enumerate(zip(gradients, rates, strict=True), start=1):
        g = np.asarray(g, dtype=float)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat, left = m / (1 - beta1**t), 1 - beta2**t
        largest = np.maximum(largest, v / left if corrected else v)
        v_hat = largest if corrected else largest / left
        x = x - lr * m_hat / (np.sqrt(v_hat) + eps) - lr * lam * x
        path.append(x)
    return np.array(path)
    # END SOLUTION


# %% test amsgradw-four-steps
# Four steps of one weight, in PyTorch's form.
amsgradw(P.start, P.shown, P.rates_shown, P.lam, P.beta1, P.beta2, eps=1e-8, corrected=False)
# expected
options = dict(beta1=P.beta1, beta2=P.beta2, eps=1e-8)
decayed(P.start, P.shown, P.rates_shown, P.lam, **options)

# %% hidden amsgradw-forms
# A stream on which the two forms differ, without decay.
[amsgradw(0.0, P.peak, [0.1] * 8, 0.0, P.beta1, P.beta2, 1e-8, form) for form in (False, True)]
# expected
options = dict(beta1=P.beta1, beta2=P.beta2, eps=1e-8)
[decayed(0.0, P.peak, [0.1] * 8, 0.0, corrected=form, **options) for form in (False, True)]

# %% hidden amsgradw-arrays
# Several weights at once, one of them never with a gradient, and rates that change.
columns = np.column_stack([P.table, np.zeros(5)])
amsgradw(np.array(P.starts), columns, P.rates, 0.5, P.beta2, P.beta1, eps=1e-3, corrected=True)
# expected
columns = np.column_stack([P.table, np.zeros(5)])
options = dict(beta1=P.beta2, beta2=P.beta1, eps=1e-3, corrected=True)
decayed(P.starts, columns, P.rates, 0.5, **options)

# %% hidden amsgradw-epsilon
# Gradients as small as epsilon.
faint = 1e-6 * np.array(P.faint)
amsgradw(0.0, faint, [1.0] * 4, 0.1, P.beta1, P.beta2, eps=3e-6, corrected=False)
# expected
faint = 1e-6 * np.array(P.faint)
decayed(0.0, faint, [1.0] * 4, 0.1, beta1=P.beta1, beta2=P.beta2, eps=3e-6)

# %% [markdown]
r"""
## 2 A decay that stays behind

Let the decay of AdamW ignore the schedule: each step subtracts $\lambda x_{t-1}$, whatever
$\eta_t$ is (the chapter calls this $\lambda_F$). There is one weight, and $\varepsilon = 0$. The
loss gradient is a constant other than 0, of sign $s$, and

$$
\eta_t = \eta\, q^{t-1}, \qquad 0 < q < 1, \qquad 0 < \lambda < 1, \qquad q \ne 1 - \lambda .
$$

Give closed forms in SymPy, without a sum or a product left in them.

- `behind`: the weight $x_t$, from the start $x_0$.
- `lag`: the chapter puts a wall at $\eta_t/\lambda$, to which the weight is drawn. Let
  $q > 1 - \lambda$. To what does $|x_t|$, divided by $\eta_t/\lambda$, tend for large $t$?
"""

# %% answer stays-behind
x0, s = sp.symbols("x0 s", real=True)
eta, lam, q = sp.symbols("eta lam q", positive=True)
t = sp.Symbol("t", integer=True, positive=True)
behind = None
lag = None
# BEGIN SOLUTION
keep = 1 - lam
behind = keep**t * x0 - s * eta * (q**t - keep**t) / (q - keep)
lag = lam * q / (q - keep)
# END SOLUTION

# %% test behind-shown
# The weight after two steps.
at(behind, x0=P.start, s=1, eta=0.5, lam=P.lam, q=0.9, t=2)
# expected
opt = AdamW(lr=Exponential(0.5, 0.9), weight_decay=P.lam, decay_times_lr=False, eps=0.0)
visited(opt, P.start, [3.0] * 2)[-1]

# %% hidden behind-points
# The weight at other points.
points = [(P.starts[0], -1, 0.2, 0.4, P.q, 7), (P.starts[1], 1, 3.0, 0.05, P.q, P.late)]
[at(behind, x0=a, s=b, eta=e, lam=d, q=c, t=k) for a, b, e, d, c, k in points]
# expected
points = [(P.starts[0], -1, 0.2, 0.4, P.q, 7), (P.starts[1], 1, 3.0, 0.05, P.q, P.late)]
reached = []
for a, b, e, d, c, k in points:
    opt = AdamW(lr=Exponential(e, c), weight_decay=d, decay_times_lr=False, eps=0.0)
    reached.append(visited(opt, a, [0.2 * b] * k)[-1])
reached

# %% hidden lag-points
# The limit, for two schedules.
[at(lag, x0=2.0, s=-1, eta=0.7, lam=d, q=c) for d, c in ((0.15, P.slow), (P.lam, 0.95))]
# expected
limits = []
for d, c in ((0.15, P.slow), (P.lam, 0.95)):
    opt = AdamW(lr=Exponential(0.7, c), weight_decay=d, decay_times_lr=False, eps=0.0)
    limits.append(abs(visited(opt, 2.0, [-1.5] * 500)[-1]) * d / (0.7 * c**499))
limits

# %% [markdown]
r"""
## 3 One vote each

Of every $n$ steps two bring a gradient. With $j = (t - 1) \bmod n$,

$$
g_t = \begin{cases}
C & \text{if } j = 0, \\ -1 & \text{if } j = k, \\ 0 & \text{otherwise,}
\end{cases}
\qquad C > 1, \qquad 1 \le k \le n - 1 .
$$

As in the chapter, $x$ lives in $[-1, 1]$, the loss of step $t$ is $g_t\,x$, and the sum over a
period is $(C - 1)\,x$, which is least at $-1$. Here the two signs have a vote each. Run Adam with
$\beta_1 = 0$, $0 < \beta_2 < 1$, $\varepsilon = 0$ and a constant $\eta$, and let the run be so old
that the corrections are over and $v$ repeats with period $n$.

### 3a In SymPy

- `drift`: by how much $x$ changes in one period, in units of $\eta$, if it stays inside $[-1, 1]$.
- `threshold`: if $2k > n$, the $\beta_2$ at which the drift changes sign.
"""

# %% answer votes
C, beta2 = sp.symbols("C beta2", positive=True)
n, k = sp.symbols("n k", integer=True, positive=True)
drift = None
threshold = None
# BEGIN SOLUTION
common = (1 - beta2) / (1 - beta2**n)
v_loud = common * (C**2 + beta2 ** (n - k))
v_soft = common * (1 + C**2 * beta2**k)
drift = 1 / sp.sqrt(v_soft) - C / sp.sqrt(v_loud)
threshold = C ** (-sp.Integer(4) / (2 * k - n))
# END SOLUTION

# %% test drift-shown
# The drift at one point.
at(drift, C=P.loud, beta2=0.6, n=3, k=2)
# expected
old_drift(P.loud, 0.6, 3, 2)

# %% hidden drift-points
# The drift at other points.
points = [(P.louder, 0.7, P.period, P.gap), (P.loud, 0.4, 11, P.period), (P.loud, 0.9, 5, 1)]
[at(drift, C=c, beta2=b, n=m, k=j) for c, b, m, j in points]
# expected
points = [(P.louder, 0.7, P.period, P.gap), (P.loud, 0.4, 11, P.period), (P.loud, 0.9, 5, 1)]
[old_drift(*point) for point in points]

# %% hidden threshold-points
# The threshold, for three periods.
points = [(P.loud, 12, P.period), (P.louder, 7, 5), (P.loud, 6, 4)]
[at(threshold, C=c, n=m, k=j) for c, m, j in points]
# expected
points = [(P.loud, 12, P.period), (P.louder, 7, 5), (P.loud, 6, 4)]


def compared(beta2, c, m, j):
    """Return the drift from the cycle of v as a fixed point, but for a positive factor."""
    squares = np.zeros(m)
    squares[0], squares[j] = c**2, 1.0
    cycle = np.linalg.solve(np.eye(m) - beta2 * np.roll(np.eye(m), 1, axis=0), squares)
    return 1 / np.sqrt(cycle[j]) - c / np.sqrt(cycle[0])


[brentq(compared, 0.005, 0.999, args=point, xtol=1e-14) for point in points]

# %% [markdown]
r"""
### 3b Derivation (5 points, by hand)

Derive the drift, and prove that it is positive, towards the wrong end, if and only if $2k > n$ and
$\beta_2$ is below your threshold. Say in a sentence what $2k > n$ means for the two gradients and
why it matters.

**Rubric**

- 2 points: $v$ at both steps with a gradient is right, with the sum over all earlier periods.
- 2 points: the sign of the drift is reduced to one inequality in $\beta_2$; the case $2k \le n$ is
  treated.
- 1 point: the order of the two gradients is explained by what $v$ remembers at each.
"""

# %% [markdown] manual derivation points=5
r"""
A square of $i$ steps ago weighs $(1-\beta_2)\beta_2^i$. It was seen $n, 2n, \dots$ steps earlier
as well, which divides by $1-\beta_2^n$. At the step with $C$ the last $-1$ lies $n-k$ back; at the
step with $-1$ the last $C$ lies $k$ back. With $c = (1-\beta_2)/(1-\beta_2^n)$

$$
v_C = c\,(C^2 + \beta_2^{n-k}), \qquad v_1 = c\,(1 + C^2\beta_2^k), \qquad
D = \frac1{\sqrt{v_1}} - \frac C{\sqrt{v_C}} .
$$

$D > 0$ if and only if $v_C > C^2 v_1$, that is $\beta_2^{n-k} > C^4\beta_2^k$, or
$\beta_2^{2k-n} < C^{-4}$. If $2k \le n$, the left side is at least 1 and the right side below 1, so
$D < 0$ always. If $2k > n$, it holds exactly for $\beta_2 < C^{-4/(2k-n)}$.

$2k > n$ means that from the $-1$ it is a shorter way to the next $C$ than from the last one. Each
gradient is divided by its own size and by what is remembered of the other: $C$ still sees the $-1$,
and the $-1$ has nearly forgotten $C$.
"""

# %% [markdown]
r"""
### 3c Plot (5 points, by hand)

Let $C = P.loud$, $n = P.period$, $k = P.last$ and $\eta = 0.05$. Start at 0 and put $x$ back into
$[-1, 1]$ after every step. Choose a $\beta_2$ of about four fifths of the threshold. Plot $x$ at
the end of every period, over 500 periods or more, for Adam ($\beta_1 = 0$, $\varepsilon = 0$) and
for AMSGrad in the paper's form. Write below the plot, as a comment, after how many periods Adam
should reach an end of $[-1, 1]$ by your formula, after how many it does, and why the two differ.
Write the loop yourself.

**Rubric**

- 2 points: both curves are right.
- 1 point: axes are labelled, curves are told apart without colour, both ends can be seen.
- 2 points: predicted and measured number of periods, and a reason for what differs.
"""

# %% manual plot points=5
edge = P.loud ** (-4 / (2 * P.last - P.period))


def run(memory, keep_largest, periods=500, rate=0.05):
    """Return x at the end of every period."""
    x, v, largest, ends = 0.0, 0.0, 0.0, []
    for step in range(1, periods * P.period + 1):
        phase = (step - 1) % P.period
        g = P.loud if phase == 0 else -1.0 if phase == P.last else 0.0
        v = memory * v + (1 - memory) * g**2
        largest = max(largest, v)
        root = np.sqrt(largest if keep_largest else v / (1 - memory**step))
        x = min(1.0, max(-1.0, x - rate * g / root))
        if phase == P.period - 1:
            ends.append(x)
    return np.array(ends)


memory = 0.8 * edge
for name, keep_largest, line in ("Adam", False, "-"), ("AMSGrad", True, "--"):
    ends = run(memory, keep_largest)
    plt.plot(np.arange(1, len(ends) + 1), ends, line, label=rf"{name}, $\beta_2$ = {memory:.2f}")
    if not keep_largest:
        size = at(drift, C=P.loud, beta2=memory, n=P.period, k=P.last)
        arrived = 1 + int(np.argmax(ends == 1))
        print(f"drift {size:.3f}: predicted {20 / size:.0f} periods, measured {arrived}")
plt.axhline(-1, color="black", linewidth=0.5)
plt.axhline(1, color="black", linewidth=0.5)
plt.xlabel("period")
plt.ylabel("$x$ at the end of the period")
plt.legend()
plt.show()
# The way is 1 and a period moves x by 0.05 drift: 20 / drift periods. Adam needs a few less: at its
# first step v knows no -1 yet and is corrected to C**2, so that x goes down by 0.05 only, less than
# at the first step of any later period.

# %% [markdown]
r"""
## 4 Diagnosis

A colleague's AdamW for a table of word vectors departs from AdamW in three places.
"""


# %% given suspect
def suspect(x0, gradients, rates, lam, beta1, beta2, eps):
    """Return the iterates of an AdamW that is not one; x0 and every gradient are arrays."""
    x, path = np.array(x0, dtype=float), []
    m = v = np.zeros_like(x)
    for t, (g, lr) in enumerate(zip(np.array(gradients), rates, strict=True), start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * np.mean(g**2)
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        step = lr * (m_hat + lam * x) / (np.sqrt(v_hat) + eps)
        x = np.where(g == 0, x, x - step)
        path.append(x)
    return np.array(path)


# %% [markdown]
r"""
Repair it, in the colleague's own lines, for PyTorch's AdamW (without `amsgrad`).
"""


# %% answer repaired
def repaired(x0, gradients, rates, lam, beta1, beta2, eps):
    """Return the iterates of AdamW."""
    # BEGIN SOLUTION
    x, path = np.array(x0, dtype=float), []
    m = v = np.zeros_like(x)
    for t, (g, lr) in enumerate(zip(np.array(gradients), rates, strict=True), start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        step = lr * (m_hat / (np.sqrt(v_hat) + eps) + lam * x)
        x = x - step
        path.append(x)
    return np.array(path)
    # END SOLUTION


# %% test repaired-two-weights
# Two weights, three steps.
options = dict(lam=P.lam, beta1=P.beta1, beta2=P.beta2, eps=1e-8)
repaired([1.0, -2.0], P.pairs_shown, [0.1, 0.2, 0.1], **options)
# expected
options = dict(weight_decay=P.lam, beta1=P.beta1, beta2=P.beta2, eps=1e-8)
visited(AdamW(lr=lambda t: [0.1, 0.2, 0.1][t - 1], **options), [1.0, -2.0], P.pairs_shown)

# %% hidden repaired-four-weights
# Four weights, and an epsilon that matters.
gradients = np.zeros((5, 4))
gradients[:4, :2], gradients[1:, 2] = P.pairs, np.array(P.pairs)[:, 0]
options = dict(lam=0.7, beta1=P.beta2, beta2=P.beta1, eps=0.2)
repaired([*P.starts, 2.0], gradients, P.rates, **options)
# expected
gradients = np.zeros((5, 4))
gradients[:4, :2], gradients[1:, 2] = P.pairs, np.array(P.pairs)[:, 0]
options = dict(weight_decay=0.7, beta1=P.beta2, beta2=P.beta1, eps=0.2)
visited(AdamW(lr=lambda t: P.rates[t - 1], **options), [*P.starts, 2.0], gradients)

# %% [markdown]
r"""
Suppose that the place of the decay in the line with `step` were the only mistake. There is one
weight, every loss gradient is $P.steady$, $\lambda = P.lam$, $\varepsilon = 0$, and $\eta = 0.01$
throughout. To which number does the weight go? Give it to at least four digits.
"""

# %% answer settles
settles = None
# BEGIN SOLUTION
settles = -(P.steady) / P.lam
# END SOLUTION

# %% hidden settles-value rtol=1e-3
# The number of task 4.
settles
# expected
# With a constant gradient the divisor is its size: gradient descent on a penalised straight line.
size = abs(P.steady)
float(SGD(lr=0.01 / size).run(lambda x: P.steady + P.lam * x, 0.0, 6_000).x)

# %% [markdown]
r"""
### Explanation (5 points, by hand)

Name the three mistakes, and say for each alone what it does to the weights. Then suppose again
that only the place of the decay is wrong: what happens to a weight with a constant gradient, at
given $\eta$ and $\lambda$, the smaller that gradient is? Which result of the chapter no longer
holds?

**Rubric**

- 3 points: one for each mistake, named and with its effect.
- 1 point: the effect of the gradient's size is right, down to the smallest gradients.
- 1 point: the result is named, with what takes its place.
"""

# %% [markdown] manual explanation points=5
r"""
`np.mean` gives all weights one second moment. Weights whose gradients are smaller than the others'
take shorter steps than AdamW's, and the others longer ones. The first step without decay should be
$\eta$ for every weight; here it is in proportion to the gradient.

The decay stands inside the fraction, so the share it takes depends on the size of the gradients: it
is large where they are small, and small where they are large.

Where the gradient is 0 nothing moves. Such a weight does not decay, and it does not go on by what
$m$ remembers: a rare word stays where its last gradient left it.

Under a constant gradient $g$ the misplaced decay takes the share $\eta\lambda/|g|$ a step: the
smaller $g$, the more. While $|g| > \eta\lambda/2$ the weight goes to $-g/\lambda$; below that the
share is over 2 and the weight diverges. AdamW goes to $-\operatorname{sign}(g)/\lambda$, whatever
the size of $g$. So the theorem on the box no longer holds: this rule goes where L2 would.
"""
