"""Run a notebook cell by cell within limits, and keep what may be shown."""

import time
from dataclasses import dataclass
from queue import Empty

import nbformat

from .normalise import harmless, is_base64
from .sandbox import Kernel

MIME = "application/x-second-moments"
SEND = f"""
import json as _json, numpy as _numpy, IPython.display as _shown
_shown.display(
    {{"{MIME}": _json.dumps(_numpy.asarray(answer, dtype=float).tolist())}}, raw=True
)"""
WORDS, PICTURE = ("text/latex", "text/plain"), "image/png"
TEXT = 10_000
IMAGE = 1_500_000
GRACE = 2.0
PATIENCE = 3
RESTART = 1.0


@dataclass(frozen=True)
class Limits:
    """What one notebook may use: seconds, megabytes of memory, characters of output a cell.

    Seconds are the processor's, so that a busy machine changes no mark; three seconds of waiting
    count as one.
    """

    cell: float = 10.0
    notebook: float = 120.0
    memory: int = 2048
    output: int = 3_000_000


@dataclass
class Step:
    """A piece of code to run, and what came of it.

    `again` says whether it is run once more after a kernel was lost: answers are, tests are not.
    `share` is how many times a cell's seconds it may take: more where the code is not a student's.
    """

    name: str
    code: str
    again: bool = True
    hidden: bool = False
    share: float = 1.0
    outputs: list = None
    sent: str = None
    trouble: str = ""


def execute(steps, cache, withheld, limits, protected=True):
    """Run the steps in order; a step that loses the kernel is left out and the rest run again.

    Outputs are kept from a step's first run and are complete before the next step begins, so what a
    later step does to an earlier one is not seen.

    Returns
    -------
    list of str
        What went wrong, for the teacher.
    """
    left = limits.notebook
    remarks = []
    while any(step.outputs is None for step in steps) and left > 0:
        with Kernel(cache, withheld, limits.memory, protected) as kernel:
            for step in steps:
                if step.outputs is not None and (not step.again or step.trouble == "lost"):
                    continue
                if left <= 0 or all(later.outputs is not None for later in steps):
                    break
                try:
                    done = _run(kernel, step, min(limits.cell * step.share, left), limits)
                except Exception:  # a student's code can send anything in the kernel's name
                    done = _lost(_Done([]), "DeadKernel", "broke the connection to its kernel")
                left -= done.seconds
                if step.outputs is None or done.trouble == "lost":
                    step.outputs = step.outputs or done.outputs
                    step.sent, step.trouble = done.sent, done.trouble
                    if done.trouble:
                        remarks.append(f"{step.name}: {done.reason}")
                if done.trouble == "lost":
                    left -= RESTART
                    break
    for step in steps:
        if step.outputs is None:
            step.outputs = [_error("NotebookTimeout", "the notebook's time was used up")]
            step.trouble = "unrun"
    if any(step.trouble == "unrun" for step in steps):
        remarks.append(f"the notebook used up its {limits.notebook:g} seconds")
    return remarks


@dataclass
class _Done:
    outputs: list
    sent: str = None
    trouble: str = ""
    reason: str = ""
    seconds: float = 0.0


def _run(kernel, step, seconds, limits):
    """Run one step; the trouble is "", "stopped" (the kernel lives on) or "lost"."""
    client = kernel.client
    request = client.execute(step.code, allow_stdin=False, stop_on_error=False)
    done = _Done([])
    size = 0
    start, (before, _) = time.monotonic(), kernel.use()
    looked, interrupted = start, None
    while True:
        try:
            message = client.get_iopub_msg(timeout=0.1)
        except Empty:
            message = None
            if not kernel.alive:
                return _lost(done, "DeadKernel", "ended the kernel")
        now = time.monotonic()
        if interrupted and now > interrupted + GRACE:
            return _lost(done, "Stopped", f"{done.reason}, ignored the interrupt, was ended")
        if now > looked + 0.2:
            looked = now
            used, excess = kernel.use()
            done.seconds = max(used - before, (now - start) / PATIENCE)
            if excess:
                return _lost(done, "LimitError", f"took {excess}")
            if done.seconds > seconds and not interrupted:
                done.trouble, done.reason = "stopped", f"stopped after {seconds:.3g} s"
                kernel.manager.interrupt_kernel()
                interrupted = now
        if message is None or message["parent_header"].get("msg_id") != request:
            continue
        kind, content = message["msg_type"], message["content"]
        if kind == "status" and content.get("execution_state") == "idle":
            done.seconds = max(done.seconds, (now - start) / PATIENCE)
            break
        size += len(str(content))
        if size > limits.output:
            if not interrupted:
                done.trouble, done.reason = "stopped", "wrote too much output"
                kernel.manager.interrupt_kernel()
                interrupted = now
            continue
        if not interrupted or kind == "error":
            _keep(done, kind, content)
    if _asked_to_exit(client, request):
        return _lost(done, "DeadKernel", "asked the kernel to exit")
    if any(output.get("ename") == "MemoryError" for output in done.outputs):
        return _lost(done, "LimitError", "ran out of memory")
    if done.trouble:
        done.outputs.append(_error("Stopped", done.reason))
        done.sent = None
    return done


def _asked_to_exit(client, request):
    """Tell whether a step called `exit()`: the kernel then ends while the next step runs."""
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        try:
            reply = client.get_shell_msg(timeout=0.2)
        except Empty:
            continue
        if reply["parent_header"].get("msg_id") == request:
            asked = reply["content"].get("payload", [])
            return any(part.get("source") == "ask_exit" for part in asked)
    return False


def _lost(done, name, reason):
    return _Done([*done.outputs, _error(name, reason)], None, "lost", reason, done.seconds)


def _error(name, value):
    return nbformat.v4.new_output("error", ename=name, evalue=value, traceback=[f"{name}: {value}"])


def _keep(done, kind, content):
    """Add a message to the outputs, as far as it may be shown."""
    if kind == "stream":
        text = str(content.get("text", ""))
        last = done.outputs[-1] if done.outputs else None
        if last is None or last["output_type"] != "stream":
            last = nbformat.v4.new_output("stream", name="stdout", text="")
            done.outputs.append(last)
        if len(last["text"]) < TEXT:
            last["text"] = _cut(last["text"] + text)
    elif kind == "error":
        lines = [_cut(str(line)) for line in content.get("traceback", [])[-20:]]
        done.outputs.append(
            nbformat.v4.new_output(
                "error",
                ename=_cut(str(content.get("ename"))),
                evalue=_cut(str(content.get("evalue"))),
                traceback=lines,
            )
        )
    elif kind in ("display_data", "execute_result"):
        data = content.get("data", {})
        if MIME in data:
            done.sent = data[MIME] if isinstance(data[MIME], str) else None
            return
        kept = {mime: _cut(data[mime]) for mime in WORDS if isinstance(data.get(mime), str)}
        picture = data.get(PICTURE)
        if is_base64(picture) and len(picture) <= IMAGE:
            kept[PICTURE] = picture
        if "text/latex" in kept:
            kept["text/latex"] = harmless(kept["text/latex"])
        if kept and len(done.outputs) < 50:
            done.outputs.append(nbformat.v4.new_output("display_data", data=kept))


def _cut(text):
    return text if len(text) <= TEXT else text[:TEXT] + "\n... (cut)"
