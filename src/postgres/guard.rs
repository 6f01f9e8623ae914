//! Whether a table still has the row-level security, the grants and the unique key that its migration gave it, and
//! whether what others hung on it, their views, indexes and grants, is still there after a publish or a migration.
//!
//! Whoever rebuilds a table by hand loses all that without a word; the loader refuses to write into such a table.

use std::collections::BTreeSet;

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

const OTHERS: &[(&str, Kind)] = &[
    ("etl_runs", Kind::Mart),
    ("etl_changes", Kind::Ledger),
    ("etl_acceptances", Kind::Ledger),
    ("etl_verifications", Kind::Ledger),
    ("etl_alerts", Kind::Mart),
    ("oauth_tokens", Kind::Secret),
];

/// As the catalog writes the expression of `migrations/0021_policies_ask_once.sql`.
const OWN_ROWS: &str = "(org_id = ( SELECT marts_org_id() AS marts_org_id))";

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

/// Checks that a table keeps one row for each key, which publishing relies on.
///
/// # Errors
/// One line that names the table, the columns, and the statement that mends it.
pub async fn verify_key(connection: &mut PgConnection, table: &str, key: &[&str]) -> Result<()> {
    let columns = ["org_id"].iter().chain(key).copied().collect::<Vec<_>>();
    let is_kept: bool = sqlx::query_scalar(
        "select exists (
             select from pg_index
             where indrelid = to_regclass(quote_ident($1)) and indisunique and indisvalid and indpred is null
               and indexprs is null
               and (select array_agg(attname::text order by attname) from pg_attribute
                    where attrelid = indrelid and attnum = any (indkey::smallint[]))
                 = (select array_agg(name order by name) from unnest($2::text[]) name))",
    )
    .bind(table)
    .bind(&columns)
    .fetch_one(&mut *connection)
    .await
    .one_line()
    .with_context(|| format!("checking the unique key of {table}"))?;
    if !is_kept {
        let columns = columns.join(", ");
        bail!(
            "refusing to publish: {table} no longer has its unique index on ({columns}); restore it by: alter table \
             {table} add unique ({columns})"
        );
    }
    Ok(())
}

/// What migrations take away on purpose.
const RETIRED: &[&str] = &["index etl_changes_by_mart on etl_changes"];

/// What stands on the marts and ledgers, theirs and others': one line for each policy, grant, index and dependent view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing(BTreeSet<String>);

impl Standing {
    /// Reads it off the catalog.
    pub async fn of(connection: &mut PgConnection) -> Result<Standing> {
        let lines: Vec<String> = sqlx::query_scalar(
            "with tables as (
                 select oid, relname::text as name, relacl, relowner from pg_class
                 where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p')
                   and (relname like 'mart\\_%' or relname like 'etl\\_%' or relname in ('organizations', 'oauth_tokens'))
             )
             select format('policy %s on %s', polname, name) from pg_policy join tables on polrelid = tables.oid
             union all
             select format('%s on %s for %s', lower(privilege_type), name,
                           case grantee when 0 then 'public' else pg_get_userbyid(grantee)::text end)
             from tables cross join aclexplode(coalesce(relacl, acldefault('r', relowner)))
             union all
             select format('index %s on %s', indexes.relname, name)
             from pg_index join tables on indrelid = tables.oid join pg_class indexes on indexes.oid = indexrelid
             where indisvalid
             union all
             select distinct format('view %s on %s', views.oid::regclass, name)
             from pg_depend
             join pg_rewrite on pg_rewrite.oid = objid
             join pg_class views on views.oid = ev_class
             join tables on refobjid = tables.oid
             where classid = 'pg_rewrite'::regclass and refclassid = 'pg_class'::regclass and views.oid <> tables.oid",
        )
        .fetch_all(&mut *connection)
        .await
        .one_line()
        .context("reading what stands on the marts")?;
        Ok(Standing(lines.into_iter().collect()))
    }

    /// Fails when something that stood here is gone from what stands now, unless a migration retired it. What is new is nobody's
    /// loss.
    ///
    /// # Errors
    /// One line that names what is gone.
    pub fn must_outlast(&self, now: &Standing) -> Result<()> {
        let gone: Vec<&str> =
            self.0.difference(&now.0).map(String::as_str).filter(|line| !RETIRED.contains(line)).collect();
        if !gone.is_empty() {
            bail!(
                "gone meanwhile: {}; restore it, from the migrations folder where it is one of ours",
                gone.join(", ")
            );
        }
        Ok(())
    }
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
        if let Some(job) = crate::jobs::JOBS.iter().find(|job| job.mart == mart) {
            verify_key(connection, mart, job.key).await?;
        }
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
