"""Decide whether an answer is right. A student's process only ever sends numbers to this one."""

import json

import numpy as np

LONGEST = 200_000


def as_numbers(value):
    """Return an answer as an array of floats; a ragged or wordy one raises."""
    return np.asarray(value, dtype=float)


def agrees(answer, expected, rtol, atol):
    """Tell whether an array is what was expected: in shape, finite, and within tolerance."""
    answer, expected = as_numbers(answer), as_numbers(expected)
    if answer.shape != expected.shape or not np.isfinite(answer).all():
        return False
    return bool(np.all(np.abs(answer - expected) <= atol + rtol * np.abs(expected)))


def sent(text):
    """Return the array that a kernel sent as JSON, or None if it sent anything else."""
    if not isinstance(text, str) or len(text) > LONGEST:
        return None
    try:
        return as_numbers(json.loads(text))
    except (ValueError, TypeError, RecursionError, OverflowError):
        return None


def passes(test, text):
    """Tell whether the JSON that a kernel sent is the right answer to a test."""
    answer = sent(text)
    return answer is not None and agrees(answer, test["expected"], **test["tolerance"])
