-- The macros that the marts and their audits share. Few, and hard to add to: each exists because the plain way of
-- writing it is wrong in DuckDB (see README.md), and each is tested against rust_decimal or by property.

-- A number as a decimal with ten places. Binary fractions are refused: they were inexact before they came here.
create or replace macro exact(value) as
    case
        when typeof(value) in ('DOUBLE', 'FLOAT') then error('exact: ' || typeof(value) || ' is no exact number')
        else value::decimal(38, 10)
    end;

-- The same number as a count of ten-billionths: what can be divided without loss.
create or replace macro ten_billionths(value) as (exact(value) * 10000000000)::hugeint;

-- numerator / denominator to two places, half away from zero; null when there is no whole to divide by.
-- In DuckDB decimal / decimal is a DOUBLE, which can lose a cent. Numerators of up to 18 whole digits.
create or replace macro ratio(numerator, denominator) as
    case
        when denominator <> 0 then (
            sign(numerator) * sign(denominator) * (
                (200 * abs(ten_billionths(numerator)) + abs(ten_billionths(denominator)))
                // (2 * abs(ten_billionths(denominator)))
            )
        )::decimal(38, 0) * 0.01
    end;

-- part of whole in percent, as ratio() rounds.
create or replace macro pct(part, whole) as ratio(exact(part) * 100, whole);

-- value rounded to so many places, or null where numeric(digits, places) cannot hold it: a column that overflows is
-- unknown, and no reason to lose the night.
create or replace macro fits(value, digits, places) as
    case
        when abs(round(exact(value), places)) < rpad('1', digits - places + 1, '0')::decimal(38, 0)
            then round(exact(value), places)
    end;

-- A JSON object from list((key, value)): ordered by key, {} when there is no row. A key that comes twice or is null is
-- an error, because it means that rows were counted twice. Decimals keep their places; a value that is text must be
-- JSON already.
create or replace macro breakdown(entries) as
    case
        when entries is null then '{}'
        when list_contains(list_transform(entries, lambda entry: entry[1] is null), true)
            then error('breakdown: a key is null')
        when len(list_distinct(list_transform(entries, lambda entry: entry[1]))) < len(entries)
            then error('breakdown: a key comes twice')
        else '{' || array_to_string(
            list_transform(
                list_sort(entries),
                lambda entry: to_json(entry[1])::varchar || ': ' || coalesce(entry[2]::varchar, 'null')
            ), ', '
        ) || '}'
    end::json;

-- Whether two text keys are the same, as the source's servers compare them: case and trailing blanks do not count.
create or replace macro same_key(one, other) as lower(trim(one)) = lower(trim(other));

-- amount / things to two places, half away from zero, for amounts of up to eighteen decimals, which ratio() would round
-- first; 0 when there are no things. Amounts of up to 17 whole digits.
create or replace macro average(amount, things) as
    case
        when things = 0 then 0::decimal(38, 2)
        else (
            sign(amount) * (
                (
                    200 * abs(replace(amount::decimal(38, 18)::varchar, '.', '')::hugeint)
                    + things::hugeint * 1000000000000000000
                ) // (things::hugeint * 2000000000000000000)
            )
        )::decimal(38, 0) * 0.01
    end;
