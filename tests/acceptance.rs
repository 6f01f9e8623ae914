//! What the numbers must withstand before anybody is to trust them, each under its name: the check in words, and the test
//! that makes it.

use std::process::Command;

/// Checks of one mart, or of all.
struct Of(&'static str, &'static [(&'static str, &'static str)]);

const CHECKS: &[Of] = &[
    Of(
        "mart_financial_metrics",
        &[
            ("revenue less expenses is net income", "properties::the_figures_of_every_mart_add_up_whatever_the_seed"),
            ("assets are liabilities and equity", "properties::the_figures_of_every_mart_add_up_whatever_the_seed"),
            (
                "a broken identity holds its month",
                "night::pages::a_month_that_breaks_an_identity_is_held_and_the_others_are_published",
            ),
            ("no income, no margin", "compute::financial::margins_are_null_without_income_or_without_room"),
            (
                "totals that are empty texts",
                "quickbooks::reports::the_documented_profit_and_loss_nests_three_deep_and_has_an_empty_total",
            ),
            (
                "a section without a header, an account group without its name",
                "quickbooks::reports::shapes_that_vary_are_read_alike",
            ),
            ("nothing to report", "quickbooks::wire::nothing_to_report_lands_one_line"),
            (
                "a rotated refresh token survives a restart",
                "quickbooks::tokens::every_night_uses_the_token_of_the_night_before",
            ),
            (
                "whose process has ended meanwhile",
                "night::failures::a_rotated_token_is_there_when_the_next_process_starts",
            ),
            ("and a crash", "quickbooks::tokens::a_crash_between_refresh_and_save_leaves_a_token_that_works"),
        ],
    ),
    Of(
        "mart_crm_contacts",
        &[
            (
                "stages and other are the total",
                "compute::crm::parts_and_other_are_the_total_whatever_stages_an_account_adds",
            ),
            ("seven days, thirty days, total", "properties::the_figures_of_every_mart_add_up_whatever_the_seed"),
            (
                "too many requests, then an answer",
                "hubspot::days::refusals_for_a_while_are_outlived_in_all_their_spellings",
            ),
            (
                "a stage of the account's own, named by a number",
                "compute::crm::a_stage_of_the_accounts_own_is_other_and_no_stranger",
            ),
            ("days begin where the organisation is", "compute::crm::days_begin_at_midnight_where_the_organisation_is"),
        ],
    ),
    Of(
        "mart_crm_deals",
        &[
            (
                "open, won and lost are the total",
                "compute::crm::open_won_and_lost_are_the_total_with_equal_labels_and_unknown_stages",
            ),
            (
                "two pipelines with equal labels",
                "compute::crm::two_pipelines_with_equal_labels_keep_their_stages_apart",
            ),
            ("more deals than a search gives", "hubspot::wire::more_than_a_thousand_deals_are_no_limit"),
            (
                "an amount that is empty, null or missing",
                "hubspot::pages::an_amount_that_is_empty_null_or_missing_is_no_amount_in_the_mart",
            ),
            ("a deal without an amount", "compute::crm::a_deal_without_an_amount_counts_and_adds_nothing"),
            ("a stage that nobody knows", "compute::crm::a_deal_in_a_stage_that_nobody_knows_is_open"),
        ],
    ),
    Of(
        "mart_zoom_metrics",
        &[
            (
                "late in the evening is the next day in UTC",
                "compute::zoom::a_call_belongs_to_the_local_day_of_its_first_leg",
            ),
            ("a leg that is on two pages", "zoom::wire::pages_that_overlap_and_either_name_give_the_same_legs"),
            ("a call without a result", "compute::zoom::calls_that_say_little_are_counted_as_far_as_they_go"),
            ("both names of the list", "zoom::pages::both_names_of_the_list_are_read"),
            ("thirty rows are thirty days", "night::zoom::the_sum_of_thirty_rows_is_the_total_of_thirty_days"),
            (
                "a day that the report leaves out",
                "compute::zoom::a_day_missing_in_the_report_is_zero_and_an_unknown_is_null",
            ),
            ("a request that fails publishes nothing", "night::zoom::a_failed_sub_call_publishes_nothing"),
            ("what the account lacks is null", "night::zoom::what_the_account_does_not_have_is_null_and_said_once"),
        ],
    ),
    Of(
        "mart_case_metrics",
        &[
            (
                "the window's first and last day, and those beside them",
                "cases::mart::the_window_is_thirty_local_days_that_end_with_the_day",
            ),
            ("never closed", "cases::mart::a_case_that_was_never_closed_is_closed_on_no_day"),
            ("spellings of one status", "cases::mart::spellings_of_a_label_are_one_label"),
            ("the text Unknown, and null", "cases::mart::unknown_comes_once_however_it_is_unknown"),
            ("small groups", "cases::mart::small_groups_are_merged_in_the_category_breakdown_only"),
            ("no names and no comments are asked for", "cases::pull::no_names_or_comments_are_selected"),
        ],
    ),
    Of(
        "mart_app_analytics",
        &[
            (
                "a day without its table has no row",
                "ga4::night::a_day_whose_table_is_missing_has_no_row_and_the_next_night_fills_it",
            ),
            ("late events change the rows of three days", "ga4::night::late_events_change_the_rows_of_the_days_before"),
            ("intraday and daily tables", "ga4::night::intraday_and_daily_tables_of_a_day_are_not_counted_twice"),
            ("a session over midnight", "ga4::mart::a_session_over_midnight_is_a_session_of_both_days"),
            ("user 1 in session 23, user 12 in session 3", "ga4::mart::user_and_session_are_a_pair_and_no_text"),
        ],
    ),
    Of(
        "mart_sales_daily",
        &[
            (
                "the last instant of a day",
                "softbase::last_instants::an_invoice_of_the_last_instant_of_a_day_is_on_the_row_of_that_day",
            ),
            (
                "and of a month, a year and a leap day",
                "softbase::last_instants::the_last_instant_of_a_month_a_year_and_a_leap_day_is_still_theirs",
            ),
            ("a credit", "compute::sales::a_credit_is_taken_off_and_counts_as_an_invoice"),
            ("amounts that are null", "compute::sales::an_invoice_without_any_amount_is_an_invoice_of_zero"),
            ("only tax", "compute::sales::an_invoice_of_nothing_but_tax_earns_nothing"),
            ("all of them on one day", "compute::sales::a_day_of_awkward_invoices_adds_up"),
            ("a deleted invoice", "compute::sales::a_deleted_invoice_leaves_its_day_with_zeros"),
            (
                "and one that was published",
                "night::figures::invoices_that_are_voided_leave_zeros_where_their_day_was_published",
            ),
            ("no invoices at all", "compute::sales::a_window_without_invoices_has_a_row_of_zeros_a_day"),
            (
                "the parts and the rest are the total",
                "compute::model::the_sales_mart_agrees_with_a_second_writing_of_its_rules",
            ),
            ("an excluded month", "night::figures::excluded_customers_branches_and_months_are_left_out"),
            (
                "February 2024 of the dealer that has a bulk copy there",
                "night::figures::february_2024_has_no_row_for_the_dealer_whose_books_are_a_bulk_copy_then",
            ),
            ("weekdays", "compute::sales::weekdays_count_from_sunday"),
            (
                "a work order that is opened again",
                "compute::sales::a_work_order_that_is_opened_again_is_open_on_the_days_past",
            ),
            ("quotes", "compute::sales::quotes_are_no_work_orders"),
            ("a padded customer number", "compute::sales::exclusions_ignore_case_and_padding_and_spare_work_orders"),
        ],
    ),
    Of(
        "mart_rental_fleet",
        &[
            ("a unit that is rented twice", "compute::fleet::a_unit_rented_twice_counts_once"),
            (
                "a truck and its charger under one number",
                "compute::fleet::a_truck_and_its_charger_under_one_number_are_rented_by_serial",
            ),
            ("a line without a serial", "compute::fleet::a_line_without_a_serial_rents_every_unit_of_its_number"),
            ("blank keys", "compute::fleet::blank_and_pseudo_keys_of_lines_never_match"),
            (
                "a unit that was sold",
                "compute::fleet::a_sold_unit_that_is_still_in_the_department_is_left_out_by_the_list",
            ),
            ("the states are the total", "compute::fleet::total_is_rented_available_maintenance_and_other"),
            (
                "the month to date is the days' sum",
                "compute::fleet::month_to_date_is_the_sum_of_the_days_of_mart_sales_daily",
            ),
            (
                "and of the days that are published",
                "night::fleet::a_month_that_is_not_the_days_of_sales_is_told_of_unless_one_run_publishes_both",
            ),
            (
                "a day gone by, reported again with sales",
                "night::fleet::a_day_gone_by_keeps_its_work_orders_when_sales_ask_for_them_anew",
            ),
            (
                "a register that gives nothing",
                "night::fleet::a_register_that_gives_nothing_holds_what_is_published_of_it",
            ),
            ("no units", "compute::fleet::a_fleet_without_units_has_a_utilization_of_0"),
        ],
    ),
    Of(
        "mart_cash_flow",
        &[
            (
                "the activities are the change in cash",
                "compute::ledger::every_account_has_one_line_and_the_lines_make_the_change_in_cash",
            ),
            (
                "a profitable month",
                "compute::ledger::a_profitable_month_has_positive_operating_cash_flow_and_is_healthy",
            ),
            ("a rental unit that is sold", "compute::ledger::the_disposal_of_a_rental_unit_is_investing"),
            ("month 13", "compute::ledger::month_13_is_ignored"),
            (
                "a chart of seven digits",
                "compute::ledger::the_second_chart_has_its_cash_in_1010_and_1011_and_its_stock_in_11",
            ),
            ("exactly at a threshold", "compute::ledger::health_changes_exactly_at_its_thresholds"),
            ("no account is cash", "compute::ledger::without_a_class_cash_there_is_no_statement"),
            (
                "accounts that mean nothing",
                "night::ledger::an_organisation_whose_accounts_mean_nothing_has_neither_job_and_check_says_why",
            ),
        ],
    ),
    Of(
        "all",
        &[
            ("running again changes nothing", "night::figures::running_again_changes_nothing"),
            (
                "a failed load leaves the rows as they were",
                "postgres::publishing::a_failure_in_the_last_mart_leaves_the_first_as_it_was",
            ),
            (
                "a run that is killed while it pulls",
                "night::failures::a_run_that_is_killed_leaves_nothing_but_what_the_next_one_sweeps",
            ),
            (
                "while it publishes",
                "night::failures::a_run_that_is_killed_while_it_publishes_leaves_the_rows_as_they_were",
            ),
            ("and at any point", "faults::kills::a_night_killed_at_any_point_is_made_up_for_by_the_next"),
            ("an organisation fails alone", "night::failures::an_organisation_without_credentials_fails_alone"),
            (
                "of two runs at once one does nothing and says so",
                "night::failures::a_second_run_is_told_who_holds_the_mart",
            ),
            ("organisations never mix", "night::mixing::organisations_never_mix_however_their_nights_fail"),
            (
                "the year to date turns over with the fiscal year",
                "compute::fleet::the_year_to_date_is_fiscal_and_skips_what_has_no_row",
            ),
            (
                "days of 23 and 25 hours, in a mart",
                "compute::zoom::days_of_23_and_25_hours_hold_the_calls_of_their_own_hours",
            ),
            ("29 February, in a mart of days", "compute::sales::the_29th_of_february_is_a_day_of_its_own"),
            ("and of instants", "compute::zoom::the_29th_of_february_has_the_calls_of_its_own_hours"),
            (
                "figures add up within and between marts",
                "properties::the_figures_of_every_mart_add_up_whatever_the_seed",
            ),
            ("order, files and duplicates mean nothing", "properties::no_mart_depends_on_order_files_or_duplicates"),
            ("nor does where pages are cut", "properties::no_mart_depends_on_where_the_sources_cut_their_pages"),
            ("nor the range", "properties::a_row_is_the_same_in_whatever_range_it_is_computed"),
            ("a wider window", "properties::a_wider_window_leaves_every_earlier_row_as_it_was"),
            (
                "dashboards read through the marts' keys, and of twenty reads nineteen within a quarter of a second",
                "postgres::reading::dashboards_read_five_years_of_ten_organisations_through_the_marts_keys",
            ),
        ],
    ),
];

