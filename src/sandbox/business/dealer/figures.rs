//! The dealer's figures straight from its objects: the oracle for SQL over the register and the work orders.

use chrono::{Datelike, NaiveDate, NaiveDateTime};

use super::{Dealer, Invoice, LineType, WorkOrder};
use crate::sandbox::business::Cents;

/// Customers and branches a tenant leaves out of its sales.
#[derive(Debug, Clone, Default)]
pub struct Exclusions {
    pub customers: Vec<String>,
    pub branches: Vec<i64>,
}

impl Exclusions {
    /// Listed customers count as payer or as recipient; blanks around and case do not matter.
    pub fn leave_out(&self, invoice: &Invoice) -> bool {
        let listed = |number: &str| self.customers.iter().any(|name| name.trim().eq_ignore_ascii_case(number.trim()));
        listed(&invoice.bill_to) || listed(&invoice.ship_to) || self.branches.contains(&invoice.sale_branch)
    }
}

/// Sales of one day. Arrays are indexed by [`LineType`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SalesDay {
    /// GrandTotal less tax; the ten lines where GrandTotal is NULL.
    pub total_revenue: Cents,
    pub revenue: [Cents; 5],
    pub cost: [Cents; 5],
    /// All invoices that stand.
    pub invoices: i64,
    /// Invoices whose amount of that type is not zero.
    pub invoices_by_type: [i64; 5],
}

impl Invoice {
    /// Taxable and other amount of one line type; NULL is zero.
    pub fn amount(&self, line: LineType) -> Cents {
        self.taxable[line as usize].unwrap_or(0) + self.non_tax[line as usize].unwrap_or(0)
    }

    /// All ten line fields.
    pub fn lines(&self) -> Cents {
        LineType::ALL.into_iter().map(|line| self.amount(line)).sum()
    }

    /// What the invoice earns: its total without tax, or its lines when it has no total.
    pub fn revenue(&self) -> Cents {
        self.grand_total.map_or_else(|| self.lines(), |total| total - self.total_tax.unwrap_or(0))
    }

    /// Total and lines tell different stories.
    pub fn disagrees(&self) -> bool {
        self.grand_total.is_some_and(|total| total != self.lines() + self.total_tax.unwrap_or(0))
    }
}

impl Dealer {
    /// Invoices of that day which are not voided.
    pub fn invoices_of(&self, day: NaiveDate) -> impl Iterator<Item = &Invoice> {
        self.invoices.iter().filter(move |invoice| invoice.date.date() == day && invoice.deleted.is_none())
    }

    /// The day's sales.
    pub fn sales_day(&self, day: NaiveDate, exclusions: &Exclusions) -> SalesDay {
        let mut sales = SalesDay::default();
        for invoice in self.invoices_of(day).filter(|invoice| !exclusions.leave_out(invoice)) {
            sales.invoices += 1;
            sales.total_revenue += invoice.revenue();
            for line in LineType::ALL {
                sales.revenue[line as usize] += invoice.amount(line);
                sales.cost[line as usize] += invoice.cost[line as usize].unwrap_or(0);
                sales.invoices_by_type[line as usize] += i64::from(invoice.amount(line) != 0);
            }
        }
        sales
    }

    /// Work orders open at the end of `day`, as the dates now stand: opened by then and not closed by then.
    pub fn open_work_orders(&self, day: NaiveDate) -> usize {
        let open =
            |order: &&WorkOrder| order.opened.date() <= day && real(order.closed).is_none_or(|at| at.date() > day);
        self.counted_work_orders().filter(open).count()
    }

    /// Work orders closed on `day`.
    pub fn closed_work_orders(&self, day: NaiveDate) -> usize {
        self.counted_work_orders().filter(|order| real(order.closed).is_some_and(|at| at.date() == day)).count()
    }

    /// Neither quotes nor voided ones.
    fn counted_work_orders(&self) -> impl Iterator<Item = &WorkOrder> {
        self.work_orders.iter().filter(|order| !order.is_quote() && order.deleted.is_none())
    }
}

/// A date before 1990 is how old rows say "none".
pub(super) fn real(at: Option<NaiveDateTime>) -> Option<NaiveDateTime> {
    at.filter(|at| at.year() >= 1990)
}
