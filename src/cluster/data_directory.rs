//! Finds the data directory of a checkout, and checks that it is ours.
//!
//! Normally `.rowcast/cluster`. When root works in a checkout that Postgres's user cannot enter (as under /root), it
//! lies under /var/lib/rowcast and `.rowcast/cluster` points there. Every data directory that Rowcast made carries a
//! marker with the id from `dev.json`; without it nothing is started, stopped, given away or removed.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use super::account::Account;
use super::error::{ClusterError, Result, io};
use super::state::{LockedFile, hex, random_hex};

pub(super) const MARKER: &str = "rowcast-cluster";
const SHARED_BASE: &str = "/var/lib/rowcast";
const MAX_SHARED_NAMES: u32 = 9;

/// Linux allows 107 bytes for the path of a unix socket, macOS and the BSDs 103.
const SOCKET_LIMIT: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
const SOCKET_NAME: usize = "/.s.PGSQL.65535".len();

#[derive(Debug)]
pub(super) struct DataDirectory {
    pub(super) path: PathBuf,
    pub(super) account: Account,
    link: Option<PathBuf>,
}

impl DataDirectory {
    /// Finds the cluster of a `.rowcast` folder, or where a new one is to lie.
    pub(super) fn locate(dir: &Path, id: &str) -> Result<Self> {
        let entry = dir.join("cluster");
        match fs::canonicalize(&entry) {
            Ok(data) => return Self::existing(data, id),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return io("enter", &entry, Err(error)),
        }
        if entry.is_symlink() {
            // The link is ours, and somebody has removed the cluster that it led to.
            io("remove", &entry, fs::remove_file(&entry))?;
        }
        let account = Account::for_new()?;
        if account.may_execute(dir)? {
            return Ok(Self { path: entry, account, link: None });
        }
        let data = shared_data_path(dir, id)?;
        Ok(Self { path: data, account, link: Some(entry) })
    }

    fn existing(data: PathBuf, id: &str) -> Result<Self> {
        let account = Account::owner_of(&data)?;
        check_marker(&data, id)?;
        if !account.may_execute(&data)? {
            return Err(ClusterError::Shut { user: account.name, data });
        }
        Ok(Self { path: data, account, link: None })
    }

    /// Puts the link into `.rowcast` once the cluster that it names is there.
    pub(super) fn link(&self) -> Result<()> {
        match &self.link {
            Some(entry) => io("link", entry, symlink(&self.path, entry)),
            None => Ok(()),
        }
    }

    /// Makes an empty private folder beside the data directory, in which a new cluster is prepared. Its name is used
    /// once: an initdb that outlived a killed `rowcast dev` can then never write into a later attempt.
    pub(super) fn nursery(&self, id: &str) -> Result<PathBuf> {
        let path = self.beside(&random_hex::<4>()?)?;
        io("create", &path, DirBuilder::new().mode(0o700).create(&path))?;
        io("give away", &path, chown(&path, Some(self.account.uid), Some(self.account.gid)))?;
        self.account.write(&path.join(MARKER), id)?;
        Ok(path)
    }

