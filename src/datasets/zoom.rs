//! Raw pulls of Zoom. Nobody is in them: no name, number, address or extension is landed.

use super::{Column, Connector, Dataset, Grain, Kind, column, required};

pub(super) static CALL_LEGS: Dataset = Dataset {
    name: "zoom_call_legs",
    connector: Connector::Zoom,
    grain: Grain::Day,
    key: &["leg_id"],
    may_be_empty: true,
    pages: true,
    columns: CALL_LEG_COLUMNS,
    meaning: "The calls whose first leg began on one local day, a row for each of their legs, whenever that began.",
};

pub(super) static DAILY_REPORT: Dataset = Dataset {
    name: "zoom_daily_report",
    connector: Connector::Zoom,
    grain: Grain::Month,
    key: &["report_date"],
    may_be_empty: true,
    pages: true,
    columns: DAILY_REPORT_COLUMNS,
    meaning: "Zoom's daily report of one month: a row per day that it lists. Days are the Zoom account's own.",
};

pub(super) static COUNTS: Dataset = Dataset {
    name: "zoom_counts",
    connector: Connector::Zoom,
    grain: Grain::Snapshot,
    key: &["list_name", "status"],
    may_be_empty: true,
    pages: true,
    columns: COUNT_COLUMNS,
    meaning: "How many users, phone users and call queues the account has, by status; no row when it was not asked.",
};

pub(super) static COVERAGE: Dataset = Dataset {
    name: "zoom_coverage",
    connector: Connector::Zoom,
    grain: Grain::Day,
    key: &["part"],
    may_be_empty: false,
    pages: false,
    columns: COVERAGE_COLUMNS,
    meaning: "What Zoom had to say of one local day: which parts of the account are there at all, and how much was announced.",
};

const CALL_LEG_COLUMNS: &[Column] = &[
    required("leg_id", Kind::Text, "call_history_uuid, else id", "Leg, as Zoom names it; the key."),
    required("call_id", Kind::Text, "call_id, else the leg's own", "Call; legs of one call share it."),
    column("direction", Kind::Text, "direction", "inbound, outbound, or what else Zoom says; lower case."),
    required("started_at", Kind::Timestamp, "start_time, else date_time", "When the leg began to ring."),
    column("answered_at", Kind::Timestamp, "answer_time", "When it was answered; null where nobody did."),
    column("ended_at", Kind::Timestamp, "end_time", "When it ended."),
    column("seconds", Kind::Int, "duration", "Seconds as delivered; of an unanswered leg, those it rang."),
    column("result", Kind::Text, "call_result, else result", "Result, in lower case with _ for blanks: no_answer."),
];

const DAILY_REPORT_COLUMNS: &[Column] = &[
    required("report_date", Kind::Date, "dates[].date", "The day, in the time zone of the Zoom account; the key."),
    column("meetings", Kind::Int, "dates[].meetings", "Meetings of the day."),
    column("participants", Kind::Int, "dates[].participants", "Participants of those meetings."),
    column("meeting_minutes", Kind::Int, "dates[].meeting_minutes", "Minutes of those meetings, as Zoom counts them."),
    column("new_users", Kind::Int, "dates[].new_users", "Users added that day."),
];

const COUNT_COLUMNS: &[Column] = &[
    required("list_name", Kind::Text, "the list asked for", "users, phone_users or call_queues; part of the key."),
    required("status", Kind::Text, "the status asked for", "Status, or all for call queues; part of the key."),
    required("is_available", Kind::Bool, "the answer", "Whether the account has what was asked for."),
    column("code", Kind::Int, "code", "Zoom's reason where the account has not."),
    column(
        "records",
        Kind::Int,
        "the list",
        "Distinct entries not counted under an earlier status; null when unknown.",
    ),
    column("created_later", Kind::Int, "user_created_at", "Those of them created after the end of the day."),
    column("announced", Kind::Int, "total_records", "Entries that Zoom announced."),
    column("received", Kind::Int, "the list", "Entries that it gave."),
];

const COVERAGE_COLUMNS: &[Column] = &[
    required("covered_date", Kind::Date, "the day asked for", "The local day."),
    required("part", Kind::Text, "the endpoint", "calls or daily_report; the key."),
    required("is_available", Kind::Bool, "the answer", "Whether the account has that part of Zoom."),
    column("code", Kind::Int, "code", "Zoom's reason where the account has not."),
    column("announced", Kind::Int, "total_records", "Legs that Zoom announced, of this day and those around it."),
    column("received", Kind::Int, "the list", "Legs that it gave."),
];
