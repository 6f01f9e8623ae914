//! The services company's case database: one wide table, filled in by many people over years.

use std::collections::BTreeMap;

use chrono::{Datelike, Days, NaiveDate, NaiveTime, Weekday};

use crate::sandbox::business::Dice;
use crate::sandbox::business::table::{Cell, Column, TableData};

/// Name of the table, and the schema it is in.
pub const CASE_TABLE: &str = "Case_Data_Summary_NOPHI";
pub const CASE_SCHEMA: &str = "dbo";

/// What to generate.
#[derive(Debug, Clone)]
pub struct CaseOptions {
    pub seed: u64,
    /// First day on which cases are created.
    pub from: NaiveDate,
    /// Everything stands as on the morning after this day: some cases of that morning are there already.
    pub to: NaiveDate,
    /// Cases created on a business day, about.
    pub cases_per_day: u32,
    /// Put this into a column of a case in the middle, as somebody who types in the wrong field does.
    pub planted: Option<(&'static str, String)>,
}

impl CaseOptions {
    /// A dozen cases a business day.
    pub fn new(seed: u64, from: NaiveDate, to: NaiveDate) -> Self {
        Self { seed, from, to, cases_per_day: 12, planted: None }
    }

    /// Cases of a business day that make about so many in all. A day of the weekend has a sixth of them.
    pub fn per_day(&self, cases: u64) -> u32 {
        let days = self.from.iter_days().take_while(|day| *day <= self.to);
        let sixths: u64 = days.map(|day| if is_weekend(day) { 1 } else { 6 }).sum();
        u32::try_from(cases.saturating_mul(6) / sixths.max(1)).unwrap_or(u32::MAX).max(1)
    }
}

/// One case, as the table has it: labels as they were typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    pub created: Option<NaiveDate>,
    pub closed: Option<NaiveDate>,
    pub status: Option<String>,
    pub kind: Option<String>,
    pub solution: Option<String>,
    /// Who looks after the case. Never to be read.
    pub counselor: &'static str,
    /// Whose employee the client is. Never to be read.
    pub organization: &'static str,
    /// What the client wrote. Never to be read.
    pub comment: Option<String>,
}

/// All cases.
#[derive(Debug, Clone)]
pub struct CaseBook {
    pub options: CaseOptions,
    pub cases: Vec<Case>,
}

/// What there is to say of the cases at the end of a day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CaseFigures {
    pub total: usize,
    pub new: usize,
    pub closed: usize,
    pub by_type: BTreeMap<String, usize>,
    pub by_status: BTreeMap<String, usize>,
    pub by_category: BTreeMap<String, usize>,
}

const KINDS: &[(&str, i64)] = &[
    ("Individual", 500),
    ("Couple", 150),
    ("Family", 120),
    ("Management Referral", 80),
    ("Critical Incident", 40),
    ("Work-Life", 90),
    ("Unknown", 20),
];
const SOLUTIONS: &[(&str, i64)] = &[
    ("EAP Counseling", 520),
    ("Coaching", 160),
    ("Legal & Financial", 120),
    ("Physician Well-Being", 60),
    ("Nurse Peer Coaching", 40),
    ("Childcare Search", 30),
    ("Crisis Response", 20),
    // So rare that thirty days have one or two.
    ("Adoption Assistance", 6),
    ("Elder Law", 5),
    ("Ärztliche Beratung", 4),
    ("Grief Group", 5),
];
const CLOSINGS: &[&str] = &["Closed - Goals Met", "Closed - Referred", "Closed - No Response"];
const COUNSELORS: &[&str] = &["Marisol Vantongeren", "Jane Quillfeather", "Tobias Ashgrove", "Priya Underhollow"];
const ORGANIZATIONS: &[&str] = &["Northgate Hospital Group", "Quarry Lane Schools", "Tidewater Transit"];
const DAY: u8 = 41;

impl CaseBook {
    /// Generate the cases from `options.from` to the morning after `options.to`.
    pub fn generate(options: CaseOptions) -> Self {
        let mut cases = Vec::new();
        let morning = options.to + Days::new(1);
        for day in options.from.iter_days().take_while(|day| *day <= morning) {
            let mut dice = Dice::for_day(options.seed, DAY, day);
            let usual = i64::from(options.cases_per_day);
            let about = if is_weekend(day) { usual / 6 } else { usual };
            let count = dice.roll(about * 2 / 3, about * 4 / 3 + 1);
            for _ in 0..if day == morning { count.min(3) } else { count } {
                cases.push(case(&mut dice, day, morning));
            }
        }
        // The table has no order.
        let mut dice = Dice::for_day(options.seed, DAY + 1, options.from);
        for at in (1..cases.len()).rev() {
            cases.swap(at, dice.roll(0, at as i64) as usize);
        }
        Self { options, cases }
    }

