"""The stages, each with marts and its peers: a list of figures, that of marts first."""

import os
import subprocess
from functools import partial

import measuring
from ground import AS_OF, COLUMNS, PROFILE, ROOT, database, fresh, landing_zone, psql, sandbox, sales_files, size, tell
from measuring import Unavailable, interleave
from mergers import MERGERS


class Ground:
    """What the stages share."""

    def __init__(self, marts, bench, python, dbt, work):
        self.marts, self.bench, self.python, self.dbt, self.work = marts, bench, python, dbt, work
        self.runs = size("RUNS", 3)

    def stage(self, name, **given):
        """Runs a stage of marts in a process of its own."""
        env = {"MARTS_MEASURE": name, "RUST_BACKTRACE": "0"} | {
            f"MARTS_MEASURE_{key.upper()}": str(value) for key, value in given.items()
        }
        return measuring.run([self.bench], env=env)


def compute(ground):
    """GA4's mart over staged events, by marts and by the duckdb package, which runs what `marts sql` prints."""
    folder = ground.work / "events"
    config = landing_zone(folder, 1024)
    events = size("EVENTS", 10_000_000)
    tell(f"Landing {events} events ...")
    ground.stage("events", config=config, rows=events)
    command = [ground.marts, "--config", config, "sql", "etl_app_analytics", "--org", "app", "--as-of", AS_OF]
    script = folder / "script.sql"
    script.write_text(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    by_duckdb = {"script": script, "memory_mib": 1024, "spill": folder / "spill", "rows": events}
    once = [
        ("marts", lambda _: ground.stage("compute", config=config)),
        ("duckdb (Python)", lambda _: ground.python.peer("duckdb", "duckdb_script", **by_duckdb)),
    ]
    # The files are in the cache from here on, for both.
    for _, run in once:
        try:
            run(0)
        except Unavailable:
            pass
    return interleave(max(ground.runs, 5), once)


def compute_much(ground):
    """The same mart over many events, with DuckDB's memory as it is set by default and with half of it."""
    folder = ground.work / "many-events"
    configs = {memory: landing_zone(folder, memory) for memory in (1024, 512)}
    events = size("MANY_EVENTS", 50_000_000)
    tell(f"Landing {events} events ...")
    ground.stage("events", config=configs[1024], rows=events)
    once = [
        (f"marts, DuckDB's limit {memory} MiB", lambda _, config=config: ground.stage("compute", config=config))
        for memory, config in configs.items()
    ]
    return interleave(1, once)


def rows(ground):
    """The folder with the files of rows, made once."""
    folder = ground.work / "rows"
    if not folder.exists():
        sales_files(ground.python, folder, size("ROWS", 1_000_000))
    return folder


def copy(ground):
    """Rows into a temporary table of the mart's columns, by marts and by psql from a file."""
    files, columns = rows(ground), ", ".join(COLUMNS)
    with database("copy") as url:
        ground.stage("migrate", url=url)
        stage = f"create temporary table staged as select {columns} from mart_sales_daily limit 0;\n"
        binary = files / "0.bin"
        psql(url, f"{stage}\\copy staged from '{files}/0.txt'\n\\copy staged to '{binary}' with (format binary)\n")

        def by_psql(file, how):
            # The clock is psql's own, so that starting it and connecting do not count.
            script = f"{stage}\\timing on\n\\copy staged ({columns}) from '{file}' {how}\n"
            took = measuring.run(["psql", "-X", "-v", "ON_ERROR_STOP=1", url], text=script)
            output = took.said["output"]
            took.wall_ms = float(output.rsplit("Time: ", 1)[1].split()[0])
            took.rows = int(output.rsplit("COPY ", 1)[1].split()[0])
            return took

        once = [
            ("marts", lambda _: ground.stage("copy", url=url, file=files / "0.parquet")),
            ("psql, text", lambda _: by_psql(f"{files}/0.txt", "")),
            ("psql, binary", lambda _: by_psql(binary, "with (format binary)")),
        ]
        return interleave(max(ground.runs, 5), once)


def publish(ground):
    """All rows changed: by marts with its change ledger, and merged by other loaders into a table of the same columns."""
    files = rows(ground)
    count = size("ROWS", 1_000_000)

    def by_marts(url, version):
        took = ground.stage("publish", url=url, file=files / f"{version}.parquet")
        if took.said["updated"] != count or took.said["changed_cells"] != count:
            raise Unavailable(f"{took.said['changed_cells']} cells changed of {count} rows")
        return took

    with database("publish") as url:
        ground.stage("migrate", url=url)
        psql(
            url,
            f"\\copy mart_sales_daily (org_id, {', '.join(COLUMNS)}, source_system) from '{files}/0.csv' csv header",
        )
        once = [("marts", lambda number: prepared(url, lambda: by_marts(url, (number + 1) % 2)))]
        unavailable = []
        for name, merge in MERGERS:
            tell(f"Preparing {name} ...")
            try:
                program = merge(ground, url, files, fresh(ground.work / "merge" / name))
                # The first time it inserts all rows.
                program(0)
                as_read(url, name)
            except (Unavailable, OSError) as problem:
                unavailable.append(measuring.Figure(name, reason=str(problem)))
                continue
            checked = partial(merged, url, name, count, program)
            once.append((name, lambda number, run=checked: prepared(url, lambda: run((number + 1) % 2))))
        return interleave(ground.runs, once) + unavailable


def prepared(url, once):
    """A run that finds every table as a vacuum leaves it, and nothing to be written that an earlier one left."""
    psql(url, "vacuum analyze;\ncheckpoint;")
    return once()


def schema_of(name):
    """The schema in which a merging program has its table."""
    return name.lower().replace("-", "_")


def as_read(url, name):
    """Gives a program's table the indexes of the mart that dashboards read by; what it has already is told."""
    table = f"{schema_of(name)}.mart_sales_daily"
    own = psql(url, f"select indexdef from pg_indexes where schemaname || '.' || tablename = '{table}'")
    tell(f"{name}'s own indexes: {own or 'none'}")
    psql(url, f"create unique index on {table} (org_id, sales_date);\ncreate index on {table} (org_id, year, month)")


def merged(url, name, count, program, version):
    """A merge, after which the rows must be there, all of them changed."""
    took = program(version)
    schema = schema_of(name)
    found = psql(url, f"select count(*), sum(total_revenue * 100)::bigint from {schema}.mart_sales_daily")
    wanted = f"{count}|{1237 * count * (count - 1) // 2 + version * count}"
    if found != wanted:
        raise Unavailable(f"it ended without an error, but its rows are not those of the file: {found} for {wanted}")
    took.rows = count
    return took


def land_json(ground):
    """Contacts of the simulated HubSpot in pages of 100 into Parquet, by marts and by dlt's REST source."""
    with sandbox(ground.marts, ground.work / "contacts", contacts=size("CONTACTS", 100_000)) as sources:
        token = sources["secrets"] / "hubspot-access-token"
        once = [
            ("marts", lambda _: ground.stage("land_json", config=sources["config"], dir=ground.work)),
            (
                "dlt",
                lambda _: ground.python.peer(
                    "dlt", "dlt_contacts", url=sources["hubspot"], token=token, folder=fresh(ground.work / "dlt")
                ),
            ),
        ]
        return interleave(ground.runs, once)


def land_sql(ground):
    """Invoices of the simulated SQL Server over TLS into Parquet, by marts and by two readers of other making."""
    with sandbox(ground.marts, ground.work / "invoices", invoices=size("INVOICES", 1_000_000)) as sources:

        def peer(package, name):
            words = {"port": sources["port"], "password": sources["secrets"] / "softbase-password"}
            return lambda _: ground.python.peer(package, name, folder=fresh(ground.work / "invoices" / "out"), **words)

        once = [
            ("marts", lambda _: ground.stage("land_sql", config=sources["config"], dir=ground.work)),
            ("connectorx", peer("connectorx", "connectorx_invoices")),
            ("pymssql + pyarrow", peer("pymssql", "pymssql_invoices")),
        ]
        return interleave(ground.runs, once)


def start(_ground):
    """Start-up and the memory of landing, as `make measure` measures them: its table, line by line."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MARTS_TEST_POSTGRES")}
    env |= {"MARTS_PROFILE": PROFILE, "MARTS_INVOICES": str(size("MANY_INVOICES", 10_000_000))}
    # It ends with 1 where a limit of its own is not kept; the figures are what is wanted here.
    done = subprocess.run([ROOT / "scripts" / "measure.sh"], env=env, capture_output=True, text=True)
    found = {}
    for line in done.stdout.splitlines():
        parts = line.rstrip().split()
        for at in range(len(parts) - 1):
            if parts[at + 1] in ("ms", "MiB", "/s"):
                found[" ".join(parts[:at])] = float(parts[at])
                break
    if not any("peak memory" in name for name in found):
        raise Unavailable(measuring.last_words(done.stderr))
    return found
