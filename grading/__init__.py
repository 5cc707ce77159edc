"""Course assignments: built from one text source each, graded in a sandbox.

`source` reads a text and draws its parameters, `build` makes the notebooks and zips, `handins`
finds what was handed in, `normalise` puts the answers into a pristine notebook, `sandbox` and
`execute` run it, `marks` decides, `course` keeps the gradebook, the feedback and the report.
"""


class _Placeholder:
    """Stands for the parameters in a source, so that an editor and a linter can read it.

    Wherever a source says ``P.name``, in code or in text, `build` puts the value that `parameters`
    of the source gave that name.
    """

    def __getattr__(self, name):
        return self


P = _Placeholder()


class GradingError(Exception):
    """A failure that the user can mend; the message says how."""
