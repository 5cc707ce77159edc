"""Measure everything, print a table, and write JSON."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import discovered, duration, machine, measured, one_thread, python

ROOT = Path(__file__).resolve().parent.parent


def main(arguments=None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="", help="cases whose module or name contains this")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each case (default 2)")
    parser.add_argument("--tiny", action="store_true", help="small sizes: does it run at all?")
    parser.add_argument("--list", action="store_true", help="list the cases and stop")
    parser.add_argument(
        "--json", type=Path, default=ROOT / "_build" / "benchmarks.json", help="where it is written"
    )
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)  # one case, in this process
    options = parser.parse_args(arguments)
    found = discovered(options.tiny)
    if options.case:
        module, number = options.case
        print(json.dumps(measured(found[module][int(number)], options.seconds)))
        return 0
    chosen = [
        (module, number, case)
        for module, cases in found.items()
        for number, case in enumerate(cases)
        if options.only in f"{module}: {case.name}"
    ]
    if not chosen:
        print(f"no case contains {options.only!r}; --list shows all", file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(f"{module}: {case.name}" for module, _, case in chosen))
        return 0
    facts = machine()
    print(", ".join(f"{key} {value}" for key, value in facts.items()))
    print(
        "ratio = our time / time of the reference; median and quartiles of turns in one process\n"
    )
    results = []
    for module, number, case in chosen:
        result = dict(module=module, case=case.name, target=case.target)
        result |= _in_a_fresh_process(options, module, number, case)
        print(_row(result, width=max(len(case.name) for *_, case in chosen)), flush=True)
        results.append(result)
    report = dict(machine=facts, tiny=options.tiny, seconds=options.seconds, results=results)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"\nwritten to {options.json}")
    return int(any("error" in result for result in results))


def _in_a_fresh_process(options, module, number, case):
    """Measure there: what an earlier case has left in the memory changes the next one's speed."""
    lacking = case.lacking()
    if lacking:
        return dict(left_out=f"needs {', '.join(lacking)}")
    command = python("-m", "benchmarks", "--case", module, number, "--seconds", options.seconds)
    done = subprocess.run(
        [*command, *(["--tiny"] if options.tiny else [])],
        cwd=ROOT,
        env=one_thread(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return dict(error=done.stderr.strip() or f"exit status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def _row(result, width):
    name = f"{result['case']:<{width}}"
    if "left_out" in result:
        return f"{name}  left out: {result['left_out']}"
    if "error" in result:
        return f"{name}  FAILED\n{result['error']}"
    low, high = result["quartiles"]
    row = (
        f"{name}  {duration(result['ours']):>8} / {duration(result['reference']):>8} ="
        f" {result['ratio']:6.3g}  ({low:.3g} to {high:.3g})"
    )
    target = result["target"]
    if target is not None:
        row += f"  target {target:g}: {'met' if result['ratio'] <= target else 'missed'}"
    return row


if __name__ == "__main__":
    sys.exit(main())
