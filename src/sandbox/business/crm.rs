//! The CRM of a services company: contacts on their way through the lifecycle, and deals in two pipelines that use the
//! same words for their stages.
//!
//! Everything the marts trip over is in it: stages that the account added, none, and deleted ones; amounts with many
//! decimals, none, and foreign; archived records and pipelines; records created after the last day.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::Dice;
use super::calendar;

/// What to generate.
#[derive(Debug, Clone)]
pub struct CrmOptions {
    pub seed: u64,
    /// First and last day on which records are created; a few come on the day after, before the night's pull.
    pub from: NaiveDate,
    pub to: NaiveDate,
    /// Contacts and deals of a day, about.
    pub contacts_per_day: i64,
    pub deals_per_day: i64,
}

impl CrmOptions {
    /// A small company.
    pub fn new(seed: u64, from: NaiveDate, to: NaiveDate) -> Self {
        Self { seed, from, to, contacts_per_day: 6, deals_per_day: 2 }
    }
}

/// A contact, as far as it is asked about.
#[derive(Debug, Clone)]
pub struct Contact {
    pub id: u64,
    pub stage: Option<&'static str>,
    pub created: DateTime<Utc>,
    pub modified: DateTime<Utc>,
    pub archived: bool,
}

/// A deal.
#[derive(Debug, Clone)]
pub struct Deal {
    pub id: u64,
    pub pipeline: &'static str,
    pub stage: Option<&'static str>,
    /// As typed: text, empty, or none.
    pub amount: Option<String>,
    pub currency: &'static str,
    pub home_amount: Option<String>,
    pub created: DateTime<Utc>,
    pub closes: Option<DateTime<Utc>>,
    pub modified: DateTime<Utc>,
    pub archived: bool,
}

/// A stage of a deal pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DealStage {
    pub id: &'static str,
    pub label: &'static str,
    pub is_closed: bool,
    /// As HubSpot writes it.
    pub probability: &'static str,
}

/// A deal pipeline.
#[derive(Debug, Clone, Copy)]
pub struct Pipeline {
    pub id: &'static str,
    pub label: &'static str,
    pub archived: bool,
    pub stages: &'static [DealStage],
}

const fn stage(id: &'static str, label: &'static str, is_closed: bool, probability: &'static str) -> DealStage {
    DealStage { id, label, is_closed, probability }
}

/// Lifecycle stages: internal value and label. The last two were added by the account.
pub const LIFECYCLE: &[(&str, &str)] = &[
    ("subscriber", "Subscriber"),
    ("lead", "Lead"),
    ("marketingqualifiedlead", "Marketing Qualified Lead"),
    ("salesqualifiedlead", "Sales Qualified Lead"),
    ("opportunity", "Opportunity"),
    ("customer", "Customer"),
    ("evangelist", "Evangelist"),
    ("other", "Other"),
    ("98752154", "Former customer"),
    ("98752155", "Partner \"of the house\""),
];

/// The pipelines. Labels repeat; one pipeline is archived, and one closed stage is neither won nor quite lost.
pub const PIPELINES: &[Pipeline] = &[
    Pipeline {
        id: "default",
        label: "Sales Pipeline",
        archived: false,
        stages: &[
            stage("appointmentscheduled", "Appointment Scheduled", false, "0.2"),
            stage("qualifiedtobuy", "Qualified To Buy", false, "0.4"),
            stage("contractsent", "Contract Sent", false, "0.9"),
            stage("closedwon", "Closed Won", true, "1.0"),
            stage("closedlost", "Closed Lost", true, "0.0"),
        ],
    },
    Pipeline {
        id: "14023891",
        label: "Renewals",
        archived: false,
        stages: &[
            stage("14023892", "Contract Sent", false, "0.8"),
            stage("14023893", "Closed Won", true, "1.0"),
            stage("14023894", "Closed - Not a fit", true, "0.1"),
        ],
    },
    Pipeline {
        id: "9981001",
        label: "Workshops 2019",
        archived: true,
        stages: &[stage("9981002", "Planned", false, "0.5"), stage("9981003", "Held", true, "1.0")],
    },
];

/// A stage that no pipeline has any more.
pub const DELETED_STAGE: &str = "77001122";

/// The generated CRM.
#[derive(Debug, Clone)]
pub struct Crm {
    pub options: CrmOptions,
    /// By id.
    pub contacts: Vec<Contact>,
    pub deals: Vec<Deal>,
}

impl Crm {
    /// Generate the CRM as it stands in the night after `options.to`.
    pub fn generate(options: CrmOptions) -> Self {
        let mut crm = Crm { options: options.clone(), contacts: Vec::new(), deals: Vec::new() };
        let night = options.to + Days::new(1);
        for day in calendar::days(options.from, night) {
            let mut dice = Dice::for_day(options.seed, 60, day);
            let is_night = day == night;
            let volume = |about: i64| if is_night { about.min(3) } else { about };
            for _ in 0..dice.roll(volume(options.contacts_per_day) / 2, volume(options.contacts_per_day) * 3 / 2) {
                let contact = contact(&mut dice, crm.contacts.len() as u64, day, is_night);
                crm.contacts.push(contact);
            }
            let mut dice = Dice::for_day(options.seed, 61, day);
            for _ in 0..dice.roll(volume(options.deals_per_day) / 2, volume(options.deals_per_day) * 3 / 2) {
                let deal = deal(&mut dice, crm.deals.len() as u64, day, is_night);
                crm.deals.push(deal);
            }
        }
        crm
    }

