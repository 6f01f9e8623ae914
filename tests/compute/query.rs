//! Queries over all that is staged, and the printed script.

use marts::compute::{Pulls, query, script};

use super::support::*;

#[test]
fn queries_read_everything_that_is_staged_and_change_nothing() {
    let scene = sales(
        org(),
        "2026-01-31",
        "2026-02-01",
        &[invoice("7", "2026-02-01").amount("grand_total", "0.10")],
        &[work_order("1", "2026-01-01")],
    );
    let ask = |sql: &str| query(&scene.config, sql);
    let answer = ask("select invoice_no, grand_total, invoice_date, org, period from softbase_invoices").unwrap();
    let cells: Vec<_> = answer.text().unwrap().remove(0).into_iter().map(Option::unwrap).collect();
    assert_eq!(cells, ["7", "0.1000", "2026-02-01", "acme", "2026-02"]);
    // A dataset of which nothing is staged is empty, and an instant is in UTC.
    let answer = ask("select count(*), timestamptz '2026-01-20 12:00:00+02', null from quickbooks_cash_flow").unwrap();
    assert_eq!(answer.text().unwrap(), [[Some("0".to_owned()), Some("2026-01-20T10:00:00Z".to_owned()), None]]);
    assert_eq!(answer.rows(), 1);
    for sql in [
        "copy softbase_invoices to '/tmp/out.csv'",
        "create table x (y int)",
        "select 1; select 2",
        "attach ':memory:' as x",
        "set threads = 1",
        "drop view softbase_invoices",
        "select * from read_text('/etc/hostname')",
        "selec 1",
        "",
    ] {
        assert!(ask(sql).is_err(), "{sql}");
    }
    assert!(ask("delete from softbase_invoices").unwrap_err().to_string().contains("only a SELECT"));
}

#[test]
fn the_printed_script_runs_as_it_is() {
    let scene = sales(org(), "2024-02-29", "2024-02-29", &awkward_invoices(), &[work_order("1450001", "2024-02-01")]);
    let pulls: Pulls = scene.landed.iter().cloned().collect();
    let script = script(&scene.inputs(&pulls)).unwrap();
    let connection = duckdb::Connection::open_in_memory().unwrap();
    let select = script.rfind("\nwith\n").unwrap();
    connection.execute_batch(&script[..select]).unwrap();
    let total: String = connection
        .query_row(
            &format!("select total_revenue::varchar from ({})", script[select..].trim_end().trim_end_matches(';')),
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(total, "1440.36");
}
