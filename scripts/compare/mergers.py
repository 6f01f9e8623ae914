"""Loaders that merge rows into PostgreSQL, each as its documentation has it: what prepares one, and then a run of it.

Each is given whole rows with their key `(org_id, sales_date)`, and makes its table in a schema of its name.
"""

import subprocess
from pathlib import Path

import measuring
from ground import COLUMNS

KEY = ["org_id", "sales_date"]


def dlt(ground, url, files, folder):
    """Its upsert, with files in CSV, which it loads by COPY: the fastest of its ways."""
    return lambda version: ground.python.peer(
        "dlt", "dlt_merge", url=url, file=files / f"{version}.parquet", folder=folder
    )


def dbt_duckdb(ground, url, files, folder):
    """An incremental model over the Parquet file, in a PostgreSQL that DuckDB has attached."""
    for package in ("duckdb", "dbt-core", "dbt-duckdb", "duckdb-extension-postgres-scanner"):
        ground.dbt.need(package)
    # The extension as its package brings it, where DuckDB looks for what it has installed.
    install = (
        "import duckdb, duckdb_extension_postgres_scanner as package, pathlib\n"
        "file = next(pathlib.Path(package.__file__).parent.rglob('*.duckdb_extension'))\n"
        f"duckdb.connect(config={{'extension_directory': '{folder}/extensions'}}).execute(f\"install '{{file}}'\")"
    )
    subprocess.run([ground.dbt.python, "-c", install], check=True)
    (folder / "models").mkdir()
    (folder / "dbt_project.yml").write_text(
        "name: compare\nversion: '1.0'\nprofile: compare\nmodel-paths: [models]\n"
        "models:\n  compare:\n    +materialized: incremental\n    +incremental_strategy: delete+insert\n"
        f"    +unique_key: [{', '.join(KEY)}]\n    +database: pg\n    +schema: dbt_duckdb\n"
    )
    (folder / "models" / "mart_sales_daily.sql").write_text(
        f"select * from read_parquet('{files}/{{{{ var('version') }}}}.parquet')\n"
    )
    # Models of a schema of their own, not of the profile's with it behind.
    (folder / "macros").mkdir()
    (folder / "macros" / "schema.sql").write_text(
        "{% macro generate_schema_name(name, node) %}{{ name or target.schema }}{% endmacro %}\n"
    )
    (folder / "profiles.yml").write_text(
        "compare:\n  target: it\n  outputs:\n    it:\n      type: duckdb\n      path: ':memory:'\n      schema: main\n"
        f"      config_options: {{extension_directory: '{folder}/extensions'}}\n"
        f"      extensions: [postgres_scanner]\n"
        f"      attach:\n        - {{path: '{url}', type: postgres, alias: pg}}\n"
    )
    command = [
        ground.dbt.python.parent / "dbt",
        "run",
        "--project-dir",
        folder,
        "--profiles-dir",
        folder,
        "--no-use-colors",
    ]
    env = {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DO_NOT_TRACK": "1"}
    return lambda version: measuring.run([*command, "--vars", f"{{version: {version}}}"], env=env, cwd=folder)


def sling(ground, url, files, folder):
    """Its incremental mode with a primary key, from CSV."""
    ground.python.need("sling-linux-amd64")
    command = next(Path(ground.python.folder).glob("lib/python*/site-packages/sling_linux_amd64/bin/sling-linux-amd64"))
    command.chmod(0o755)
    env = {"COMPARE": f"{url}?sslmode=disable", "SLING_HOME_DIR": str(folder), "SLING_DISABLE_TELEMETRY": "true"}

    def run(version):
        words = [
            "run",
            "--src-stream",
            f"file://{files}/{version}.csv",
            "--tgt-conn",
            "COMPARE",
            "--tgt-object",
            "sling.mart_sales_daily",
            "--mode",
            "incremental",
            "--primary-key",
            ",".join(KEY),
        ]
        return measuring.run([command, *words], env=env)

    return run


def ingestr(ground, url, files, folder):
    """Its merge, from CSV, with the types told, which a CSV file does not have."""
    ground.python.need("ingestr")
    env = {"DISABLE_TELEMETRY": "true", "INGESTR_DISABLE_TELEMETRY": "true", "HOME": str(folder)}
    keys = [word for name in KEY for word in ("--primary-key", name)]
    kinds = {"sales_date": "date", "source_system": "text"}
    kinds |= {name: "decimal(18,2)" if name.endswith("_revenue") else "int" for name in ["org_id", *COLUMNS[1:]]}
    columns = ",".join(f"{name}:{kind}" for name, kind in kinds.items())

    def run(version):
        words = [
            "ingest",
            "--yes",
            "--source-uri",
            f"csv://{files}/{version}.csv",
            "--source-table",
            "rows",
            "--dest-uri",
            url.replace("postgres://", "postgresql://") + "?sslmode=disable",
            "--dest-table",
            "ingestr.mart_sales_daily",
            "--incremental-strategy",
            "merge",
            *keys,
            "--columns",
            columns,
        ]
        return measuring.run([ground.python.python.parent / "ingestr", *words], env=env)

    return run


MERGERS = [("dlt", dlt), ("dbt-duckdb", dbt_duckdb), ("Sling", sling), ("ingestr", ingestr)]