    /// Removes the folders that interrupted attempts left, if they carry our marker or are empty.
    pub(super) fn sweep(&self, id: &str) -> Result<()> {
        let (parent, prefix) = (self.parent()?, self.beside("")?);
        for entry in io("list", parent, fs::read_dir(parent))? {
            let path = io("list", parent, entry)?.path();
            let ours = path.as_os_str().as_bytes().starts_with(prefix.as_os_str().as_bytes());
            if ours && fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) {
                if check_marker(&path, id).is_ok() {
                    remove_all(&path)?;
                } else {
                    // An attempt that was killed before the marker left an empty folder. `remove_dir` removes no other.
                    let _ = fs::remove_dir(&path);
                }
            }
        }
        Ok(())
    }

    fn parent(&self) -> Result<&Path> {
        let none = || std::io::Error::from(ErrorKind::InvalidInput);
        io("find the folder of", &self.path, self.path.parent().ok_or_else(none))
    }

    fn beside(&self, suffix: &str) -> Result<PathBuf> {
        let mut name = self.path.file_name().unwrap_or_default().to_os_string();
        name.push(".init-");
        name.push(suffix);
        Ok(self.parent()?.join(name))
    }

    /// The folder of the unix socket. The data directory is private to its owner already; a path too long for the
    /// system gets a short folder named after the (unguessable) id, made private and checked to be so.
    pub(super) fn socket_dir(&self, id: &str) -> Result<PathBuf> {
        if self.path.as_os_str().len() + SOCKET_NAME <= SOCKET_LIMIT {
            return Ok(self.path.clone());
        }
        let short = Path::new("/tmp").join(format!("rowcast-{}", id.get(..12).unwrap_or(id)));
        match DirBuilder::new().mode(0o700).create(&short) {
            Ok(()) => io("give away", &short, chown(&short, Some(self.account.uid), Some(self.account.gid)))?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.check_private(&short)?,
            Err(error) => return io("create", &short, Err(error)),
        }
        Ok(short)
    }

    fn check_private(&self, path: &Path) -> Result<()> {
        use std::os::unix::fs::MetadataExt as _;
        let meta = io("look at", path, fs::symlink_metadata(path))?;
        if meta.is_dir() && meta.uid() == self.account.uid && meta.permissions().mode() & 0o077 == 0 {
            return Ok(());
        }
        let why = "it should be a folder that only its owner may enter".to_owned();
        Err(ClusterError::Foreign { data: path.to_path_buf(), why })
    }

    /// Locks the data directory itself. A copy of a checkout has another `.rowcast/lock`, but the same data directory through the
    /// link.
    pub(super) fn hold(&self, dir: &Path) -> Result<LockedFile> {
        let path = self.path.join(MARKER);
        let file = io("open", &path, File::open(&path))?;
        io("lock", &path, LockedFile::lock(file))?.map_err(|_| ClusterError::Busy { dir: dir.to_path_buf(), pid: None })
    }
}

pub(super) fn check_marker(data: &Path, id: &str) -> Result<()> {
    let foreign = |why: String| ClusterError::Foreign { data: data.to_path_buf(), why };
    match fs::read_to_string(data.join(MARKER)) {
        Ok(text) if text.trim() == id => Ok(()),
        Ok(_) => Err(foreign(format!("{MARKER} in it names another cluster than dev.json"))),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(foreign(format!("it has no {MARKER} file"))),
        Err(error) => Err(foreign(format!("{MARKER} in it cannot be read: {error}"))),
    }
}

/// Removes a folder, and retries: an initdb that outlived a killed attempt may still create files in it for a moment.
pub(super) fn remove_all(path: &Path) -> Result<()> {
    let mut result = fs::remove_dir_all(path);
    for _ in 0..50 {
        if !matches!(&result, Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        result = fs::remove_dir_all(path);
    }
    io("remove", path, result)
}

/// A data directory that every user can reach, named after the path of the checkout. If an earlier checkout at that path left its
/// own there, that one is not touched, and the next name is taken.
fn shared_data_path(dir: &Path, id: &str) -> Result<PathBuf> {
    let base = Path::new(SHARED_BASE);
    if !base.is_dir() {
        io("create", base, DirBuilder::new().recursive(true).mode(0o755).create(base))?;
        io("open", base, fs::set_permissions(base, fs::Permissions::from_mode(0o755)))?;
    }
    let hash = hex(digest(&SHA256, dir.as_os_str().as_bytes()).as_ref().get(..8).unwrap_or_default());
    let names = std::iter::once(hash.clone()).chain((2..=MAX_SHARED_NAMES).map(|n| format!("{hash}-{n}")));
    for data in names.map(|name| base.join(name)) {
        if !data.exists() || check_marker(&data, id).is_ok() {
            return Ok(data);
        }
        tracing::info!(data = %data.display(), "left by an earlier checkout in this place, not touched");
    }
    Err(ClusterError::Foreign { data: base.join(hash), why: "and so are its siblings".to_owned() })
}
