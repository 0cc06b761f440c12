//! The folders of a development cluster: which it takes, which it refuses and leaves alone, and what their paths may be.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown, symlink};
use std::path::PathBuf;

use nix::unistd::geteuid;
use rowcast::cluster::{Cluster, ClusterError};

use super::{Checkout, bins, end_server, keep_a_note, note_of, pid_in, query};

#[test]
fn a_data_directory_without_our_marker_is_refused_and_untouched() {
    let checkout = Checkout::new();
    checkout.open().unwrap().stop().unwrap();
    let marker = checkout.data().join("rowcast-cluster");
    let conf = fs::read(checkout.data().join("rowcast.conf")).unwrap();
    for strange in [None, Some("another id")] {
        match strange {
            None => fs::remove_file(&marker).unwrap(),
            Some(id) => fs::write(&marker, id).unwrap(),
        }
        let refused = checkout.open().unwrap_err();
        assert!(matches!(refused, ClusterError::Foreign { .. }), "{refused}");
        assert!(refused.to_string().contains("untouched"), "{refused}");
        assert_eq!(fs::read(checkout.data().join("rowcast.conf")).unwrap(), conf);
        assert_eq!(pid_in(&checkout.data()), None, "it was started");
    }
}

#[test]
fn a_folder_of_somebody_else_at_our_place_is_refused_and_untouched() {
    let checkout = Checkout::new();
    fs::create_dir_all(checkout.data()).unwrap();
    fs::write(checkout.data().join("thesis.txt"), "years of work").unwrap();
    if geteuid().is_root() {
        // Owned by root it would be refused for that alone.
        chown(checkout.data(), Some(65_534), None).unwrap();
    }
    let refused = checkout.open().unwrap_err();
    assert!(matches!(refused, ClusterError::Foreign { .. }), "{refused}");
    assert_eq!(fs::read_to_string(checkout.data().join("thesis.txt")).unwrap(), "years of work");
    assert_eq!(fs::read_dir(checkout.data()).unwrap().count(), 1);
}

#[test]
fn a_second_opener_is_refused_with_the_pid_of_the_first() {
    let checkout = Checkout::new();
    let _first = checkout.open().unwrap();
    let refused = checkout.open().unwrap_err().to_string();
    assert!(refused.contains(&format!("(pid {})", std::process::id())), "{refused}");
}

#[test]
fn a_copied_checkout_that_shares_the_data_directory_is_refused() {
    let (checkout, copy) = (Checkout::new(), Checkout::new());
    let cluster = checkout.open().unwrap();
    fs::create_dir(copy.dir()).unwrap();
    fs::copy(checkout.dir().join("dev.json"), copy.dir().join("dev.json")).unwrap();
    symlink(cluster.data_dir(), copy.data()).unwrap();
    let refused = copy.open().unwrap_err();
    assert!(matches!(refused, ClusterError::Busy { .. }), "{refused}");
    assert_eq!(query(&cluster.url(), "select 1").unwrap(), ["1"]);
    fs::remove_file(copy.data()).unwrap();
}

#[test]
fn a_path_too_long_for_a_socket_gets_a_short_private_one() {
    let checkout = Checkout::new();
    let dir = checkout.0.path().join("long".repeat(40)).join(".rowcast");
    fs::create_dir_all(dir.parent().unwrap()).unwrap();
    let cluster = Cluster::open(&dir, &bins()).unwrap();
    let socket = cluster.socket_dir().to_path_buf();
    assert!(socket.as_os_str().len() < 80, "{}", socket.display());
    assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o777, 0o700);
    assert_eq!(query(&cluster.url(), "select 1").unwrap(), ["1"]);
    cluster.stop().unwrap();
    assert!(!socket.exists(), "{} was left behind", socket.display());
}

#[test]
fn a_path_full_of_special_characters_works() {
    let checkout = Checkout::new();
    let dir = checkout.0.path().join(r#"it's "a", $HOME `x` \ %p"#).join(".rowcast");
    fs::create_dir_all(dir.parent().unwrap()).unwrap();
    let cluster = Cluster::open(&dir, &bins()).unwrap();
    keep_a_note(&cluster);
    cluster.stop().unwrap();
    assert_eq!(note_of(&Cluster::open(&dir, &bins()).unwrap()), ["kept"]);
}

#[test]
fn a_checkout_that_postgres_cannot_enter_has_its_cluster_elsewhere() {
    if !geteuid().is_root() {
        eprintln!("skipped: only root runs Postgres as somebody else");
        return;
    }
    struct Elsewhere(PathBuf);
    impl Drop for Elsewhere {
        fn drop(&mut self) {
            end_server(&self.0);
            let _ = fs::remove_dir_all(&self.0);
            let _ = fs::remove_dir(self.0.parent().unwrap());
        }
    }
    let checkout = Checkout::with_mode(0o700);
    let cluster = checkout.open().unwrap();
    let elsewhere = Elsewhere(cluster.data_dir().to_path_buf());
    assert!(elsewhere.0.starts_with("/var/lib/rowcast"), "{}", elsewhere.0.display());
    assert_eq!(fs::read_link(checkout.data()).unwrap(), elsewhere.0);
    assert_ne!(fs::metadata(&elsewhere.0).unwrap().uid(), 0);
    keep_a_note(&cluster);
    cluster.stop().unwrap();
    let cluster = checkout.open().unwrap();
    assert_eq!(note_of(&cluster), ["kept"]);
    cluster.stop().unwrap();
    // As if killed before the link was made.
    fs::remove_file(checkout.data()).unwrap();
    let cluster = checkout.open().unwrap();
    assert_eq!(note_of(&cluster), ["kept"]);
    assert_eq!(cluster.data_dir(), elsewhere.0);
}
