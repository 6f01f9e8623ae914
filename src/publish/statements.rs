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
    /// Returns a key that comes twice.
    pub(super) duplicates: String,
    /// $1 run, $2 organisation, $3 source system.
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

        let columns = names.join(", ");
        let key_object: Vec<String> = key.iter().map(|name| format!("{}, n.{}", literal(name), quoted(name))).collect();
        let key_object = key_object.join(", ");
        // That o is the published row of the new row n.
        let same_key = |org: &str| {
            let keys: String = keys.iter().map(|key| format!(" and o.{key} = n.{key}")).collect();
            format!("o.org_id = {org}{keys}")
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
            stage: format!("create temporary table {staged} on commit drop as select {columns} from {table} limit 0"),
            analyze: format!("analyze {staged}"),
            duplicates: format!(
                "select jsonb_build_object({key_object})::text from {staged} n \
                 group by {} having count(*) > 1 limit 1",
                keys.join(", ")
            ),
            changes: format!(
                "insert into etl_changes (run_id, org_id, mart, key, column_name, old_value, new_value) \
                 select $1, $2, {}, jsonb_build_object({key_object}), cell.name, cell.old, cell.new \
                 from {staged} n left join {table} o on {} \
                 cross join lateral ({moved_cells}) as cell (name, old, new) order by {}, cell.name",
                literal(mart),
                same_key("$2"),
                keys.iter().map(|key| format!("n.{key}")).collect::<Vec<_>>().join(", ")
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
                 insert into {table} as o (org_id, {columns}, source_system) \
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