    /// What the contacts come to at the end of a day.
    pub fn contact_figures(&self, as_of: NaiveDate, timezone: Tz) -> ContactFigures {
        let mut figures = ContactFigures::default();
        for contact in self.contacts.iter().filter(|contact| !contact.archived) {
            let created = contact.created.with_timezone(&timezone).date_naive();
            let age = (as_of - created).num_days();
            if age < 0 {
                continue;
            }
            figures.total += 1;
            figures.new_30d += u64::from(age < 30);
            figures.new_7d += u64::from(age < 7);
            let named = LIFECYCLE[..7].iter().position(|(value, _)| Some(*value) == contact.stage);
            figures.stages[named.unwrap_or(7)] += 1;
        }
        figures
    }

    /// The deals that count at the end of a day.
    pub fn deals_at(&self, as_of: NaiveDate, timezone: Tz) -> impl Iterator<Item = &Deal> {
        self.deals
            .iter()
            .filter(move |deal| !deal.archived && deal.created.with_timezone(&timezone).date_naive() <= as_of)
    }
}

/// What contacts come to: the seven named stages in the lifecycle's order, then all others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContactFigures {
    pub total: u64,
    pub new_30d: u64,
    pub new_7d: u64,
    pub stages: [u64; 8],
}

/// The stage of that id, with its pipeline.
pub fn deal_stage(id: &str) -> Option<(&'static Pipeline, &'static DealStage)> {
    PIPELINES.iter().find_map(|pipeline| Some((pipeline, pipeline.stages.iter().find(|stage| stage.id == id)?)))
}

/// An instant of that day; of the night, one before anybody gets up. Sometimes without milliseconds, as the service
/// then leaves the fraction out.
fn instant(dice: &mut Dice, day: NaiveDate, is_night: bool) -> DateTime<Utc> {
    // The night lies where it is after midnight in American zones and the pull is still to come.
    let hours = if is_night { 6 * 3600..=7 * 3600 } else { 0..=86_399 };
    let second = dice.roll(*hours.start(), *hours.end());
    let millis = if dice.chance(200) { 0 } else { dice.roll(0, 999) };
    let at = day.and_time(NaiveTime::MIN) + TimeDelta::seconds(second) + TimeDelta::milliseconds(millis);
    at.and_utc()
}

fn contact(dice: &mut Dice, number: u64, day: NaiveDate, is_night: bool) -> Contact {
    let created = instant(dice, day, is_night);
    let stage = match dice.roll(1, 100) {
        1..=6 => None,
        7..=9 => Some("98752154"),
        10..=11 => Some("98752155"),
        12..=13 => Some("other"),
        14..=40 => Some("subscriber"),
        41..=70 => Some("lead"),
        71..=80 => Some("marketingqualifiedlead"),
        81..=86 => Some("salesqualifiedlead"),
        87..=91 => Some("opportunity"),
        92..=98 => Some("customer"),
        _ => Some("evangelist"),
    };
    let modified = created + TimeDelta::minutes(dice.roll(0, 300));
    Contact { id: 51 + 50 * number, stage, created, modified, archived: dice.chance(15) }
}

fn deal(dice: &mut Dice, number: u64, day: NaiveDate, is_night: bool) -> Deal {
    let created = instant(dice, day, is_night);
    let pipeline = match dice.roll(1, 10) {
        1..=6 => &PIPELINES[0],
        7..=9 => &PIPELINES[1],
        _ => &PIPELINES[2],
    };
    let stage = match dice.roll(1, 40) {
        1 => None,
        2 => Some(DELETED_STAGE),
        _ => Some(dice.pick(pipeline.stages).id),
    };
    let amount = match dice.roll(1, 20) {
        1 => None,
        2 => Some(String::new()),
        3..=4 => Some(format!("{}.{:05}", dice.roll(1, 9_000), dice.roll(0, 99_999))),
        5..=8 => Some(format!("{}.{:02}", dice.roll(100, 40_000), dice.roll(0, 99))),
        9 => Some(format!("-{}", dice.roll(1, 500))),
        _ => Some((dice.roll(1, 400) * 100).to_string()),
    };
    let is_foreign = dice.chance(100);
    let home_amount = match &amount {
        Some(amount) if !amount.is_empty() => Some(if is_foreign {
            // A rate away from the amount, and a binary fraction as the service calculates it.
            format!("{}.{:012}", dice.roll(100, 9_000), dice.roll(0, 999_999_999_999))
        } else {
            amount.clone()
        }),
        _ => None,
    };
    let modified = created + TimeDelta::minutes(dice.roll(0, 300));
    let closes = (!dice.chance(150)).then(|| created + TimeDelta::days(dice.roll(1, 120)));
    Deal {
        id: 6_744_000_001 + 7 * number,
        pipeline: pipeline.id,
        stage,
        amount,
        currency: if is_foreign { "CAD" } else { "USD" },
        home_amount,
        created,
        closes,
        modified,
        archived: dice.chance(15),
    }
}