    /// The figures at the end of `as_of`, counted over the objects.
    pub fn figures(&self, as_of: NaiveDate, min_group_size: usize) -> CaseFigures {
        let sane = |date: Option<NaiveDate>| {
            let latest = as_of.checked_add_months(chrono::Months::new(24));
            date.filter(|date| date.year() >= 1990 && Some(*date) <= latest)
        };
        let first = as_of - Days::new(29);
        let inside = |date: Option<NaiveDate>| sane(date).is_some_and(|date| (first..=as_of).contains(&date));
        let there: Vec<&Case> =
            self.cases.iter().filter(|case| sane(case.created).is_none_or(|date| date <= as_of)).collect();
        let new: Vec<bool> = there.iter().map(|case| inside(case.created)).collect();
        let all = vec![true; there.len()];
        let labels = |of: fn(&Case) -> Option<&str>| there.iter().map(|case| of(case)).collect::<Vec<_>>();
        let by_category = count(&labels(|case| case.solution.as_deref()), &new);
        let mut merged = BTreeMap::new();
        for (label, size) in by_category {
            let label = if size < min_group_size { "Other (small groups)".to_owned() } else { label };
            *merged.entry(label).or_default() += size;
        }
        CaseFigures {
            total: there.len(),
            new: new.iter().filter(|new| **new).count(),
            closed: there.iter().filter(|case| inside(case.closed)).count(),
            by_type: count(&labels(|case| case.kind.as_deref()), &new),
            by_status: count(&labels(|case| case.status.as_deref()), &all),
            by_category: merged,
        }
    }

    /// The table with all its columns, of which most are nobody's business.
    pub fn table(&self) -> TableData {
        let columns = COLUMNS.iter().map(|(name, sql_type)| Column { name, sql_type, nullable: true }).collect();
        let middle = self.cases.len() / 2;
        let rows = self.cases.iter().enumerate().map(|(number, case)| {
            let planted = self.options.planted.as_ref().filter(|_| number == middle);
            let cells = COLUMNS.iter().map(|(name, _)| match planted {
                Some((column, text)) if column == name => Cell::Text(text.clone()),
                _ => cell(case, name, number),
            });
            cells.collect()
        });
        TableData { name: CASE_TABLE, rows: rows.collect(), columns }
    }
}

fn is_weekend(day: NaiveDate) -> bool {
    matches!(day.weekday(), Weekday::Sat | Weekday::Sun)
}

/// How many of the chosen ones have each label, spelt as most of all are.
fn count(labels: &[Option<&str>], chosen: &[bool]) -> BTreeMap<String, usize> {
    let clean = |label: &Option<&str>| label.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    let mut spellings: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for text in labels.iter().map(clean) {
        *spellings.entry(text.to_lowercase()).or_default().entry(text).or_default() += 1;
    }
    let mut counts = BTreeMap::new();
    for (text, _) in labels.iter().map(clean).zip(chosen).filter(|(_, chosen)| **chosen) {
        let folded = text.to_lowercase();
        let commonest = spellings[&folded].iter().rev().max_by_key(|(_, count)| **count).map(|(text, _)| text.clone());
        let label = if folded.is_empty() || folded == "unknown" { Some("Unknown".to_owned()) } else { commonest };
        *counts.entry(label.unwrap_or_default()).or_default() += 1;
    }
    counts
}

fn case(dice: &mut Dice, created: NaiveDate, morning: NaiveDate) -> Case {
    let age = (morning - created).num_days();
    // All dice are thrown whatever the age, so that a day more leaves the past alone.
    let (lasts, closes) = (dice.roll(0, 120), dice.chance(930));
    let (closing, waiting) = (dice.pick(CLOSINGS), dice.pick(&["Open", "In Progress", "Awaiting Consultant"]));
    let mut closed = (lasts <= age && closes).then(|| created + Days::new(lasts.unsigned_abs()));
    let status = match closed {
        Some(_) => closing,
        None if age < 5 => "Open",
        None => waiting,
    };
    let mut created = Some(created);
    // One in fifty is odd.
    match dice.roll(1, 250) {
        // Closed before it was created.
        1 => closed = created.map(|day| day - Days::new(3)),
        // Typing mistakes: a century, and a decade, too many or too few.
        2 => created = NaiveDate::from_ymd_opt(1900, 1, 1),
        3 => closed = Some(morning + Days::new(3_650)),
        // Planned ahead.
        4 => created = Some(morning + Days::new(dice.roll(0, 200).unsigned_abs())),
        5 => created = None,
        _ => {}
    }
    let (kind, solution) = (weighted(dice, KINDS), weighted(dice, SOLUTIONS));
    let comment = dice.chance(30).then(|| "Please call me at 612-555-0147 or mail jane.roe@example.com".to_owned());
    Case {
        created,
        closed,
        status: typed(dice, status),
        kind: typed(dice, kind),
        solution: typed(dice, solution),
        counselor: dice.pick(COUNSELORS),
        organization: dice.pick(ORGANIZATIONS),
        comment,
    }
}

