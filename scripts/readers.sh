#!/usr/bin/env bash
# Measures how long dashboards wait: fills the marts with many organisations and years, then reads them as dashboards do,
# many at a time, as marts_reader, while nights are published. Ends with 1 when the slowest of a hundred waits too long.
#
#     MARTS_READERS_ORGS=100 scripts/readers.sh     fewer organisations: filling a thousand takes ten minutes
set -euo pipefail
cd "$(dirname "$0")/.."

orgs=${MARTS_READERS_ORGS:-1000}
years=${MARTS_READERS_YEARS:-10}
clients=${MARTS_READERS_CLIENTS:-50}
# Reads a second of all of them together: each reader looks at a page, then at the next one.
rate=${MARTS_READERS_RATE:-500}
seconds=${MARTS_READERS_SECONDS:-60}
limit_ms=10
profile=${MARTS_PROFILE:-release}

if [[ ${1:-} != --beside-postgres ]]; then exec scripts/with-postgres.sh scripts/readers.sh --beside-postgres; fi
# Debian keeps pgbench beside the server, and not in PATH.
PATH=$PATH:$(find /usr/lib/postgresql /usr/pgsql-* -name pgbench -path '*/bin/*' 2>/dev/null | sort -V | tail -1 | xargs -r dirname || true)
for tool in psql pgbench; do
    if ! command -v "$tool" >/dev/null; then
        echo "error: $tool is missing (Debian, Ubuntu: apt-get install postgresql)" >&2
        exit 1
    fi
done

