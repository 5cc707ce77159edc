"""What every test shares: the summary of what a run established, and two guards.

A test states what it establishes with `tally`. Call it before the assertions, with what is
attempted and what a success adds:

    def test_parity(pytestconfig, ...):
        tally(pytestconfig, "parity", pairs=1, equal=1)
        np.testing.assert_allclose(...)

If the test fails, `equal` is not counted and `pairs` is, so the failure shows in the numbers.
"""

import os
from collections import Counter

import pytest
from hypothesis import settings

try:
    from nbval.plugin import IPyNbCell

    from tools.notebooks import moving_figure
except ImportError:  # the tests of optimlib alone need no notebook
    IPyNbCell = ()

settings.register_profile("ci", derandomize=True, deadline=None, database=None, print_blob=True)

# section: (what its line says, what is attempted, what a success adds)
_SECTIONS = {
    "parity": ("rules × libraries at parity", "pairs", "equal"),
    "reports": ("reports replayed", "known", "replayed"),
    "mutants": ("mutants killed", "made", "killed"),
    "handins": ("fabricated hand-ins graded as stated", "made", "graded"),
}
_MARKS = ("browser", "sandbox")  # what a machine may lack
_PLUGIN = "what-the-run-established"
_NO_BROWSER = "no Chromium found; Debian, Ubuntu: sudo apt install chromium"
_NO_SITE = "the site is not built; run: make site"


def tally(config, section, **counts):
    """Add counts to a line of the summary.

    Parameters
    ----------
    config : pytest.Config
        The fixture `pytestconfig`, or `request.config`.
    section : {"parity", "reports", "mutants", "handins"}
        The line: parity counts `pairs` and `equal`, reports `known` and `replayed`, mutants
        `made` and `killed`, handins `made` and `graded`.
    **counts : int
        What to add. The second of a line's counts is dropped if the calling test fails.

    Raises
    ------
    ValueError
        If the section or a count is unknown or a count is negative.
    """
    config.pluginmanager.get_plugin(_PLUGIN).add(section, counts)


class _Established:
    """Listens to the run and writes the summary."""

    def __init__(self):
        self.current = None
        self.failed = set()
        self.entries = []
        self.notebooks = {}
        self.moving = set()
        self.marked = {mark: Counter() for mark in _MARKS}
        self.not_run = {mark: set() for mark in _MARKS}

    def add(self, section, counts):
        if section not in _SECTIONS:
            raise ValueError(f"unknown section {section!r}: give one of {', '.join(_SECTIONS)}")
        known = _SECTIONS[section][1:]
        wrong = {key: count for key, count in counts.items() if key not in known or count < 0}
        if wrong or not counts:
            raise ValueError(f"{section} counts {known} from 0 upwards, but {counts} was given")
        self.entries.append((self.current, section, counts))

    def pytest_runtest_logstart(self, nodeid):
        self.current = nodeid

    def pytest_runtest_setup(self, item):
        # nbval compares nothing where the stored cell has no execution count
        stored = item.cell if isinstance(item, IPyNbCell) else None
        if stored and stored.source.strip() and stored.execution_count is None:
            pytest.fail(
                f"{item.path.name}, cell {stored.get('id')}: never run, so no output can be "
                "compared: run `make notebooks`",
                pytrace=False,
            )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        if report.failed:
            self.failed.add(item.nodeid)
        if isinstance(item, IPyNbCell) and (report.when == "call" or report.failed):
            cells = self.notebooks.setdefault(item.path, {})
            outputs = item.cell.outputs if item.cell.cell_type == "code" else ()
            if report.passed and outputs and all(map(moving_figure, outputs)):
                self.moving.add(item.nodeid)  # its page and its widgets have tests of their own
                return report
            compared = item.options["check"] and item.cell.execution_count is not None
            cells[item.nodeid] = compared and report.passed
        for mark in _MARKS:
            if item.get_closest_marker(mark) and (report.when == "call" or not report.passed):
                self.marked[mark][report.outcome] += 1
                if report.skipped and isinstance(report.longrepr, tuple):
                    self.not_run[mark].add(report.longrepr[2].removeprefix("Skipped: "))
        return report

    def pytest_terminal_summary(self, terminalreporter):
        terminalreporter.section("what this run established")
        for line in self.lines():
            terminalreporter.line(line)

    def lines(self):
        absent = "not run in this selection"
        for section, (title, attempted, success) in _SECTIONS.items():
            total = Counter()
            for nodeid, name, counts in self.entries:
                if name == section:
                    dropped = success if nodeid in self.failed else None
                    total.update({key: n for key, n in counts.items() if key != dropped})
            yield (
                f"{title}: {total[success]} of {total[attempted]}"
                if total
                else (f"{title}: {absent}")
            )
        cells = [equal for cells in self.notebooks.values() for equal in cells.values()]
        whole = sum(all(cells.values()) for cells in self.notebooks.values())
        yield (
            f"notebooks compared: {whole} of {len(self.notebooks)}, "
            f"cells equal to what is stored: {sum(cells)} of {len(cells)}"
            + (f", moving figures run: {len(self.moving)}" if self.moving else "")
            if cells
            else f"notebooks compared: {absent}"
        )
        for mark, counts in self.marked.items():
            passed, failed, skipped = (counts[key] for key in ("passed", "failed", "skipped"))
            if not counts:
                yield f"{mark} tests: {absent}"
            if passed or failed:
                yield f"{mark} tests: {passed} of {passed + failed} passed"
            if skipped:
                yield f"{mark} tests NOT RUN: {skipped}: {'; '.join(sorted(self.not_run[mark]))}"


def pytest_configure(config):
    """Register the listener for the whole run, notebooks outside this folder included."""
    config.pluginmanager.register(_Established(), _PLUGIN)


# Playwright runs once in a process, so every test that needs a browser shares this one.
@pytest.fixture(scope="session")
def browser():
    """A headless Chromium. Where one is required, its absence is a failure."""
    from playwright.sync_api import sync_playwright

    from tests.site.page import FLAGS, browser_path

    path = browser_path()
    if path is None:
        if os.environ.get("BOOK_BROWSER") == "required":
            pytest.fail(f"BOOK_BROWSER=required, but {_NO_BROWSER}", pytrace=False)
        pytest.skip(_NO_BROWSER)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def site():
    """The folder of the built site."""
    from tests.site.page import SITE

    if not (SITE / "index.html").is_file():
        pytest.skip(_NO_SITE)
    return SITE
