//! PgBouncer in transaction mode that is told to go to another server.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};

use super::postgres::free_port;
use crate::support::{connector, make_enterable, until};

pub(crate) struct Bouncer {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Bouncer {
    pub(crate) async fn to(program: PathBuf, server: u16) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        make_enterable(folder.path());
        configure(&folder, port, server);
        let mut command = Command::new(program);
        if geteuid().is_root() {
            let account =
                ["postgres", "nobody"].into_iter().find(|name| User::from_name(name).ok().flatten().is_some());
            command.args(["-u", account.unwrap()]);
        }
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        command.arg(folder.path().join("pgbouncer.ini")).stdin(Stdio::null());
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let bouncer = Self { child, folder, port };
        let way = connector(&bouncer.url());
        until("PgBouncer takes connections", || async { way.connect().await.is_ok() }).await;
        bouncer
    }

    pub(crate) fn move_to(&self, server: u16) {
        configure(&self.folder, self.port, server);
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGHUP).unwrap();
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/app?sslmode=disable", self.port)
    }
}

fn configure(folder: &tempfile::TempDir, port: u16, server: u16) {
    let text = format!(
        "[databases]\napp = host=127.0.0.1 port={server} user=postgres\n[pgbouncer]\npool_mode = transaction\n\
         auth_type = any\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nmax_client_conn = 200\n\
         default_pool_size = 6\nserver_login_retry = 1\n"
    );
    std::fs::write(folder.path().join("pgbouncer.ini"), text).unwrap();
}
