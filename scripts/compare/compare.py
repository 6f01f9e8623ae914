#!/usr/bin/env python3
"""Measures the stages of marts beside other programs that do the same, in one run on one machine and the same data, and
prints a table of ratios. Ends with 1 when one falls short of what is required.

    scripts/compare/compare.py                  everything
    scripts/compare/compare.py publish copy     some stages
    scripts/compare/compare.py --write          and writes the table into docs/performance.md

It takes cargo, Python with venv, and a PostgreSQL server's programs with psql. The sizes are variables:
MARTS_COMPARE_EVENTS, _MANY_EVENTS, _ROWS, _CONTACTS, _INVOICES, _MANY_INVOICES, and _RUNS for how often each is run.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time

import ground as here
import stages
import table
from measuring import Unavailable

DOCUMENT = here.ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- the table of make compare -->", "<!-- its end -->"


def compute(ground, lines):
    figures = stages.compute(ground)
    rows = f"compute `mart_app_analytics`, {figures[0].runs[0].rows:,} events" if figures[0].runs else "compute"
    lines.against(rows, figures, table.wall, lambda _: 0.95)


def memory(ground, lines):
    for figure in stages.compute_much(ground):
        stage = f"compute `mart_app_analytics`, {here.size('MANY_EVENTS', 50_000_000):,} events: peak memory"
        if not figure.runs:
            lines.missing(stage, figure.reason)
            continue
        seconds = f"{figure.name} ({figure.median('wall_ms') / 1000:.1f} s)"
        lines.at_most(stage, seconds, figure.peak(), "MiB", 2048)


def copy(ground, lines):
    stage = f"encode and COPY, {here.size('ROWS', 1_000_000):,} rows"
    lines.against(stage, stages.copy(ground), table.wall, lambda _: 0.95, best_of=True)


def publish(ground, lines):
    figures = stages.publish(ground)
    rows = f"{here.size('ROWS', 1_000_000):,} rows"
    lines.against(f"publish, {rows} changed", figures, table.wall, lambda name: 3 if name == "dlt" else 1)
    if figures[0].runs:
        lines.at_most(f"publish, {rows} changed: peak memory", "marts", figures[0].peak(), "MiB", 256)


def land_json(ground, lines):
    figures = stages.land_json(ground)
    stage = f"land_json, about {here.size('CONTACTS', 100_000):,} contacts: rows per CPU second"
    lines.against(stage, figures, table.rows_per_cpu_second, lambda _: 20)


def land_sql(ground, lines):
    figures = stages.land_sql(ground)
    stage = f"land_sql, {here.size('INVOICES', 1_000_000):,} invoices: rows per CPU second"
    lines.against(stage, figures, table.rows_per_cpu_second, lambda _: 1)


def start(ground, lines):
    found = stages.start(ground)
    named = lambda begin: next(value for name, value in found.items() if name.startswith(begin))
    empty = named("a program that only loads libduckdb")
    for command in ("marts --version", "marts jobs"):
        took = named(command)
        lines.at_most(
            f"start, beyond a program that only loads libduckdb ({empty} ms)",
            f"`{command}` ({took} ms)",
            took - empty,
            "ms",
            10,
        )
    landing = f"land {here.size('MANY_INVOICES', 10_000_000):,} invoices: peak memory"
    memory_of = next(
        value for name, value in found.items() if name.startswith("landing") and name.endswith("of the process")
    )
    lines.at_most(landing, "marts", memory_of, "MiB", 256)


STAGES = {function.__name__: function for function in (compute, copy, publish, land_json, land_sql, start, memory)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", choices=[[], *STAGES], metavar="STAGE", help=", ".join(STAGES))
    parser.add_argument("--write", action="store_true", help=f"write the table into {DOCUMENT.relative_to(here.ROOT)}")
    options = parser.parse_args()
    if here.SERVER not in os.environ:
        command = [here.ROOT / "scripts" / "with-postgres.sh", sys.executable, __file__, *sys.argv[1:]]
        os.execv(command[0], [str(word) for word in command])
    if not shutil.which("psql"):
        sys.exit("error: psql is missing (Debian, Ubuntu: apt-get install postgresql-client)")
    with open("/proc/loadavg") as file:
        load = file.read().split()[0]
    marts, bench = here.build()
    here.HOME.mkdir(parents=True, exist_ok=True)
    python = here.Environment("venv", "requirements.txt")
    dbt = here.Environment("venv-dbt", "requirements-dbt.txt")
    lines = table.Table()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="run-", dir=here.HOME) as work:
        ground = stages.Ground(marts, bench, python, dbt, here.Path(work))
        for name in options.stages or STAGES:
            here.tell(f"{name} ...")
            try:
                STAGES[name](ground, lines)
            except (Unavailable, subprocess.CalledProcessError) as problem:
                lines.missing(name, str(problem))
    version = subprocess.run([marts, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    server = here.psql(os.environ[here.SERVER], "show server_version").split()[0]
    peers = [(name, one.installed.get(name.lower(), "missing")) for one in (python, dbt) for name, _ in one.wanted]
    minutes = (time.monotonic() - began) / 60
    text = "\n".join(
        [
            *table.machine(load, server, f"{version}, profile {here.PROFILE}", peers),
            f"- It took {minutes:.0f} minutes, on {time.strftime('%Y-%m-%d')}",
            "",
            lines.text(),
        ]
    )
    print(text)
    if options.write:
        before, _, rest = DOCUMENT.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        DOCUMENT.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
    sys.exit(0 if lines.met else 1)


if __name__ == "__main__":
    main()
