//! What can be said about the migrations without a database. Each check is a function over names and texts, so that
//! the tests below show that it can fail.

use super::statements::{self, Statement, Token};
use super::{in_repository, read_in_repository};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

const DIRECTORY: &str = "sql/migrations";
const CHECKSUMS: &str = "sql/migrations.sha256sum";

type Files = Vec<(String, String)>;

pub(super) fn migrations() -> Files {
    let mut files: Files = std::fs::read_dir(in_repository(DIRECTORY))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

pub(super) fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// The number and the words of `V<n>__<snake>.sql`.
pub(super) fn number(name: &str) -> Option<u32> {
    let (number, words) = name.strip_prefix('V')?.strip_suffix(".sql")?.split_once("__")?;
    let snake =
        words.split('_').all(|w| !w.is_empty() && w.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()));
    let plain = !number.starts_with('0') && number.chars().all(|c| c.is_ascii_digit());
    number.parse().ok().filter(|_| snake && plain)
}

fn wrong_names(names: &[&str]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut numbers = BTreeMap::new();
    for name in names {
        match number(name) {
            None => complaints.push(format!("{name}: not V<n>__<words_in_lower_case>.sql")),
            Some(n) => {
                if let Some(other) = numbers.insert(n, *name) {
                    complaints.push(format!("{name}: has the number of {other}"));
                }
            }
        }
    }
    for (expected, (n, name)) in (1..).zip(&numbers) {
        if *n != expected {
            complaints.push(format!("{name}: number {expected} is missing before it"));
            break;
        }
    }
    complaints
}

/// The verbs with which a statement of a migration may begin.
const VERBS: &[&str] = &[
    "alter", "analyze", "comment", "create", "delete", "do", "drop", "grant", "insert", "lock", "merge", "revoke",
    "select", "set", "truncate", "update", "with",
];

/// What the runner's transaction cannot hold, or is not SQL, or is cut off.
fn unfit(name: &str, text: &str) -> Vec<String> {
    let statements = match statements::split(text) {
        Ok(statements) => statements,
        Err(error) => return vec![format!("{name} {error}")],
    };
    let mut complaints = Vec::new();
    if statements.is_empty() {
        complaints.push(format!("{name}: holds no statement"));
    }
    for statement in statements {
        let words = statement.words();
        let mut say = |what: String| complaints.push(format!("{name} line {}: {what}", statement.line));
        if words.iter().any(|w| w == "concurrently") {
            say("CONCURRENTLY cannot run inside the transaction of a migration".to_owned());
        }
        if words.windows(2).any(|w| w == ["begin", "atomic"]) {
            say("write the body between dollar quotes, so that its semicolons stay inside".to_owned());
        }
        match words[0].as_str() {
            "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release" | "prepare" => {
                say(format!("{} at the top: each migration is one transaction already", words[0].to_uppercase()));
            }
            verb if VERBS.contains(&verb) => {}
            verb => say(format!("{verb:?} does not begin a statement of a migration")),
        }
    }
    complaints
}

/// What destroys without a reason. Words in function bodies, trigger definitions, grants and policies do nothing when
/// the migration runs; the body of a `DO` does.
fn destructive(name: &str, text: &str) -> Vec<String> {
    let Ok(statements) = statements::split(text) else { return Vec::new() };
    let reason = |c: &String| c.strip_prefix("destructive:").is_some_and(|reason| !reason.trim().is_empty());
    let without_reason = statements.iter().filter(|s| !s.comments.iter().any(reason));
    let mut complaints = Vec::new();
    for statement in without_reason {
        if let Some(word) = destroys(statement) {
            complaints.push(format!(
                "{name} line {}: {} without -- destructive: <reason>",
                statement.line,
                word.to_uppercase()
            ));
        }
        if statement.words()[0] == "do" {
            for token in &statement.tokens {
                if let Token::Body(body) = token {
                    complaints.extend(destructive_body(name, statement.line, body));
                }
            }
        }
    }
    complaints
}

