//! The migrated schema, held against the specification.

use super::database::TestDatabase;

/// Per mart: its unique key, and its columns as the specification's `CREATE TABLE` lists them.
const SPECIFICATION: &[(&str, &str, &str)] = &[
    (
        "mart_financial_metrics",
        "org_id, year, month",
        "
         id SERIAL PRIMARY KEY
         org_id INTEGER NOT NULL
         year INTEGER NOT NULL
         month INTEGER NOT NULL
         period_start DATE NOT NULL
         period_end DATE NOT NULL
         total_revenue NUMERIC(18,2) DEFAULT 0
         total_expenses NUMERIC(18,2) DEFAULT 0
         net_income NUMERIC(18,2) DEFAULT 0
         gross_profit NUMERIC(18,2) DEFAULT 0
         gross_margin_pct NUMERIC(5,2) DEFAULT 0
         total_assets NUMERIC(18,2) DEFAULT 0
         total_liabilities NUMERIC(18,2) DEFAULT 0
         total_equity NUMERIC(18,2) DEFAULT 0
         cash_balance NUMERIC(18,2) DEFAULT 0
         accounts_receivable NUMERIC(18,2) DEFAULT 0
         accounts_payable NUMERIC(18,2) DEFAULT 0
         operating_cash_flow NUMERIC(18,2) DEFAULT 0
         source_system VARCHAR(50) DEFAULT 'quickbooks'
         created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
         updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP",
    ),
    (
        "mart_crm_contacts",
        "org_id, snapshot_date",
        "
         id SERIAL PRIMARY KEY
         org_id INTEGER NOT NULL
         snapshot_date DATE NOT NULL
         total_contacts INTEGER DEFAULT 0
         new_contacts_30d INTEGER DEFAULT 0
         new_contacts_7d INTEGER DEFAULT 0
         subscribers INTEGER DEFAULT 0
         leads INTEGER DEFAULT 0
         marketing_qualified INTEGER DEFAULT 0
         sales_qualified INTEGER DEFAULT 0
         opportunities INTEGER DEFAULT 0
         customers INTEGER DEFAULT 0
         evangelists INTEGER DEFAULT 0
         other_lifecycle INTEGER DEFAULT 0
         source_system VARCHAR(50) DEFAULT 'hubspot'
         created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
         updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP",
    ),
    (
        "mart_crm_deals",
        "org_id, snapshot_date",
        "
         id SERIAL PRIMARY KEY
         org_id INTEGER NOT NULL
         snapshot_date DATE NOT NULL
         total_deals INTEGER DEFAULT 0
         open_deals INTEGER DEFAULT 0
         won_deals INTEGER DEFAULT 0
         lost_deals INTEGER DEFAULT 0
         total_pipeline_value NUMERIC(18,2) DEFAULT 0
         won_value NUMERIC(18,2) DEFAULT 0
         lost_value NUMERIC(18,2) DEFAULT 0
         average_deal_size NUMERIC(18,2) DEFAULT 0
         deals_by_stage JSONB DEFAULT '{}'
         source_system VARCHAR(50) DEFAULT 'hubspot'
         created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
         updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP",
    ),
    (
        "mart_zoom_metrics",
        "org_id, metric_date",
        "
         id SERIAL PRIMARY KEY
         org_id INTEGER NOT NULL
         metric_date DATE NOT NULL
         total_users INTEGER DEFAULT 0
         phone_users INTEGER DEFAULT 0
         total_meetings INTEGER DEFAULT 0
         total_meeting_minutes INTEGER DEFAULT 0
         total_participants INTEGER DEFAULT 0
         avg_meeting_duration_mins NUMERIC(8,2) DEFAULT 0
         total_calls INTEGER DEFAULT 0
         inbound_calls INTEGER DEFAULT 0
         outbound_calls INTEGER DEFAULT 0
         missed_calls INTEGER DEFAULT 0
         total_call_minutes INTEGER DEFAULT 0
         avg_call_duration_mins NUMERIC(8,2) DEFAULT 0
         queue_count INTEGER DEFAULT 0
         source_system VARCHAR(50) DEFAULT 'zoom'
         created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
         updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP",
    ),
    (
        "mart_case_metrics",
        "org_id, snapshot_date",
        "
         id SERIAL PRIMARY KEY
         org_id INTEGER NOT NULL
         snapshot_date DATE NOT NULL
         total_cases INTEGER DEFAULT 0
         new_cases_30d INTEGER DEFAULT 0
         closed_cases_30d INTEGER DEFAULT 0
         cases_by_type JSONB DEFAULT '{}'
         cases_by_status JSONB DEFAULT '{}'
         cases_by_category JSONB DEFAULT '{}'
         source_system VARCHAR(50) DEFAULT 'azure_sql'
         source_table VARCHAR(100) DEFAULT 'Case_Data_Summary_NOPHI'
         created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
         updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP",
    ),
    (
        "mart_app_analytics",
        "org_id, metric_date",
        "
         id SERIAL PRIMARY KEY
         org_id INTEGER NOT NULL
         metric_date DATE NOT NULL
         daily_active_users INTEGER DEFAULT 0
         weekly_active_users INTEGER DEFAULT 0
         monthly_active_users INTEGER DEFAULT 0
         new_users INTEGER DEFAULT 0
         returning_users INTEGER DEFAULT 0
         total_sessions INTEGER DEFAULT 0
         avg_session_duration_secs NUMERIC(10,2) DEFAULT 0
         screens_per_session NUMERIC(8,2) DEFAULT 0
         ios_downloads INTEGER DEFAULT 0
         android_downloads INTEGER DEFAULT 0
         top_screens JSONB DEFAULT '[]'
         source_system VARCHAR(50) DEFAULT 'bigquery_ga4'
         created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
         updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP",
    ),
    (
        "mart_sales_daily",
        "org_id, sales_date",
        "
         id SERIAL PRIMARY KEY
         org_id INTEGER NOT NULL
         sales_date DATE NOT NULL
         year INTEGER NOT NULL
         month INTEGER NOT NULL
         day_of_week INTEGER
         service_revenue NUMERIC(18,2) DEFAULT 0
         parts_revenue NUMERIC(18,2) DEFAULT 0
         rental_revenue NUMERIC(18,2) DEFAULT 0
         sales_revenue NUMERIC(18,2) DEFAULT 0
         total_revenue NUMERIC(18,2) DEFAULT 0
         service_invoices INTEGER DEFAULT 0
         parts_invoices INTEGER DEFAULT 0
         rental_invoices INTEGER DEFAULT 0
         sales_invoices INTEGER DEFAULT 0
         total_invoices INTEGER DEFAULT 0
         open_work_orders INTEGER DEFAULT 0
         closed_work_orders INTEGER DEFAULT 0
         source_system VARCHAR(50) DEFAULT 'softbase'
         created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
         updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP",
    ),
    (
        "mart_rental_fleet",
        "org_id, snapshot_date",
        "
         id SERIAL PRIMARY KEY
         org_id INTEGER NOT NULL
         snapshot_date DATE NOT NULL
         year INTEGER NOT NULL
         month INTEGER NOT NULL
         total_units INTEGER DEFAULT 0
         available_units INTEGER DEFAULT 0
         rented_units INTEGER DEFAULT 0
         maintenance_units INTEGER DEFAULT 0
         utilization_rate NUMERIC(5,2) DEFAULT 0
         rental_revenue_mtd NUMERIC(18,2) DEFAULT 0
         rental_revenue_ytd NUMERIC(18,2) DEFAULT 0
         units_by_type JSONB DEFAULT '{}'
         revenue_by_type JSONB DEFAULT '{}'
         active_rental_customers INTEGER DEFAULT 0
         source_system VARCHAR(50) DEFAULT 'softbase'
         created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
         updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP",
    ),
    (
        "mart_cash_flow",
        "org_id, year, month",
        "
         id SERIAL PRIMARY KEY
         org_id INTEGER NOT NULL
         year INTEGER NOT NULL
         month INTEGER NOT NULL
         period_end DATE NOT NULL
         cash_balance NUMERIC(18,2) DEFAULT 0
         cash_change_mtd NUMERIC(18,2) DEFAULT 0
         operating_cash_flow NUMERIC(18,2) DEFAULT 0
         ar_change NUMERIC(18,2) DEFAULT 0
         inventory_change NUMERIC(18,2) DEFAULT 0
         ap_change NUMERIC(18,2) DEFAULT 0
         investing_cash_flow NUMERIC(18,2) DEFAULT 0
         financing_cash_flow NUMERIC(18,2) DEFAULT 0
         health_status VARCHAR(20) DEFAULT 'unknown'
         non_operating_breakdown JSONB DEFAULT '{}'
         source_system VARCHAR(50) DEFAULT 'softbase_gl'
         created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
         updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP",
    ),
];

