//! A dealer of forklifts on the Softbase ERP: machines are rented, work orders become invoices, invoices are posted,
//! months are closed.

mod books;
mod chart;
mod figures;
mod fleet;
mod general_ledger;
mod invoices;
mod rentals;
mod statements;
mod tables;
mod work;

pub use chart::{Chart, DealerAccount, Nature};
pub use figures::{Exclusions, SalesDay};
pub use fleet::{Machine, MachineOddity, MachineType, RENTAL_DEPT, RentalLine, SOLD_UNIT};
pub use general_ledger::{GlRow, TrialBalance};
pub use rentals::{FleetDay, FleetRules, Units};
pub use statements::{CashFlow, Effect, Financials};

use chrono::{NaiveDate, NaiveDateTime};

use super::{Cents, Ledger};

/// What to generate.
#[derive(Debug, Clone)]
pub struct DealerOptions {
    pub seed: u64,
    /// Cut-over: the first day of business in this ERP, where the ledger opens with balances taken over.
    pub from: NaiveDate,
    /// Everything stands as at the end of this day: what is closed, voided or re-opened later is not yet so.
    pub to: NaiveDate,
    /// 1 = January.
    pub fiscal_year_start_month: u32,
    /// Invoices of a business day, about.
    pub invoices_per_day: u32,
    /// Trucks of the rental fleet, at least one, at most 900; a third of them have a battery and a charger besides.
    pub fleet_trucks: u32,
    /// Leave out the GL rows of accounts that rarely move in the months they do not, as the ERP does.
    pub sparse_gl: bool,
    /// How the accounts are numbered.
    pub chart: Chart,
}

impl DealerOptions {
    /// A dealer with some tens of invoices a business day, on fiscal years from November.
    pub fn new(seed: u64, from: NaiveDate, to: NaiveDate) -> Self {
        Self {
            seed,
            from,
            to,
            fiscal_year_start_month: 11,
            invoices_per_day: 30,
            fleet_trucks: 60,
            sparse_gl: true,
            chart: Chart::SixDigits,
        }
    }
}

/// The five kinds of line an invoice sums up; each has a taxable, a non-taxable and a cost field in the register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LineType {
    Labor,
    Parts,
    Misc,
    Equipment,
    Rental,
}

impl LineType {
    pub const ALL: [LineType; 5] =
        [LineType::Labor, LineType::Parts, LineType::Misc, LineType::Equipment, LineType::Rental];
}

/// What is odd about an invoice, so that a test can pick one of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    None,
    /// All amounts negative.
    Credit,
    /// NULL where others have zero, TotalTax included.
    NullAmounts,
    /// Nothing but sales tax.
    OnlyTax,
    /// GrandTotal is NULL.
    NoGrandTotal,
    /// Voided some days after it was written (DeletionTime), if that day has come.
    Voided,
    /// GrandTotal is not the sum of lines and tax.
    Disagrees,
    /// InvoiceDate is 1 January 1900. Register only: never posted.
    Ancient,
}

/// A row of InvoiceReg. Amount fields are indexed by [`LineType`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    /// The work order's number: the ERP joins both on it.
    pub number: i64,
    pub date: NaiveDateTime,
    pub taxable: [Option<Cents>; 5],
    pub non_tax: [Option<Cents>; 5],
    pub cost: [Option<Cents>; 5],
    pub total_tax: Option<Cents>,
    pub grand_total: Option<Cents>,
    /// As the CHAR column gives it: padded with blanks, in either case.
    pub bill_to: String,
    pub ship_to: String,
    pub bill_to_name: &'static str,
    pub ship_to_name: &'static str,
    pub sale_code: &'static str,
    pub sale_branch: i64,
    pub sale_dept: i64,
    /// The unit's serial number; parts have none.
    pub serial: Option<String>,
    pub deleted: Option<NaiveDateTime>,
    pub oddity: Oddity,
}

/// A row of WO, as it stands at the end of `DealerOptions::to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkOrder {
    pub number: i64,
    /// S, SH, PM, P, R, E, I or W.
    pub kind: &'static str,
    pub opened: NaiveDateTime,
    pub completed: Option<NaiveDateTime>,
    pub closed: Option<NaiveDateTime>,
    pub invoiced: Option<NaiveDateTime>,
    pub deleted: Option<NaiveDateTime>,
    /// The day it was closed before somebody re-opened it, when somebody did.
    pub reopened_after: Option<NaiveDateTime>,
    pub bill_to: String,
    pub ship_to: String,
    pub ship_name: &'static str,
    pub sale_code: &'static str,
    pub sale_branch: i64,
    pub sale_dept: i64,
    pub unit: Option<String>,
    pub serial: Option<String>,
}

impl WorkOrder {
    /// Quotes live among the work orders under numbers that start with 9.
    pub fn is_quote(&self) -> bool {
        self.number.to_string().starts_with('9')
    }

    /// The number of its rental contract.
    pub fn contract(&self) -> Option<i64> {
        (self.kind == "R" && !self.is_quote()).then_some(self.number - 16_000_000)
    }
}

/// The generated dealer.
#[derive(Debug, Clone)]
pub struct Dealer {
    pub options: DealerOptions,
    pub invoices: Vec<Invoice>,
    pub work_orders: Vec<WorkOrder>,
    pub machines: Vec<Machine>,
    pub rental_lines: Vec<RentalLine>,
    pub ledger: Ledger,
}

impl Dealer {
    /// Generate the dealer's register, work orders, machines and ledger from `options.from` to `options.to`.
    pub fn generate(options: DealerOptions) -> Self {
        let (work_orders, invoices) = work::work(&options);
        let ledger = books::post_all(&options, &invoices);
        let (machines, rental_lines) = (fleet::machines(&options), fleet::lines(&work_orders));
        Self { options, invoices, work_orders, machines, rental_lines, ledger }
    }
}

/// Accounts the dealer keeps for itself (preparation, fleet expense): settings may exclude them from sales.
pub const INTERNAL_CUSTOMERS: [&str; 2] = ["int900", "int910"];

/// Customer numbers and names. Several names are one customer spelt twice; one number has letters.
static CUSTOMERS: &[(&str, &str)] = &[
    ("10021", "Northgate Foods"),
    ("10044", "Alder Logistics"),
    ("10107", "Quarry Lane Brewing"),
    ("10118", "Bluebird Packaging"),
    ("10233", "Tidewater Cold Storage"),
    ("10250", "Tidewater Cold Storage, Inc."),
    ("10377", "Maple Street Lumber"),
    ("10412", "Orchard Valley Produce"),
    ("10590", "Lakeshore Steel"),
    ("ab1204", "Foundry Row Castings"),
];
