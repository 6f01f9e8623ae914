//! The fence around a mart, checked before it is published into: row-level security, its policies and grants.

use anyhow::{Result, bail};
use sqlx::PgConnection;

/// Policies and grants that every mart has, by role.
const EXPECTED: &[(&str, &str, &str)] =
    &[("reader", "marts_reader", "SELECT"), ("admin", "marts_admin", "SELECT"), ("loader", "marts_loader", "INSERT")];

/// Refuses a mart that is missing or whose fence has a gap.
pub(super) async fn check(connection: &mut PgConnection, mart: &str) -> Result<()> {
    let table: Option<(bool, bool)> =
        sqlx::query_as("select relrowsecurity, relforcerowsecurity from pg_class where oid = to_regclass($1)")
            .bind(mart)
            .fetch_optional(&mut *connection)
            .await?;
    let gap = match table {
        None => bail!("there is no such table; run `marts migrate`"),
        Some((false, _)) => Some("row-level security is off".to_owned()),
        Some((true, false)) => Some("row-level security is not forced".to_owned()),
        Some((true, true)) => missing(connection, mart).await?,
    };
    match gap {
        None => Ok(()),
        Some(gap) => bail!(
            "refused, because one organisation could see another's rows: {gap}; restore it as in \
             its migration"
        ),
    }
}

/// The first policy or grant that is missing, or a policy that nobody knows.
async fn missing(connection: &mut PgConnection, mart: &str) -> Result<Option<String>> {
    let policies: Vec<(String, Vec<String>)> = sqlx::query_as(
        "select polname::text, array(select rolname::text from pg_roles where oid = any (polroles))
        from pg_policy where polrelid = to_regclass($1)",
    )
    .bind(mart)
    .fetch_all(&mut *connection)
    .await?;
    for (policy, role, privilege) in EXPECTED {
        if !policies.iter().any(|(name, roles)| name == policy && roles.as_slice() == [*role]) {
            return Ok(Some(format!("the policy {policy} for {role} is gone")));
        }
        let (granted,): (bool,) = sqlx::query_as("select has_table_privilege($1, to_regclass($2), $3)")
            .bind(role)
            .bind(mart)
            .bind(privilege)
            .fetch_one(&mut *connection)
            .await?;
        if !granted {
            return Ok(Some(format!("{role} may not {}", privilege.to_lowercase())));
        }
    }
    let unknown = policies.iter().find(|(name, _)| !EXPECTED.iter().any(|(policy, _, _)| name == policy));
    Ok(unknown.map(|(name, _)| format!("there is a policy that marts does not know: {name}")))
}