/// A column as the specification writes it, in the catalog's words: name, type, whether null, default.
fn in_the_catalogs_words(line: &str, mart: &str) -> String {
    let (name, rest) = line.trim().split_once(' ').unwrap();
    let (declared, default) = match rest.split_once(" DEFAULT ") {
        Some((declared, default)) => (declared, default.to_owned()),
        None => (rest, String::new()),
    };
    let not_null = declared.ends_with(" NOT NULL") || declared.ends_with(" PRIMARY KEY");
    let declared = declared.trim_end_matches(" NOT NULL").trim_end_matches(" PRIMARY KEY");
    let (type_name, default) = match declared {
        "SERIAL" => ("integer".to_owned(), format!("nextval('{mart}_id_seq'::regclass)")),
        "TIMESTAMP" => ("timestamp without time zone".to_owned(), default),
        "JSONB" => ("jsonb".to_owned(), format!("{default}::jsonb")),
        varchar if varchar.starts_with("VARCHAR") => {
            (varchar.replace("VARCHAR", "character varying"), format!("{default}::character varying"))
        }
        other => (other.to_lowercase(), default),
    };
    format!("{name} {type_name} {} {default}", if not_null { "not null" } else { "null" })
}

#[tokio::test]
async fn the_marts_are_the_specifications_to_the_letter() {
    for test in TestDatabase::each().await {
        assert_eq!(SPECIFICATION.len(), 9);
        for (mart, key, columns) in SPECIFICATION {
            let expected: Vec<_> = columns.trim().lines().map(|line| in_the_catalogs_words(line, mart)).collect();
            let found = test
                .values(&format!(
                    "select format('%s %s %s %s', attname, format_type(atttypid, atttypmod),
                         case when attnotnull then 'not null' else 'null' end, pg_get_expr(adbin, adrelid))
                     from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
                     where attrelid = '{mart}'::regclass and attnum > 0 order by attnum"
                ))
                .await;
            assert_eq!(found, expected, "{mart}");
            let constraints = test
                .values(&format!(
                    "select pg_get_constraintdef(oid) from pg_constraint
                     where conrelid = '{mart}'::regclass and contype in ('p', 'u', 'f') order by contype"
                ))
                .await;
            let unique = format!("UNIQUE ({key})");
            assert_eq!(constraints, ["FOREIGN KEY (org_id) REFERENCES organizations(id)", "PRIMARY KEY (id)", &unique]);
        }
        let further = "select indexrelid::regclass::text from pg_index
            where indrelid::regclass::text like 'mart\\_%' and not indisunique";
        assert_eq!(test.values(further).await, ["idx_mart_sales_org_year_month"]);
    }
}

