//! The statements that publish one mart, made from its columns. Identifiers are quoted, values are parameters.

use super::columns::Column;

/// One mart's statements, in the order they run.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) lock: String,
    /// The temporary table of the new rows.
    pub(super) staged: String,
    /// Makes it. Types are declared once, in the migration.
    pub(super) stage: String,
    /// Counts the temporary table, so that the server knows how to join it.
    pub(super) analyze: String,
    /// Of every cell that differs. $1 run, $2 organisation, $3 source system. Returns the counts of cells, and of rows whose
    /// source was not known before, as that of no new row was.
    pub(super) changes: String,
    /// Of rows that are published and differ. $1 organisation, $2 source system.
    pub(super) update: String,
    /// Of rows that are not published. $1 organisation, $2 source system. Returns the counts of rows inserted and of rows
    /// that somebody else had inserted meanwhile, and were updated.
    pub(super) insert: String,
}

impl Statements {
    pub(super) fn new(mart: &str, key: &[&str], columns: &[Column]) -> Statements {
        let staged = format!("pg_temp.{}", quoted(&format!("staged_{mart}")));
        let table = quoted(mart);
        let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
        let keys: Vec<String> = key.iter().map(|name| quoted(name)).collect();
        let cells: Vec<&str> = names.iter().filter(|name| !keys.contains(name)).map(String::as_str).collect();

        let all = names.join(", ");
        // That o is the published row of the new row n.
        let same_key = |org: &str| {
            let keys: String = keys.iter().map(|key| format!(" and o.{key} = n.{key}")).collect();
            format!("o.org_id = {org}{keys}")
        };
        // The cells that may differ, the new value of each beside it.
        let new_cells = cells.iter().map(|cell| ((*cell).to_owned(), format!("n.{cell}")));
        let source_system = ("source_system".to_owned(), "$3::text".to_owned());
        let pairs: Vec<(String, String)> = new_cells.chain([source_system]).collect();
        let of_each = |between: &str, of: &dyn Fn(usize, &str, &str) -> String| {
            let parts = pairs.iter().zip(1..).map(|((cell, new), at)| of(at, cell, new));
            parts.collect::<Vec<_>>().join(between)
        };
        let key_columns: Vec<String> = keys.iter().zip(1..).map(|(key, at)| format!("n.{key} as k{at}")).collect();
        // As text where that is no other than JSON's: jsonb_build_object looks the types up for each row, an eighth of the
        // ledger's time. Days are in ISO 8601, which the loader's transaction asks for.
        let key_members = key.iter().zip(1..).map(|(name, at)| {
            let type_name = columns.iter().find(|column| column.name == *name).map_or("", |column| &column.type_name);
            let value = match type_name {
                "integer" | "bigint" => format!("k{at}::text"),
                "date" => format!("'\"' || k{at}::text || '\"'"),
                _ => format!("to_json(k{at})::text"),
            };
            format!("{} || {value}", literal(&format!("{}: ", serde_json::Value::from(*name))))
        });
        let key_members: Vec<String> = key_members.collect();
        let key_object = format!("('{{' || {} || '}}')::jsonb", key_members.join(" || ', ' || "));

        // The row of the table, o, gets the cells of another.
        let assigned = |from: &str, source_system: &str| {
            let cells: String = cells.iter().map(|cell| format!("{cell} = {from}.{cell}, ")).collect();
            format!("{cells}source_system = {source_system}, updated_at = current_timestamp at time zone 'UTC'")
        };
        let differs = |from: &str, source_system: &str| {
            let of = |alias: &str| cells.iter().map(|cell| format!("{alias}.{cell}, ")).collect::<String>();
            format!("({}o.source_system) is distinct from ({}{source_system})", of("o"), of(from))
        };

        Statements {
            lock: format!("lock table {table} in row exclusive mode"),
            stage: format!("create temporary table {staged} on commit drop as select {all} from {table} limit 0"),
            analyze: format!("analyze {staged}"),
            // Each row gets the places of its cells that differ, and of only those are texts made. The comparison is the column's
            // own: null differs from 0, and JSON is compared by what it says, not by how it is written.
            changes: format!(
                "with lines as (\
                 insert into etl_changes (run_id, org_id, mart, key, column_name, old_value, new_value) \
                 select $1, $2, {mart}, {key_object}, (array[{names}])[at], case at {old} end, case at {new} end \
                 from (select {key_columns}, {both}, unnest(array_remove(array[{moved}], null)) as at \
                 from {staged} n left join {table} o on {same_key}) as moved \
                 returning column_name = 'source_system' and old_value is null as is_new_row) \
                 select count(*), count(*) filter (where is_new_row) from lines",
                mart = literal(mart),
                names = of_each(", ", &|_, cell, _| literal(&unquoted(cell))),
                old = of_each(" ", &|at, _, _| format!("when {at} then o{at}::text")),
                new = of_each(" ", &|at, _, _| format!("when {at} then n{at}::text")),
                key_columns = key_columns.join(", "),
                both = of_each(", ", &|at, cell, new| format!("o.{cell} as o{at}, {new} as n{at}")),
                moved =
                    of_each(", ", &|at, cell, new| format!("case when o.{cell} is distinct from {new} then {at} end")),
                same_key = same_key("$2"),
            ),
            // Only rows that differ are touched. An upsert of them all would find each of them on its own, where this joins,
            // and use up the sequence for nothing.
            update: format!(
                "update {table} o set {} from {staged} n where {} and {}",
                assigned("n", "$2"),
                same_key("$1"),
                differs("n", "$2")
            ),
            // `on conflict` is for whoever writes at the same time without holding the lock.
            insert: format!(
                "with written as (\
                 insert into {table} as o (org_id, {all}, source_system) \
                 select $1, {}, $2 from {staged} n where not exists (select from {table} o where {}) \
                 on conflict (org_id, {}) do update set {} where {} \
                 returning (xmax = 0) as inserted) \
                 select count(*) filter (where inserted), count(*) filter (where not inserted) from written",
                names.iter().map(|name| format!("n.{name}")).collect::<Vec<_>>().join(", "),
                same_key("$1"),
                keys.join(", "),
                assigned("excluded", "excluded.source_system"),
                differs("excluded", "excluded.source_system")
            ),
            staged,
        }
    }
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn unquoted(name: &str) -> String {
    name.trim_matches('"').replace("\"\"", "\"")
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
