//! Many organisations, each with all nine marts, from the staged night of the sandbox's.

use std::fs;
use std::path::Path;

use marts::config::{Config, Org};
use marts::jobs::JOBS;
use marts::run::source_for;
use marts::staging::Manifest;

use crate::ground::Scene;

/// An organisation that has every source of the scene: what a dealer and a health company have between them.
fn whole(scene: &Scene) -> (Org, Vec<String>) {
    let orgs = &scene.config.orgs;
    let dealer = orgs.iter().find(|org| org.ledger().is_some()).expect("a dealer with a ledger");
    let other = orgs.iter().find(|org| org.hubspot.is_some()).expect("a company with HubSpot");
    let org = Org {
        hubspot: other.hubspot.clone(),
        zoom: other.zoom.clone(),
        cases: other.cases.clone(),
        bigquery: other.bigquery.clone(),
        ..dealer.clone()
    };
    assert!(JOBS.iter().all(|job| source_for(job, &org).is_some()), "all nine marts have a source");
    (org, vec![dealer.slug.clone(), other.slug.clone()])
}

/// A configuration of so many such organisations, whose pulls are put into the landing zone of the scene: the same files,
/// under another name.
pub fn organisations(scene: &Scene, count: usize) -> Config {
    let (org, sources) = whole(scene);
    let mut config = scene.config.clone();
    config.orgs = (0..count).map(|number| Org { slug: format!("org-{number:04}"), ..org.clone() }).collect();
    for dataset in folders(&config.staging.path) {
        for source in &sources {
            let theirs = dataset.join(format!("org={source}"));
            if !theirs.is_dir() {
                continue;
            }
            for org in &config.orgs {
                let ours = dataset.join(format!("org={}", org.slug));
                if !ours.is_dir() {
                    copy(&theirs, &ours, &org.slug);
                }
            }
        }
    }
    config
}

/// Links the files of each pull, and writes its manifest anew.
fn copy(theirs: &Path, ours: &Path, slug: &str) {
    for period in folders(theirs) {
        for pull in folders(&period) {
            let manifest = Manifest::read(&pull).expect("a manifest");
            let name = |path: &Path| path.file_name().expect("a name").to_owned();
            let target = ours.join(name(&period)).join(name(&pull));
            fs::create_dir_all(&target).expect("a folder");
            for file in &manifest.files {
                fs::hard_link(pull.join(&file.name), target.join(&file.name)).expect("a link");
            }
            let manifest = Manifest { org: slug.to_owned(), sha256: None, ..manifest };
            let text = serde_json::to_vec_pretty(&manifest).expect("JSON");
            fs::write(target.join("pull.json"), text).expect("it is written");
        }
    }
}

fn folders(of: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(of).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.is_dir()).collect()
}
