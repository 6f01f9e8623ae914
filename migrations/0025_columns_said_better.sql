-- What the catalog says of some columns was less than the rules say (docs/marts.md is written from it).

comment on table mart_financial_metrics is 'Monthly financial summary, a row per organisation and calendar month. Amounts in the organisation''s currency. Source: QuickBooks, or the general ledger of Softbase.';
comment on column mart_financial_metrics.gross_margin_pct is 'gross_profit over income, percent; null when income is zero or below, or the percentage does not fit.';
comment on column mart_financial_metrics.cash_balance is 'Bank accounts at period_end; from a ledger its cash accounts, overdrafts included.';

comment on column mart_zoom_metrics.total_meeting_minutes is 'Minutes of those meetings as Zoom''s daily report counts them; in some accounts they are summed over participants.';
comment on column mart_zoom_metrics.avg_meeting_duration_mins is 'total_meeting_minutes over total_meetings, minutes, so minutes of participants where Zoom sums them so; 0 when there are none.';
comment on column mart_zoom_metrics.missed_calls is 'Inbound calls that nobody answered and whose last leg was missed, not answered, timed out, abandoned or busy, unless set otherwise; voicemail, rejected and blocked calls are not missed. Null when Zoom gave no inbound call a result.';
comment on column mart_zoom_metrics.total_call_minutes is 'Minutes of the connected calls whose length is known; null when there are calls of unknown length and none of known length.';
comment on column mart_zoom_metrics.avg_call_duration_mins is 'Minutes per connected call of known length; 0 when no call connected, null when no length is known.';

comment on column mart_app_analytics.metric_date is 'The day, in the time zone of the GA4 property.';
comment on column mart_app_analytics.avg_session_duration_secs is 'Engagement per session, seconds; 0 when there are none, null when the average does not fit.';
comment on column mart_app_analytics.screens_per_session is 'Screen views per session; 0 when there are none, null when the average does not fit.';
comment on column mart_app_analytics.ios_downloads is 'Users who opened the app for the first time on iOS or iPadOS; one seen on both systems counts in both.';
comment on column mart_app_analytics.android_downloads is 'Users who opened the app for the first time on Android; one seen on both systems counts in both.';
