//! The services company's chart of accounts: QuickBooks account types, numeric string ids, up to three levels.

/// QuickBooks `AccountType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Bank,
    AccountsReceivable,
    OtherCurrentAsset,
    FixedAsset,
    OtherAsset,
    AccountsPayable,
    CreditCard,
    OtherCurrentLiability,
    LongTermLiability,
    Equity,
    Income,
    CostOfGoodsSold,
    Expense,
    OtherIncome,
    OtherExpense,
}

impl Kind {
    /// Belongs to the profit and loss report, not to the balance sheet.
    pub fn is_profit_and_loss(self) -> bool {
        self >= Kind::Income
    }

    /// Shown with credits positive: what is owed, owned by others, or earned.
    pub fn is_credit(self) -> bool {
        matches!(
            self,
            Kind::AccountsPayable
                | Kind::CreditCard
                | Kind::OtherCurrentLiability
                | Kind::LongTermLiability
                | Kind::Equity
                | Kind::Income
                | Kind::OtherIncome
        )
    }
}

/// Where the indirect cash-flow statement puts an account's movement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Part of net income, not a line of its own.
    NetIncome,
    Operating,
    Investing,
    Financing,
    /// Cash itself: bank accounts and undeposited funds (QuickBooks counts both in "Cash at end of period").
    Cash,
}

/// One account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    pub id: &'static str,
    pub name: &'static str,
    pub kind: Kind,
    pub parent: Option<&'static str>,
}

/// Undeposited funds: cash to the cash-flow report, an other current asset to the balance sheet.
pub const UNDEPOSITED: &str = "81";
/// The equity account prior years' profit is shown in; nothing is ever posted to it.
pub const RETAINED_EARNINGS: &str = "122";

impl Account {
    /// Default classification of QuickBooks; accumulated depreciation is an operating adjustment, not an investment.
    pub fn activity(&self) -> Activity {
        match self.kind {
            kind if kind.is_profit_and_loss() => Activity::NetIncome,
            Kind::Bank => Activity::Cash,
            _ if self.id == UNDEPOSITED => Activity::Cash,
            _ if self.name == "Accumulated Depreciation" => Activity::Operating,
            Kind::FixedAsset | Kind::OtherAsset => Activity::Investing,
            Kind::LongTermLiability | Kind::Equity => Activity::Financing,
            _ => Activity::Operating,
        }
    }
}

const fn top(id: &'static str, name: &'static str, kind: Kind) -> Account {
    Account { id, name, kind, parent: None }
}

const fn sub(id: &'static str, name: &'static str, kind: Kind, parent: &'static str) -> Account {
    Account { id, name, kind, parent: Some(parent) }
}

/// The chart, parents before their children. "Training" and "Session Materials" are each an income and a cost, and the
/// cost account "Cost of Goods Sold" carries its section's label: labels are not keys.
pub static CHART: &[Account] = &[
    top("1", "Counseling Services", Kind::Income),
    sub("2", "Individual Sessions", Kind::Income, "1"),
    sub("3", "In-Person Sessions", Kind::Income, "2"),
    sub("4", "Virtual Sessions", Kind::Income, "2"),
    sub("5", "Session Materials", Kind::Income, "1"),
    top("6", "Corporate Retainers", Kind::Income),
    top("7", "Training", Kind::Income),
    top("8", "Discounts given", Kind::Income),
    top("20", "Cost of Goods Sold", Kind::CostOfGoodsSold),
    sub("21", "Contract Counselors", Kind::CostOfGoodsSold, "20"),
    sub("22", "Field Counselors", Kind::CostOfGoodsSold, "21"),
    sub("23", "On-call Counselors", Kind::CostOfGoodsSold, "21"),
    top("24", "Session Materials", Kind::CostOfGoodsSold),
    top("40", "Payroll", Kind::Expense),
    sub("41", "Salaries", Kind::Expense, "40"),
    sub("42", "Payroll Taxes", Kind::Expense, "40"),
    sub("43", "Benefits", Kind::Expense, "40"),
    top("44", "Office", Kind::Expense),
    sub("45", "Rent", Kind::Expense, "44"),
    sub("46", "Utilities", Kind::Expense, "44"),
    sub("47", "Telephone", Kind::Expense, "46"),
    sub("48", "Internet", Kind::Expense, "46"),
    top("49", "Travel", Kind::Expense),
    top("50", "Training", Kind::Expense),
    top("51", "Insurance", Kind::Expense),
    top("52", "Bank Charges", Kind::Expense),
    top("53", "Bad Debts", Kind::Expense),
    top("54", "Depreciation", Kind::Expense),
    top("60", "Interest Earned", Kind::OtherIncome),
    top("61", "Grants", Kind::OtherIncome),
    top("65", "Interest Paid", Kind::OtherExpense),
    top("66", "Loss on Disposal of Assets", Kind::OtherExpense),
    top("70", "Checking", Kind::Bank),
    sub("71", "Payroll Checking", Kind::Bank, "70"),
    top("72", "Savings", Kind::Bank),
    top("80", "Accounts Receivable (A/R)", Kind::AccountsReceivable),
    top(UNDEPOSITED, "Undeposited Funds", Kind::OtherCurrentAsset),
    top("82", "Prepaid Expenses", Kind::OtherCurrentAsset),
    top("90", "Office Equipment", Kind::FixedAsset),
    sub("91", "Original Cost", Kind::FixedAsset, "90"),
    sub("92", "Accumulated Depreciation", Kind::FixedAsset, "90"),
    top("93", "Leasehold Improvements", Kind::FixedAsset),
    top("95", "Security Deposits", Kind::OtherAsset),
    top("100", "Accounts Payable (A/P)", Kind::AccountsPayable),
    top("101", "Mastercard", Kind::CreditCard),
    top("102", "Visa", Kind::CreditCard),
    top("103", "Payroll Liabilities", Kind::OtherCurrentLiability),
    top("104", "Deferred Revenue", Kind::OtherCurrentLiability),
    top("110", "Bank Loan", Kind::LongTermLiability),
    top("120", "Opening Balance Equity", Kind::Equity),
    top("121", "Owner Distributions", Kind::Equity),
    top(RETAINED_EARNINGS, "Retained Earnings", Kind::Equity),
];

/// The account with this id.
///
/// # Panics
/// When the chart has no such account.
pub fn account(id: &str) -> &'static Account {
    CHART.iter().find(|account| account.id == id).unwrap_or_else(|| panic!("no account {id} in the chart"))
}

/// `Office:Utilities:Telephone`, the way the cash-flow report and exports name a sub-account.
pub fn full_name(account: &Account) -> String {
    match account.parent {
        Some(parent) => format!("{}:{}", full_name(self::account(parent)), account.name),
        None => account.name.to_owned(),
    }
}
