r"""Compare the numbers printed in a sentence with the values they stand for.

A chapter states its results in prose. A hidden check cell repeats the sentence and gives the
computed values, so a number that is typed wrongly, or that went stale, stops the run.
"""

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from numbers import Integral

import numpy as np

__all__ = ["PrintedNumber", "numbers_in", "says"]

_MINUS = "-\u2010\u2011\u2013\u2212"  # hyphen-minus, hyphens, en dash, minus sign
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_PATTERN = re.compile(
    rf"""
    (?P<name>                                   # digits that belong to a name or a symbol:
        \\[A-Za-z]+(?=\d|_|\b)                  #   \times, \approx, \beta
      | _\{{[^{{}}]*\}} | _\w+                  #   a subscript, x_{{10}} or \beta_1
      | \^\d+(?!\.?\d) | \^\{{[+{_MINUS}]?\d+\}} #  an integer power, x^2 or x^{{-1}}
      | [^\W\d_][^\W_]*(?:\.\d+)*               #   float64, beta1, v2.1
      | \d+(?:\.\d+){{2,}}                      #   a version, 2.13.0
      | \d+(?:st|nd|rd|th)\b                    #   an ordinal, 2nd
    )
  | (?P<sign>(?<![\w)\]}}.])[{_MINUS}])?
    (?:
        10(?:\^\{{?(?P<power>[+{_MINUS}]?\d+)\}}?|(?P<high_power>[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+))
      | (?P<digits>
            \d{{1,3}}(?:(?P<comma>,|\{{,\}}|\\,|[\u00a0\u2009\u202f])\d{{3}})
                (?:(?P=comma)\d{{3}})*(?!(?P=comma)?\d)(?:\.\d+)?
          | \d+(?:\.\d+)?
          | \.\d+
        )
        (?:
            [eE](?P<exponent>[+{_MINUS}]?\d+)(?!\w)
          | (?:\s|\\[,;:!])*(?:\\times|\\cdot|[×·])(?:\s|\\[,;:!])*
            10(?:\^\{{?(?P<times>[+{_MINUS}]?\d+)\}}?|(?P<high_times>[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+))
        )?
    )
    (?P<percent>(?:\s|\\[,;:!])*\\?%|\s+per\s?cent\b)?
    """,
    re.VERBOSE,
)
_EXACT = Context(prec=10_000, Emin=-999_999, Emax=999_999)


@dataclass(frozen=True)
class PrintedNumber:
    """A number as a text prints it.

    Parameters
    ----------
    text : str
        The characters that print it, sign, exponent and percent sign included.
    value : decimal.Decimal
        What they say. A percentage keeps its printed size: 12.5 for ``12.5 %``.
    percent : bool
        True if a percent sign follows.
    """

    text: str
    value: Decimal
    percent: bool = False

    @property
    def unit(self):
        """One unit in the last printed place, e.g. 0.01 for ``3.16``."""
        return Decimal((0, (1,), self.value.as_tuple().exponent))

    @property
    def is_count(self):
        """True for a plain integer, False for a decimal, a power of ten or a percentage."""
        return not self.percent and self.value.as_tuple().exponent == 0

    def agrees(self, value):
        """Tell whether the exact decimal `value` rounds to this number."""
        value = _EXACT.scaleb(value, 2) if self.percent else value
        return abs(_EXACT.subtract(value, self.value)) <= self.unit / 2

    def rounded(self, value):
        """Return the exact decimal `value` as it would be printed to these digits."""
        value = _EXACT.scaleb(value, 2) if self.percent else value
        digits = value.quantize(self.unit, rounding=ROUND_HALF_EVEN, context=_EXACT)
        return f"{digits} %" if self.percent else str(digits)


