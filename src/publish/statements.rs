//! The statements that publish one mart, made from its columns. Identifiers are quoted, values are parameters.

use super::columns::Column;

/// One mart's statements, in the order they run.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) lock: String,
    /// Makes the temporary table. Types are declared once, in the migration.
    pub(super) stage: String,
    pub(super) copy: String,
    /// Returns a key that comes twice.
    pub(super) duplicates: String,
    /// $1 run, $2 organisation, $3 source system.
    pub(super) changes: String,
    /// $1 organisation, $2 source system. Returns the counts of rows inserted and updated.
    pub(super) upsert: String,
}

impl Statements {
    pub(super) fn new(mart: &str, key: &[&str], columns: &[Column]) -> Statements {
        let staged = quoted(&format!("staged_{mart}"));
        let table = quoted(mart);
        let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
        let keys: Vec<String> = key.iter().map(|name| quoted(name)).collect();
        let cells: Vec<&str> = names.iter().filter(|name| !keys.contains(name)).map(String::as_str).collect();

        let columns = names.join(", ");
        let key_object: Vec<String> = key.iter().map(|name| format!("{}, n.{}", literal(name), quoted(name))).collect();
        let key_object = key_object.join(", ");
        // The new rows, each with the published row of its key, if there is one.
        let joined = |org: &str| {
            let on: Vec<String> = keys.iter().map(|key| format!("o.{key} = n.{key}")).collect();
            format!("pg_temp.{staged} n left join {table} o on o.org_id = {org} and {}", on.join(" and "))
        };
        // (column, old, new) of every cell that differs. The comparison is the column's own: null differs from 0, and JSON
        // is compared by what it says, not by how it is written. A SELECT for each cell and no list of values, because of
        // that all texts would be made before most of them are left out.
        let moved = |name: &str, old: &str, new: &str| {
            format!("select {name}, {old}::text, {new}::text where {old} is distinct from {new}")
        };
        let mut moved_cells: Vec<String> = cells
            .iter()
            .map(|cell| moved(&literal(&unquoted(cell)), &format!("o.{cell}"), &format!("n.{cell}")))
            .collect();
        moved_cells.push(moved("'source_system'", "o.source_system", "$3::text"));
        let moved_cells = moved_cells.join(" union all ");

        let of = |alias: &str| cells.iter().map(|cell| format!("{alias}.{cell}, ")).collect::<String>();
        let differs = format!("({}o.source_system) is distinct from ({}$2)", of("o"), of("n"));
        let differs_still =
            format!("({}o.source_system) is distinct from ({}excluded.source_system)", of("o"), of("excluded"));
        let assigned: String = cells.iter().map(|cell| format!("{cell} = excluded.{cell}, ")).collect();

        Statements {
            lock: format!("lock table {table} in row exclusive mode"),
            stage: format!("create temporary table {staged} on commit drop as select {columns} from {table} limit 0"),
            copy: format!("copy pg_temp.{staged} ({columns}) from stdin"),
            duplicates: format!(
                "select jsonb_build_object({key_object})::text from pg_temp.{staged} n \
                 group by {} having count(*) > 1 limit 1",
                keys.join(", ")
            ),
            changes: format!(
                "insert into etl_changes (run_id, org_id, mart, key, column_name, old_value, new_value) \
                 select $1, $2, {}, jsonb_build_object({key_object}), cell.name, cell.old, cell.new \
                 from {} cross join lateral ({moved_cells}) as cell (name, old, new) \
                 order by {}, cell.name",
                literal(mart),
                joined("$2"),
                keys.iter().map(|key| format!("n.{key}")).collect::<Vec<_>>().join(", ")
            ),
            // Only rows that differ are touched: an upsert of all would use up the sequence for nothing. `on conflict`
            // is for whoever writes at the same time without holding the lock.
            upsert: format!(
                "with written as (\
                 insert into {table} as o (org_id, {columns}, source_system) \
                 select $1, {}, $2 from {} where o.org_id is null or {differs} \
                 on conflict (org_id, {}) do update set {assigned}source_system = excluded.source_system, \
                 updated_at = current_timestamp at time zone 'UTC' where {differs_still} \
                 returning (xmax = 0) as inserted) \
                 select count(*) filter (where inserted), count(*) filter (where not inserted) from written",
                names.iter().map(|name| format!("n.{name}")).collect::<Vec<_>>().join(", "),
                joined("$1"),
                keys.join(", ")
            ),
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
