//! Finds the Postgres programs of this machine: initdb, pg_ctl, postgres, and psql when there is one.
//!
//! It installs nothing: `scripts/run` does that.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::account::run;
use super::error::{ClusterError, Result};

const OLDEST_MAJOR: u32 = 14;
const PROGRAMS: [&str; 3] = ["postgres", "pg_ctl", "initdb"];
const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// Where packages put Postgres: a folder, the prefix of the version folders in it, and the folder of the programs in each of
/// those. The highest version is tried first.
const PACKAGE_DIRS: [(&str, &str, &str); 5] = [
    ("usr/lib/postgresql", "", "bin"),
    ("usr", "pgsql-", "bin"),
    ("opt/homebrew/opt", "postgresql", "bin"),
    ("usr/local/opt", "postgresql", "bin"),
    ("home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
];

/// Everything that the search depends on, so that a test can set it without touching the process's environment.
#[derive(Debug, Clone)]
pub struct Search {
    /// `ROWCAST_PG_BIN`: when set, nothing else is tried.
    pub pg_bin: Option<PathBuf>,
    /// `PATH`.
    pub path: Option<OsString>,
    /// `/`, or in a test another folder, below which the folders of packages lie.
    pub root: PathBuf,
    /// The `.rowcast` folder: `postgres/bin` in it may hold programs, and an existing cluster in it needs the major version that
    /// made it.
    pub rowcast_dir: PathBuf,
}

impl Search {
    #[must_use]
    pub fn from_env(rowcast_dir: &Path) -> Self {
        Self {
            pg_bin: env::var_os("ROWCAST_PG_BIN").filter(|dir| !dir.is_empty()).map(PathBuf::from),
            path: env::var_os("PATH"),
            root: PathBuf::from("/"),
            rowcast_dir: rowcast_dir.to_path_buf(),
        }
    }

    fn path_dirs(&self) -> Vec<PathBuf> {
        self.path.iter().flat_map(env::split_paths).filter(|dir| dir.is_absolute()).collect()
    }
}

/// The programs of one Postgres installation.
#[derive(Debug, Clone)]
pub struct Binaries {
    pub dir: PathBuf,
    pub initdb: PathBuf,
    pub pg_ctl: PathBuf,
    pub postgres: PathBuf,
    pub psql: Option<PathBuf>,
    pub major: u32,
    /// As `postgres --version` says it, for example `15.18`.
    pub version: String,
}

pub fn find(search: &Search) -> Result<Binaries> {
    if let Some(dir) = &search.pg_bin {
        return inspect(dir, search).map_err(|error| match error {
            ClusterError::TooOld { .. } => error,
            other => ClusterError::PgBin {
                dir: dir.clone(),
                why: missing_programs(dir).unwrap_or_else(|| other.to_string()),
            },
        });
    }
    let wanted = made_by(&search.rowcast_dir.join("cluster"));
    let mut usable: Option<Binaries> = None;
    let mut refused: Option<ClusterError> = None;
    let candidates = candidates(search);
    for dir in candidates.iter().filter(|dir| missing_programs(dir).is_none()) {
        match inspect(dir, search) {
            Ok(found) if wanted.as_ref().is_none_or(|wanted| *wanted == found.major.to_string()) => return Ok(found),
            // A cluster of another major version exists: the matching programs may still follow.
            Ok(found) => usable = usable.or(Some(found)),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    usable.ok_or_else(|| refused.unwrap_or_else(|| ClusterError::NotFound { looked: searched_places(search) }))
}

/// The major version that made a data directory.
pub(super) fn made_by(data: &Path) -> Option<String> {
    fs::read_to_string(data.join("PG_VERSION")).ok().map(|text| text.trim().to_owned())
}

fn candidates(search: &Search) -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    for dir in search.path_dirs() {
        for program in PROGRAMS {
            // A link from /usr/local/bin leads to the installation; a wrapper script stands for itself.
            if let Ok(real) = fs::canonicalize(dir.join(program)) {
                dirs.extend(real.parent().map(Path::to_path_buf));
            }
        }
        dirs.push(dir);
    }
    dirs.extend(pg_config_bindir(search));
    for (place, prefix, below) in PACKAGE_DIRS {
        dirs.extend(versions(&search.root.join(place), prefix).into_iter().map(|dir| dir.join(below)));
    }
    dirs.push(search.rowcast_dir.join("postgres/bin"));
    let mut seen = std::collections::HashSet::new();
    dirs.retain(|dir| seen.insert(dir.clone()));
    dirs
}

fn searched_places(search: &Search) -> String {
    let mut places = vec!["PATH".to_owned(), "pg_config --bindir".to_owned()];
    places.extend(
        PACKAGE_DIRS.map(|(place, prefix, below)| format!("{}/{prefix}*/{below}", search.root.join(place).display())),
    );
    places.push(search.rowcast_dir.join("postgres/bin").display().to_string());
    places.join(", ")
}

fn pg_config_bindir(search: &Search) -> Option<PathBuf> {
    let program = search.path_dirs().into_iter().map(|dir| dir.join("pg_config")).find(|path| executable(path))?;
    let mut command = Command::new(program);
    command.arg("--bindir").stdin(Stdio::null());
    let output = run(command, VERSION_LIMIT).ok().filter(|output| output.status.success())?;
    Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())).filter(|dir| dir.is_absolute())
}

