-- mart_crm_contacts: one row per snapshot_date; the contacts of the CRM as they stood when the snapshot was taken.
--
-- reads: hubspot_contacts, hubspot_lifecycle_stages
--
-- A snapshot counts what was created by the end of its day and is not archived; a contact that was listed more than
-- once counts as it was last changed.
-- The seven named stages are told by their internal values, never by their labels, because labels are edited freely.
-- other_lifecycle is the rest: the stage called other, stages that the account added, and contacts without a stage.
-- New is what has its creation date in the 7 or 30 local days that end with the snapshot's. A contact whose creation
-- date HubSpot does not give is not new; by when it existed is then told by its record.

with

-- Import: one CTE per relation; only the columns used.

contacts as (

    select
        snapshot_date,
        contact_id,
        lower(lifecycle_stage)                                                    as lifecycle_stage,
        created_at,
        record_created_at,
        modified_at,
        page

    from hubspot_contacts

    where not is_archived

),

bounds as (

    select
        periods.period_start                                                      as snapshot_date,
        periods.ends_at                                                           as ends_at,
        first_of_7.starts_at                                                      as new_7d_from,
        first_of_30.starts_at                                                     as new_30d_from

    from periods

    inner join local_days as first_of_7 on first_of_7.local_date = periods.period_end - 6

    inner join local_days as first_of_30 on first_of_30.local_date = periods.period_end - 29

),

-- Logic: each contact once.

current_contacts as (

    select
        contacts.snapshot_date,
        contacts.contact_id,
        contacts.lifecycle_stage,
        contacts.created_at,
        contacts.record_created_at,
        contacts.page

    from contacts

    qualify row_number() over (
        partition by contacts.snapshot_date, contacts.contact_id
        order by
            contacts.modified_at desc nulls last,
            contacts.page desc,
            contacts.lifecycle_stage,
            contacts.created_at,
            contacts.record_created_at
    ) = 1

),

-- Contributions: one row per contact that counts.

contributions as (

    select
        bounds.snapshot_date                                                      as snapshot_date,
        'hubspot_contacts'                                                        as source_dataset,
        current_contacts.contact_id                                               as source_key,
        current_contacts.page                                                     as source_page,
        current_contacts.lifecycle_stage                                          as lifecycle_stage,
        coalesce(current_contacts.created_at >= bounds.new_30d_from, false)       as is_new_30d,
        coalesce(current_contacts.created_at >= bounds.new_7d_from, false)        as is_new_7d

    from bounds

    inner join current_contacts
        on bounds.snapshot_date = current_contacts.snapshot_date
        -- Without any date it was there when the snapshot was taken, which is all that is known.
        and coalesce(current_contacts.created_at, current_contacts.record_created_at, bounds.new_30d_from)
            < bounds.ends_at

),

-- Final: the mart's columns, in the mart's order, cast to the mart's types.

final as (

    select
        periods.period_start                                                      as snapshot_date,
        count(contributions.source_key)::integer                                  as total_contacts,
        count(*) filter (where contributions.is_new_30d)::integer                 as new_contacts_30d,
        count(*) filter (where contributions.is_new_7d)::integer                  as new_contacts_7d,
        count(*) filter (where contributions.lifecycle_stage = 'subscriber')::integer
            as subscribers,
        count(*) filter (where contributions.lifecycle_stage = 'lead')::integer   as leads,
        count(*) filter (where contributions.lifecycle_stage = 'marketingqualifiedlead')::integer
            as marketing_qualified,
        count(*) filter (where contributions.lifecycle_stage = 'salesqualifiedlead')::integer
            as sales_qualified,
        count(*) filter (where contributions.lifecycle_stage = 'opportunity')::integer
            as opportunities,
        count(*) filter (where contributions.lifecycle_stage = 'customer')::integer
            as customers,
        count(*) filter (where contributions.lifecycle_stage = 'evangelist')::integer
            as evangelists,
        count(contributions.source_key) filter (
            where contributions.lifecycle_stage is null or contributions.lifecycle_stage not in (
                'subscriber',
                'lead',
                'marketingqualifiedlead',
                'salesqualifiedlead',
                'opportunity',
                'customer',
                'evangelist'
            )
        )::integer                                                                as other_lifecycle

    from periods

    left join contributions on periods.period_start = contributions.snapshot_date

    group by periods.period_start

)

select * from final order by snapshot_date