#[tokio::test]
async fn every_table_and_column_says_what_it_means() {
    let test = TestDatabase::embedded().await;
    let silent = test
        .values(
            "select format('%s.%s', relname, attname) from pg_class join pg_attribute on attrelid = pg_class.oid
             where relnamespace = 'public'::regnamespace and relkind = 'r' and relname not like '\\_sqlx%'
               and attnum > 0 and not attisdropped
               and (col_description(pg_class.oid, attnum) is null or obj_description(pg_class.oid) is null)",
        )
        .await;
    assert_eq!(silent, Vec::<String>::new());
}

#[tokio::test]
async fn migrating_again_changes_nothing_and_many_at_once_do_not_collide() {
    for test in TestDatabase::each().await {
        test.get().migrate().await.unwrap();
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap().count();
        assert_eq!(test.value("select count(*) from _sqlx_migrations where success").await, files.to_string());
    }
    if TestDatabase::real().await.is_none() {
        return;
    }
    // Roles belong to the whole server: databases migrated at the same time make them at the same time.
    let many: Vec<_> = (0..8).map(|_| tokio::spawn(TestDatabase::real())).collect();
    for test in many {
        assert!(test.await.unwrap().is_some());
    }
}

#[tokio::test]
async fn organisations_follow_the_configuration() {
    use super::database::organization;
    for test in TestDatabase::each().await {
        let state = "select string_agg(format('%s %s %s %s', id, slug, timezone, updated_at), ',' order by id)
            from organizations";
        let before = test.value(state).await;
        let same = [organization("globex", "Europe/Berlin"), organization("acme", "America/Chicago")];
        let ids = test.get().sync_organizations(&same).await.unwrap();
        assert_eq!(ids, [test.globex.id, test.acme.id]);
        assert_eq!(test.value(state).await, before);
        let moved = [organization("acme", "America/Denver"), organization("new", "UTC")];
        let ids = test.get().sync_organizations(&moved).await.unwrap();
        assert_eq!(ids[0], test.acme.id);
        let zones = test.values("select format('%s %s', id, timezone) from organizations order by id").await;
        assert_eq!(zones, ["1 America/Denver", "2 Europe/Berlin", "3 UTC"]);
    }
}

#[tokio::test]
async fn a_database_of_any_earlier_version_is_brought_up_to_date() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "sql")).collect();
    files.sort();
    for test in TestDatabase::each().await {
        let run = async |sql: String| test.get().execute(&sql).await.unwrap();
        let indexes = "select string_agg(indexdef, '; ' order by indexdef) from pg_indexes where schemaname = 'public'";
        let newest = test.value(indexes).await;
        run("create schema kept; create table kept.migrations as select * from _sqlx_migrations".into()).await;
        for version in 1..files.len() {
            run("drop schema public cascade; create schema public; grant usage on schema public to public".into())
                .await;
            for file in &files[..version] {
                run(std::fs::read_to_string(file).unwrap()).await;
            }
            run(format!(
                "create table _sqlx_migrations as select * from kept.migrations order by version limit {version};
                 alter table _sqlx_migrations add primary key (version)"
            ))
            .await;
            test.get()
                .migrate()
                .await
                .unwrap_or_else(|error| panic!("from {}: {error:#}", files[version - 1].display()));
            assert_eq!(test.value(indexes).await, newest, "from {}", files[version - 1].display());
        }
    }
}