/// The folders `prefix…` of `parent`, the highest version first; `postgresql@17` and `9.6` are versions too.
fn versions(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let rest = name.to_str()?.strip_prefix(prefix)?.trim_start_matches('@');
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            Some((digits.parse().unwrap_or(0), entry.path()))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

fn executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn missing_programs(dir: &Path) -> Option<String> {
    if !dir.is_dir() {
        return Some("that is not a folder".to_owned());
    }
    let missing: Vec<_> = PROGRAMS.into_iter().filter(|program| !executable(&dir.join(program))).collect();
    (!missing.is_empty()).then(|| format!("it has no {}", missing.join(", no ")))
}

fn inspect(dir: &Path, search: &Search) -> Result<Binaries> {
    let broken = |why: String| ClusterError::Broken { program: dir.join("postgres"), why };
    // Absolute, because the programs are started from another working directory.
    let dir = &fs::canonicalize(dir).map_err(|error| broken(error.to_string()))?;
    let mut command = Command::new(dir.join("postgres"));
    command.arg("--version").env("LC_ALL", "C").stdin(Stdio::null());
    let output = run(command, VERSION_LIMIT).map_err(|error| broken(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (major, version) = parse_version(&text).ok_or_else(|| {
        broken(format!(
            "`postgres --version` says {:?} {:?}",
            text.trim(),
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    })?;
    if major < OLDEST_MAJOR {
        return Err(ClusterError::TooOld { dir: dir.clone(), version });
    }
    let mut psql = vec![dir.join("psql")];
    psql.extend(search.path_dirs().iter().map(|dir| dir.join("psql")));
    Ok(Binaries {
        initdb: dir.join("initdb"),
        pg_ctl: dir.join("pg_ctl"),
        postgres: dir.join("postgres"),
        psql: psql.into_iter().find(|path| executable(path)),
        dir: dir.clone(),
        major,
        version,
    })
}

/// `postgres (PostgreSQL) 15.18 (Debian …)`, `18beta1`, `19devel`.
fn parse_version(text: &str) -> Option<(u32, String)> {
    let version = text.split("(PostgreSQL)").nth(1)?.split_whitespace().next()?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    Some((digits.parse().ok()?, version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn versions_are_read_as_distributions_write_them() {
        let major = |text| parse_version(text).map(|(major, _)| major);
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major("postgres (PostgreSQL) 9.6.24"), Some(9));
        assert_eq!(major("bash: postgres: not found"), None);
    }
}