${CARGO:-cargo} build --locked --quiet --profile "$profile" --bin marts
folder=${CARGO_TARGET_DIR:-target}/${profile/#dev/debug}
marts=$(cd "$folder" && pwd)/marts

work=$(mktemp -d "${TMPDIR:-/tmp}/marts-readers-XXXXXX")
processes=()
# shellcheck disable=SC2317 # the traps call it
clean_up() {
    trap - EXIT INT TERM HUP
    for process in "${processes[@]}"; do
        kill "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
url=$MARTS_TEST_POSTGRES_URL

# Two worlds of the same organisations and days with other figures: publishing one after the other changes every number.
for seed in 1 2; do
    "$marts" sandbox --seed "$seed" --dir "$work/$seed" >"$work/sandbox-$seed.log" 2>&1 &
    processes+=($!)
    until grep -q 'ends the sandbox' "$work/sandbox-$seed.log"; do
        kill -0 "${processes[-1]}" 2>/dev/null || { cat "$work/sandbox-$seed.log" >&2; exit 1; }
        sleep 0.1
    done
    printf '\n[postgres]\nurl = "env:MARTS_TEST_POSTGRES_URL"\n' >>"$work/$seed/marts.toml"
done
# The sandbox says which day it ends with.
as_of=$(sed -nE 's/.*--as-of ([0-9-]+).*/\1/p' "$work/sandbox-1.log")
"$marts" --config "$work/1/marts.toml" migrate >/dev/null
# As kind to others as its unit of systemd makes it.
night() { nice -n 10 "$marts" --quiet --config "$work/$1/marts.toml" run --as-of "$as_of" "${@:2}" >>"$work/nights.log" 2>&1; }
for seed in 1 2; do
    night "$seed" || { cat "$work/nights.log" >&2; exit 1; }
    # Each world has its own key to them; from staging none are needed.
    psql "$url" --quiet --no-psqlrc --command 'delete from oauth_tokens'
done

echo "Filling the marts with $orgs organisations and $years years ..." >&2
psql "$url" --quiet --no-psqlrc --set ON_ERROR_STOP=1 >/dev/null <<SQL
insert into organizations (slug, name, timezone, fiscal_year_start_month)
select 'reader-' || number, 'Reader ' || number, 'America/Chicago', 1 from generate_series(1, $orgs) as number;

do \$\$
declare
    mart record;
begin
    for mart in
        with columns as (
            select
                table_name,
                column_name,
                data_type,
                ordinal_position,
                table_name in (select table_name from information_schema.columns where column_name = 'year')
                and not exists (
                    select from pg_index
                    join pg_attribute on attrelid = indrelid and attnum = any (indkey)
                    where indrelid = table_name::regclass and indisunique and atttypid = 'date'::regtype
                ) as is_monthly
            from information_schema.columns
            where table_name like 'mart\_%' and table_name in (select relname from pg_class where relkind = 'r')
                and column_name not in ('id', 'source_system', 'created_at', 'updated_at')
        )
        select
            table_name,
            is_monthly,
            string_agg(quote_ident(column_name), ', ' order by ordinal_position) as names,
            string_agg(
                case
                    when column_name = 'org_id' then 'organizations.id'
                    when column_name = 'year' then 'extract(year from day)::integer'
                    when column_name = 'month' then 'extract(month from day)::integer'
                    when data_type = 'date' then 'day'
                    when data_type in ('integer', 'bigint') then format('(organizations.id * 31 + extract(day from day)::integer * %s) %% 1000', ordinal_position)
                    when data_type = 'numeric' then format('(organizations.id * 7919 + (day - date ''2000-01-01'') * %s) %% 9999 / 100.0', ordinal_position)
                    when data_type = 'jsonb' then '''{"one": 1, "two": 2.50, "three": 3, "four": 4.75, "five": 5}''::jsonb'
                    else 'null'
                end,
                ', ' order by ordinal_position
            ) as expressions
        from columns
        group by table_name, is_monthly
    loop
        execute format(
            'insert into %I (%s) select %s from organizations
             cross join lateral (
                 select day::date as day
                 from generate_series(date ''$as_of'' - interval ''$years years'', date ''$as_of'', %L) as day
             ) as days
             where slug like ''reader-%%''
             on conflict do nothing',
            mart.table_name, mart.names, mart.expressions, case when mart.is_monthly then '1 month' else '1 day' end
        );
    end loop;
end
\$\$;
SQL
psql "$url" --quiet --no-psqlrc --command 'vacuum analyze'
rows=$(psql "$url" --no-psqlrc --tuples-only --no-align --command \
    "select sum(n_live_tup) from pg_stat_user_tables where relname like 'mart\_%'")

# What dashboards read, each with the organisation that its session speaks for.
mkdir "$work/reads"
read_of() {
    # shellcheck disable=SC2016 # :org is pgbench's
    printf '%s\n' "\\set org random($first, $last)" "select set_config('marts.org_id', '' || :org, false);" "$2" >"$work/reads/$1.sql"
}
first=$(psql "$url" --no-psqlrc -At --command "select min(id) from organizations where slug like 'reader-%'")
last=$(psql "$url" --no-psqlrc -At --command "select max(id) from organizations where slug like 'reader-%'")
read_of sales_days "select * from mart_sales_daily where org_id = :org and sales_date between date '$as_of' - 30 and date '$as_of' order by sales_date;"
read_of sales_months "select year, month, sum(total_revenue), sum(total_invoices) from mart_sales_daily where org_id = :org and sales_date >= (date '$as_of' - interval '12 months')::date group by year, month order by year, month;"
read_of sales_revenue_by_department "select year, month, sum(service_revenue), sum(rental_revenue), sum(parts_revenue), sum(sales_revenue) from mart_sales_daily where org_id = :org and sales_date >= date '$as_of' - 365 group by year, month order by year, month;"
read_of sales_freshness "select max(sales_date) from mart_sales_daily where org_id = :org;"
read_of cash_flow "select * from mart_cash_flow where org_id = :org order by year desc, month desc limit 12;"
read_of financial_metrics "select * from mart_financial_metrics where org_id = :org order by year desc, month desc limit 13;"
read_of app_analytics "select * from mart_app_analytics where org_id = :org and metric_date >= date '$as_of' - 30 order by metric_date desc;"
read_of zoom_metrics "select * from mart_zoom_metrics where org_id = :org and metric_date >= date '$as_of' - 30 order by metric_date desc;"
for mart in case_metrics crm_contacts crm_deals rental_fleet; do
    read_of "$mart" "select * from mart_$mart where org_id = :org order by snapshot_date desc limit 1;"
done

# readers WHAT OPTION…: prints reads, their number a second, and milliseconds of the middle one, of the 99th and the 99.9th
# of a hundred, all together and for each read.
readers() {
    local scripts=() name
    for name in "$work"/reads/*.sql; do scripts+=(--file "$name"); done
    rm -f "$work"/log.*
    (cd "$work" && PGOPTIONS='-c role=marts_reader' pgbench "$url" --no-vacuum --client "$clients" --jobs 2 --time "$seconds" \
        --log --log-prefix log "${scripts[@]}" "${@:2}") >"$work/pgbench.log" 2>&1 || { cat "$work/pgbench.log" >&2; exit 1; }
    if grep -q 'failed: [1-9]' "$work/pgbench.log"; then cat "$work/pgbench.log" >&2; exit 1; fi
    cat "$work"/log.* >"$work/all"
    percentiles "$1" <"$work/all"
}
# The log's third column is the microseconds from when a read was due to its end.
percentiles() {
    awk '{ print $3 }' | sort -n | awk -v what="$1" -v seconds="$seconds" '
        { took[NR] = $1 }
        function at(share) { return took[int((NR - 1) * share) + 1] / 1000 }
        END { printf "%-44s %9d %8.0f %9.2f %9.2f %9.2f\n", what, NR, NR / seconds, at(0.5), at(0.99), at(0.999) }'
}

{
    while true; do
        for seed in 1 2; do night "$seed" --from-staging || echo FAILED >>"$work/nights.log"; echo night >>"$work/published"; done
    done
} &
processes+=($!)

echo "Reading ..." >&2
model=$(sed -nE 's/^model name[[:space:]]*: //p' /proc/cpuinfo 2>/dev/null | head -1)
load=$(uptime | sed -E 's/.*averages?: *([0-9.]+).*/\1/')
echo
echo "Machine   $(getconf _NPROCESSORS_ONLN) cores, ${model:-$(uname -m)}, $(uname -srm), load $load when the reading began"
echo "Program   $("$marts" --version), profile $profile; $(psql --version | cut -d' ' -f1-3); the server, its readers and the nights share the machine"
echo "Marts     $rows rows: $orgs organisations, $years years; $clients readers, for $seconds s"
echo
printf '%-44s %9s %8s %9s %9s %9s\n' "READS" "" "/s" "p50 ms" "p99 ms" "p99.9 ms"
: >"$work/published"
readers "$rate a second, beside nights" --rate "$rate"
position=0
for name in "$work"/reads/*.sql; do
    name=$(basename "$name" .sql)
    awk -v position="$position" '$4 == position' "$work/all" | percentiles "  $name"
    position=$((position + 1))
done
p99=$(awk '{ print $3 }' "$work/all" | sort -n | awk '{ took[NR] = $1 } END { printf "%.2f", took[int((NR - 1) * 0.99) + 1] / 1000 }')
published=$(wc -l <"$work/published")
readers "as fast as they can, beside nights"
kill "${processes[-1]}" 2>/dev/null || true
wait "${processes[-1]}" 2>/dev/null || true
unset 'processes[-1]'
readers "$rate a second, alone" --rate "$rate"
if grep -q FAILED "$work/nights.log"; then cat "$work/nights.log" >&2; exit 1; fi
echo
if [[ $published == 0 ]]; then
    echo "error: no night ended while the marts were read; read for longer (MARTS_READERS_SECONDS)" >&2
    exit 1
fi
echo "$published nights of the sandbox were published meanwhile, each changing nearly every number of 14 marts."
if awk "BEGIN { exit !($p99 > $limit_ms) }"; then
    echo "p99 beside nights: $p99 ms, and at most $limit_ms ms are promised: NOT KEPT"
    exit 1
fi
echo "p99 beside nights: $p99 ms, at most $limit_ms ms are promised: kept"
