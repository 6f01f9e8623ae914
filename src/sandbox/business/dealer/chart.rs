//! The dealers' charts of accounts: one of six digits, laid out in the ranges of a material-handling dealer, and one of
//! seven, in which the same prefixes mean something else.

/// A row of ChartOfAccounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DealerAccount {
    pub number: &'static str,
    pub description: &'static str,
    /// A assets, L liabilities and equity alike, S sales, C cost, E expense.
    pub kind: char,
    /// Has no GL row in a month in which it does not move, under `DealerOptions::sparse_gl`.
    pub sparse: bool,
    /// What the accountant knows it to be, and the ERP does not.
    pub nature: Nature,
}

/// What an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nature {
    Cash,
    Receivable,
    Inventory,
    OtherCurrentAsset,
    FixedAsset,
    AccumulatedDepreciation,
    OtherAsset,
    Payable,
    OtherCurrentLiability,
    FloorPlan,
    Debt,
    Equity,
    Revenue,
    Cost,
    Expense,
    OtherIncome,
    OtherExpense,
}

impl DealerAccount {
    /// Closed into retained earnings at the end of the fiscal year.
    pub fn is_profit_and_loss(&self) -> bool {
        self.nature >= Nature::Revenue
    }

    /// Its other side is accumulated depreciation.
    pub fn is_depreciation(&self) -> bool {
        matches!(self.number, "537001" | "600900" | "6880201" | "6820101")
    }
}

const fn account(number: &'static str, kind: char, nature: Nature, description: &'static str) -> DealerAccount {
    DealerAccount { number, description, kind, sparse: false, nature }
}

const fn sparse(number: &'static str, kind: char, nature: Nature, description: &'static str) -> DealerAccount {
    DealerAccount { number, description, kind, sparse: true, nature }
}

/// Which chart a dealer keeps its books by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chart {
    SixDigits,
    SevenDigits,
}

impl Chart {
    /// Its accounts, in order of number.
    pub fn accounts(self) -> Vec<DealerAccount> {
        let mut accounts: Vec<DealerAccount> = match self {
            Chart::SixDigits => SIX_DIGITS.to_vec(),
            Chart::SevenDigits => SEVEN_DIGITS.iter().map(|(_, account)| *account).collect(),
        };
        accounts.sort_by_key(|account| account.number);
        accounts
    }

    /// The account for what the chart of six digits has under `number`.
    pub(super) fn number(self, number: &'static str) -> &'static str {
        match self {
            Chart::SixDigits => number,
            Chart::SevenDigits => {
                let found = SEVEN_DIGITS.iter().find(|(six, _)| *six == number);
                found.map(|(_, account)| account.number).expect("every account of one chart has one in the other")
            }
        }
    }

    /// Retained earnings, which prior years' profit is closed into.
    pub(super) fn retained_earnings(self) -> &'static str {
        self.number("340000")
    }
}

