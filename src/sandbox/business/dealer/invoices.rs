//! From a closed work order to its invoice.

use chrono::{Days, NaiveDateTime};

use super::{CUSTOMERS, Invoice, LineType, Oddity, WorkOrder};
use crate::sandbox::business::{Cents, Dice, share, usd};

/// Sales tax in per mille of the taxable lines.
const TAX: i64 = 70;

/// What is odd about the `n`th invoice. Counted out instead of drawn, so that a month has some of each whatever the seed.
pub(super) fn oddity(n: usize) -> Oddity {
    match n % 240 {
        17 | 97 | 181 => Oddity::Credit,
        29 | 149 => Oddity::NullAmounts,
        53 => Oddity::OnlyTax,
        71 => Oddity::NoGrandTotal,
        113 => Oddity::Voided,
        211 => Oddity::Disagrees,
        _ => Oddity::None,
    }
}

/// The invoice a work order is closed into, at that instant.
pub(super) fn invoice(order: &WorkOrder, date: NaiveDateTime, oddity: Oddity, dice: &mut Dice) -> Invoice {
    let (mut taxable, mut non_tax, mut cost) = ([0; 5], [0; 5], [0; 5]);
    let mut line = |line: LineType, amount: Cents, cost_per_mille: i64, dice: &mut Dice| {
        let split = dice.pick(&[1000, 1000, 600, 0]);
        taxable[line as usize] += share(amount, split);
        non_tax[line as usize] += amount - share(amount, split);
        cost[line as usize] += share(amount, cost_per_mille);
    };
    match order.kind {
        "P" => line(LineType::Parts, dice.roll(1411, 225_037), 640, dice),
        "R" => {
            line(LineType::Rental, dice.roll(usd(450), usd(3_900)), 110, dice);
            if dice.chance(300) {
                line(LineType::Misc, dice.roll(usd(95), usd(260)), 700, dice);
            }
        }
        "E" => line(LineType::Equipment, dice.roll(usd(8_500), usd(62_000)), 880, dice),
        _ => {
            line(LineType::Labor, dice.roll(usd(115), 240_099), 420, dice);
            if dice.chance(600) {
                line(LineType::Parts, dice.roll(999, usd(1_100)), 640, dice);
            }
            if dice.chance(500) {
                line(LineType::Misc, dice.roll(usd(5), usd(85)), 300, dice);
            }
        }
    }
    if oddity == Oddity::Credit {
        [&mut taxable, &mut non_tax, &mut cost].into_iter().flatten().for_each(|amount| *amount = -*amount);
    }
    let mut tax = share(taxable.iter().sum(), TAX);
    if oddity == Oddity::OnlyTax {
        ([taxable, non_tax, cost], tax) = ([[0; 5]; 3], dice.roll(usd(1), usd(90)));
    }
    let mut total = taxable.iter().chain(&non_tax).sum::<Cents>() + tax;
    if oddity == Oddity::Disagrees {
        total += usd(12) + 34;
    }
    let nulls = oddity == Oddity::NullAmounts;
    let fields = |amounts: [Cents; 5]| amounts.map(|amount| (amount != 0 || !nulls).then_some(amount));
    let name = |number: &str| {
        let known = CUSTOMERS.iter().find(|(candidate, _)| number.trim().eq_ignore_ascii_case(candidate));
        known.map_or("Internal", |(_, name)| name)
    };
    Invoice {
        number: order.number,
        date,
        taxable: fields(taxable),
        non_tax: fields(non_tax),
        cost: fields(cost),
        total_tax: (tax != 0 || !nulls).then_some(tax),
        grand_total: (oddity != Oddity::NoGrandTotal).then_some(total),
        bill_to: order.bill_to.clone(),
        ship_to: order.ship_to.clone(),
        bill_to_name: name(&order.bill_to),
        ship_to_name: name(&order.ship_to),
        sale_code: order.sale_code,
        sale_branch: order.sale_branch,
        sale_dept: order.sale_dept,
        serial: order.serial.clone(),
        deleted: (oddity == Oddity::Voided).then(|| date + Days::new(dice.roll(1, 5) as u64)),
        oddity,
    }
}
