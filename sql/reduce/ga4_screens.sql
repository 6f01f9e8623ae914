-- ga4_screens: at most ten rows per event_date; the screens viewed most often that day, with their views and users.
--
-- reads: ga4_events
--
-- A screen's name is firebase_screen, else firebase_screen_class, else firebase_screen_id; a view of a screen without
-- any is in no row. Screens of as many views come in the order of their names. Views without a user are views.

with

views as (

    select
        event_date,
        coalesce(firebase_screen, firebase_screen_class, firebase_screen_id)      as screen,
        user_pseudo_id

    from ga4_events

    where event_name = 'screen_view'

),

screens as (

    select
        event_date,
        screen,
        count(*)                                                                  as view_count,
        count(distinct user_pseudo_id)                                            as user_count

    from views

    where screen is not null

    group by event_date, screen

),

ranked as (

    select
        event_date,
        screen,
        view_count,
        user_count,
        row_number() over (partition by event_date order by view_count desc, screen) as rank_no

    from screens

),

final as (

    select
        cast(event_date as date)                                                  as event_date,
        cast(rank_no as bigint)                                                  as rank_no,
        screen                                                                    as screen,
        cast(view_count as bigint)                                                as view_count,
        cast(user_count as bigint)                                                as user_count

    from ranked

    where rank_no <= 10

)

select * from final order by event_date, rank_no
