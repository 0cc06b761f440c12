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

/// The dashboard, as far as it is loaded at first. `index.html` stands before the others: it is served at `/` alone.
const DASHBOARD: &[Embedded] = embedded![
    "src/dashboard",
    "index.html" HTML,
    "icon.svg" IMAGE,
    "base.css" STYLE,
    "views.css" STYLE,
    "app.js" SCRIPT,
    "dom.js" SCRIPT,
    "eventlog.js" SCRIPT,
    "events.js" SCRIPT,
    "exact.js" SCRIPT,
    "filter.js" SCRIPT,
    "format.js" SCRIPT,
    "inspector.js" SCRIPT,
    "keys.js" SCRIPT,
    "metrics.js" SCRIPT,
    "session.js" SCRIPT,
    "signin.js" SCRIPT,
    "status.js" SCRIPT,
    "travel.js" SCRIPT,
    "virtual.js" SCRIPT,
];

/// The views that are loaded when one goes to them, and what they need.
const LATER: &[Embedded] = embedded![
    "src/dashboard",
    "account.js" SCRIPT,
    "chat.js" SCRIPT,
    "grid.js" SCRIPT,
    "plot.js" SCRIPT,
    "rows.js" SCRIPT,
    "system.js" SCRIPT,
    "tables.js" SCRIPT,
    "trading.js" SCRIPT,
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
    /// The set that the dashboard loads, without comments.
    assets: Vec<File>,
    /// The client library as it is written, for those who read it.
    client: Vec<File>,
}

impl PageFiles {
    /// The files of this binary. They are prepared when the first is asked for.
    pub(in crate::http) fn embedded() -> &'static Self {
        static FILES: LazyLock<PageFiles> = LazyLock::new(PageFiles::prepare);
        &FILES
    }

    fn prepare() -> Self {
        let client = || CLIENT.iter().chain(MODULES);
        let all = || DASHBOARD.iter().chain(LATER).chain(client());
        let set: String = all().map(|file| format!("{} {}\n{}\n", file.name, file.text.len(), file.text)).collect();
        let hash = hash_of(set.as_bytes());
        let index = index_of(&hash);
        let with_streams = index.replace(STREAMS_OFF, STREAMS_ON);
        let index = [index, with_streams].map(|text| File::new(DASHBOARD[0].name, HTML, text.into()));
        let assets = all().skip(1).map(|file| File::new(file.name, file.kind, without_comments(file).into()));
        let client = client().map(|file| File::new(file.name, file.kind, file.text.into()));
        Self { hash, index, assets: assets.collect(), client: client.collect() }
    }

    /// The dashboard's `index.html`, which names the files of this set, and says if there are public streams: then it need not try.
    pub(in crate::http) fn index(&self, has_public_streams: bool) -> &File {
        &self.index[usize::from(has_public_streams)]
    }

    /// A file of the client library by its name.
    pub(in crate::http) fn client_file(&self, name: &str) -> Option<&File> {
        self.client.iter().find(|file| file.name == name)
    }

    /// A file of the set by `<hash>/<name>`, the part of its address behind `/assets/`. A set of another version has other hashes.
    pub(in crate::http) fn asset(&self, path: &str) -> Option<&File> {
        let (hash, name) = path.split_once('/')?;
        if hash == self.hash { self.assets.iter().find(|file| file.name == name) } else { None }
    }
}

/// The page, with the addresses of this set. Every module of the first load is named, so that a browser asks for all of them at once
/// and not for each when it has read the one before.
fn index_of(hash: &str) -> String {
    let scripts = DASHBOARD.iter().chain(MODULES).filter(|file| file.kind == SCRIPT).map(|file| file.name);
    let preloads: String = scripts
        .chain(["client.js"])
        .map(|name| format!("<link rel=\"modulepreload\" href=\"{ASSETS}{name}\">\n"))
        .collect();
    let index = DASHBOARD[0].text.replace("</head>", &format!("{preloads}</head>"));
    index.replace(ASSETS, &format!("{ASSETS}{hash}/"))
}

