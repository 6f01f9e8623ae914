//! Raw pulls of HubSpot, the CRM: snapshots of what it holds, because it keeps no history that could be asked.
//!
//! Only what the marts need is asked for: no names, no addresses.

use super::{Column, Connector, Dataset, Grain, Kind, column, required};

/// Amounts as HubSpot writes them. Those it calculates are binary fractions, whose spelling goes beyond eighteen decimals;
/// there they are rounded.
const AMOUNT: Kind = Kind::Decimal { precision: 38, scale: 18 };

pub(super) static CONTACTS: Dataset = snapshot(
    "hubspot_contacts",
    &["contact_id"],
    false,
    &[
        required("contact_id", Kind::Text, "id", "Contact, as HubSpot numbers it."),
        column(
            "lifecycle_stage",
            Kind::Text,
            "properties.lifecyclestage",
            "Internal value of the lifecycle stage; a number for stages that the account added.",
        ),
        column("created_at", Kind::Timestamp, "properties.createdate", "When the contact was created."),
        column(
            "record_created_at",
            Kind::Timestamp,
            "createdAt",
            "When the record was created; differs from created_at where contacts were imported or merged.",
        ),
        column(
            "modified_at",
            Kind::Timestamp,
            "properties.lastmodifieddate, else updatedAt",
            "When the contact was last changed.",
        ),
        required("is_archived", Kind::Bool, "archived", "Whether the contact is in the recycle bin."),
    ],
    "Contacts, one row each as often as HubSpot lists it.",
);

pub(super) static LIFECYCLE_STAGES: Dataset = snapshot(
    "hubspot_lifecycle_stages",
    &["stage_id"],
    false,
    &[
        required("stage_id", Kind::Text, "options[].value", "Internal value of the stage, as contacts carry it."),
        column("stage_label", Kind::Text, "options[].label", "Name as shown; edited freely, never computed with."),
        column("display_order", Kind::Int, "options[].displayOrder", "Position among the stages."),
        column("is_hidden", Kind::Bool, "options[].hidden", "Whether it is hidden from forms."),
    ],
    "The lifecycle stages that the account knows: the options of the contacts' property lifecyclestage.",
);

pub(super) static DEALS: Dataset = snapshot(
    "hubspot_deals",
    &["deal_id"],
    // A new account has none; where HubSpot's own count says otherwise, the pull fails.
    true,
    &[
        required("deal_id", Kind::Text, "id", "Deal, as HubSpot numbers it."),
        column("pipeline_id", Kind::Text, "properties.pipeline", "Pipeline the deal is in."),
        column("stage_id", Kind::Text, "properties.dealstage", "Stage the deal is in; it may have been deleted since."),
        column("amount", AMOUNT, "properties.amount", "Amount in the deal's currency; null where none was entered."),
        column(
            "home_amount",
            AMOUNT,
            "properties.amount_in_home_currency",
            "Amount in the account's currency, as HubSpot converts it.",
        ),
        column("currency", Kind::Text, "properties.deal_currency_code", "Currency of amount, ISO 4217."),
        column("created_at", Kind::Timestamp, "properties.createdate", "When the deal was created."),
        column("record_created_at", Kind::Timestamp, "createdAt", "When the record was created."),
        column("closes_at", Kind::Timestamp, "properties.closedate", "When it was closed, or is expected to be."),
        column(
            "modified_at",
            Kind::Timestamp,
            "properties.hs_lastmodifieddate, else updatedAt",
            "When the deal was last changed.",
        ),
        required("is_archived", Kind::Bool, "archived", "Whether the deal is in the recycle bin."),
    ],
    "Deals, one row each as often as HubSpot lists it.",
);

pub(super) static DEAL_STAGES: Dataset = snapshot(
    "hubspot_deal_stages",
    &["pipeline_id", "stage_id"],
    false,
    &[
        required("pipeline_id", Kind::Text, "results[].id", "Pipeline."),
        column("pipeline_label", Kind::Text, "results[].label", "Its name as shown."),
        required("pipeline_is_archived", Kind::Bool, "results[].archived", "Whether the pipeline is archived."),
        required("stage_id", Kind::Text, "results[].stages[].id", "Stage, as deals carry it."),
        column("stage_label", Kind::Text, "results[].stages[].label", "Its name as shown; pipelines may share names."),
        column("display_order", Kind::Int, "results[].stages[].displayOrder", "Position in the pipeline."),
        column(
            "is_closed",
            Kind::Bool,
            "results[].stages[].metadata.isClosed",
            "Whether deals in it are closed; null where HubSpot does not say.",
        ),
        column(
            "probability",
            Kind::Decimal { precision: 38, scale: 18 },
            "results[].stages[].metadata.probability",
            "Probability of winning, 0 to 1.",
        ),
        required("is_archived", Kind::Bool, "results[].stages[].archived", "Whether the stage is archived."),
    ],
    "Stages of the deal pipelines, archived pipelines included.",
);

const fn snapshot(
    name: &'static str,
    key: &'static [&'static str],
    may_be_empty: bool,
    columns: &'static [Column],
    meaning: &'static str,
) -> Dataset {
    let (connector, grain) = (Connector::HubSpot, Grain::Snapshot);
    Dataset { name, connector, grain, key, may_be_empty, pages: true, columns, meaning }
}
