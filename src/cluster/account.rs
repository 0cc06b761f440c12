//! The user that Postgres runs as. Postgres refuses root, so root starts it as another user. Everything inside the data directory
//! is done as that user too: if root wrote into a folder that another user owns, a link in it could lead the write anywhere.

use std::env;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, User, getegid, geteuid};

use super::error::{ClusterError, Result, io as with_path};

/// The environment variables that Postgres's programs get from the caller: the paths of programs and libraries, and the time zone.
const PASSED_ON: [&str; 5] = ["PATH", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"];

const SHELL: &str = "/bin/sh";
const SHELL_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    drops_privileges: bool,
}

impl Account {
    /// The user for a cluster that is yet to be made.
    pub(super) fn for_new() -> Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self::current());
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .filter(|user| !user.uid.is_root())
            .map(|user| Self {
                name: user.name,
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
                drops_privileges: true,
            })
            .ok_or(ClusterError::NoAccount)
    }

    /// The owner of an existing cluster.
    pub(super) fn owner_of(data: &Path) -> Result<Self> {
        let meta = with_path("look at", data, fs::metadata(data))?;
        let owner = name_of(meta.uid());
        let current = Self::current();
        if !geteuid().is_root() {
            return if meta.uid() == current.uid {
                Ok(current)
            } else {
                Err(ClusterError::Owner { data: data.to_path_buf(), owner, you: current.name })
            };
        }
        if meta.uid() == 0 {
            return Err(ClusterError::Foreign { data: data.to_path_buf(), why: "it belongs to root".to_owned() });
        }
        Ok(Self { name: owner, uid: meta.uid(), gid: meta.gid(), drops_privileges: true })
    }

    fn current() -> Self {
        let uid = geteuid().as_raw();
        Self { name: name_of(uid), uid, gid: getegid().as_raw(), drops_privileges: false }
    }

    /// A command as this user, from a folder that it can enter, and away from the terminal's Ctrl-C. Of the caller's
    /// environment it gets [`PASSED_ON`] alone: the rest may hold secrets that another user must not see, or settings of the
    /// caller's own Postgres. English, because one message is recognised.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(PASSED_ON.into_iter().filter_map(|name| Some((name, env::var_os(name)?))));
        command.env("LC_ALL", "C").current_dir("/").stdin(Stdio::null()).process_group(0);
        if self.drops_privileges {
            // std drops the supplementary groups as well when the uid is set by root.
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Whether this user may run a program or pass through a folder, asked of the kernel as that user.
    pub(super) fn may_execute(&self, path: &Path) -> Result<bool> {
        let mut command = self.command(Path::new(SHELL));
        command.args(["-c", r#"test -x "$1""#, "sh"]).arg(path);
        let output = with_path("run", Path::new(SHELL), run(command, SHELL_LIMIT))?;
        Ok(output.status.success())
    }

    /// Writes a private file as this user, whole or not at all.
    pub(super) fn write(&self, path: &Path, text: &str) -> Result<()> {
        self.pipe(r#"umask 077 && cat >"$1.new" && mv "$1.new" "$1""#, path, text)
    }

    pub(super) fn append(&self, path: &Path, text: &str) -> Result<()> {
        self.pipe(r#"cat >>"$1""#, path, text)
    }

    fn pipe(&self, script: &str, path: &Path, text: &str) -> Result<()> {
        let written = (|| {
            let mut command = self.command(Path::new(SHELL));
            command.args(["-c", script, "sh"]).arg(path).stdin(Stdio::piped());
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                stdin.write_all(text.as_bytes())?;
            }
            let output = child.wait_with_output()?;
            if output.status.success() { Ok(()) } else { Err(io::Error::other(failure_text(&output))) }
        })();
        with_path("write", path, written)
    }
}

fn name_of(uid: u32) -> String {
    let user = User::from_uid(uid.into()).ok().flatten();
    user.map_or_else(|| format!("uid {uid}"), |user| user.name)
}

/// Runs a command to its end or to the limit. Its output must fit into a pipe, since it is read only at the end.
pub(super) fn run(mut command: Command, limit: Duration) -> io::Result<Output> {
    let mut child = command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let deadline = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            // The whole group: initdb's own children would go on writing.
            if let Ok(pid) = i32::try_from(child.id()) {
                killpg(Pid::from_raw(pid), Signal::SIGKILL)?;
            }
            child.wait()?;
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("no end after {} s", limit.as_secs())));
        }
        sleep(Duration::from_millis(10));
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_end(&mut stdout)?;
    }
    if let Some(mut pipe) = child.stderr.take() {
        pipe.read_to_end(&mut stderr)?;
    }
    Ok(Output { status, stdout, stderr })
}

/// The text of a failed program: its stderr, else its stdout, else its exit status.
pub(super) fn failure_text(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let text = [stderr.trim(), stdout.trim()].into_iter().find(|text| !text.is_empty()).map(str::to_owned);
    text.unwrap_or_else(|| format!("it ended with {}", output.status))
}
