//! The binary as a person meets it: exit codes, one-line errors, help.

use crate::support::{JWT_SECRET, run, text};

#[tokio::test]
async fn every_command_has_help_with_an_example() {
    let help = text(&run(&["--help"], &[]).await.stdout);
    for name in ["dev", "serve", "migrate", "token"] {
        assert!(help.contains(&format!("\n  {name} ")), "{name} is missing in {help}");
        let answer = run(&[name, "--help"], &[]).await;
        assert_eq!(answer.status.code(), Some(0));
        assert!(text(&answer.stdout).contains("Example:"), "{name}");
    }
}

#[tokio::test]
async fn wrong_usage_exits_2_and_wrong_configuration_1_with_one_line() {
    for args in
        [&[][..], &["nonsense"], &["serve", "--nonsense"], &["token"], &["token", "--role", "god", "--sub", "x"]]
    {
        let answer = run(args, &[]).await;
        assert_eq!(answer.status.code(), Some(2), "{args:?}");
        assert!(answer.stdout.is_empty(), "{args:?}");
    }
    let secret = ("ROWCAST_JWT_SECRET", JWT_SECRET);
    let database = ("DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/d");
    for (environment, complaint) in [
        (vec![], "DATABASE_URL is not set"),
        (vec![database], "no key for tokens"),
        (vec![database, ("ROWCAST_JWT_SECRET", "short")], "ROWCAST_JWT_SECRET must be at least 32 bytes"),
        (vec![database, secret, ("ROWCAST_LISTN", "x")], "did you mean ROWCAST_LISTEN?"),
        (vec![database, secret, ("ROWCAST_LOG", "a=b=c")], "ROWCAST_LOG is not a log filter"),
        (vec![database, secret, ("ROWCAST_TLS_CERT", "/x")], "ROWCAST_TLS_KEY is not"),
        (vec![database, secret, ("ROWCAST_LISTEN", "192.0.2.1:1")], "cannot listen on 192.0.2.1:1"),
        (vec![("DATABASE_URL", "hunter2"), secret], "DATABASE_URL is neither"),
        (vec![database, secret, ("ROWCAST_REPLICA_URL", "redis://hunter2")], "ROWCAST_REPLICA_URL is neither"),
        (vec![("DATABASE_URL", "host=h sslmode=verify-ca sslrootcert=/no/such"), secret], "cannot use /no/such"),
    ] {
        let answer = run(&["serve"], &environment).await;
        let said = text(&answer.stderr);
        assert_eq!(answer.status.code(), Some(1), "{said}");
        assert!(said.starts_with("rowcast: ") && said.lines().count() == 1 && said.contains(complaint), "{said}");
        assert!(!said.contains("hunter2") && answer.stdout.is_empty(), "{said}");
    }
}

#[tokio::test]
async fn complaints_about_arguments_repeat_no_secret() {
    for args in [
        &["tail", "--url", "http://u:hunter2@127.0.0.1:1"][..],
        &["tail", "--url", "u:hunter2@127.0.0.1:1"],
        &["tail", "http://u:hunter2@127.0.0.1:1"],
        &["demo", "--url", "https://hunter2@rowcast.example"],
        &["postgres://u:hunter2@127.0.0.1:1/d"],
    ] {
        let answer = run(args, &[]).await;
        let said = text(&answer.stderr);
        assert_eq!(answer.status.code(), Some(2), "{said}");
        assert!(said.contains("[redacted]") && !said.contains("hunter2"), "{said}");
    }
}

#[tokio::test]
async fn a_token_is_minted_for_a_role() {
    let answer = run(&["token", "--role", "viewer", "--sub", "alice"], &[("ROWCAST_JWT_SECRET", JWT_SECRET)]).await;
    assert!(answer.status.success());
    assert_eq!(text(&answer.stdout).trim().split('.').count(), 3);
    for (args, complaint) in [
        (["token", "--role", "viewer", "--sub", "a", "--ttl", "0s"], "--ttl is not a duration"),
        (["token", "--role", "viewer", "--sub", "", "--ttl", "1s"], "a subject must be"),
        (["token", "--role", "viewer", "--sub", "a", "--ttl", "366d"], "at most 365 days"),
    ] {
        let answer = run(&args, &[("ROWCAST_JWT_SECRET", JWT_SECRET)]).await;
        assert_eq!(answer.status.code(), Some(2));
        assert!(text(&answer.stderr).contains(complaint), "{}", text(&answer.stderr));
    }
    let answer = run(&["token", "--role", "viewer", "--sub", "a"], &[]).await;
    assert_eq!(answer.status.code(), Some(1));
    assert!(text(&answer.stderr).contains("ROWCAST_JWT_SECRET is not set"));
}
