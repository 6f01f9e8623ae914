"""What everything is measured on: built programs, Python environments, databases, simulated sources, files of rows."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import measuring
from measuring import Unavailable

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute()
HOME = TARGET / "compare"
PROFILE = os.environ.get("MARTS_PROFILE", "release")
# The last day that the simulated companies report, as in benches/ground.rs.
AS_OF = "2026-01-20"
SERVER = "MARTS_TEST_POSTGRES_URL"
COLUMNS = (
    "sales_date year month day_of_week service_revenue parts_revenue rental_revenue sales_revenue total_revenue"
    " service_invoices parts_invoices rental_invoices sales_invoices total_invoices open_work_orders closed_work_orders"
).split()


def tell(text):
    print(text, file=sys.stderr, flush=True)


def size(name, default):
    """A size that a variable may set: EVENTS is MARTS_COMPARE_EVENTS."""
    return int(os.environ.get(f"MARTS_COMPARE_{name}", default))


def build():
    """Builds marts and the program of the benchmarks; returns the paths of both."""
    cargo = os.environ.get("CARGO", "cargo")
    subprocess.run(
        [cargo, "build", "--locked", "--quiet", "--profile", PROFILE, "--bin", "marts"], cwd=ROOT, check=True
    )
    profile = "bench" if PROFILE == "release" else PROFILE
    command = [cargo, "bench", "--locked", "--quiet", "--profile", profile, "--no-run", "--message-format=json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    made = [json.loads(line) for line in lines if line.startswith("{")]
    bench = [
        one["executable"] for one in made if "bench" in one.get("target", {}).get("kind", []) and one.get("executable")
    ]
    return TARGET / ("debug" if PROFILE == "dev" else PROFILE) / "marts", Path(bench[-1])


class Environment:
    """A virtual environment made of a file of requirements, each line installed by itself."""

    def __init__(self, name, requirements):
        self.folder = HOME / name
        self.python = self.folder / "bin" / "python"
        # What could not be installed, by the name of the package.
        self.missing = {}
        if not self.python.exists():
            subprocess.run([sys.executable, "-m", "venv", self.folder], check=True)
        lines = [line.strip() for line in (HERE / requirements).read_text().splitlines()]
        lines = [line for line in lines if line and not line.startswith("#")]
        # Name and version of each.
        self.wanted = [re.match(r"([\w-]+)[^=]*==(\S+)", line).groups() for line in lines]
        there = self.versions()
        for line, (name, version) in zip(lines, self.wanted):
            if there.get(name.lower()) == version:
                continue
            tell(f"Installing {line} ...")
            command = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", line]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                self.missing[name.lower()] = measuring.last_words(done.stderr)
        self.installed = self.versions()

    def versions(self):
        command = [self.python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return {one["name"].lower().replace("_", "-"): one["version"] for one in json.loads(listed)}

    def need(self, package):
        if package in self.missing:
            raise Unavailable(f"does not install: {self.missing[package]}")
        if package not in self.installed:
            raise Unavailable("is not installed")

    def peer(self, package, name, **words):
        """Runs one of peers.py in a process of its own."""
        self.need(package)
        command = [self.python, HERE / "peers.py", name] + [f"{key}={value}" for key, value in words.items()]
        return measuring.run(command, env={"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"})


def psql(url, script):
    """Runs a script; its output."""
    command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", url]
    done = subprocess.run(command, input=script, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable(measuring.last_words(done.stderr))
    return done.stdout.strip()


@contextlib.contextmanager
def database(name):
    """The url of a database that is made for this and dropped again."""
    server = os.environ[SERVER]
    name = f"marts_compare_{name}_{os.getpid()}"
    psql(server, f"create database {name}")
    try:
        yield server.rsplit("/", 1)[0] + "/" + name
    finally:
        psql(server, f"drop database {name} with (force)")


@contextlib.contextmanager
def sandbox(marts, folder, **sizes):
    """The simulated sources in a process of their own: where they are, by name."""
    folder.mkdir(parents=True)
    options = [word for name, count in sizes.items() for word in (f"--{name}", str(count))]
    log = folder / "sandbox.log"
    with open(log, "w") as out:
        command = [marts, "sandbox", "--to", AS_OF, "--dir", folder, *options]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        try:
            while "ends the sandbox" not in log.read_text():
                if process.poll() is not None:
                    raise RuntimeError(log.read_text())
                time.sleep(0.1)
            said = log.read_text()
            yield {
                "config": folder / "marts.toml",
                "hubspot": re.search(r"HubSpot +(\S+)", said)[1],
                "port": re.search(r"SQL Server +127.0.0.1:(\d+)", said)[1],
                "secrets": folder / "secrets",
            }
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def landing_zone(folder, memory_mib):
    """A configuration for a landing zone of app events; beside it others may lie that share the events."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"marts-{memory_mib}.toml"
    path.write_text(f"""[limits]
duckdb_memory_mib = {memory_mib}

[[org]]
slug = "app"
name = "An app"
timezone = "America/Chicago"
fiscal_year_start_month = 1

[org.bigquery]
project = "compare"
dataset = "analytics_1"
location = "US"
credentials = "env:NOBODY_ASKS_IT"
""")
    return path


def sales_files(environment, folder, count):
    """Files of so many days of sales, in two versions between which one amount of each row differs: Parquet and CSV, with
    `org_id` and `source_system` for those who write whole rows, and the text of COPY without them."""
    environment.need("duckdb")
    folder.mkdir(parents=True)
    # In whole cents and then moved by the decimal point: no binary fraction.
    amounts = [
        f"(((i * 1237 + {at} * 7919) % 10000000) * 0.01)::decimal(18, 2) as {name}"
        for at, name in enumerate(COLUMNS[4:8])
    ]
    counts = [f"((i + {at}) % 100)::integer as {name}" for at, name in enumerate(COLUMNS[9:])]
    for version in (0, 1):
        select = f"""
            select 1::integer as org_id, d as sales_date, year(d)::integer as year, month(d)::integer as month,
                dayofweek(d)::integer as day_of_week, {", ".join(amounts)},
                ((i * 1237 + {version}) * 0.01)::decimal(18, 2) as total_revenue, {", ".join(counts)},
                'softbase' as source_system
            from (select i, (date '1000-01-01' + i::integer) as d from range({count}) t(i))
            order by i"""
        script = f"""
            copy ({select}) to '{folder}/{version}.parquet' (format parquet, compression zstd, row_group_size 65536);
            copy ({select}) to '{folder}/{version}.csv' (header);
            copy (select {", ".join(COLUMNS)} from ({select})) to '{folder}/{version}.txt' (delimiter '\t', header false);"""
        command = [environment.python, "-c", "import duckdb, sys; duckdb.execute(sys.stdin.read())"]
        subprocess.run(command, input=script, text=True, check=True)


def fresh(folder):
    """The folder, emptied."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
