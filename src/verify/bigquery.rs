//! The export of a GA4 property, asked in BigQuery's SQL for the distinct users and sessions of a day. It is counted
//! there; the events do not come over the wire.

use anyhow::{Context as _, Result};

use super::questions::Question;
use super::{Answers, Around, Asked, setting};
use crate::config::BigQuery;
use crate::extract::bigquery::one_row;

/// Users of a day, those of them that opened the app for the first time, the others, and the pairs of user and session.
pub(super) const USERS: &str = "\
select
    count(distinct user_id) as daily_active_users,
    count(distinct if(event_name = 'first_open', user_id, null)) as new_users,
    count(distinct user_id) - count(distinct if(event_name = 'first_open', user_id, null)) as returning_users,
    count(distinct if(user_id is null or session_id is null, null, concat(user_id, '/', session_id))) as total_sessions
from (
    select
        nullif(trim(user_pseudo_id), '') as user_id,
        event_name,
        (select cast(max(coalesce(value.int_value, safe_cast(value.double_value as int64),
            safe_cast(value.string_value as int64))) as string)
            from unnest(event_params) where key = 'ga_session_id') as session_id
    from {table}
)";

/// The export.
pub(super) struct Export<'a> {
    around: &'a Around<'a>,
    settings: &'a BigQuery,
}

impl<'a> Export<'a> {
    pub(super) fn new(around: &'a Around<'a>) -> Result<Self> {
        Ok(Export { around, settings: setting(around.org.bigquery.as_ref(), "bigquery")? })
    }

    pub(super) async fn put(&mut self, question: &Question, asked: Asked) -> Result<Answers> {
        let BigQuery { project, dataset, .. } = self.settings;
        let table = format!("`{project}.{dataset}.events_{}`", asked.period.start.format("%Y%m%d"));
        let sql = question.text.replace("{table}", &table);
        let row = one_row(self.settings, &self.around.config.limits, self.around.http.clone(), &sql).await?;
        let number = |column: &&'static str| {
            let cell = row.get(*column).with_context(|| format!("the answer has no {column}"))?;
            let number = cell.as_deref().context("a count is null")?.parse();
            Ok(((*column).to_owned(), Some(number.with_context(|| format!("{column} is no number"))?)))
        };
        question.columns.iter().map(number).collect()
    }
}
