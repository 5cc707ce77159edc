"""`says` compares the numbers a sentence prints with the values they stand for."""

import doctest
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from optimlib import checking
from optimlib.checking import numbers_in, says


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nothing at all", []),
        ("it is 3.", ["3"]),
        ("3.16 and .5 and -0.25", ["3.16", "0.5", "-0.25"]),
        ("minus sign −7, hyphen ‑7, en dash –7", ["-7", "-7", "-7"]),
        ("a difference 3-2, a range 5–10, a label L-2", ["3", "2", "5", "10", "2"]),
        ("(-5) {-5} $-5$ **-5** =-5", ["-5"] * 5),
        ("f(x)-1, x_{1}-1, A]-1", ["1", "1", "1"]),
        ("10,000 and 10{,}000 and 10\\,000", ["10000"] * 3),
        ("10\u202f000 and 10\u2009000 and 10\u00a0000.25", ["10000", "10000", "10000.25"]),
        ("1,234,567", ["1234567"]),
        ("lists 1,2,3 and 10,100,1000", ["1", "2", "3", "10", "100", "1000"]),
        ("lists 0.001,0.002", ["0.001", "0.002"]),
        ("mixed 1,234\\,567", ["1234", "567"]),
        ("1e-3, 1E3, 2.5e−4", ["0.001", "1E+3", "0.00025"]),
        ("not an exponent: 1e5x", ["1"]),
        (r"$3.2 \times 10^{-5}$ $3.2\,\cdot\,10^4$", ["0.000032", "3.2E+4"]),
        ("3.2 × 10⁻⁵ and 3.2·10⁵", ["0.000032", "3.2E+5"]),
        (r"$10^{-8}$ $10^6$ $10^{−2}$ 10⁷ -10^3", ["1E-8", "1E+6", "0.01", "1E+7", "-1E+3"]),
        (r"\approx3.2 and \times 2 and \,4", ["3.2", "2", "4"]),
        ("float64 beta1 v2.1 eq.3 2.13.0 1st 2nd 3rd 11th", []),
        (r"\beta_1 x_{10} x_{t=2} x_12 \beta_{12}^2", []),
        ("x^2 x^{-1} x^{10} x^{+3}", []),
        ("e^{-0.5} x^0.5", ["-0.5", "0.5"]),
        ("2^{10} 1/2 2x2 64-bit", ["2", "1", "2", "2", "64"]),
    ],
)
def test_numbers_in_reads_what_a_text_prints(text, expected):
    assert [str(number.value) for number in numbers_in(text)] == expected


@pytest.mark.parametrize("text", ["12.5 %", "12.5%", r"12.5\%", r"12.5\,\%", "12.5 per cent"])
def test_a_percentage_states_a_fraction(text):
    (number,) = numbers_in(text)
    assert number.percent
    says(text, 0.125)
    with pytest.raises(AssertionError, match=r"rounded|printed digits 12\.6 %"):
        says(text, 0.1256)


@pytest.mark.parametrize(
    ("text", "count"),
    [("7", True), ("10,000", True), ("7.0", False), ("7 %", False), ("10^7", False)],
)
def test_only_a_plain_integer_is_a_count(text, count):
    assert numbers_in(text)[0].is_count is count


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3.16", 3.1622776601683795),
        ("3.2", np.float32(3.1622777)),
        ("0.1", np.float16(0.1)),
        ("0.10000000000000000000", np.float32(0.1)),
        ("3", np.int64(3)),
        ("3.0", np.array(3)),
        ("0.333", Fraction(1, 3)),
        ("0.333", sympy.Rational(1, 3)),
        ("1.41421", sympy.sqrt(2)),
        ("0.3", Decimal("0.3")),
        ("123,456,789,012,345,678,901", 123456789012345678901),
        ("−7", -7),
        ("-0", 0),
        (r"3.2 \times 10^{-5}", 3.16e-5),
        ("10^{-8}", 1e-8),
        ("0.00", 1e-300),
        ("1e300", 1e300),
    ],
)
def test_says_accepts_the_rounded_value(text, value):
    says(text, value)