def numbers_in(text):
    r"""List the numbers that a text prints, in order.

    Understood are signs (hyphen or minus sign), decimals, thousands separators (comma, thin or
    non-breaking space, ``\,``), ``1e-3``, ``3.2 \times 10^{-5}`` and ``3.2 × 10⁻⁵``, a power of
    ten alone, and percentages. Digits that are part of a name are passed over: ``float64``,
    ``\beta_1``, ``x_{10}``, ``2nd``, a version such as ``2.13.0``; so are integer powers,
    ``x^2``.

    Parameters
    ----------
    text : str
        Prose, Markdown or LaTeX.

    Returns
    -------
    list of PrintedNumber

    Examples
    --------
    >>> [str(number.value) for number in numbers_in(r"$\beta_1 = 0.9$ needs 10,000 steps")]
    ['0.9', '10000']
    >>> [str(number.value) for number in numbers_in(r"$-3.2 \times 10^{-5}$, i.e. 4 % of $x^2$")]
    ['-0.000032', '4']
    """
    found = []
    for match in _PATTERN.finditer(text):
        if match["name"] is not None:
            continue
        if match["digits"] is None:
            digits, exponent = "1", match["power"] or match["high_power"]
        else:
            digits = match["digits"].replace(match["comma"] or ",", "")
            exponent = match["exponent"] or match["times"] or match["high_times"] or "0"
        exponent = exponent.translate(_SUPERSCRIPTS)
        exponent = re.sub(f"[{_MINUS}]", "-", exponent)
        sign = "-" if match["sign"] else ""
        value = Decimal(f"{sign}{digits}e{exponent}")
        found.append(PrintedNumber(match.group(), value, percent=match["percent"] is not None))
    return found


def _decimals(value, position):
    """Return `value` as decimals: the shortest that identifies it and what its bits say."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (bool, np.bool_, str, bytes, np.ndarray)) or np.iscomplexobj(value):
        raise TypeError(
            f"value {position} is {value!r} of type {type(value).__name__}, but one real number "
            "is expected: give a scalar, e.g. x[0] or abs(z)"
        )
    if isinstance(value, Integral):
        return [Decimal(int(value))]
    if not isinstance(value, (Decimal, np.floating)):
        try:
            value = float(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise TypeError(
                f"value {position} is {value!r} of type {type(value).__name__}, which float() "
                "refuses: give a number"
            ) from error
    shortest = Decimal(str(value))
    if not shortest.is_finite():
        raise ValueError(f"value {position} is {value}, but a text can only state finite numbers")
    return [shortest] if isinstance(value, Decimal) else [shortest, Decimal(float(value))]


def says(text, *values):
    r"""Raise unless each number printed in `text` is its value, rounded to the printed digits.

    The printed number :math:`p` with last place :math:`u` (0.01 for ``3.16``) states the value
    :math:`v` if :math:`|v - p| \le u/2`, so a tie may be printed either way. The comparison is in
    decimals and exact; a float may be read as its bits or as the shortest decimal that identifies
    it.

    Parameters
    ----------
    text : str
        A fragment of the prose, word for word. `numbers_in` says what counts as a number.
    *values : real number or None
        One for each number, in order: Python, NumPy, SymPy, anything `float` accepts. A number
        printed with a percent sign stands for a fraction: ``12.5 %`` states 0.125. None passes
        over a number that is only a name, as in ``Figure 2``.

    Raises
    ------
    AssertionError
        If a printed number differs from its value; the message gives the text, the number, the
        value and the value rounded to the printed digits.
    ValueError
        If `text` prints no number, if there are more or fewer values than numbers, or if a value
        is infinite or NaN.
    TypeError
        If `text` is not a string or a value is not one real number.

    Examples
    --------
    >>> says(r"the step grows by $\sqrt{10} \approx 3.16$", 10, 10**0.5)
    >>> says("it errs in 12.5 % of 2,000 trials", 1 / 8, 2000)
    >>> says(r"Chapter 8 measures $3.2 \times 10^{-5}$", None, 3.1623e-5)
    >>> says("it takes 41 steps", 42)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    AssertionError: the text prints 41 as number 1, but the value is 42...
    """
    if not isinstance(text, str):
        raise TypeError(
            f"text is {text!r} of type {type(text).__name__}, but a fragment of the prose is "
            "expected: says('takes 41 steps', steps)"
        )
    printed = numbers_in(text)
    if not printed:
        raise ValueError(f"the text prints no number, so nothing can be compared: {text!r}")
    if len(printed) != len(values):
        listed = ", ".join(number.text.strip() for number in printed)
        raise ValueError(
            f"the text prints {len(printed)} numbers ({listed}), but {len(values)} values were "
            f"given: give one for each, None for a number that is only a name: {text!r}"
        )
    for position, (number, value) in enumerate(zip(printed, values, strict=True), start=1):
        if value is None:
            continue
        decimals = _decimals(value, position)
        if not any(map(number.agrees, decimals)):
            raise AssertionError(
                f"the text prints {number.text} as number {position}, but the value is {value}, "
                f"to the printed digits {number.rounded(decimals[0])}: correct the text or the "
                f"computation: {text!r}"
            )