fn destructive_body(name: &str, line: usize, body: &str) -> Vec<String> {
    let inner = statements::split(&format!("{body};")).unwrap_or_default();
    let words = inner.iter().find_map(destroys);
    words
        .map(|word| format!("{name} line {line}: {} inside DO without -- destructive: <reason>", word.to_uppercase()))
        .into_iter()
        .collect()
}

fn destroys(statement: &Statement) -> Option<String> {
    let words = statement.words();
    let first = words[0].as_str();
    let harmless_create = ["trigger", "policy", "function", "procedure"];
    let only_defines = first == "create" && words.iter().take(4).any(|w| harmless_create.contains(&w.as_str()));
    if only_defines || ["grant", "revoke", "comment"].contains(&first) {
        return None;
    }
    let mut before = "";
    for word in &words {
        let destroys = match word.as_str() {
            "drop" | "truncate" => true,
            "delete" => before != "on",
            "update" => !["on", "for", "key"].contains(&before),
            _ => false,
        };
        if destroys {
            return Some(word.clone());
        }
        before = word;
    }
    None
}

fn sha256(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Name and sum of each line, in the format of `sha256sum`.
fn listed(checksums: &str) -> Result<BTreeMap<String, String>, String> {
    let mut lines = BTreeMap::new();
    for line in checksums.lines() {
        let (sum, name) =
            line.split_once("  ").ok_or_else(|| format!("{CHECKSUMS}: not a line of sha256sum: {line:?}"))?;
        if sum.len() != 64 || !sum.chars().all(|c| c.is_ascii_hexdigit()) || number(name).is_none() {
            return Err(format!("{CHECKSUMS}: not a line of sha256sum: {line:?}"));
        }
        if lines.insert(name.to_owned(), sum.to_owned()).is_some() {
            return Err(format!("{CHECKSUMS}: lists {name} twice"));
        }
    }
    Ok(lines)
}

fn changed(checksums: &str, files: &Files) -> Vec<String> {
    let listed = match listed(checksums) {
        Ok(listed) => listed,
        Err(error) => return vec![error],
    };
    let mut complaints = Vec::new();
    let present: BTreeSet<&String> = files.iter().map(|(name, _)| name).collect();
    for name in listed.keys().filter(|name| !present.contains(name)) {
        complaints.push(format!("{name}: has landed and is missing"));
    }
    for (name, text) in files {
        match listed.get(name) {
            None => complaints.push(format!("{name}: is not in {CHECKSUMS}; docs/04_DB_SCHEMA.md says how to add it")),
            Some(sum) if *sum != sha256(text) => {
                complaints.push(format!("{name}: has landed and is not what it was; write a new migration instead"));
            }
            Some(_) => {}
        }
    }
    complaints
}

/// The first line of the list that the present one replaced before the first release. What landed with it may go.
const REPLACED: &str = "91e3f5663125091448668258de56edbf79ecfc101445a6c70a8ef803e6d01430  V1__journal.sql";

/// The part of the history, which begins with its oldest line, since the present list began.
fn of_present_list(history: &str) -> Vec<&str> {
    let lines: Vec<&str> = history.lines().collect();
    match lines.iter().rposition(|line| line.strip_prefix('-') == Some(REPLACED)) {
        Some(ended) => lines[ended..].to_vec(),
        None if lines.iter().any(|line| line.strip_prefix('+') == Some(REPLACED)) => Vec::new(),
        None => lines,
    }
}

/// Lines of the history that the present list no longer holds.
fn forgotten(history: &str, checksums: &str) -> Vec<String> {
    let present: BTreeSet<&str> = checksums.lines().collect();
    let lines = of_present_list(history);
    let lines = lines.iter().filter_map(|line| line.strip_prefix('+')).filter(|line| !line.starts_with("++"));
    let lost = lines.filter(|line| !present.contains(line));
    lost.map(|line| format!("{CHECKSUMS}: this line has landed and is gone or altered: {line}")).collect()
}

#[test]
fn migrations_are_named_and_numbered_without_a_gap() {
    let files = migrations();
    none(wrong_names(&files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>()));
}

#[test]
fn a_wrong_name_or_number_is_noticed() {
    assert!(
        wrong_names(&[
            "V1__a.sql",
            "V2__b_c2.sql",
            "V10__k.sql",
            "V3__d.sql",
            "V4__e.sql",
            "V5__f.sql",
            "V6__g.sql",
            "V7__h.sql",
            "V8__i.sql",
            "V9__j.sql"
        ])
        .is_empty()
    );
    for bad in [
        "v1__a.sql",
        "V1_a.sql",
        "V1__A.sql",
        "V1__a.sql.bak",
        "V01__a.sql",
        "V__a.sql",
        "V1__a__b.sql",
        "U1__a.sql",
        "V1__a-b.sql",
        "V1.5__a.sql",
        "V+1__a.sql",
        "README.md",
    ] {
        assert!(wrong_names(&[bad])[0].starts_with(&format!("{bad}: not V<n>")), "{bad}");
    }
    assert_eq!(wrong_names(&["V1__a.sql", "V3__b.sql"]), ["V3__b.sql: number 2 is missing before it"]);
    assert_eq!(wrong_names(&["V2__a.sql"]), ["V2__a.sql: number 1 is missing before it"]);
    assert_eq!(wrong_names(&["V1__a.sql", "V1__b.sql"]), ["V1__b.sql: has the number of V1__a.sql"]);
}

#[test]
fn every_migration_is_whole_and_fits_into_one_transaction() {
    none(migrations().iter().flat_map(|(name, text)| unfit(name, text)).collect());
}

#[test]
fn an_unfit_migration_is_noticed() {
    for (text, message) in [
        ("", "V1 : holds no statement"),
        ("-- nothing\n", "holds no statement"),
        ("create table a (b int;", "line 1: a statement ends inside of brackets"),
        ("create table a (b int)", "does not end with a semicolon"),
        ("\\i other.sql\n", "a backslash outside of quotes"),
        ("begin;\nselect 1;", "BEGIN at the top"),
        ("select 1; COMMIT;", "COMMIT at the top"),
        ("select 1;\n\ncreate index concurrently a on b (c);", "line 3: CONCURRENTLY"),
        ("create function f() returns int begin atomic select 1; end;", "between dollar quotes"),
        ("vacuum a;", "\"vacuum\" does not begin"),
        ("crate table a ();", "\"crate\" does not begin"),
    ] {
        let complaints = unfit("V1", text);
        assert!(complaints.iter().any(|c| c.contains(message.trim_start_matches("V1 "))), "{text}: {complaints:?}");
    }
    assert!(unfit("V1", "do $$ begin perform 1; end $$; -- commit;\nselect 'begin; concurrently';").is_empty());
}

#[test]
fn no_migration_destroys_without_a_reason() {
    none(migrations().iter().flat_map(|(name, text)| destructive(name, text)).collect());
}

#[test]
fn a_destructive_statement_is_noticed_unless_it_says_why() {
    for bad in [
        "drop table a;",
        "DROP SCHEMA a CASCADE;",
        "alter table a drop column b;",
        "alter table a add c int, drop constraint d;",
        "truncate a;",
        "delete from a;",
        "update a set b = 1;",
        "with gone as (delete from a returning *) select * from gone;",
        "insert into a values (1) on conflict (b) do update set c = 2;",
        "do $$ begin delete from a; end $$;",
        "do $body$ begin execute 'x'; drop table a; end $body$;",
        "-- destructive:\ndrop table a;",
        "-- destructive: of this only\ndrop table a; drop table b;",
    ] {
        assert_eq!(destructive("V1", bad).len(), 1, "{bad}");
    }
    for good in [
        "create trigger t before update or delete or truncate on a for each statement execute function f();",
        "create constraint trigger t after delete on a for each row execute function f();",
        "create or replace function f() returns void language sql as $$ delete from a; drop table b $$;",
        "create table a (b int references c on delete cascade on update restrict);",
        "grant select, insert, update, delete, truncate on a to b;",
        "revoke update on a from b;",
        "create policy p on a for delete using (true);",
        "comment on table a is 'drop, truncate, delete';",
        "select 1 from a for update;",
        "select 1 from a for no key update;",
        "-- destructive: nobody has used it since version 3\nalter table a drop column b;",
    ] {
        assert_eq!(destructive("V1", good), Vec::<String>::new(), "{good}");
    }
}

#[test]
fn landed_migrations_are_what_they_were() {
    none(changed(&read_in_repository(CHECKSUMS), &migrations()));
}

#[test]
fn a_changed_a_missing_and_an_unlisted_migration_are_noticed() {
    let files = vec![("V1__a.sql".to_owned(), "abc".to_owned())];
    let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert!(changed(&format!("{sum}  V1__a.sql\n"), &files).is_empty());
    let of = |list: &str| changed(list, &files).join("; ");
    assert!(
        of(&format!("{}  V1__a.sql\n", sum.replace('b', "c"))).contains("V1__a.sql: has landed and is not what it was")
    );
    assert!(of(&format!("{sum}  V1__a.sql\n{sum}  V2__b.sql\n")).contains("V2__b.sql: has landed and is missing"));
    assert!(of("").contains("V1__a.sql: is not in"));
    assert!(of(&format!("{sum}  V1__a.sql\n{sum}  V1__a.sql\n")).contains("twice"));
    assert!(of(&format!("{sum} V1__a.sql\n")).contains("not a line of sha256sum"));
    assert!(of("\n").contains("not a line of sha256sum"));
}

/// Runs git here; nothing where there is no git or no history, as in an unpacked archive.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").current_dir(in_repository("")).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Landed means: in the history of the main branch, or where there is none, of what is checked out. What stood on a branch
/// alone and was numbered anew before it was merged has never landed.
#[test]
fn no_line_of_the_checksums_that_landed_is_altered_or_gone() {
    let branches = ["refs/remotes/origin/HEAD", "refs/remotes/origin/main", "refs/heads/main", "HEAD"];
    let Some(landed) = branches.iter().find(|b| git(&["rev-parse", "--verify", "--quiet", b]).is_some()) else {
        return;
    };
    let way =
        ["--reverse", "--first-parent", "--diff-merges=first-parent", "--no-color", "--no-ext-diff", "--format=", "-p"];
    let history = git(&[&["log"], &way[..], &[landed, "--", CHECKSUMS]].concat()).unwrap_or_default();
    none(forgotten(&history, &read_in_repository(CHECKSUMS)));
}

#[test]
fn an_altered_or_removed_line_of_the_checksums_is_noticed() {
    let history = "--- /dev/null\n+++ b/sql/migrations.sha256sum\n@@ -0,0 +1,2 @@\n+aa  V1__a.sql\n+bb  V2__b.sql\n";
    assert!(forgotten(history, "aa  V1__a.sql\nbb  V2__b.sql\ncc  V3__c.sql\n").is_empty());
    assert!(forgotten(history, "aa  V1__a.sql\n")[0].ends_with("gone or altered: bb  V2__b.sql"));
    assert!(forgotten(history, "ab  V1__a.sql\nbb  V2__b.sql\n")[0].ends_with("aa  V1__a.sql"));
}

#[test]
fn the_list_of_before_the_first_release_may_go_and_no_other() {
    let landed = format!("--- /dev/null\n+++ b/list\n@@ -0,0 +1,2 @@\n+{REPLACED}\n+bb  V2__b.sql\n");
    assert!(forgotten(&landed, "cc  V1__c.sql\n").is_empty());
    let replaced = format!("{landed}@@ -1,2 +1 @@\n-{REPLACED}\n-bb  V2__b.sql\n+cc  V1__c.sql\n");
    assert!(forgotten(&replaced, "cc  V1__c.sql\n").is_empty());
    assert!(forgotten(&replaced, "dd  V1__d.sql\n")[0].ends_with("cc  V1__c.sql"));
    let again = format!("{replaced}@@ -1 +1 @@\n-cc  V1__c.sql\n+dd  V1__d.sql\n");
    assert!(forgotten(&again, "dd  V1__d.sql\n")[0].ends_with("cc  V1__c.sql"));
}