/// A script or a style without the lines that are comments, and without indentation: a third of what would be sent is for those who
/// read the source. No text of these files goes over several lines, which a test holds.
fn without_comments(file: &Embedded) -> String {
    if ![SCRIPT, STYLE].contains(&file.kind) {
        return file.text.to_owned();
    }
    let (mut kept, mut is_comment) = (String::with_capacity(file.text.len()), false);
    for line in file.text.lines().map(str::trim) {
        let begins = line.starts_with("/*");
        if !is_comment && !begins && !line.is_empty() && !line.starts_with("//") {
            kept.push_str(line);
            kept.push('\n');
        }
        is_comment = (is_comment || begins) && !line.ends_with("*/");
    }
    kept
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

    /// The files that are loaded behind these, by following what their words name.
    fn loaded<'a>(files: &'a PageFiles, first: Vec<String>, words: &[&str]) -> BTreeSet<&'a str> {
        let (mut next, mut seen) = (VecDeque::from(first), BTreeSet::new());
        while let Some(name) = next.pop_front() {
            let file = files.asset(&format!("{}/{name}", files.hash));
            assert!(file.is_some(), "{name} is loaded, and is not in the table");
            let file = file.unwrap();
            if seen.insert(file.name) {
                let text = std::str::from_utf8(&file.plain).unwrap();
                let folder = name.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
                next.extend(quoted(text, words).into_iter().map(|import| format!("{folder}{import}")));
            }
        }
        seen
    }

    /// The files that the page names.
    fn named(files: &PageFiles) -> Vec<String> {
        let index = std::str::from_utf8(&files.index(false).plain).unwrap();
        let prefix = format!("{ASSETS}{}/", files.hash);
        // The others lead to a place of the page itself.
        let links = quoted(index, &["src=\"", "href=\""]).into_iter().filter(|link| !link.starts_with('#'));
        links.map(|link| link.strip_prefix(&prefix).unwrap().to_owned()).collect()
    }

    const AT_ONCE: [&str; 2] = ["from './", "import './"];
    const IN_ALL: [&str; 3] = ["from './", "import './", "import('./"];

    #[test]
    fn the_first_load_of_the_dashboard_is_small() {
        let files = PageFiles::prepare();
        let size = |name: &&str| files.asset(&format!("{}/{name}", files.hash)).unwrap().compressed.len();
        let bytes: usize = loaded(&files, named(&files), &AT_ONCE).iter().map(size).sum();
        let bytes = bytes + files.index(true).compressed.len();
        assert!(bytes < MOST_BYTES, "the first load is {bytes} bytes of {MOST_BYTES}");
    }

    #[test]
    fn the_tables_name_what_is_loaded_at_first_and_what_is_loaded_later() {
        let files = PageFiles::prepare();
        let names = |table: &[Embedded]| table.iter().map(|file| file.name).collect::<BTreeSet<_>>();
        let at_once = loaded(&files, vec!["app.js".to_owned()], &AT_ONCE);
        let in_all = loaded(&files, vec!["app.js".to_owned()], &IN_ALL);
        assert_eq!(in_all.difference(&at_once).copied().collect::<BTreeSet<_>>(), names(LATER));
        let scripts = names(DASHBOARD).into_iter().filter(|name| name.ends_with(".js")).collect::<BTreeSet<_>>();
        assert_eq!(scripts.difference(&at_once).count(), 0, "{scripts:?} are not all among {at_once:?}");
    }

    #[test]
    fn lines_that_are_comments_are_left_out_and_nothing_else() {
        let text = "// One.\n\nconst a = 1; // kept\n/** Two\n * lines. */\n  /* three */\n  f('// no comment');\n";
        let file = Embedded { name: "a.js", kind: SCRIPT, text };
        assert_eq!(without_comments(&file), "const a = 1; // kept\nf('// no comment');\n");
        for file in DASHBOARD.iter().chain(LATER).chain(CLIENT).chain(MODULES).filter(|file| file.kind == SCRIPT) {
            for line in without_comments(file).lines() {
                let even = line.matches('`').count() % 2 == 0;
                assert!(
                    even,
                    "{}: a text goes over several lines, which leaving out comments could spoil: {line}",
                    file.name
                );
            }
        }
    }

    #[test]
    fn the_compressed_form_is_the_plain_one() {
        let files = PageFiles::prepare();
        for file in files.assets.iter().chain(&files.client).chain(&files.index) {
            let mut plain = Vec::new();
            GzDecoder::new(file.compressed.as_ref()).read_to_end(&mut plain).unwrap();
            assert_eq!(plain, file.plain, "{}", file.name);
        }
    }

    #[test]
    fn nothing_in_the_dashboard_is_inline_or_of_another_host() {
        for file in DASHBOARD.iter().chain(LATER) {
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
