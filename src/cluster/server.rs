//! Making, starting and stopping the server of the development cluster: initdb, pg_ctl, and what postmaster.pid says.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::account::{failure_text, run};
use super::data_directory::{DataDirectory, MARKER, remove_all};
use super::error::{ClusterError, Result, io};
use super::find::Binaries;
use super::state::{DevState, SUPERUSER, open_private, own_like_folder};

const CONF: &str = "rowcast.conf";
const INITDB_LIMIT: Duration = Duration::from_secs(120);
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_FAST: Duration = Duration::from_secs(20);
const STOP_IMMEDIATE: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(5);
/// How long a killed process may take to disappear.
const EXIT_LIMIT: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(50);
const MAX_LOG_BYTES: u64 = 10 << 20;
const LOG_TAIL_LINES: usize = 20;
const LOG_TAIL_BYTES: u64 = 16 << 10;
const PORT_TRIES: usize = 50;

/// Makes the data directory under another name and renames it, so that a data directory that exists is complete.
pub(super) fn create(directory: &DataDirectory, bins: &Binaries, state: &DevState) -> Result<()> {
    directory.sweep(&state.cluster_id)?;
    let nursery = directory.nursery(&state.cluster_id)?;
    let made = initdb(directory, bins, state, &nursery);
    if made.is_err() {
        // The first error is the one that matters.
        let _ = remove_all(&nursery);
        return made;
    }
    io("rename", &nursery, fs::rename(nursery.join("data"), &directory.path))?;
    remove_all(&nursery)
}

fn initdb(directory: &DataDirectory, bins: &Binaries, state: &DevState, nursery: &Path) -> Result<()> {
    let (data, password) = (nursery.join("data"), nursery.join("password"));
    directory.account.write(&password, state.postgres_password.expose())?;
    let attempt = |locale: &str| {
        let mut command = directory.account.command(&bins.initdb);
        command.arg("-D").arg(&data).args(["-U", SUPERUSER, "-E", "UTF8", locale, "--data-checksums"]);
        command.args(["--auth-local=trust", "--auth-host=scram-sha-256", "--no-instructions"]);
        command.arg("--pwfile").arg(&password);
        let output = io("run", &bins.initdb, run(command, INITDB_LIMIT))?;
        if output.status.success() { Ok(()) } else { Err(ClusterError::Initdb { why: failure_text(&output) }) }
    };
    // macOS before 14 and bare containers have no C.UTF-8; plain C sorts the same.
    if let Err(error) = attempt("--locale=C.UTF-8") {
        tracing::debug!(%error, "initdb refused C.UTF-8, trying C");
        attempt("--no-locale")?;
    }
    directory.account.append(
        &data.join("postgresql.conf"),
        &format!("\n# Last, so that `rowcast dev` knows its port.\ninclude_if_exists = '{CONF}'\n"),
    )?;
    directory.account.write(&data.join(MARKER), &state.cluster_id)
}

/// The settings that a start depends on, in a file of their own: the person's postgresql.conf stays theirs.
fn configure(directory: &DataDirectory, port: u16, socket_dir: &Path, extra: &[(&str, &str)]) -> Result<()> {
    // A list of folders: double quotes keep a comma or a space in the path from splitting it.
    let sockets = format!("\"{}\"", socket_dir.display().to_string().replace('"', "\"\""));
    let port = port.to_string();
    let own = [
        ("listen_addresses", "127.0.0.1"),
        ("port", &port),
        ("unix_socket_directories", &sockets),
        ("unix_socket_permissions", "0700"),
        ("max_connections", "200"),
        ("max_prepared_transactions", "64"),
        ("shared_buffers", "128MB"),
        ("logging_collector", "off"),
        ("cluster_name", "rowcast"),
    ];
    let mut text =
        "# Written by `rowcast dev` at every start; your own settings belong into postgresql.conf.\n".to_owned();
    for (name, value) in own.iter().chain(extra) {
        let value = value.replace('\\', r"\\").replace('\'', "''");
        text.push_str(&format!("{name} = '{value}'\n"));
    }
    directory.account.write(&directory.path.join(CONF), &text)
}

/// A live postmaster of our data directory.
#[derive(Debug)]
pub(super) struct Postmaster {
    pub(super) pid: i32,
    pub(super) port: u16,
    pub(super) socket_dir: PathBuf,
}

