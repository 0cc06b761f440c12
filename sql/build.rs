//! The migrations, the dashboard and the client library are part of the program: a new file among them makes it a new one. The modules
//! of the client are listed here, so that each new one is served.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

/// The folder of the modules that `clients/js/client.js` imports.
const MODULES: &str = "clients/js/client";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=sql/migrations");
    println!("cargo::rerun-if-changed={MODULES}");
    let root = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    let mut names = Vec::new();
    if let Ok(folder) = fs::read_dir(MODULES) {
        for entry in folder {
            names.extend(entry?.file_name().into_string().ok().filter(|name| name.ends_with(".js")));
        }
    }
    names.sort();
    let mut table = String::from("&[\n");
    for name in names {
        let path = Path::new(&root).join(MODULES).join(&name);
        let line = format!(
            "    Embedded {{ name: {:?}, kind: SCRIPT, text: include_str!({path:?}) }},",
            format!("client/{name}")
        );
        writeln!(table, "{line}").map_err(io::Error::other)?;
    }
    fs::write(Path::new(&out).join("client_modules.rs"), table + "]\n")
}
