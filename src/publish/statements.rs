//! The SQL of a publication, put together from a mart's columns.
//!
//! In all of them `$1` is the organisation and `$2` the source system.

use super::quoted;

/// The statements for one mart.
pub(super) struct Statements<'a> {
    mart: &'a str,
    key: &'a [&'a str],
    columns: &'a [&'a str],
}

impl<'a> Statements<'a> {
    pub(super) fn new(mart: &'a str, key: &'a [&'a str], columns: &'a [&'a str]) -> Self {
        Statements { mart, key, columns }
    }

    fn mart(&self) -> String {
        quoted(self.mart)
    }

    fn fresh(&self) -> String {
        quoted(&format!("fresh_{}", self.mart))
    }

    fn list(&self, prefix: &str) -> String {
        let columns: Vec<_> = self.columns.iter().map(|column| format!("{prefix}{}", quoted(column))).collect();
        columns.join(", ")
    }

    /// The columns that a row's key does not decide.
    fn measures(&self) -> Vec<&'a str> {
        self.columns.iter().copied().filter(|column| !self.key.contains(column)).collect()
    }

    fn same_key(&self) -> String {
        let keys = self.key.iter().map(|key| format!(" and published.{0} = fresh.{0}", quoted(key)));
        format!("published.org_id = $1{}", keys.collect::<String>())
    }

    /// Whether a published row differs from the fresh one, where it comes from included.
    fn differs(&self) -> String {
        let row = |prefix: &str| {
            let cells: Vec<_> = self.measures().iter().map(|column| format!("{prefix}.{}", quoted(column))).collect();
            cells.join(", ")
        };
        format!("({}, published.source_system) is distinct from ({}, $2)", row("published"), row("fresh"))
    }

    /// A temporary table shaped by the mart, so that types are declared once, in the migration.
    pub(super) fn create(&self) -> String {
        format!(
            "create temporary table {} on commit drop as select {} from {} limit 0",
            self.fresh(),
            self.list(""),
            self.mart()
        )
    }

    /// A computation that gives a period twice fails at this.
    pub(super) fn unique_key(&self) -> String {
        let keys: Vec<_> = self.key.iter().map(|key| quoted(key)).collect();
        format!("create unique index on {} ({})", self.fresh(), keys.join(", "))
    }

    pub(super) fn copy(&self) -> String {
        format!("copy {} ({}) from stdin", self.fresh(), self.list(""))
    }

    /// `$3` is the run, `$4` the mart's name. A row that is new has no old values.
    pub(super) fn changes(&self) -> String {
        let cells: Vec<_> = self
            .measures()
            .iter()
            .map(|column| {
                let name = quoted(column);
                let literal = column.replace('\'', "''");
                format!(
                    "('{literal}', published.{name}::text, fresh.{name}::text, published.{name} is distinct from fresh.{name})"
                )
            })
            .collect();
        let keys: Vec<_> =
            self.key.iter().map(|key| format!("'{}', fresh.{}", key.replace('\'', "''"), quoted(key))).collect();
        format!(
            "insert into etl_changes (run_id, org_id, mart, key, column_name, old_value, new_value)
            select $3, $1, $4, jsonb_build_object({keys}), cells.column_name, cells.old_value, cells.new_value
            from {fresh} as fresh
            left join {mart} as published on {same_key}
            cross join lateral (values {cells},
                ('source_system', published.source_system::text, $2::text, published.source_system is distinct from $2)
            ) as cells (column_name, old_value, new_value, differs)
            where cells.differs",
            keys = keys.join(", "),
            fresh = self.fresh(),
            mart = self.mart(),
            same_key = self.same_key(),
            cells = cells.join(", "),
        )
    }

    /// Only rows that differ: `updated_at` moves on a change and on nothing else.
    pub(super) fn update(&self) -> String {
        let sets: Vec<_> = self.measures().iter().map(|column| format!("{0} = fresh.{0}", quoted(column))).collect();
        format!(
            "update {mart} as published set {sets}, source_system = $2, updated_at = current_timestamp
            from {fresh} as fresh where {same_key} and {differs}",
            mart = self.mart(),
            sets = sets.join(", "),
            fresh = self.fresh(),
            same_key = self.same_key(),
            differs = self.differs(),
        )
    }

    /// Only rows that are not there. An upsert would do both, but it draws a number for `id` for every row of every
    /// night, and those run out.
    pub(super) fn insert(&self) -> String {
        format!(
            "insert into {mart} (org_id, {list}, source_system)
            select $1, {fresh_list}, $2 from {fresh} as fresh
            where not exists (select from {mart} as published where {same_key}) order by {order}",
            mart = self.mart(),
            list = self.list(""),
            fresh_list = self.list("fresh."),
            fresh = self.fresh(),
            same_key = self.same_key(),
            order = self.key.iter().map(|key| format!("fresh.{}", quoted(key))).collect::<Vec<_>>().join(", "),
        )
    }

    pub(super) fn drop(&self) -> String {
        format!("drop table {}", self.fresh())
    }
}