/// Looks for a postmaster that already serves the data directory, waiting for one that is on its way down or still
/// writing its pid file.
pub(super) fn running(data: &Path) -> Result<Option<Postmaster>> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        let Some((pid, lines)) = pid_file(data)?.filter(|(pid, _)| serves(*pid, data)) else {
            return Ok(None);
        };
        // Lines: pid, data directory, start time, port, socket folder, listen address, shared memory, status.
        let port = lines.get(3).and_then(|line| line.parse().ok());
        let stopping = lines.get(7).is_some_and(|status| status == "stopping");
        if let (Some(port), Some(socket_dir), false) = (port, lines.get(4), stopping) {
            return Ok(Some(Postmaster { pid, port, socket_dir: PathBuf::from(socket_dir) }));
        }
        if Instant::now() >= deadline {
            return Err(ClusterError::Stop { pid, why: "it was already stopping, and has not ended".to_owned() });
        }
        sleep(POLL);
    }
}

fn pid_file(data: &Path) -> Result<Option<(i32, Vec<String>)>> {
    lock_file(&data.join("postmaster.pid"))
}

fn lock_file(path: &Path) -> Result<Option<(i32, Vec<String>)>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return io("read", path, Err(error)),
    };
    let lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    let pid = lines.first().and_then(|line| line.parse().ok()).filter(|pid| *pid > 1);
    Ok(pid.map(|pid| (pid, lines)))
}

/// Whether this pid is a postmaster of this data directory, and not another process that reuses its number. A postmaster's working
/// directory is its data directory.
pub(super) fn serves(pid: i32, data: &Path) -> bool {
    if !pid_exists(pid) {
        return false;
    }
    if !Path::new("/proc/self/cwd").exists() {
        // No /proc (macOS): any postgres counts, so that a doubtful pid file is never thrown away.
        let mut ps = Command::new("ps");
        ps.args(["-o", "command=", "-p", &pid.to_string()]);
        return run(ps, GRACE).map_or(true, |output| {
            let line = String::from_utf8_lossy(&output.stdout).into_owned();
            line.contains("postgres") || line.contains("postmaster")
        });
    }
    let deadline = Instant::now() + EXIT_LIMIT;
    loop {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if !name.starts_with("post") || is_zombie(pid) {
            return false;
        }
        match (fs::metadata(format!("/proc/{pid}/cwd")), fs::metadata(data)) {
            (Ok(cwd), Ok(data)) => return (cwd.dev(), cwd.ino()) == (data.dev(), data.ino()),
            // The process is exiting and has no working directory any more: look again.
            (Err(error), _) if error.kind() == ErrorKind::NotFound && Instant::now() < deadline => sleep(POLL),
            // Another user's process hides its working directory; our own would not.
            _ => return false,
        }
    }
}

fn pid_exists(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH)
}

/// Whether a process is dead and not yet reaped by its parent. A container's first process may never reap it.
fn is_zombie(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// Removes the lock files of a dead server whose pid another process uses now. Postgres only asks whether the pid exists, and
/// would refuse to start. Lock files whose pid is gone are left to Postgres. It looks for orphaned backends in either case: the key of their
/// shared memory is the inode of the data directory.
fn remove_stale_locks(data: &Path, socket_dir: &Path) -> Result<()> {
    let mut locks = vec![data.join("postmaster.pid")];
    // The socket's folder is private to this cluster, so each lock in it was this cluster's.
    for entry in io("list", socket_dir, fs::read_dir(socket_dir))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(".s.PGSQL.") && name.ends_with(".lock") {
            locks.push(entry.path());
        }
    }
    for path in locks {
        if let Some((pid, _)) = lock_file(&path)?
            && pid_exists(pid)
            && !serves(pid, data)
        {
            tracing::info!(pid, file = %path.display(), "names a process that is not this cluster's; removed");
            io("remove", &path, fs::remove_file(&path))?;
        }
    }
    Ok(())
}

/// Starts the server on the remembered port, or on another if that is taken.
pub(super) fn start(
    directory: &DataDirectory,
    bins: &Binaries,
    state: &DevState,
    dir: &Path,
    extra: &[(&str, &str)],
) -> Result<Postmaster> {
    let socket_dir = directory.socket_dir(&state.cluster_id)?;
    remove_stale_locks(&directory.path, &socket_dir)?;
    let log = dir.join("postgres.log");
    let mut port = state.postgres_port;
    let deadline = Instant::now() + START_LIMIT;
    loop {
        if !is_free(port) {
            port = free_port()?;
        }
        configure(directory, port, &socket_dir, extra)?;
        let out = open_log(&log, dir)?;
        let from = io("look at", &log, out.metadata())?.len();
        let started = pg_ctl_start(directory, bins, out);
        // A server that is still recovering when pg_ctl gives up counts as started: the login waits on.
        if let Some(found) = running(&directory.path)? {
            return Ok(found);
        }
        let tail = last_log_lines(&log, from);
        let is_transient = !is_free(port) || tail.contains("pre-existing shared memory block");
        if !is_transient || Instant::now() >= deadline {
            let why = started.err().map(|error| format!("\n({error})")).unwrap_or_default();
            return Err(ClusterError::Start { log, tail: format!("{tail}{why}") });
        }
        // Another process has just taken the port, or backends of a killed server have not ended yet.
        sleep(Duration::from_millis(500));
    }
}