/// Type says E for 7xxxxx, as such charts do, income or not.
static SIX_DIGITS: &[DealerAccount] = &[
    account("110000", 'A', Nature::Cash, "Cash - Operating"),
    account("111000", 'A', Nature::Cash, "Cash - Payroll"),
    account("120000", 'A', Nature::Receivable, "Accounts Receivable - Trade"),
    account("125000", 'A', Nature::OtherCurrentAsset, "Undeposited Funds"),
    account("131000", 'A', Nature::Inventory, "Inventory - New Trucks"),
    account("132000", 'A', Nature::Inventory, "Inventory - Used Trucks"),
    account("134000", 'A', Nature::Inventory, "Inventory - Parts"),
    account("135000", 'A', Nature::Inventory, "Work in Process"),
    account("140000", 'A', Nature::OtherCurrentAsset, "Prepaid Expenses"),
    sparse("150000", 'A', Nature::OtherCurrentAsset, "Deposits"),
    sparse("161000", 'A', Nature::OtherAsset, "Cash Value of Life Insurance"),
    account("180000", 'A', Nature::FixedAsset, "Shop Equipment"),
    account("183000", 'A', Nature::FixedAsset, "Rental Equipment"),
    account("187000", 'A', Nature::OtherCurrentAsset, "Right-of-Use Leases"),
    account("190100", 'A', Nature::AccumulatedDepreciation, "Accum. Depreciation - Shop Equipment"),
    account("193000", 'A', Nature::AccumulatedDepreciation, "Accum. Depreciation - Rental Equipment"),
    account("210000", 'L', Nature::Payable, "Accounts Payable - Trade"),
    account("221000", 'L', Nature::OtherCurrentLiability, "Sales Tax Payable"),
    account("230000", 'L', Nature::OtherCurrentLiability, "Accrued Federal Tax"),
    account("240000", 'L', Nature::OtherCurrentLiability, "Payroll Tax Payable"),
    account("242000", 'L', Nature::Debt, "Notes Payable"),
    account("245000", 'L', Nature::FloorPlan, "Floor Plan - Manufacturer"),
    account("249000", 'L', Nature::OtherCurrentLiability, "Operating Lease Liability"),
    account("250000", 'L', Nature::FloorPlan, "Contracts Payable - Rental Fleet"),
    sparse("310000", 'L', Nature::Equity, "Capital Stock"),
    account("330000", 'L', Nature::Equity, "Distributions"),
    account("340000", 'L', Nature::Equity, "Retained Earnings"),
    account("410003", 'S', Nature::Revenue, "Sales - Parts Counter"),
    account("410004", 'S', Nature::Revenue, "Sales - Field Labor"),
    account("410005", 'S', Nature::Revenue, "Sales - Shop Labor"),
    account("410007", 'S', Nature::Revenue, "Sales - Planned Maintenance"),
    account("410008", 'S', Nature::Revenue, "Sales - Rental"),
    account("410010", 'S', Nature::Revenue, "Sales - Transport and Misc"),
    account("410012", 'S', Nature::Revenue, "Sales - Parts on Service"),
    account("412002", 'S', Nature::Revenue, "Sales - Used Equipment"),
    account("413001", 'S', Nature::Revenue, "Sales - New Equipment"),
    account("423000", 'S', Nature::Revenue, "Sales - Internal Labor"),
    account("510003", 'C', Nature::Cost, "Cost - Parts"),
    account("510004", 'C', Nature::Cost, "Cost - Labor"),
    account("510008", 'C', Nature::Cost, "Cost - Rental"),
    account("510010", 'C', Nature::Cost, "Cost - Transport and Misc"),
    account("512002", 'C', Nature::Cost, "Cost - Used Equipment"),
    account("513001", 'C', Nature::Cost, "Cost - New Equipment"),
    account("537001", 'C', Nature::Cost, "Rental Depreciation"),
    account("539000", 'C', Nature::Cost, "Rental Interest"),
    account("600900", 'E', Nature::Expense, "Depreciation"),
    account("601400", 'E', Nature::Expense, "Federal Tax"),
    account("601800", 'E', Nature::Expense, "Interest"),
    account("602600", 'E', Nature::Expense, "Salaries"),
    account("602700", 'E', Nature::Expense, "Payroll Tax"),
    account("603000", 'E', Nature::Expense, "Rent"),
    account("604000", 'E', Nature::Expense, "Insurance"),
    account("701000", 'E', Nature::OtherIncome, "Gain or Loss on Sale of Assets"),
    account("703000", 'E', Nature::OtherIncome, "A/R Discounts"),
    account("706000", 'E', Nature::OtherExpense, "Admin Fund Expense"),
];