/// Checks that live beside the code they are about.
const IN_PERIODS: &[(&str, &str)] = &[
    ("days on which the clock changes", "days_on_which_the_clock_changes_have_23_and_25_hours"),
    ("29 February", "months_end_where_the_calendar_says"),
    ("the first and the last day of a fiscal year", "fiscal_years_turn_over_in_their_own_month"),
];

/// The functions of a file that are tests: those with the attribute directly above.
fn tests_in(source: &str) -> Vec<&str> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let is_test = |line: &str| matches!(line, "#[test]" | "#[tokio::test]") || line.starts_with("#[tokio::test(");
    let pairs = lines.windows(2).filter(|pair| is_test(pair[0]));
    pairs.filter_map(|pair| Some(pair[1].split_once("fn ")?.1.split_once('(')?.0)).collect()
}

#[test]
fn a_function_is_a_test_by_its_attribute() {
    let source = "#[test]\nfn one() {}\nfn two() {}\n// #[test]\nfn three() {}\n    #[tokio::test(flavor = \"x\")]\n    \
                  async fn four() {}\n#[tokio::test]\nasync fn five() {}\n#[test]\n#[ignore]\nfn six() {}";
    assert_eq!(tests_in(source), ["one", "four", "five"]);
}

#[test]
fn every_check_is_a_test_by_name() {
    let listed = Command::new(std::env::current_exe().unwrap()).args(["--list", "--format", "terse"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let tests: Vec<_> = listed.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    assert!(tests.len() > 100, "{listed}");
    let ignored = Command::new(std::env::current_exe().unwrap())
        .args(["--list", "--format", "terse", "--ignored"])
        .output()
        .unwrap();
    let ignored = String::from_utf8(ignored.stdout).unwrap();
    for job in marts::jobs::JOBS {
        assert!(CHECKS.iter().any(|Of(mart, _)| *mart == job.mart), "nothing is said of {}", job.mart);
    }
    for Of(mart, checks) in CHECKS {
        for (what, test) in *checks {
            assert!(tests.contains(test), "{mart}, {what}: there is no test {test}");
            assert!(!ignored.contains(&format!("{test}: test")), "{mart}, {what}: {test} is ignored");
        }
    }
    let of_periods = tests_in(include_str!("../src/periods.rs"));
    for (what, test) in IN_PERIODS {
        assert!(of_periods.contains(test), "{what}: there is no test {test}");
    }
}
