"""Running programs and telling what they took."""

import json
import os
import re
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, field


class Unavailable(Exception):
    """A peer that does not install or run, with the reason."""


@dataclass
class Took:
    """One run of one stage."""

    wall_ms: float
    cpu_ms: float
    peak_mib: float
    rows: int = 0
    said: dict = field(default_factory=dict)


@dataclass
class Figure:
    """What is known of one program at one stage: its runs, or why there are none."""

    name: str
    runs: list = field(default_factory=list)
    reason: str = ""

    def median(self, what):
        return statistics.median(getattr(run, what) for run in self.runs)

    def peak(self):
        return max(run.peak_mib for run in self.runs)


def run(command, env=None, text=None, cwd=None, limit=1800):
    """Runs a command to its end: what it took as a process with all its children, and what it wrote.

    What it took inside, where it says so itself in a line of JSON, is left in `said`.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        stdin = tempfile.TemporaryFile("w+")
        stdin.write(text or "")
        stdin.seek(0)
        began = time.monotonic()
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=stdin,
            stdout=out,
            stderr=errors,
            cwd=cwd,
            env={**os.environ, **(env or {})},
        )
        watch = began + limit
        while True:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > watch:
                process.kill()
                os.wait4(process.pid, 0)
                process.returncode = -9
                raise Unavailable(f"not done after {limit} s")
            time.sleep(0.002)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        output, problem = out.read(), errors.read()
    if process.returncode != 0:
        raise Unavailable(last_words(problem or output) or f"exit code {process.returncode}")
    took = Took(wall * 1000, (used.ru_utime + used.ru_stime) * 1000, used.ru_maxrss / 1024)
    took.said["output"] = output
    lines = [line for line in output.splitlines() if line.startswith('{"')]
    if lines:
        said = json.loads(lines[-1])
        took.said.update(said)
        took.wall_ms, took.cpu_ms, took.rows = said["wall_ms"], said["cpu_ms"], said["rows"]
        took.peak_mib = max(took.peak_mib, said.get("peak_mib", 0))
    return took


def last_words(text):
    """The last line of a message that says something, without colours, passwords and folders."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    lines = [line.strip() for line in text.splitlines() if re.search(r"[a-z]{3}", line)]
    errors = [
        line for line in lines if re.search(r"error|exception|panicked|fail|could not|cannot", line, re.IGNORECASE)
    ]
    line = (errors or lines or [""])[-1]
    return re.sub(r"://[^@\s]*@", "://", line)[:200]


def interleave(runs, programs):
    """Runs each of the programs so often, in turns; a program that fails once is out, with its reason.

    `programs` are pairs of a name and what to call; one that is slow is not run more often than a minute and a half allows.
    """
    figures = {name: Figure(name) for name, _ in programs}
    for number in range(runs):
        for name, once in programs:
            figure = figures[name]
            spent = sum(taken.wall_ms for taken in figure.runs)
            if figure.reason or (number > 0 and spent + spent / number > 90_000):
                continue
            try:
                figure.runs.append(once(number))
            except (Unavailable, OSError, KeyError, ValueError) as problem:
                figure.runs.clear()
                figure.reason = str(problem) or type(problem).__name__
    return list(figures.values())
