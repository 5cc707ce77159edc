"""What nbgrader calls by name: the penalty for lateness, and the guard on its own grading."""

import json
import math
from pathlib import Path

from nbgrader.plugins import BasePlugin
from nbgrader.preprocessors import NbGraderPreprocessor

DAY = 24 * 60 * 60


def penalty(score, seconds, per_day, grace=0.0):
    """Return what lateness takes from a score: a share of it for every day begun.

    Parameters
    ----------
    score : float
    seconds : float
        How late.
    per_day : float
        The share of the score, 0.1 for a tenth.
    grace : float
        Minutes that cost nothing.
    """
    if seconds <= 60 * grace:
        return 0.0
    return min(score, score * per_day * math.ceil(seconds / DAY))


class PerDay(BasePlugin):
    """Takes a share of the score for every day begun, as the course folder says."""

    def late_submission_penalty(self, student_id, score, total_seconds_late):
        """Return the penalty, as nbgrader asks for it."""
        rules = Path(self.config.CourseDirectory.root) / "late.json"
        if not rules.is_file():
            return None
        said = json.loads(rules.read_text(encoding="utf-8"))
        return penalty(score, total_seconds_late, said["per_day"], said["grace"])


class RefuseToRun(NbGraderPreprocessor):
    """Stands where nbgrader would run a student's code, which it does without a sandbox."""

    def preprocess(self, nb, resources):
        """Refuse."""
        raise RuntimeError(
            "nbgrader's own autograding is switched off: it runs students' code with your rights. "
            "Grade with: python -m grading grade ASSIGNMENT HAND-INS"
        )
