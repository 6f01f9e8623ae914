use proptest::prelude::*;

use super::*;

fn found(text: &str) -> Option<Kind> {
    find(text, "2026-01-20".parse().unwrap())
}

#[test]
fn what_points_at_a_person_is_found() {
    let cases: [(Kind, &[&str]); 6] = [
        (
            Kind::Email,
            &["jane@example.com", "Ask <j.doe+x@mail.example.co.uk>", "mailto:jane@example.com.", "a@b.io, c"],
        ),
        (
            Kind::Phone,
            &[
                "612-555-0147",
                "(612) 555-0147",
                "(612)555-0147",
                "612.555.0147",
                "612 555 0147",
                "1-612-555-0147",
                "+1 612 555 0147",
                "6125550147",
                "16125550147",
                "Call 612-555-0147 x12",
                "+44 20 7946 0958",
                "+4917612345678",
            ],
        ),
        (
            Kind::SocialSecurity,
            &["123-45-6789", "SSN 123456789", "ssn: 123 45 6789", "123456789", "Client 912-78-1234", "(123-45-6789)"],
        ),
        (
            Kind::BirthDate,
            &[
                "1980-02-29",
                "2/29/1980",
                "29.2.1980",
                "DOB 1/5/80",
                "D.O.B. 01-05-1980",
                "born 2025-11-02",
                "Jan 5, 1980",
                "5 January 1980",
                "Sept 5 1980",
                "Teen, 2009/03/04",
            ],
        ),
        (
            Kind::PersonName,
            &[
                "Jane Doe",
                "jane doe",
                "JANE DOE",
                "Doe, Jane",
                "DOE, JANE Q.",
                "Jane Q. Doe",
                "Mary Ann Smith",
                "Jane D.",
                "Jennifer",
                "Referred by Jane O'Brien",
                "Mr. Okafor",
                "Ms Nguyen",
                "Dr. Lindqvist",
                "Ngozi Okafor, LICSW",
                "Closed per Robert Lindqvist today",
            ],
        ),
        (Kind::FreeText, &["First line\nsecond line", &"she said that it went well ".repeat(7), &"so ".repeat(30)]),
    ];
    for (kind, texts) in cases {
        for text in texts {
            assert_eq!(found(text), Some(kind), "{text:?}");
        }
    }
}

#[test]
fn no_spelling_hides_what_points_at_a_person() {
    let cases: [(Kind, &[&str]); 5] = [
        (
            Kind::PersonName,
            &[
                "Jane  Doe",
                "Jane\tDoe",
                "Jane\u{a0}Doe",
                "Jane \u{3000} Doe",
                "Jane\u{200b}Doe",
                "Ja\u{ad}ne Doe",
                "\u{feff}Jane D\u{2060}oe",
                "Doe,Jane",
                "Doe , Jane",
                "Jane, Doe",
                "Jane.Doe",
                "jane_doe",
                "Jane-Doe",
                "Jane\u{2010}Doe",
                "JANE .Q. DOE",
                "DOE JANE",
                "doe  jane q.",
                "Saint, Jane",
                "Ｊａｎｅ　Ｄｏｅ",
                "José Roe",
                "Jose\u{301} Roe",
                "MARÍA ROE",
                "Referred by Jane  O'Brien",
                "Referred by Jane\u{a0}Q.\u{a0}Roe",
                "Referred by Jane.Roe",
                "Mr.Okafor",
                "Mr  Okafor",
                "Ngozi  Okafor,LICSW",
            ],
        ),
        (
            Kind::Phone,
            &[
                "612  555  0147",
                "612\t555\t0147",
                "612\u{2011}555\u{2011}0147",
                "612 \u{2013} 555 \u{2212} 0147",
                "612. 555. 0147",
                "612\u{b7}555\u{2022}0147",
                "612/555-0147",
                "612_555_0147",
                "(612)-555-0147",
                "612-555-0147x12",
                "c612-555-0147",
                "612\u{200b}555\u{200b}0147",
                "６１２-５５５-０１４７",
                "\u{202a}+44 20 7946 0958\u{202c}",
                "+44  20\u{a0}7946\u{2011}0958",
            ],
        ),
        (
            Kind::SocialSecurity,
            &[
                "123\u{2013}45\u{2013}6789",
                "123 - 45 - 6789",
                "123 45 6789",
                "123.45.6789",
                "SSN123-45-6789",
                "SSN:\u{a0}123  45  6789",
                "123\u{ad}45\u{ad}6789",
                "１２３－４５－６７８９",
            ],
        ),
        (
            Kind::Email,
            &[
                "jane.roe@example.com/home",
                "jane.roe@example.com?",
                "jane.roe@example.com!",
                "jane.roe@example.com|jdoe",
                "to=jane.roe@example.com&cc=0",
                "*jane.roe@example.com*",
                "jane.roe@example.com_old",
                "@ jane.roe@example.com",
                "jane.roe @ example.com",
                "jane.roe@ EXAMPLE.COM",
                "jane.roe＠example．com",
                "jane.roe@exam\u{200b}ple.com",
            ],
        ),
        (
            Kind::BirthDate,
            &[
                "2 / 29 / 1980",
                "1980\u{2011}02\u{2011}29",
                "29. 2. 1980",
                "January 5th, 1980",
                "5th  January 1980",
                "5Jan1980",
                "DOB:01\u{2013}05\u{2013}80",
            ],
        ),
    ];
    for (kind, texts) in cases {
        for text in texts {
            assert_eq!(found(text), Some(kind), "{text:?}");
        }
    }
    for lines in ["one\u{2028}two", "one\u{b}two", " one\r\ntwo"] {
        assert_eq!(found(lines), Some(Kind::FreeText), "{lines:?}");
    }
    assert_eq!(found(" one \n"), None);
}

