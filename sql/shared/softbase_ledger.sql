-- softbase_ledger: one row per period and account that the ledger knows by then; the month's movement, the closing
-- balance, and what the account means.
--
-- reads: softbase_gl, softbase_chart_of_accounts
--
-- Debit is positive, as in the ledger. Months are calendar months; month 13, which holds the closing of a fiscal year,
-- is left out. An account without a row in a month did not move in it and keeps its last balance; balance is the
-- closing balance of a balance-sheet account, and the fiscal year to date of a profit-and-loss account, which starts
-- from zero in every fiscal year.
-- The class is that of the innermost range of the settings that the account lies in. Accounts in none go by the chart's
-- type: sales, cost and expense are what they say; assets and liabilities stay unclassified, because the chart does not
-- tell cash from stock or debt from equity. Depreciation is a mark on top of the class, and counts in profit and loss
-- alone. An account with fewer digits than a range has does not lie in it.
-- activity is where the account's movement belongs in the statement of cash flows. Floor plan debt goes by the
-- settings.

with

-- Import: one CTE per relation; only the columns used.

ledger as (

    select
        lower(trim(account_no))                                     as account_no,
        make_date(year, month, 1)                                   as month_start,
        mtd,
        ytd

    from softbase_gl

    where month between 1 and 12 and year between 1900 and 9999

),

chart as (

    select
        lower(trim(account_no))                                     as account_no,
        max(description)                                            as description,
        max(upper(trim(account_type)))                              as account_type

    from softbase_chart_of_accounts

    group by lower(trim(account_no))

),

-- Logic: from which month to which a row is an account's last.

rows_in_turn as (

    select
        account_no,
        month_start,
        mtd,
        ytd,
        lead(month_start) over (partition by account_no order by month_start)
                                                                    as next_month_start

    from ledger

),

accounts as (

    select account_no from ledger group by account_no

),

ranges_of_accounts as (

    select
        accounts.account_no                                         as account_no,
        account_ranges.account_class                                as account_class,
        row_number() over (partition by accounts.account_no order by account_ranges.precedence)
                                                                    as nesting

    from accounts

    inner join account_ranges
        on substring(accounts.account_no, 1, length(account_ranges.first_account))
        between account_ranges.first_account and account_ranges.last_account
        and length(accounts.account_no) >= length(account_ranges.first_account)

),

depreciation as (

    select accounts.account_no

    from accounts

    inner join depreciation_ranges
        on substring(accounts.account_no, 1, length(depreciation_ranges.first_account))
        between depreciation_ranges.first_account and depreciation_ranges.last_account
        and length(accounts.account_no) >= length(depreciation_ranges.first_account)

    group by accounts.account_no

),

classified as (

    select
        accounts.account_no                                         as account_no,
        chart.description                                           as description,
        chart.account_type                                          as account_type,
        ranges_of_accounts.account_class is not null                as is_classified,
        depreciation.account_no is not null                         as is_marked,
        coalesce(
            ranges_of_accounts.account_class,
            case chart.account_type
                when 'S' then 'revenue'
                when 'C' then 'cogs'
                when 'E' then 'expense'
                when 'A' then 'unclassified_asset'
                when 'L' then 'unclassified_liability'
            end,
            'unknown'
        )                                                           as account_class

    from accounts

    left join ranges_of_accounts
        on accounts.account_no = ranges_of_accounts.account_no and ranges_of_accounts.nesting = 1

    left join chart on accounts.account_no = chart.account_no

    left join depreciation on accounts.account_no = depreciation.account_no

),

described as (

    select
        classified.account_no                                       as account_no,
        classified.description                                      as description,
        classified.account_type                                     as account_type,
        classified.account_class                                    as account_class,
        classified.is_classified                                    as is_classified,
        classified.is_marked                                        as is_marked,
        case
            when classified.account_class = 'cash' then 'cash'
            when classified.account_class in ('revenue', 'cogs', 'expense', 'other_income', 'other_expense')
                then 'net_income'
            when classified.account_class in (
                'ar', 'inventory', 'other_current_asset', 'ap', 'other_current_liability'
            ) then 'working_capital'
            when classified.account_class = 'floor_plan' and ledger_settings.floor_plan = 'operating'
                then 'working_capital'
            when classified.account_class in ('fixed_asset', 'accumulated_depreciation', 'other_asset')
                then 'investing'
            when classified.account_class in ('floor_plan', 'debt', 'equity') then 'financing'
            else 'other'
        end                                                         as activity

    from classified

    cross join ledger_settings

),

fiscal_years as (

    select
        periods.period_start                                        as period_start,
        make_date(
            year(periods.period_start)
            - case when month(periods.period_start) < settings.fiscal_year_start_month then 1 else 0 end,
            settings.fiscal_year_start_month,
            1
        )                                                           as year_start

    from periods

    cross join settings

),

final as (

    select
        fiscal_years.period_start::date                             as period_start,
        fiscal_years.year_start::date                               as year_start,
        described.account_no::varchar                               as account_no,
        described.description::varchar                              as description,
        described.account_type::varchar                             as account_type,
        described.account_class::varchar                            as account_class,
        described.is_classified::boolean                            as is_classified,
        described.activity::varchar                                 as activity,
        described.activity = 'net_income'                           as is_profit_and_loss,
        described.is_marked::boolean                                as is_marked,
        described.is_marked and described.activity = 'net_income'   as is_depreciation,
        rows_in_turn.month_start::date                              as month_start,
        rows_in_turn.month_start = fiscal_years.period_start        as has_row,
        case
            when rows_in_turn.month_start = fiscal_years.period_start then rows_in_turn.mtd
            else 0
        end::decimal(38, 4)                                         as movement,
        case
            when described.activity = 'net_income' and rows_in_turn.month_start < fiscal_years.year_start then 0
            else rows_in_turn.ytd
        end::decimal(38, 4)                                         as balance

    from fiscal_years

    inner join rows_in_turn
        on fiscal_years.period_start >= rows_in_turn.month_start
        and (fiscal_years.period_start < rows_in_turn.next_month_start or rows_in_turn.next_month_start is null)

    inner join described on rows_in_turn.account_no = described.account_no

)

select * from final order by period_start, account_no
