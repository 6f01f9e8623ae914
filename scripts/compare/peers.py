"""What is done by libraries in place of marts: one of them, once, in this process. Prints what it took in a line of JSON.

    peers.py NAME KEY=VALUE…

As in the measurements of marts, the clock runs from the first call to the last, not while modules are loaded.
"""

import json
import resource
import sys
import time


def cpu_ms():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used) * 1000


class Clock:
    def __init__(self):
        self.cpu, self.began = cpu_ms(), time.monotonic()

    def tell(self, rows):
        line = {"wall_ms": (time.monotonic() - self.began) * 1000, "cpu_ms": cpu_ms() - self.cpu, "rows": rows}
        print(json.dumps(line))


def duckdb_script(script, memory_mib, spill, rows):
    """The same SELECT by the duckdb package: the script of `marts sql`, over the same files."""
    import duckdb

    with open(script) as file:
        sql = file.read()
    clock = Clock()
    connection = duckdb.connect(config={"memory_limit": f"{memory_mib}MiB", "temp_directory": spill})
    made = connection.execute(sql).fetchall()
    clock.tell(int(rows))
    assert made, "no rows"


INVOICES = """SELECT {columns} FROM [ben002].[InvoiceReg]"""
# As marts asks for them: cast on the server.
TEXTS = ["InvoiceNo", "BillTo", "ShipTo", "SerialNo", "SaleCode"]
NUMBERS = ["SaleBranch", "SaleDept"]
DAYS = ["InvoiceDate", "DeletionTime"]
AMOUNTS = ["GrandTotal", "TotalTax"] + [
    f"{kind}{taxed}" for kind in ("Labor", "Parts", "Misc", "Equipment", "Rental") for taxed in ("Taxable", "NonTax")
]


def invoices():
    kinds = [(TEXTS, "nvarchar(4000)"), (NUMBERS, "bigint"), (DAYS, "date"), (AMOUNTS, "decimal(19,4)")]
    casts = [f"CAST([{name}] AS {kind}) AS [{name}]" for names, kind in kinds for name in names]
    return INVOICES.format(columns=", ".join(casts))


def connectorx_invoices(port, password, folder):
    """SQL Server into a Parquet file by connectorx, which hands over one Arrow table."""
    import connectorx
    import pyarrow.parquet

    with open(password) as file:
        secret = file.read().strip()
    url = f"mssql://marts_reader:{secret}@localhost:{port}/evo?encrypt=true&trust_server_certificate=true"
    clock = Clock()
    table = connectorx.read_sql(url, invoices(), return_type="arrow")
    write = pyarrow.parquet.write_table
    write(table, f"{folder}/connectorx.parquet", compression="zstd", compression_level=3, row_group_size=65536)
    clock.tell(table.num_rows)


def pymssql_invoices(port, password, folder):
    """The same by pymssql (FreeTDS) and pyarrow, so many rows at a time."""
    import pyarrow as pa
    import pyarrow.parquet
    import pymssql

    types = [(TEXTS, pa.string()), (NUMBERS, pa.int64()), (DAYS, pa.date32()), (AMOUNTS, pa.decimal128(19, 4))]
    schema = pa.schema([(name, kind) for names, kind in types for name in names])
    with open(password) as file:
        secret = file.read().strip()
    clock = Clock()
    connection = pymssql.connect(
        server="localhost",
        port=port,
        user="marts_reader",
        password=secret,
        database="evo",
        encryption="require",
        tds_version="7.4",
        conn_properties="",
        autocommit=True,
    )
    cursor = connection.cursor()
    cursor.execute(invoices())
    rows = 0
    path = f"{folder}/pymssql.parquet"
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd", compression_level=3) as writer:
        while batch := cursor.fetchmany(65536):
            columns = [pa.array(values, kind) for values, kind in zip(zip(*batch), schema.types)]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            rows += len(batch)
    clock.tell(rows)


def dlt_contacts(url, token, folder):
    """HubSpot's contacts into Parquet files by dlt's REST source."""
    import dlt
    from dlt.sources.rest_api import rest_api_source

    with open(token) as file:
        secret = file.read().strip()
    clock = Clock()
    source = rest_api_source(
        {
            "client": {
                "base_url": url,
                "auth": {"type": "bearer", "token": secret},
                "paginator": {"type": "cursor", "cursor_path": "paging.next.after", "cursor_param": "after"},
            },
            "resources": [
                {
                    "name": "contacts",
                    "endpoint": {
                        "path": "crm/v3/objects/contacts",
                        "data_selector": "results",
                        "params": {
                            "limit": 100,
                            "archived": "false",
                            "properties": "createdate,lastmodifieddate,lifecyclestage",
                        },
                    },
                }
            ],
        }
    )
    destination = dlt.destinations.filesystem(bucket_url=f"file://{folder}/landed")
    pipeline = dlt.pipeline(
        "contacts", pipelines_dir=f"{folder}/state", destination=destination, dataset_name="hubspot"
    )
    pipeline.run(source, loader_file_format="parquet").raise_on_failed_jobs()
    clock.tell(pipeline.last_trace.last_normalize_info.row_counts["contacts"])


def dlt_merge(url, file, folder):
    """Rows of a Parquet file merged into PostgreSQL by dlt, in the fastest way that it has: CSV by COPY, and an upsert."""
    import dlt
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(file)
    clock = Clock()

    @dlt.resource(
        name="mart_sales_daily",
        primary_key=["org_id", "sales_date"],
        write_disposition={"disposition": "merge", "strategy": "upsert"},
    )
    def rows():
        yield table

    destination = dlt.destinations.postgres(url)
    pipeline = dlt.pipeline("merge", pipelines_dir=f"{folder}/state", destination=destination, dataset_name="dlt")
    pipeline.run(rows(), loader_file_format="csv").raise_on_failed_jobs()
    clock.tell(table.num_rows)


if __name__ == "__main__":
    globals()[sys.argv[1]](**dict(word.split("=", 1) for word in sys.argv[2:]))
