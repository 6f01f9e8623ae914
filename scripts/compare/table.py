"""What was measured, as a table: a line for each program at each stage, and what is required."""

import platform
import re
import subprocess


def machine(load, server_version, marts_version, versions):
    """The lines that say where and with what it was measured."""
    with open("/proc/cpuinfo") as file:
        found = re.search(r"model name\s*: (.*)", file.read())
    with open("/proc/meminfo") as file:
        memory = int(re.search(r"MemTotal: +(\d+)", file.read())[1]) // (1 << 20)
    cores = subprocess.run(["getconf", "_NPROCESSORS_ONLN"], capture_output=True, text=True).stdout.strip()
    return [
        f"- Machine: {cores} cores, {found[1] if found else platform.machine()}, {memory} GiB, Linux {platform.release()};"
        f" load {load} before it began",
        f"- {marts_version}; PostgreSQL {server_version}",
        f"- Peers: {', '.join(f'{name} {version}' for name, version in versions)}",
    ]


def wall(figure, ours):
    return figure.median("wall_ms") / ours.median("wall_ms")


def rate(figure):
    return figure.runs[0].rows / (figure.median("cpu_ms") / 1000)


def rows_per_cpu_second(figure, ours):
    return rate(ours) / rate(figure)


class Table:
    """Lines of Markdown, and whether everything that is required was met."""

    HEAD = "| stage | program | runs | wall | CPU | peak | ratio | required | met |\n|---|---|---:|---:|---:|---:|---:|---|---|"

    def __init__(self):
        self.lines = [self.HEAD]
        self.met = True

    def line(self, *cells):
        self.lines.append("| " + " | ".join(cells) + " |")

    def verdict(self, is_met):
        self.met = self.met and is_met
        return "yes" if is_met else "**no**"

    def against(self, stage, figures, ratio, required, best_of=False):
        """A stage against its peers: by how much marts is faster; `required` says how much it must be, by a peer's name.

        With `best_of` the fastest of the peers counts alone.
        """
        ours, peers = figures[0], figures[1:]
        if not ours.runs:
            self.line(stage, ours.name, "", "", "", "", "", "", f"{self.verdict(False)}: {ours.reason}")
            return
        self.line(stage, ours.name, *self.took(ours), "1", "", "")
        ran = [peer for peer in peers if peer.runs]
        fastest = min(ran, key=lambda peer: ratio(peer, ours), default=None)
        for peer in peers:
            if not peer.runs:
                self.line(stage, peer.name, "", "", "", "", "", "", f"not measured: {peer.reason}")
                continue
            found, least = ratio(peer, ours), required(peer.name)
            says = f"at least {least}" if least != 1 else "above 1"
            is_met = found > least if least == 1 else found >= least
            if best_of and peer is not fastest:
                self.line(stage, peer.name, *self.took(peer), f"{found:.2f}", "", "the slower of the two")
            else:
                self.line(stage, peer.name, *self.took(peer), f"{found:.2f}", says, self.verdict(is_met))

    def took(self, figure):
        seconds = [f"{figure.median(what) / 1000:.2f} s" for what in ("wall_ms", "cpu_ms")]
        return str(len(figure.runs)), *seconds, f"{figure.peak():.0f} MiB"

    def at_most(self, stage, name, found, unit, most):
        self.line(
            stage,
            name,
            "",
            "",
            "",
            "",
            f"{found:.1f} {unit}" if unit == "ms" else f"{found:.0f} {unit}",
            f"at most {most} {unit}",
            self.verdict(found <= most),
        )

    def missing(self, stage, reason):
        self.line(stage, "", "", "", "", "", "", "", f"{self.verdict(False)}: {reason}")

    def text(self):
        return "\n".join(self.lines)