/// By the number of the same account in the chart of six digits. 11 is stock here, there is no 7, discounts stand among the
/// sales, an expense account carries Type C, and 6100501 is salaries.
static SEVEN_DIGITS: &[(&str, DealerAccount)] = &[
    ("110000", account("1010001", 'A', Nature::Cash, "Cash - Operating")),
    ("111000", account("1011001", 'A', Nature::Cash, "Cash - Payroll")),
    ("120000", account("1030001", 'A', Nature::Receivable, "Accounts Receivable - Trade")),
    ("125000", account("1016001", 'A', Nature::Receivable, "Undeposited Funds")),
    ("131000", account("1110001", 'A', Nature::Inventory, "Inventory - New Trucks")),
    ("132000", account("1120001", 'A', Nature::Inventory, "Inventory - Used Trucks")),
    ("134000", account("1140001", 'A', Nature::Inventory, "Inventory - Parts")),
    ("135000", account("1150001", 'A', Nature::Inventory, "Work in Process")),
    ("140000", account("1210001", 'A', Nature::OtherCurrentAsset, "Prepaid Expenses")),
    ("150000", sparse("1213001", 'A', Nature::OtherCurrentAsset, "Deposits")),
    ("161000", sparse("1260401", 'A', Nature::OtherAsset, "Cash Value of Life Insurance")),
    ("180000", account("1220001", 'A', Nature::FixedAsset, "Shop Equipment")),
    ("183000", account("1240001", 'A', Nature::FixedAsset, "Rental Equipment")),
    ("187000", account("1217001", 'A', Nature::OtherCurrentAsset, "Right-of-Use Leases")),
    ("190100", account("1510001", 'A', Nature::AccumulatedDepreciation, "Accum. Depreciation - Shop Equipment")),
    ("193000", account("1540001", 'A', Nature::AccumulatedDepreciation, "Accum. Depreciation - Rental Equipment")),
    ("210000", account("2050001", 'L', Nature::Payable, "Accounts Payable - Trade")),
    ("221000", account("2080001", 'L', Nature::OtherCurrentLiability, "Sales Tax Payable")),
    ("230000", account("2070001", 'L', Nature::OtherCurrentLiability, "Accrued Federal Tax")),
    ("240000", account("2090001", 'L', Nature::OtherCurrentLiability, "Payroll Tax Payable")),
    ("242000", account("2041001", 'L', Nature::Debt, "Notes Payable")),
    ("245000", account("2042001", 'L', Nature::Debt, "Floor Plan - Manufacturer")),
    ("249000", account("2042201", 'L', Nature::OtherCurrentLiability, "Operating Lease Liability")),
    ("250000", account("2030001", 'L', Nature::Debt, "Contracts Payable - Rental Fleet")),
    ("310000", sparse("3910001", 'L', Nature::Equity, "Capital Stock")),
    ("330000", account("3920001", 'L', Nature::Equity, "Distributions")),
    ("340000", account("3940001", 'L', Nature::Equity, "Retained Earnings")),
    ("410003", account("4100031", 'S', Nature::Revenue, "Sales - Parts Counter")),
    ("410004", account("4100041", 'S', Nature::Revenue, "Sales - Field Labor")),
    ("410005", account("4100051", 'S', Nature::Revenue, "Sales - Shop Labor")),
    ("410007", account("4100071", 'S', Nature::Revenue, "Sales - Planned Maintenance")),
    ("410008", account("4100081", 'S', Nature::Revenue, "Sales - Rental")),
    ("410010", account("4100101", 'S', Nature::Revenue, "Sales - Transport and Misc")),
    ("410012", account("4100121", 'S', Nature::Revenue, "Sales - Parts on Service")),
    ("412002", account("4120021", 'S', Nature::Revenue, "Sales - Used Equipment")),
    ("413001", account("4130011", 'S', Nature::Revenue, "Sales - New Equipment")),
    ("423000", account("4230001", 'S', Nature::Revenue, "Sales - Internal Labor")),
    ("510003", account("5100031", 'C', Nature::Cost, "Cost - Parts")),
    ("510004", account("5100041", 'C', Nature::Cost, "Cost - Labor")),
    ("510008", account("5100081", 'C', Nature::Cost, "Cost - Rental")),
    ("510010", account("5100101", 'C', Nature::Cost, "Cost - Transport and Misc")),
    ("512002", account("5120021", 'C', Nature::Cost, "Cost - Used Equipment")),
    ("513001", account("5130011", 'C', Nature::Cost, "Cost - New Equipment")),
    ("537001", account("6880201", 'C', Nature::Expense, "Rental Depreciation")),
    ("539000", account("5390001", 'C', Nature::Cost, "Rental Interest")),
    ("600900", account("6820101", 'E', Nature::Expense, "Depreciation")),
    ("601400", account("6140001", 'E', Nature::Expense, "Federal Tax")),
    ("601800", account("6180001", 'E', Nature::Expense, "Interest")),
    ("602600", account("6100501", 'E', Nature::Expense, "Salaries")),
    ("602700", account("6100601", 'E', Nature::Expense, "Payroll Tax")),
    ("603000", account("6210001", 'E', Nature::Expense, "Rent")),
    ("604000", account("6220001", 'E', Nature::Expense, "Insurance")),
    ("701000", account("6900001", 'E', Nature::Expense, "Gain or Loss on Sale of Assets")),
    ("703000", account("4990001", 'S', Nature::Revenue, "A/R Discounts")),
    ("706000", account("6710001", 'E', Nature::Expense, "Admin Fund Expense")),
];
