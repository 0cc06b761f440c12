//! The files that browsers load, embedded in the binary: one table, prepared once (a hash of the set, a tag and a compressed form of each).
//!
//! The modules of the dashboard import each other by relative addresses. So all of them share one hash, which is a part of their path:
//! below `/assets/<hash>/` stands one version of the set, and a cache may keep it for ever.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// The kind of a file, as `Content-Type` names it.
const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const TYPES: &str = "text/plain; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// How many hex digits of the SHA-256 stand in addresses and tags.
const HASH_DIGITS: usize = 16;
/// The folder of the set, as `index.html` writes it. The hash is put behind it.
const ASSETS: &str = "/assets/";
/// How `index.html` says that there are no public streams, and how that there are.
const STREAMS_OFF: &str = "data-public-stream=\"off\"";
const STREAMS_ON: &str = "data-public-stream=\"on\"";

/// One file of the table.
struct Embedded {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

macro_rules! embedded {
    ($folder:literal, $($name:literal $kind:ident),+ $(,)?) => {
        &[$(Embedded { name: $name, kind: $kind, text: include_str!(concat!("../../../", $folder, "/", $name)) }),+]
    };
}

/// The dashboard. `index.html` stands first: it is served at `/` alone.
const DASHBOARD: &[Embedded] = embedded![
    "src/dashboard",
    "index.html" HTML,
    "icon.svg" IMAGE,
    "base.css" STYLE,
    "views.css" STYLE,
    "account.js" SCRIPT,
    "app.js" SCRIPT,
    "chat.js" SCRIPT,
    "dom.js" SCRIPT,
    "eventlog.js" SCRIPT,
    "events.js" SCRIPT,
    "filter.js" SCRIPT,
    "format.js" SCRIPT,
    "grid.js" SCRIPT,
    "inspector.js" SCRIPT,
    "keys.js" SCRIPT,
    "metrics.js" SCRIPT,
    "plot.js" SCRIPT,
    "rows.js" SCRIPT,
    "session.js" SCRIPT,
    "signin.js" SCRIPT,
    "status.js" SCRIPT,
    "system.js" SCRIPT,
    "tables.js" SCRIPT,
    "trading.js" SCRIPT,
    "travel.js" SCRIPT,
    "virtual.js" SCRIPT,
];

/// The client library, for the dashboard and for pages of others.
const CLIENT: &[Embedded] = embedded!["clients/js", "client.js" SCRIPT, "client.d.ts" TYPES, "react.js" SCRIPT];

/// The modules that `client.js` imports, as the build finds them.
const MODULES: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/client_modules.rs"));

/// One file, ready to be sent.
#[derive(Debug)]
pub(in crate::http) struct File {
    name: &'static str,
    pub(in crate::http) kind: &'static str,
    /// A hash of the content, which the tags of both forms are made of.
    pub(in crate::http) hash: String,
    pub(in crate::http) plain: Bytes,
    pub(in crate::http) compressed: Bytes,
}

/// All files, ready to be sent.
#[derive(Debug)]
pub(in crate::http) struct PageFiles {
    /// The hash of the whole set.
    hash: String,
    /// The page of a server without public streams, and that of one with them.
    index: [File; 2],
    files: Vec<File>,
}

impl PageFiles {
    /// The files of this binary. They are prepared when the first is asked for.
    pub(in crate::http) fn embedded() -> &'static Self {
        static FILES: LazyLock<PageFiles> = LazyLock::new(PageFiles::prepare);
        &FILES
    }

    fn prepare() -> Self {
        let all = || DASHBOARD.iter().chain(CLIENT).chain(MODULES);
        let set: String = all().map(|file| format!("{} {}\n{}\n", file.name, file.text.len(), file.text)).collect();
        let hash = hash_of(set.as_bytes());
        // Every module is named, so that a browser asks for all of them at once and not for each when it has read the one before.
        let scripts = DASHBOARD.iter().chain(MODULES).filter(|file| file.kind == SCRIPT).map(|file| file.name);
        let preloads: String = scripts
            .chain(["client.js"])
            .map(|name| format!("<link rel=\"modulepreload\" href=\"{ASSETS}{name}\">\n"))
            .collect();
        let index = DASHBOARD[0].text.replace("</head>", &format!("{preloads}</head>"));
        let index = index.replace(ASSETS, &format!("{ASSETS}{hash}/"));
        let with_streams = index.replace(STREAMS_OFF, STREAMS_ON);
        let index = [index, with_streams].map(|text| File::new(DASHBOARD[0].name, HTML, text.into()));
        let files = all().skip(1).map(|file| File::new(file.name, file.kind, file.text.into()));
        Self { hash, index, files: files.collect() }
    }

