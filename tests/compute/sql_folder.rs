//! The rules of the sql folder: see sql/README.md.

use marts::audit::audit;
use marts::compute::{Compute, Pulls, mart_columns};
use marts::jobs::{JOBS, REDUCTIONS, SHARED, Source};

use super::support::*;

fn sql_files(folder: &str) -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sql").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    files
}

/// The code of a file: comments out, and texts out, whose contents are not SQL.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("--").next().unwrap_or_default());
    lines
        .map(|line| {
            let outside = line.split('\'').enumerate().filter(|(part, _)| part % 2 == 0);
            outside.map(|(_, text)| text).collect::<Vec<_>>().join("''")
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn sql_files_follow_the_guide() {
    let mut problems = Vec::new();
    for folder in ["marts", "checks", "shared", "reduce", "explain"] {
        for (name, text) in sql_files(folder) {
            let mut wrong = |what: String| problems.push(format!("sql/{folder}/{name}.sql: {what}"));
            let subject = match folder {
                "checks" | "explain" => format!("-- {folder} of {name}: "),
                _ => format!("-- {name}: "),
            };
            if !text.starts_with(&subject) {
                wrong(format!("the first line is to begin with {subject:?}"));
            }
            let code = code(&text);
            for (number, line) in text.lines().enumerate() {
                if line.chars().count() > 120 || line.contains('\t') || line.ends_with(' ') {
                    wrong(format!("line {}: longer than 120, a tab, or a blank at its end", number + 1));
                }
            }
            if code != code.to_lowercase() {
                let line = code.lines().find(|line| **line != line.to_lowercase()).unwrap();
                wrong(format!("upper case: {}", line.trim()));
            }
            for banned in
                ["avg(", " / ", "json_group_object", "org_id", "union\n", ".*", "double", "float", "at time zone"]
            {
                if code.contains(banned) {
                    wrong(format!("{banned:?} is banned, see the guide"));
                }
            }
            // What other engines write differently, or answer differently.
            let beyond_the_dialect =
                ["::", "//", "round(", "json", "list", "[", "{", "strftime", "strptime", "qualify"];
            for banned in beyond_the_dialect.iter().filter(|_| folder == "reduce") {
                if code.contains(banned) {
                    wrong(format!("{banned:?} is beyond the dialect of reductions, see the guide"));
                }
            }
            let last = code.trim_end().lines().last().unwrap();
            if !last.starts_with("select * from final order by ") {
                wrong("the last line is to be `select * from final order by <key>`".into());
            }
            if code.matches("select *").count() != 1 {
                wrong("`select *` is for the last line only".into());
            }
            let commas = code.lines().filter(|line| line.trim_start().starts_with(','));
            if commas.count() > 0 {
                wrong("commas trail".into());
            }
        }
    }
    assert_eq!(problems, Vec::<String>::new());
}

/// A folder holds the files that the program includes, by their names, and no others.
fn assert_included(folder: &str, mut included: Vec<(String, String)>) {
    included.sort();
    let files = sql_files(folder);
    let names = |texts: &[(String, String)]| texts.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&files), names(&included), "sql/{folder}: the files, and those that src/jobs.rs includes");
    for ((name, file), (_, included)) in files.iter().zip(&included) {
        assert!(file == included, "sql/{folder}/{name}.sql is not the file that src/jobs.rs includes under its name");
    }
}

#[test]
fn sql_files_and_the_table_of_jobs_agree() {
    let reads = |text: &str| -> Vec<String> {
        let line = text.lines().find_map(|line| line.strip_prefix("-- reads: ")).unwrap_or_default();
        line.split(", ").map(str::to_owned).collect()
    };
    let mut marts = Vec::new();
    let mut checks = Vec::new();
    let mut explain = Vec::new();
    for job in JOBS {
        for source in job.sources {
            let expected: Vec<_> = source.reads.iter().map(|read| read.dataset.to_owned()).collect();
            assert_eq!(reads(source.sql), expected, "{}", source.sql_name);
            assert_eq!(reads(source.checks), expected, "checks of {}", source.sql_name);
            marts.push((source.sql_name.to_owned(), source.sql.to_owned()));
            checks.push((source.sql_name.to_owned(), source.checks.to_owned()));
            explain.push((source.sql_name.to_owned(), source.explain.to_owned()));
        }
    }
    assert_included("explain", explain);
    assert_included("marts", marts);
    assert_included("checks", checks);
    let mut shared = Vec::new();
    for relation in SHARED {
        assert_eq!(reads(relation.sql), relation.reads, "{}", relation.name);
        shared.push((relation.name.to_owned(), relation.sql.to_owned()));
    }
    assert_included("shared", shared);

    for reduction in REDUCTIONS {
        assert_eq!(reads(reduction.sql), reduction.reads, "{}", reduction.name);
        let reads_them =
            |source: &&Source| source.sql.contains(reduction.name) || source.checks.contains(reduction.name);
        let readers: Vec<_> = JOBS.iter().flat_map(|job| job.sources).filter(reads_them).collect();
        assert!(!readers.is_empty(), "nobody reads {}", reduction.name);
        for source in readers {
            let has = |name: &&str| source.reads.iter().any(|read| read.dataset == *name);
            assert!(reduction.reads.iter().all(has), "{} reads {}", source.sql_name, reduction.name);
        }
    }
    let reductions = REDUCTIONS.iter().map(|it| (it.name.to_owned(), it.sql.to_owned()));
    assert_included("reduce", reductions.collect());
}

#[test]
fn reductions_cast_every_column_that_they_compute() {
    for reduction in REDUCTIONS {
        let last = reduction.sql.split_once("\nfinal as (").unwrap().1;
        let columns = last.lines().filter(|line| line.contains(" as ") && !line.contains("with"));
        let uncast: Vec<_> = columns.filter(|line| !line.trim_start().starts_with("cast(")).collect();
        // Text needs no cast.
        assert!(uncast.iter().all(|line| line.trim_start().starts_with("screen ")), "{}: {uncast:?}", reduction.name);
    }
}

#[test]
fn every_sql_file_gives_its_marts_columns_over_empty_relations() {
    for job in JOBS {
        let columns = mart_columns(job.mart).unwrap();
        for key in job.key {
            assert!(columns.iter().any(|column| column.name == *key), "{} has no {key}", job.mart);
        }
        for source in job.sources {
            let mut scene = Scene::new(job.name, org(), "2026-01-01", "2026-01-31");
            scene.plan.source = source;
            let pulls = Pulls::default();
            let compute = Compute::dry(&scene.inputs(&pulls)).unwrap();
            compute.check_sql().unwrap();
            audit(&compute, &[]).unwrap();
        }
    }
}

#[test]
fn every_number_of_a_mart_is_taken_apart_by_its_explain_file() {
    for job in JOBS {
        for source in job.sources {
            let words: Vec<_> =
                source.explain.split(|letter: char| !letter.is_alphanumeric() && letter != '_').collect();
            for column in marts::explain::explained_columns(job).unwrap() {
                let of_the_period = ["year", "month", "day_of_week"].contains(&column.name.as_str());
                assert!(
                    of_the_period || words.contains(&column.name.as_str()),
                    "sql/explain/{}.sql says nothing of {}",
                    source.sql_name,
                    column.name
                );
            }
        }
    }
}
