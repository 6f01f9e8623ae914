//! Raw pulls of a GA4 property's export to BigQuery.

use super::{Column, Connector, Dataset, Grain, Kind, column, required};

pub(super) static EVENTS: Dataset = Dataset {
    name: "ga4_events",
    connector: Connector::BigQuery,
    grain: Grain::Day,
    key: &["event_no"],
    // A day without events has no table at all.
    may_be_empty: false,
    pages: true,
    columns: &[
        required(
            "event_no",
            Kind::Int,
            "position in rows",
            "Position of the row in the answer, from 0; the export itself has no key.",
        ),
        required("event_date", Kind::Date, "event_date", "Day of the event in the property's time zone: its table."),
        column(
            "event_at",
            Kind::Timestamp,
            "event_timestamp",
            "Instant of the event by the device's clock, corrected on upload; null where the device has no sane date.",
        ),
        required("event_name", Kind::Text, "event_name", "Kind of event, such as screen_view or first_open."),
        Column {
            personal: true,
            ..column(
                "user_pseudo_id",
                Kind::Text,
                "user_pseudo_id",
                "Installation of the app, which stands for a user; null without consent.",
            )
        },
        column(
            "ga_session_id",
            Kind::Int,
            "event_params.ga_session_id",
            "Session, unique only together with the user: the second it began.",
        ),
        column(
            "engagement_time_msec",
            Kind::Int,
            "event_params.engagement_time_msec",
            "Milliseconds in the foreground since the last event that told them.",
        ),
        column("firebase_screen", Kind::Text, "event_params.firebase_screen", "Screen, as the developer named it."),
        column(
            "firebase_screen_class",
            Kind::Text,
            "event_params.firebase_screen_class",
            "Class that shows the screen, which is always sent.",
        ),
        column("firebase_screen_id", Kind::Text, "event_params.firebase_screen_id", "Number of the screen, as text."),
        column(
            "operating_system",
            Kind::Text,
            "device.operating_system",
            "Operating system of the device in lower case: its spelling varies.",
        ),
    ],
    meaning: "The events of one day of the export, a row each as delivered; rows delivered twice are two rows.",
};