fn weighted(dice: &mut Dice, items: &[(&'static str, i64)]) -> &'static str {
    let mut left = dice.roll(1, items.iter().map(|(_, weight)| weight).sum());
    for (item, weight) in items {
        left -= weight;
        if left <= 0 {
            return item;
        }
    }
    "Unknown"
}

/// A label as somebody types it: mostly right.
fn typed(dice: &mut Dice, label: &str) -> Option<String> {
    Some(match dice.roll(1, 100) {
        1 => return None,
        2 => String::new(),
        3 => format!("{label}   "),
        4 => format!(" {label}"),
        5 => label.to_uppercase(),
        6 => label.to_lowercase(),
        7 => label.replace(' ', "  "),
        8 => label.replace(' ', "\t"),
        9 => label.replace(' ', "\u{a0} "),
        _ => label.to_owned(),
    })
}

/// The table's columns, in an order of its own.
static COLUMNS: &[(&str, &str)] = &[
    ("Organization", "varchar(120)"),
    ("Industry", "varchar(60)"),
    ("Tier Level", "varchar(20)"),
    ("Current Population", "int"),
    ("Case Create Date", "date"),
    ("Date Opened", "date"),
    ("Date Closed", "date"),
    ("Workflow Status", "varchar(60)"),
    ("Case Type", "varchar(60)"),
    ("Solution", "varchar(80)"),
    ("Primary Presenting Problem", "varchar(80)"),
    ("Closing Disposition", "varchar(60)"),
    ("Client Type", "char(20)"),
    ("Triage Tier", "varchar(20)"),
    ("Provider Type", "varchar(40)"),
    ("Primary Counselor Name", "varchar(80)"),
    ("Case Manager", "varchar(80)"),
    ("Satisfaction", "varchar(10)"),
    ("Net Promoter", "varchar(10)"),
    ("Impact on Well Being", "varchar(10)"),
    ("Satisfaction Comments", "nvarchar(max)"),
    ("Completed Session Count", "varchar(10)"),
    ("Cancelled Sessions", "varchar(10)"),
    ("In-Person Sessions", "varchar(10)"),
    ("Virtual Sessions", "varchar(10)"),
    ("Initial Session Modality", "varchar(20)"),
    ("Web Hits", "varchar(10)"),
    ("Web Logins", "varchar(10)"),
    ("Mobile App Count", "varchar(10)"),
    ("TAT - Client Contact to First Session", "varchar(10)"),
    ("TAT - Client Contact to Case Closed", "varchar(10)"),
    ("TAT - Client Contact to Consultant Assigned", "varchar(10)"),
    ("TAT - Consultant Assigned to First Session", "varchar(10)"),
    ("Pre: Well-Being", "varchar(10)"),
    ("Post: Well-Being", "varchar(10)"),
    ("Pre: Burnout", "varchar(10)"),
    ("Post: Burnout", "varchar(10)"),
    ("Pre: Retention", "varchar(10)"),
    ("Post: Retention", "varchar(10)"),
];

fn cell(case: &Case, column: &str, number: usize) -> Cell {
    let day = |date: Option<NaiveDate>| date.map(|date| date.and_time(NaiveTime::MIN)).into();
    let text = |text: &str| Cell::Text(text.to_owned());
    match column {
        "Organization" => text(case.organization),
        "Current Population" => Cell::Int(400 + number as i64 % 900),
        "Case Create Date" | "Date Opened" => day(case.created),
        "Date Closed" => day(case.closed),
        "Workflow Status" => case.status.as_deref().into(),
        "Case Type" => case.kind.as_deref().into(),
        "Solution" => case.solution.as_deref().into(),
        "Primary Presenting Problem" => text(["Anxiety", "Relationship", "Grief / Loss"][number % 3]),
        "Closing Disposition" => case.closed.map(|_| "Resolved").into(),
        "Client Type" => text(["Employee", "Spouse", "Dependent"][number % 3]),
        "Triage Tier" => text(["High", "Urgent", "Crisis", "Routine"][number % 4]),
        "Primary Counselor Name" | "Case Manager" => text(case.counselor),
        "Satisfaction Comments" => case.comment.as_deref().into(),
        "Initial Session Modality" => text(["Virtual", "In-Person"][number % 2]),
        // Numbers kept as text, with words among them.
        "Satisfaction" | "Completed Session Count" => text(["5", "4.5", "N/A", ""][number % 4]),
        _ => Cell::Null,
    }
}
