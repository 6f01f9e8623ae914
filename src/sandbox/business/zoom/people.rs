//! Users, phone users and call queues. Their names and addresses are invented, and there to be left out.

use chrono::{Days, NaiveDate};

use super::ZoomOptions;
use crate::sandbox::business::Dice;

const PEOPLE: u8 = 103;
const FIRST_NAMES: [&str; 8] = ["Ada", "Bela", "Chidi", "Dorota", "Emre", "Fadila", "Goran", "Hanne"];
const LAST_NAMES: [&str; 8] = ["Okonkwo", "Lindqvist", "Moreau", "Petrov", "Quispe", "Rahman", "Sato", "Tellez"];

/// A user. One who has not yet accepted the invitation has no id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: Option<String>,
    pub first_name: &'static str,
    pub last_name: &'static str,
    pub email: String,
    /// active, inactive or pending
    pub status: &'static str,
    pub created: NaiveDate,
}

/// A user of Zoom Phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneUser {
    pub id: String,
    pub name: String,
    pub email: String,
    pub extension: i64,
    /// activate, deactivate or pending
    pub status: &'static str,
}

/// A call queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    pub id: String,
    pub name: String,
    pub extension: i64,
    pub is_active: bool,
}

/// An id as Zoom makes them: 22 letters of base64.
pub(super) fn id(dice: &mut Dice) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..22).map(|_| char::from(dice.pick(LETTERS))).collect()
}

pub(super) fn name(dice: &mut Dice) -> (&'static str, &'static str) {
    (dice.pick(&FIRST_NAMES), dice.pick(&LAST_NAMES))
}

pub(super) fn all(options: &ZoomOptions) -> (Vec<User>, Vec<PhoneUser>, Vec<Queue>) {
    // Drawn for a day before all days, so that the people stay the same when the span grows.
    let mut dice = Dice::for_day(options.seed, PEOPLE, NaiveDate::default());
    let mut users = Vec::new();
    let mut phone_users = Vec::new();
    for number in 0..options.users {
        let (first_name, last_name) = name(&mut dice);
        let status = match number % 13 {
            5 => "inactive",
            11 => "pending",
            _ => "active",
        };
        let id = id(&mut dice);
        let email = format!("{}.{}{number}@people.example", first_name.to_lowercase(), last_name.to_lowercase());
        // The last two have come since: the source shows them, and the day that is reported did not have them.
        let created = match options.users - number {
            1 | 2 => options.to + Days::new(1),
            _ => options.from - Days::new(dice.roll(0, 900).unsigned_abs()),
        };
        if number % 2 == 0 {
            phone_users.push(PhoneUser {
                id: id.clone(),
                name: format!("{first_name} {last_name}"),
                email: email.clone(),
                extension: 1_000 + i64::from(number),
                status: match status {
                    "active" => "activate",
                    "inactive" => "deactivate",
                    other => other,
                },
            });
        }
        let id = (status != "pending").then_some(id);
        users.push(User { id, first_name, last_name, email, status, created });
    }
    let queues = (0..options.queues).map(|number| Queue {
        id: id(&mut dice),
        name: format!("Care line {number}"),
        extension: 9_000 + i64::from(number),
        is_active: number % 4 != 3,
    });
    let queues = queues.collect();
    (users, phone_users, queues)
}