/// The log is opened here and inherited: the server's user need not be able to reach the checkout.
fn pg_ctl_start(directory: &DataDirectory, bins: &Binaries, out: File) -> std::io::Result<()> {
    let mut command = pg_ctl(directory, bins);
    command.args(["-w", "-s", "-t", &START_LIMIT.as_secs().to_string(), "start"]);
    command.stdout(out.try_clone()?).stderr(out).stdin(Stdio::null());
    let mut child = command.spawn()?;
    let deadline = Instant::now() + START_LIMIT + GRACE;
    while child.try_wait()?.is_none() {
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Err(std::io::Error::new(ErrorKind::TimedOut, "pg_ctl did not return"));
        }
        sleep(POLL);
    }
    Ok(())
}

fn pg_ctl(directory: &DataDirectory, bins: &Binaries) -> Command {
    let mut command = directory.account.command(&bins.pg_ctl);
    let path = directory.path.to_string_lossy();
    if path.contains(['"', '$', '`', '\\']) {
        // pg_ctl hands -D to a shell within double quotes.
        command.env("PGDATA", &directory.path);
    } else {
        command.arg("-D").arg(&directory.path);
    }
    command
}

/// Stops the server of the data directory, in fast mode and then in immediate mode. Succeeds if none runs.
pub(super) fn stop(directory: &DataDirectory, bins: &Binaries) -> Result<()> {
    // Checked here, since pg_ctl would signal any process that has the pid now.
    let Some((pid, _)) = pid_file(&directory.path)?.filter(|(pid, _)| serves(*pid, &directory.path)) else {
        return Ok(());
    };
    let mut why = String::new();
    for (mode, limit) in [("fast", STOP_FAST), ("immediate", STOP_IMMEDIATE)] {
        let mut command = pg_ctl(directory, bins);
        command.args(["-w", "-s", "-m", mode, "-t", &limit.as_secs().to_string(), "stop"]);
        match run(command, limit + GRACE) {
            Ok(output) if output.status.success() => {}
            Ok(output) => why = failure_text(&output),
            Err(error) => why = error.to_string(),
        }
        if has_ended(pid, &directory.path) {
            return Ok(());
        }
        tracing::warn!(mode, %why, "pg_ctl stop failed");
    }
    Err(ClusterError::Stop { pid, why })
}

/// pg_ctl returns when the pid file is gone, shortly before the process is.
fn has_ended(pid: i32, data: &Path) -> bool {
    let deadline = Instant::now() + GRACE;
    while serves(pid, data) {
        if data.join("postmaster.pid").exists() || Instant::now() >= deadline {
            return false;
        }
        sleep(Duration::from_millis(5));
    }
    true
}

fn open_log(path: &Path, dir: &Path) -> Result<File> {
    if fs::metadata(path).is_ok_and(|meta| meta.len() > MAX_LOG_BYTES) {
        io("rename", path, fs::rename(path, path.with_extension("log.1")))?;
    }
    let log = io("open", path, open_private(path, OpenOptions::new().create(true).append(true)))?;
    io("own", path, own_like_folder(&log, dir))?;
    Ok(log)
}

/// The last lines of the log that were written after `from`.
fn last_log_lines(path: &Path, from: u64) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let from = from.max(file.metadata()?.len().saturating_sub(LOG_TAIL_BYTES));
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_else(|error| format!("(unreadable: {error})"));
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(LOG_TAIL_LINES)..).unwrap_or_default().join("\n")
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A port below those that the system hands to outgoing connections, so that it is likely free the next time too.
pub(super) fn free_port() -> Result<u16> {
    let mut bytes = [0_u8; PORT_TRIES * 2];
    getrandom::fill(&mut bytes).map_err(ClusterError::Random)?;
    let (pairs, _) = bytes.as_chunks::<2>();
    let picked = pairs.iter().map(|pair| 20_000 + u16::from_ne_bytes(*pair) % 12_000).find(|port| is_free(*port));
    if let Some(port) = picked {
        return Ok(port);
    }
    let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    Ok(io("listen on", Path::new("127.0.0.1"), any)?.port())
}
