//! Whether a table still has the row-level security and the grants that its migration gave it.
//!
//! Whoever rebuilds a table by hand loses them without a word; the loader refuses to write into such a table.

use super::OneLine;
use anyhow::{Context, Result, bail};
use sqlx::postgres::PgConnection;
use sqlx::{FromRow, query_as};

/// What a table holds, which decides who may do what with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Readable by readers and admins, insertable and updatable by the loader.
    Mart,
    /// Like a mart, but the loader only appends.
    Ledger,
    /// The loader's alone.
    Secret,
}

const OTHERS: &[(&str, Kind)] =
    &[("etl_runs", Kind::Mart), ("etl_changes", Kind::Ledger), ("oauth_tokens", Kind::Secret)];

const OWN_ROWS: &str = "(org_id = marts_org_id())";

#[derive(Debug, FromRow)]
struct Table {
    enabled: bool,
    forced: bool,
    reader_reads: bool,
    reader_writes: bool,
    admin_reads: bool,
    admin_writes: bool,
    loader_reads: bool,
    loader_inserts: bool,
    loader_updates: bool,
    loader_removes: bool,
}

#[derive(Debug, FromRow)]
struct Policy {
    name: String,
    permissive: bool,
    command: String,
    roles: Vec<String>,
    using: Option<String>,
    checking: Option<String>,
}

/// Checks one table, named as the search path finds it.
///
/// # Errors
/// One line that names the table and what is missing or too much.
pub async fn verify(connection: &mut PgConnection, table: &str, kind: Kind) -> Result<()> {
    let context = || format!("checking the row-level security of {table}");
    let found: Option<Table> = query_as(
        "select relrowsecurity as enabled, relforcerowsecurity as forced,
             has_table_privilege('marts_reader', oid, 'select') as reader_reads,
             has_table_privilege('marts_reader', oid, 'insert, update, delete, truncate') as reader_writes,
             has_table_privilege('marts_admin', oid, 'select') as admin_reads,
             has_table_privilege('marts_admin', oid, 'insert, update, delete, truncate') as admin_writes,
             has_table_privilege('marts_loader', oid, 'select') as loader_reads,
             has_table_privilege('marts_loader', oid, 'insert') as loader_inserts,
             has_table_privilege('marts_loader', oid, 'update') as loader_updates,
             has_table_privilege('marts_loader', oid, 'delete, truncate') as loader_removes
         from pg_class where oid = to_regclass(quote_ident($1))",
    )
    .bind(table)
    .fetch_optional(&mut *connection)
    .await
    .one_line()
    .with_context(context)?;
    let Some(found) = found else {
        bail!("table {table} is missing: run `marts migrate`");
    };
    let policies: Vec<Policy> = query_as(
        "select polname::text as name, polpermissive as permissive, polcmd::text as command,
             array(select case member when 0 then 'public' else pg_get_userbyid(member)::text end
                   from unnest(polroles) member) as roles,
             pg_get_expr(polqual, polrelid) as using, pg_get_expr(polwithcheck, polrelid) as checking
         from pg_policy where polrelid = to_regclass(quote_ident($1)) order by polname",
    )
    .bind(table)
    .fetch_all(&mut *connection)
    .await
    .one_line()
    .with_context(context)?;
    let faults = faults(&found, &policies, kind);
    if !faults.is_empty() {
        bail!(
            "refusing to publish: {table} is not protected as its migration left it: {}; restore it from the \
             migrations folder",
            faults.join(", ")
        );
    }
    Ok(())
}

/// Checks every mart and ledger.
pub(super) async fn verify_all(connection: &mut PgConnection) -> Result<()> {
    let marts: Vec<(String,)> = query_as(
        "select relname::text from pg_class
         where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p') and relname like 'mart\\_%'
         order by relname",
    )
    .fetch_all(&mut *connection)
    .await
    .one_line()
    .context("listing the marts")?;
    for (mart,) in &marts {
        verify(connection, mart, Kind::Mart).await?;
    }
    for (table, kind) in OTHERS {
        verify(connection, table, *kind).await?;
    }
    Ok(())
}

fn faults(table: &Table, policies: &[Policy], kind: Kind) -> Vec<String> {
    let open = kind != Kind::Secret;
    let rules = [
        (table.enabled, "row-level security is off"),
        (table.forced, "row-level security is not forced on the owner"),
        (table.reader_reads == open, if open { "marts_reader may not read" } else { "marts_reader may read" }),
        (table.admin_reads == open, if open { "marts_admin may not read" } else { "marts_admin may read" }),
        (!table.reader_writes, "marts_reader may write"),
        (!table.admin_writes, "marts_admin may write"),
        (table.loader_reads && table.loader_inserts, "marts_loader may not read and insert"),
        (table.loader_updates || kind == Kind::Ledger, "marts_loader may not update"),
        (!table.loader_removes, "marts_loader may delete"),
    ];
    let mut faults: Vec<String> = rules.iter().filter(|(holds, _)| !holds).map(|(_, fault)| (*fault).into()).collect();

    let expected: &[(&str, &str, &str, &str, Option<&str>)] = &[
        ("loader", "marts_loader", "*", OWN_ROWS, Some(OWN_ROWS)),
        ("reader", "marts_reader", "r", OWN_ROWS, None),
        ("admin", "marts_admin", "r", "true", None),
    ];
    let expected = if open { expected } else { &expected[..1] };
    for (name, role, command, using, checking) in expected {
        let stands = policies.iter().any(|policy| {
            policy.name == *name
                && policy.permissive
                && policy.command == *command
                && policy.roles == [*role]
                && policy.using.as_deref() == Some(*using)
                && policy.checking.as_deref() == *checking
        });
        if !stands {
            faults.push(format!("policy {name} is missing or altered"));
        }
    }
    // Permissive policies add up: any further one for everybody or for our roles lets them see more.
    for policy in policies.iter().filter(|policy| policy.permissive) {
        let ours = policy
            .roles
            .iter()
            .any(|role| ["public", "marts_reader", "marts_admin", "marts_loader"].contains(&role.as_str()));
        if ours && !expected.iter().any(|(name, ..)| *name == policy.name) {
            faults.push(format!("policy {} is not one of ours", policy.name));
        }
    }
    faults
}