@pytest.mark.parametrize(
    ("text", "value", "right"),
    [
        ("3.17", 3.1622776601683795, "3.16"),
        ("3.15", 3.1622776601683795, "3.16"),
        ("7", -7, "-7"),
        ("123,456,789,012,345,678,902", 123456789012345678901, "123456789012345678901"),
        (r"3.3 \times 10^{-5}", 3.16e-5, "0.000032"),
        ("10^{-8}", 1e-7, "1.0E-7"),
        ("50 %", 0.125, "12 %"),
        ("0.1", 1e300, "1" + "0" * 300 + ".0"),
    ],
)
def test_says_names_text_number_value_and_rounded_value(text, value, right):
    sentence = f"it is {text} here"
    with pytest.raises(AssertionError) as error:
        says(sentence, value)
    message = str(error.value)
    for part in (f"prints {text} as number 1", f"value is {value}", f"digits {right}", sentence):
        assert part.replace("\\", "\\\\") in message or part in message


def test_a_tie_may_be_printed_either_way_and_nothing_beyond_it():
    says("0.28", 0.285)
    says("0.29", 0.285)
    says("0.28", np.float32(0.285))
    with pytest.raises(AssertionError):
        says("0.28", math.nextafter(0.285, 1))
    with pytest.raises(AssertionError):
        says("0.29", math.nextafter(0.285, 0))


def test_the_position_in_the_text_is_reported():
    with pytest.raises(AssertionError, match=r"prints 0\.3 as number 3"):
        says("from 0.1 over 0.2 to 0.3", 0.1, 0.2, 0.4)


def test_none_passes_over_a_name():
    says("Figure 2 shows 0.5", None, 0.5)
    with pytest.raises(AssertionError, match="number 2"):
        says("Figure 2 shows 0.5", None, 0.6)


@pytest.mark.parametrize("values", [(), (1,), (1, 2, 3)])
def test_every_number_needs_one_value(values):
    with pytest.raises(ValueError, match=rf"2 numbers \(1, 2\), but {len(values)} values"):
        says("1 and 2", *values)


@pytest.mark.parametrize("values", [(), (1,)])
def test_a_text_without_numbers_is_refused(values):
    with pytest.raises(ValueError, match="prints no number"):
        says("Adam is fast", *values)


@pytest.mark.parametrize(
    "value", [np.nan, np.inf, -np.inf, np.float32("nan"), Decimal("nan"), Decimal("inf"), sympy.oo]
)
def test_values_that_are_not_finite_are_refused(value):
    with pytest.raises(ValueError, match="finite"):
        says("1", value)


@pytest.mark.parametrize(
    "value",
    [
        True,
        np.bool_(True),
        "1",
        b"1",
        1j,
        np.complex128(1),
        np.array([1.0]),
        [1.0],
        object(),
        sympy.Symbol("x"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_that_are_not_one_real_number_are_refused(value):
    with pytest.raises(TypeError, match="value 2 is"):
        says("1 and 1", 1, value)


@pytest.mark.parametrize("text", [None, 3.0, b"1", ["1"]])
def test_a_text_that_is_no_string_is_refused(text):
    with pytest.raises(TypeError, match="text is"):
        says(text, 1)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 17))
def test_what_python_prints_is_accepted(value, digits):
    says(f"{value:.{digits}f}", value)
    says(f"{value:.{digits}e}", value)


@given(st.integers(-(10**6), 10**6), st.integers(0, 6))
def test_one_unit_in_the_last_place_is_refused(mantissa, digits):
    value = Decimal(mantissa).scaleb(-digits)
    wrong = value + Decimal(1).scaleb(-digits)
    with pytest.raises(AssertionError):
        says(f"{wrong:f}", value)


def test_the_examples_in_the_docstrings_run():
    results = doctest.testmod(checking)
    assert results.failed == 0
    assert results.attempted > 0