/// Labels as case databases have them, and near misses of each kind.
const HARMLESS: &str = "\
Open|Closed|Closed - Goals Met|Pending Intake|On Hold (client)|In Progress|Re-opened|Awaiting Consultant Assignment|Unknown\
|N/A|EAP Counseling|Marital / Relationship|Family and Child Care|Work-Life|Legal - Wills & Estates|Financial Coaching\
|Mental Health: Anxiety|Grief & Loss|Substance Use (Adult)|Crisis (24/7)|24/7/365 Line|Peer Coaching|Nurse Line\
|Management Referral|Formal Referral - Mandatory|Critical Incident Response|DOT SAP Evaluation|Tier 1|Tier 2 - Urgent\
|High|Crisis|Urgent|Routine|Adult Child of Client|Dependent 18-26|Spouse/Partner|In-Person|Virtual - Video|Phone|Text/Chat\
|Email @ work|Referred to 988|Call 1-800-273-8255|1 (888) 555-0100|+1 800 273 8255|ICD-10 F41.1|Code 300.02|90834|2024-2025 Plan\
|Plan year 2026-01-01|Effective 01/01/2025|2025 Q4|Sessions 1-6|6 of 8|100-200-3000|Room 612-555|9/11|10-4|1/2|3.5.1\
|Policy 12345678|Case 000-00-0000|Site 000123456|Grace Period|Faith Based|Hope Line|Will Preparation|Mark Complete\
|Bill Review|Grant Services|Christian Counseling|Chase Legal|Max Benefit|Rich Text|Dawn Shift|April Campaign|May 2024\
|June 2019 Cohort|March Madness|Austin Office|Madison Clinic|San Antonio Office|Santa Maria|St. Mary Hospital|Saint Paul\
|St. Thomas University|John Deere|John Hancock Plan|Johns Hopkins|Charles Schwab|Ann Arbor|Alexander Technique\
|Stanley Hall|James Street Office|Martin Program|MS Teams|MS Office|Dr. Referral|Dr Note|Dr. visit|Mrs|Ms|Therapist, LICSW\
|Licensed Social Worker, LCSW|Clinical Psychologist PhD|MD|RN Coaching|Down Syndrome|Alzheimer's Disease|Asperger Syndrome\
|Beck Depression Inventory|Myers-Briggs|PTSD|ADHD|LGBTQ+|Physician Well-Being|Burnout|Child's Behavior|Caregiver's Stress\
|Préparation|Ärzte und Pflege|Зависимость|心理カウンセリング|Housing; Utilities; Food|Other (small groups)|Born Again Support\
|Birth of a Child|Birthday Program|Social Security Benefits|Social 101|Terry Cloth Drive Program|Scott County Project\
|Santa Maria|San Jose|Fort Henry|Hurricane Ian|Tropical Storm Julia|Camp Ruth|Work - Life|Work.Life|Legal_Financial\
|2/4/2026|Site 101/202/3030|Coaching @ St. Paul|Coaching @ Work.|@ Work|Phase 1a|COVID19|Q42025|Tier1\
|Grief/Loss? (other)|A & B, Inc.\
|Information Only|No Show x3|Declined/No Response|Administrative Closure|Client Moved|3rd Party|1st Contact|a.b@c";

#[test]
fn labels_pass() {
    let mut wrong = Vec::new();
    for label in HARMLESS.split('|') {
        // As people type them, and as programs with other blanks and dashes write them.
        let (wide, tabbed) = (label.replace(' ', "  "), label.replace(' ', "\t"));
        let (unbroken, dashed) = (label.replace(' ', "\u{a0} "), label.replace('-', "\u{2013}"));
        let (unseen, typed) = (label.replace(' ', " \u{200b}"), format!(" {label}   "));
        let cases = [label.to_owned(), label.to_uppercase(), label.to_lowercase()];
        for spelling in cases.into_iter().chain([wide, tabbed, unbroken, dashed, unseen, typed]) {
            if let Some(kind) = found(&spelling) {
                wrong.push(format!("{spelling}: {kind}"));
            }
        }
    }
    assert_eq!(wrong, [] as [String; 0]);
    let long = "Relationship Issues - Partner/Spouse, Family, Coworker, Supervisor, or Other Significant Other (Adult)";
    assert_eq!(found(long), None);
}

#[test]
fn old_dates_are_told_from_new_ones_by_the_day_reported() {
    for (text, expected) in [
        ("2023-01-20", Some(Kind::BirthDate)),
        ("2023-01-21", None),
        ("1899-12-31", None),
        ("2027-01-01", None),
        ("1980-13-45", None),
        ("0000-00-00", None),
    ] {
        assert_eq!(found(text), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_looked_at_without_a_panic(text in "\\PC{0,200}") {
        found(&text);
    }

    #[test]
    fn words_around_a_number_do_not_hide_it(before in "[a-z ]{0,12}", after in "[a-z ]{0,12}") {
        prop_assert_eq!(found(&format!("{before} 612-555-0147 {after}")), Some(Kind::Phone));
    }

    #[test]
    fn blanks_of_any_kind_and_number_do_not_hide_a_name(blanks in "[ \t\u{a0}\u{2009}\u{202f}\u{3000}\u{200b}]{1,5}") {
        prop_assert_eq!(found(&format!("Jane{blanks}Doe")), Some(Kind::PersonName));
        prop_assert_eq!(found(&format!("612{blanks}555{blanks}0147")), Some(Kind::Phone));
    }

    #[test]
    fn digits_that_are_no_number_of_a_phone_pass(digits in "[0-9]{1,8}") {
        prop_assert_eq!(found(&digits), None);
    }
}
