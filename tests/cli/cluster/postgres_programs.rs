//! Which Postgres a development cluster runs on: how its programs are found, and what is said where there are none.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use rowcast::cluster::{Binaries, Cluster, ClusterError, Search, find};

use super::{Checkout, bins, query};

#[test]
fn a_cluster_of_another_major_version_is_refused() {
    let checkout = Checkout::new();
    checkout.open().unwrap().stop().unwrap();
    let other = Binaries { major: 99, ..bins() };
    let refused = Cluster::open(&checkout.dir(), &other).unwrap_err();
    assert!(matches!(refused, ClusterError::WrongMajor { found: 99, .. }), "{refused}");
}

fn nowhere(root: &Path) -> Search {
    Search { pg_bin: None, path: None, root: root.to_path_buf(), rowcast_dir: root.join(".rowcast") }
}

/// An installation that only says its version.
fn fake_postgres(dir: &Path, version: &str) {
    fs::create_dir_all(dir).unwrap();
    for program in ["initdb", "pg_ctl", "postgres"] {
        let path = dir.join(program);
        fs::write(&path, format!("#!/bin/sh\necho '{program} (PostgreSQL) {version}'\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn a_wrong_rowcast_pg_bin_is_named_and_nothing_else_is_tried() {
    let dir = tempfile::tempdir().unwrap();
    let mut search = Search::from_env(dir.path());
    for wrong in [dir.path().join("missing"), dir.path().to_path_buf()] {
        search.pg_bin = Some(wrong.clone());
        let refused = find(&search).unwrap_err().to_string();
        assert!(refused.contains("ROWCAST_PG_BIN") && refused.contains(wrong.to_str().unwrap()), "{refused}");
    }
}

#[test]
fn without_postgres_the_error_says_what_to_install() {
    let dir = tempfile::tempdir().unwrap();
    let refused = find(&nowhere(dir.path())).unwrap_err().to_string();
    for word in ["apt-get install postgresql", "dnf install", "brew install", "scripts/run", "ROWCAST_PG_BIN"] {
        assert!(refused.contains(word), "no {word} in: {refused}");
    }
}

#[test]
fn a_postgres_that_is_too_old_is_named_with_its_version() {
    let dir = tempfile::tempdir().unwrap();
    fake_postgres(&dir.path().join("usr/lib/postgresql/13/bin"), "13.22 (Debian 13.22-1)");
    let refused = find(&nowhere(dir.path())).unwrap_err();
    assert!(matches!(&refused, ClusterError::TooOld { version, .. } if version == "13.22"), "{refused}");
    assert!(refused.to_string().contains("13.22"), "{refused}");
}

#[test]
fn the_highest_version_is_taken_unless_the_cluster_was_made_by_another() {
    let dir = tempfile::tempdir().unwrap();
    for version in ["9.6", "14", "16"] {
        fake_postgres(&dir.path().join("usr/lib/postgresql").join(version).join("bin"), &format!("{version}.1"));
    }
    let search = nowhere(dir.path());
    assert_eq!(find(&search).unwrap().major, 16);
    fs::create_dir_all(search.rowcast_dir.join("cluster")).unwrap();
    fs::write(search.rowcast_dir.join("cluster/PG_VERSION"), "14\n").unwrap();
    assert_eq!(find(&search).unwrap().major, 14);
}

#[test]
fn links_on_the_path_are_followed_and_wrappers_taken_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(dir.path()).unwrap();
    let (real, links, wrappers) = (root.join("real/bin"), root.join("links"), root.join(".rowcast/postgres/bin"));
    fake_postgres(&real, "15.3");
    fake_postgres(&wrappers, "17.6");
    fs::create_dir(&links).unwrap();
    symlink(real.join("postgres"), links.join("postgres")).unwrap();
    let mut search = nowhere(&root);
    assert_eq!(find(&search).unwrap().dir, wrappers);
    search.path = Some(links.into_os_string());
    assert_eq!(find(&search).unwrap().dir, real);
}

#[test]
fn a_cluster_runs_through_wrapper_scripts() {
    let checkout = Checkout::new();
    let real = bins();
    let dir = checkout.0.path().join("bin");
    fake_postgres(&dir, "");
    for program in ["initdb", "pg_ctl", "postgres"] {
        let target = real.dir.join(program);
        fs::write(dir.join(program), format!("#!/bin/sh\nexec '{}' \"$@\"\n", target.display())).unwrap();
    }
    let wrapped = find(&Search { pg_bin: Some(dir), ..nowhere(checkout.0.path()) }).unwrap();
    let cluster = Cluster::open(&checkout.dir(), &wrapped).unwrap();
    assert_eq!(query(&cluster.url(), "select 1").unwrap(), ["1"]);
}
