//! The general ledger and the chart of accounts.

use super::*;

fn gl_columns() -> Vec<TableColumn> {
    vec![
        TableColumn::new("AccountNo", SqlType::Char(10)).not_null(),
        TableColumn::new("Year", SqlType::SmallInt).not_null(),
        TableColumn::new("Month", SqlType::SmallInt).not_null(),
        TableColumn::new("MTD", SqlType::Money),
        TableColumn::new("YTD", SqlType::Money),
    ]
}

fn gl(account: &str, year: i64, month: i64, moved: SqlValue, closing: SqlValue) -> Vec<SqlValue> {
    vec![account.into(), SqlValue::Int(year), SqlValue::Int(month), moved, closing]
}

fn gl_table(columns: Vec<TableColumn>, rows: Vec<Vec<SqlValue>>) -> Database {
    Database::new("evo", vec![Table::new("ben002", "GL", columns, rows)]).unwrap()
}

async fn pulled(database: Database) -> anyhow::Result<Vec<BTreeMap<String, String>>> {
    let dealer = Dealer::new(options(database)).await;
    let landed = dealer.pull(dataset("softbase_gl").unwrap(), &["2026-01-20"]).await;
    if landed.is_err() {
        assert_eq!(dealer.files(), Vec::<PathBuf>::new(), "a failed pull left files");
    }
    Ok(rows(&landed?[0]))
}

#[tokio::test]
async fn the_whole_ledger_lands_as_one_snapshot() {
    let rows = vec![
        gl("110000", 2026, 1, amount(-12_345), amount(9_007_199_254_740_993)),
        gl("110000", 2025, 13, amount(10_000), amount(0)),
        gl("210000", 2026, 1, SqlValue::Null, amount(-1)),
    ];
    let found = pulled(gl_table(gl_columns(), rows)).await.unwrap();
    let expected = [
        cells(&[("account_no", "110000"), ("year", "2025"), ("month", "13"), ("mtd", "1.0000"), ("ytd", "0.0000")]),
        cells(&[
            ("account_no", "110000"),
            ("year", "2026"),
            ("month", "1"),
            ("mtd", "-1.2345"),
            ("ytd", "900719925474.0993"),
        ]),
        // An amount that is missing is no zero.
        cells(&[("account_no", "210000"), ("year", "2026"), ("month", "1"), ("ytd", "-0.0001")]),
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_ledger_that_is_not_what_it_was_fails_the_pull() {
    let one = || vec![gl("110000", 2026, 1, amount(1), amount(1))];
    let refusal = async |database| format!("{:#}", pulled(database).await.expect_err("the pull should have failed"));

    let twice = [one(), one()].concat();
    let line = refusal(gl_table(gl_columns(), twice)).await;
    assert!(line.contains("ben002.GL gives the same AccountNo, Year, Month in more than one row"), "{line}");
    // Parts of the key that only run into each other when they are put side by side are two keys.
    let apart = vec![gl("1", 11, 1, amount(1), amount(1)), gl("11", 1, 1, amount(1), amount(1))];
    assert_eq!(pulled(gl_table(gl_columns(), apart)).await.unwrap().len(), 2);

    let line = refusal(gl_table(gl_columns(), Vec::new())).await;
    assert!(line.contains("pulling softbase_gl"), "{line}");

    let mut columns = gl_columns();
    columns[3].name = "Amount".into();
    let line = refusal(gl_table(columns, one())).await;
    assert!(line.contains("ben002.GL has no column MTD, which mtd needs"), "{line}");

    let mut columns = gl_columns();
    columns[4].sql_type = SqlType::NVarChar(20);
    let line = refusal(gl_table(columns, vec![gl("110000", 2026, 1, amount(1), "1.00".into())])).await;
    assert!(line.contains("GL.YTD is nvarchar(20), which is not what ytd expects"), "{line}");

    let mut columns = gl_columns();
    columns[0].nullable = true;
    let nameless = vec![SqlValue::Null, SqlValue::Int(2026), SqlValue::Int(1), amount(1), amount(1)];
    let line = refusal(gl_table(columns, vec![nameless])).await;
    assert!(line.contains("account_no"), "{line}");
}

#[tokio::test]
async fn a_ledger_that_breaks_off_is_tried_again_as_a_whole() {
    let rows: Vec<_> = (1..=12).map(|month| gl("110000", 2025, month, amount(1), amount(1))).collect();
    let broken = Fault::statement("[GL]", StatementFault::AfterRows(7, Break::Reset));
    let database = gl_table(gl_columns(), rows);
    let dealer = Dealer::new(TdsOptions { faults: FaultPlan::one(broken), ..options(database) }).await;
    let landed = dealer.pull(dataset("softbase_gl").unwrap(), &["2026-01-20"]).await.unwrap();
    assert_eq!(super::rows(&landed[0]).len(), 12);
}
