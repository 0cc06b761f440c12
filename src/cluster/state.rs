//! The state that a checkout keeps of its development cluster: `.rowcast/dev.json` (port, password, signing secret) and
//! `.rowcast/lock`, which one live `rowcast dev` holds.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};

use super::error::{ClusterError, Result, io};
use crate::config::Secret;

/// The user that everybody logs in as. Not `rowcast`: a user named like a schema has that schema first in its search path.
pub(super) const SUPERUSER: &str = "postgres";
/// The database that `rowcast dev` serves.
pub(super) const DATABASE: &str = "rowcast";

/// A generated secret: hex digits, so that it needs no escaping in a URL, in SQL or in a shell.
fn random_secret() -> Result<Secret> {
    random_hex::<32>().map(Secret::new)
}

/// `dev.json` is the one place where a secret is written down.
mod secret_as_text {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::config::Secret;

    pub(super) fn serialize<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(secret.expose())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
        String::deserialize(from).map(Secret::new)
    }
}

pub(super) fn random_hex<const BYTES: usize>() -> Result<String> {
    let mut bytes = [0_u8; BYTES];
    getrandom::fill(&mut bytes).map_err(ClusterError::Random)?;
    Ok(hex(&bytes))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The contents of `dev.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DevState {
    /// The id that the marker in the data directory repeats. A directory without it is not ours.
    pub cluster_id: String,
    pub postgres_port: u16,
    #[serde(with = "secret_as_text")]
    pub postgres_password: Secret,
    /// Not used by the cluster; kept here because it has to outlive a restart in the same way.
    #[serde(with = "secret_as_text")]
    pub jwt_secret: Secret,
    /// Where the server of this cluster listened when it last started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_url: Option<String>,
}

impl DevState {
    /// Where clients connect to Postgres. Contains the password: not for a log.
    pub fn url(&self) -> String {
        let password = self.postgres_password.expose();
        format!("postgres://{SUPERUSER}:{password}@127.0.0.1:{}/{DATABASE}", self.postgres_port)
    }

    pub(super) fn fresh(postgres_port: u16) -> Result<Self> {
        Ok(Self {
            cluster_id: random_hex::<16>()?,
            postgres_port,
            postgres_password: random_secret()?,
            jwt_secret: random_secret()?,
            server_url: None,
        })
    }

    /// Reads `dev.json` of a `.rowcast` folder; `None` if there is none yet.
    pub fn load(dir: &Path) -> Result<Option<Self>> {
        let path = state_path(dir);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return io("read", &path, Err(error)),
        };
        serde_json::from_slice(&text).map(Some).map_err(|source| ClusterError::State { path, source })
    }

    /// Writes `dev.json` beside itself and renames it, so that a crash leaves the old or the new one, never half.
    pub fn store(&self, dir: &Path) -> Result<()> {
        let (path, fresh) = (state_path(dir), dir.join("dev.json.new"));
        let mut text =
            serde_json::to_vec_pretty(self).map_err(|source| ClusterError::State { path: path.clone(), source })?;
        text.push(b'\n');
        if let Err(error) = fs::remove_file(&fresh)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return io("remove", &fresh, Err(error));
        }
        let mut out = io("create", &fresh, open_private(&fresh, OpenOptions::new().write(true).create_new(true)))?;
        io("own", &fresh, own_like_folder(&out, dir))?;
        io("write", &fresh, out.write_all(&text).and_then(|()| out.sync_all()))?;
        io("rename", &fresh, fs::rename(&fresh, &path))?;
        io("sync", dir, File::open(dir).and_then(|folder| folder.sync_all()))
    }
}

fn state_path(dir: &Path) -> PathBuf {
    dir.join("dev.json")
}

/// Makes the `.rowcast` folder. If root makes it, other users may pass through and not list it, since Postgres runs as one of
/// them; each file in it is private.
pub(super) fn make_folder(dir: &Path) -> Result<PathBuf> {
    if !dir.is_dir() {
        let mode = if geteuid().is_root() { 0o711 } else { 0o700 };
        io("create", dir, DirBuilder::new().recursive(true).mode(mode).create(dir))?;
        io("open", dir, fs::set_permissions(dir, fs::Permissions::from_mode(mode)))?;
    }
    io("enter", dir, fs::canonicalize(dir))
}

/// Opens a file that only its owner may read. Links are not followed: root may work in a checkout of somebody who
/// could have put one there.
pub(super) fn open_private(path: &Path, options: &mut OpenOptions) -> std::io::Result<File> {
    options.mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path)
}

/// Files that root makes in a user's checkout stay usable for that user.
pub(super) fn own_like_folder(file: &File, dir: &Path) -> std::io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let folder = fs::metadata(dir)?;
    fchown(file, Some(folder.uid()), Some(folder.gid()))
}

/// A file that is locked until this is dropped, or until the process ends, however it ends.
#[derive(Debug)]
pub(super) struct LockedFile(File);

impl LockedFile {
    /// Locks a file, or gives it back if somebody else has locked it.
    pub(super) fn lock(file: File) -> std::io::Result<std::result::Result<Self, File>> {
        match file.try_lock() {
            Ok(()) => Ok(Ok(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(Err(file)),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for LockedFile {
    /// Closing the file would not be enough: a child process that does not run its own program yet has it open too.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::debug!(%error, "a file was not unlocked, and is closed all the same");
        }
    }
}

/// Takes the exclusive use of one `.rowcast` folder.
pub(super) fn lock_folder(dir: &Path) -> Result<LockedFile> {
    let path = dir.join("lock");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = io("open", &path, open_private(&path, &mut options))?;
    let locked = match io("lock", &path, LockedFile::lock(file))? {
        Ok(locked) => locked,
        Err(mut file) => {
            let mut pid = String::new();
            io("read", &path, file.read_to_string(&mut pid))?;
            return Err(ClusterError::Busy { dir: dir.to_path_buf(), pid: pid.trim().parse().ok() });
        }
    };
    let mut file = &locked.0;
    io("own", &path, own_like_folder(file, dir))?;
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .and_then(|()| file.flush());
    io("write", &path, written)?;
    Ok(locked)
}