    /// The dashboard's `index.html`, which names the files of this set, and says if there are public streams: then it need not try.
    pub(in crate::http) fn index(&self, has_public_streams: bool) -> &File {
        &self.index[usize::from(has_public_streams)]
    }

    /// A file by its name.
    pub(in crate::http) fn file(&self, name: &str) -> Option<&File> {
        self.files.iter().find(|file| file.name == name)
    }

    /// A file of the set by `<hash>/<name>`, the part of its address behind `/assets/`. A set of another version has other hashes.
    pub(in crate::http) fn asset(&self, path: &str) -> Option<&File> {
        let (hash, name) = path.split_once('/')?;
        if hash == self.hash { self.file(name) } else { None }
    }
}

impl File {
    fn new(name: &'static str, kind: &'static str, plain: Bytes) -> Self {
        Self { name, kind, hash: hash_of(&plain), compressed: compress(&plain), plain }
    }
}

fn hash_of(bytes: &[u8]) -> String {
    let digest = digest(&SHA256, bytes);
    digest.as_ref().iter().take(HASH_DIGITS / 2).fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn compress(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing to a vector cannot fail; an empty answer would show at once, and a test compares.
    let compressed = encoder.write_all(plain).and_then(|()| encoder.finish());
    compressed.unwrap_or_default().into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use std::collections::{BTreeSet, VecDeque};
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    /// The first load of the dashboard, with everything that it needs, as it is sent.
    const MOST_BYTES: usize = 80 << 10;

    /// The names in quotes behind each of these words.
    fn quoted<'a>(text: &'a str, words: &[&str]) -> Vec<&'a str> {
        let behind =
            |word: &&str| text.split(*word).skip(1).filter_map(|rest| rest.split(['"', '\'']).next()).collect();
        words.iter().flat_map(|word| -> Vec<&str> { behind(word) }).collect()
    }

    /// Every file that the dashboard loads, by following the links of the page and the imports of the modules.
    fn loaded(files: &PageFiles) -> BTreeSet<&'static str> {
        let index = std::str::from_utf8(&files.index(false).plain).unwrap();
        let prefix = format!("{ASSETS}{}/", files.hash);
        let links = quoted(index, &["src=\"", "href=\""]).into_iter();
        // The others lead to a place of the page itself.
        let links = links.filter(|link| !link.starts_with('#'));
        let mut next: VecDeque<String> = links.map(|link| link.strip_prefix(&prefix).unwrap().to_owned()).collect();
        let mut seen = BTreeSet::new();
        while let Some(name) = next.pop_front() {
            let file = files.file(&name).unwrap_or_else(|| panic!("{name} is loaded, and is not in the table"));
            if seen.insert(file.name) {
                let text = std::str::from_utf8(&file.plain).unwrap();
                let folder = name.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
                let imports = quoted(text, &["from './", "import('./", "from \"./"]);
                next.extend(imports.into_iter().map(|import| format!("{folder}{import}")));
            }
        }
        seen
    }

    #[test]
    fn the_first_load_of_the_dashboard_is_small_and_every_file_of_it_is_in_the_table() {
        let files = PageFiles::prepare();
        let loaded = loaded(&files);
        let unused: Vec<_> =
            DASHBOARD.iter().skip(1).map(|file| file.name).filter(|name| !loaded.contains(name)).collect();
        assert_eq!(unused, Vec::<&str>::new(), "these files of the dashboard are loaded by none");
        let bytes: usize = loaded.iter().map(|name| files.file(name).unwrap().compressed.len()).sum();
        let bytes = bytes + files.index(true).compressed.len();
        assert!(bytes < MOST_BYTES, "the first load is {bytes} bytes of {MOST_BYTES}");
    }

    #[test]
    fn the_compressed_form_is_the_plain_one() {
        let files = PageFiles::prepare();
        for file in files.files.iter().chain(&files.index) {
            let mut plain = Vec::new();
            GzDecoder::new(file.compressed.as_ref()).read_to_end(&mut plain).unwrap();
            assert_eq!(plain, file.plain, "{}", file.name);
        }
    }

    #[test]
    fn nothing_in_the_dashboard_is_inline_or_of_another_host() {
        for file in DASHBOARD {
            let namespaces = file.text.replace("http://www.w3.org/", "");
            for word in ["<style", " style=\"", " onclick=", "http://", "https://", "innerHTML", "eval("] {
                assert!(!namespaces.contains(word), "{} has {word:?}", file.name);
            }
            for script in file.text.split("<script").skip(1) {
                let (attributes, rest) = script.split_once('>').unwrap();
                assert!(attributes.contains("src=") && rest.starts_with("</script>"), "{}: {script}", file.name);
            }
        }
    }
}
