//! The dealer's chart of accounts: six digits, laid out in the ranges of a material-handling dealer.

/// A row of ChartOfAccounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DealerAccount {
    pub number: &'static str,
    pub description: &'static str,
    /// A assets, L liabilities and equity alike, S sales, C cost, E expense.
    pub kind: char,
    /// Has no GL row in a month in which it does not move, under `DealerOptions::sparse_gl`.
    pub sparse: bool,
}

impl DealerAccount {
    /// Closed into retained earnings at the end of the fiscal year.
    pub fn is_profit_and_loss(&self) -> bool {
        matches!(self.number.as_bytes()[0], b'4'..=b'9')
    }
}

const fn account(number: &'static str, kind: char, description: &'static str) -> DealerAccount {
    DealerAccount { number, description, kind, sparse: false }
}

const fn sparse(number: &'static str, kind: char, description: &'static str) -> DealerAccount {
    DealerAccount { number, description, kind, sparse: true }
}

/// Retained earnings, which prior years' profit is closed into.
pub(super) const RETAINED_EARNINGS: &str = "340000";

/// The chart, in order of number. Type says E for 7xxxxx, as such charts do, income or not.
pub static CHART: &[DealerAccount] = &[
    account("110000", 'A', "Cash - Operating"),
    account("111000", 'A', "Cash - Payroll"),
    account("120000", 'A', "Accounts Receivable - Trade"),
    account("125000", 'A', "Undeposited Funds"),
    account("131000", 'A', "Inventory - New Trucks"),
    account("132000", 'A', "Inventory - Used Trucks"),
    account("134000", 'A', "Inventory - Parts"),
    account("135000", 'A', "Work in Process"),
    account("140000", 'A', "Prepaid Expenses"),
    sparse("150000", 'A', "Deposits"),
    sparse("161000", 'A', "Cash Value of Life Insurance"),
    account("180000", 'A', "Shop Equipment"),
    account("183000", 'A', "Rental Equipment"),
    account("187000", 'A', "Right-of-Use Leases"),
    account("190100", 'A', "Accum. Depreciation - Shop Equipment"),
    account("193000", 'A', "Accum. Depreciation - Rental Equipment"),
    account("210000", 'L', "Accounts Payable - Trade"),
    account("221000", 'L', "Sales Tax Payable"),
    account("230000", 'L', "Accrued Federal Tax"),
    account("240000", 'L', "Payroll Tax Payable"),
    account("242000", 'L', "Notes Payable"),
    account("245000", 'L', "Floor Plan - Manufacturer"),
    account("249000", 'L', "Operating Lease Liability"),
    account("250000", 'L', "Contracts Payable - Rental Fleet"),
    sparse("310000", 'L', "Capital Stock"),
    account("330000", 'L', "Distributions"),
    account(RETAINED_EARNINGS, 'L', "Retained Earnings"),
    account("410003", 'S', "Sales - Parts Counter"),
    account("410004", 'S', "Sales - Field Labor"),
    account("410005", 'S', "Sales - Shop Labor"),
    account("410007", 'S', "Sales - Planned Maintenance"),
    account("410008", 'S', "Sales - Rental"),
    account("410010", 'S', "Sales - Transport and Misc"),
    account("410012", 'S', "Sales - Parts on Service"),
    account("412002", 'S', "Sales - Used Equipment"),
    account("413001", 'S', "Sales - New Equipment"),
    account("423000", 'S', "Sales - Internal Labor"),
    account("510003", 'C', "Cost - Parts"),
    account("510004", 'C', "Cost - Labor"),
    account("510008", 'C', "Cost - Rental"),
    account("510010", 'C', "Cost - Transport and Misc"),
    account("512002", 'C', "Cost - Used Equipment"),
    account("513001", 'C', "Cost - New Equipment"),
    account("537001", 'C', "Rental Depreciation"),
    account("539000", 'C', "Rental Interest"),
    account("600900", 'E', "Depreciation"),
    account("601400", 'E', "Federal Tax"),
    account("601800", 'E', "Interest"),
    account("602600", 'E', "Salaries"),
    account("602700", 'E', "Payroll Tax"),
    account("603000", 'E', "Rent"),
    account("604000", 'E', "Insurance"),
    account("701000", 'E', "Gain or Loss on Sale of Assets"),
    account("703000", 'E', "A/R Discounts"),
    account("706000", 'E', "Admin Fund Expense"),
];
