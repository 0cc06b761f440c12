//! No two files of src/ use each other, directly or through others: each can be read with nothing open but those that it uses.

use std::collections::{BTreeMap, BTreeSet};

use super::{files, identifier, in_word, nothing, read, shipped_code};

/// A path of Rust, as `["crate", "db", "Pool"]`.
type Words = Vec<String>;

/// One file of src/, as far as its imports go.
#[derive(Debug, Default)]
struct Source {
    /// The path of its module: `["http", "routes"]`.
    module: Words,
    /// Names that it brings in, and what each stands for, from the top of the crate.
    imports: BTreeMap<String, Words>,
    /// The other paths that stand in it, from the top of the crate.
    paths: Vec<Words>,
    /// Whether it consists of nothing but declarations of modules and of imports.
    only_imports: bool,
    /// The imports that it passes on and does not use itself.
    passed_on: BTreeSet<String>,
}

fn module_of(file: &str) -> Words {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    path.split('/').filter(|part| !["mod", "lib", "main"].contains(part)).map(str::to_owned).collect()
}

/// The paths of a tree of imports, each with the name under which it is known.
fn flatten(tree: &str, before: &[String], into: &mut Vec<(String, Words)>) {
    let tree = tree.trim();
    if let Some((head, group)) = tree.split_once('{') {
        let mut path = before.to_vec();
        path.extend(head.split("::").map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned));
        let group = group.trim().trim_end_matches('}');
        let (mut depth, mut start) = (0_i32, 0);
        for (at, byte) in group.bytes().enumerate() {
            match byte {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                b',' if depth == 0 => {
                    flatten(&group[start..at], &path, into);
                    start = at + 1;
                }
                _ => {}
            }
        }
        // A group that ends within this one has lost its brace above.
        let rest = &group[start..];
        let open = rest.matches('{').count().saturating_sub(rest.matches('}').count());
        flatten(&format!("{rest}{}", "}".repeat(open)), &path, into);
        return;
    }
    if tree.is_empty() {
        return;
    }
    let (path, name) = tree.split_once(" as ").map_or((tree, None), |(path, name)| (path, Some(name.trim())));
    let mut words = before.to_vec();
    words.extend(path.split("::").map(|word| word.trim().to_owned()));
    if words.last().is_some_and(|last| last == "self") {
        words.pop();
    }
    let name = name.map_or_else(|| words.last().cloned().unwrap_or_default(), str::to_owned);
    into.push((name, words));
}

/// A path from the top of the crate, if it leads into the crate at all.
fn absolute(module: &[String], children: &BTreeSet<String>, words: &[String]) -> Option<Words> {
    let mut at = module.to_vec();
    let mut rest = words;
    match words.first().map(String::as_str)? {
        "crate" => {
            at.clear();
            rest = &words[1..];
        }
        "self" => rest = &words[1..],
        "super" => {
            while rest.first().is_some_and(|word| word == "super") {
                at.pop();
                rest = &rest[1..];
            }
        }
        child if children.contains(child) => {}
        _ => return None,
    }
    at.extend(rest.iter().cloned());
    Some(at)
}

/// Every path of a text that has at least two words, and does not begin in the middle of another.
fn paths_in(code: &str) -> Vec<Words> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < code.len() {
        let rest = &code[at..];
        let word = identifier(&rest[..rest.find(|c: char| c.is_whitespace()).unwrap_or(rest.len())]);
        if word.is_empty() {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        }
        let mut words = vec![word.to_owned()];
        at += word.len();
        while let Some(after) = code[at..].strip_prefix("::") {
            let next =
                if after.starts_with(|c: char| c.is_ascii() && in_word(c as u8)) { identifier(after) } else { "" };
            if next.is_empty() {
                break;
            }
            words.push(next.to_owned());
            at += 2 + next.len();
        }
        if words.len() > 1 {
            found.push(words);
        }
    }
    found
}

/// Whether code uses a name. A line that begins with it and ends with a comma is a variant of the same name.
fn uses(code: &str, name: &str) -> bool {
    let in_line = |line: &str| line.split(|c: char| !(c == '_' || c.is_alphanumeric())).any(|word| word == name);
    code.lines().any(|line| in_line(line) && !(line.starts_with(name) && line.ends_with(',')))
}

/// The code with `pub` for each `pub(in …)`, whose path is no use of anything.
fn without_visibility(code: &str) -> String {
    let mut parts = code.split("pub(in ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |done, part| done + "pub" + part.split_once(')').map_or(part, |(_, rest)| rest))
}

impl Source {
    fn parse(file: &str, text: &str) -> Self {
        let module = module_of(file);
        let code = without_visibility(&shipped_code(text));
        let (mut trees, mut others, mut children) = (Vec::new(), String::new(), BTreeSet::new());
        let mut lines = code.lines();
        let mut only_imports = true;
        while let Some(line) = lines.next() {
            let item = line
                .trim_start_matches("pub(")
                .split_once(") ")
                .map_or(line, |(_, rest)| if line.starts_with("pub(") { rest } else { line });
            let public = line.starts_with("pub");
            let item = item.trim_start_matches("pub ");
            if let Some(tree) = item.strip_prefix("use ") {
                let mut tree = tree.to_owned();
                while !tree.ends_with(';') {
                    tree.push_str(lines.next().unwrap_or(";").trim());
                }
                trees.push((public, tree.trim_end_matches(';').to_owned()));
            } else if let Some(child) = item.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
                children.insert(child.to_owned());
            } else {
                let attribute = line.starts_with("#[") || line.starts_with("#![");
                only_imports &= attribute || line.trim().is_empty();
                others.push_str(line);
                others.push('\n');
            }
        }
        let mut source = Self { only_imports, ..Self::default() };
        for (public, tree) in trees {
            let mut all = Vec::new();
            flatten(&tree, &[], &mut all);
            for (name, words) in all {
                let Some(path) = absolute(&module, &children, &words) else { continue };
                if public && !uses(&others, &name) {
                    source.passed_on.insert(name.clone());
                }
                source.imports.insert(name, path);
            }
        }
        for words in paths_in(&others) {
            let first = words.first().cloned().unwrap_or_default();
            if let Some(path) = absolute(&module, &children, &words) {
                source.paths.push(path);
            } else if let Some(imported) = source.imports.get(&first) {
                source.paths.push(imported.iter().chain(&words[1..]).cloned().collect());
            }
        }
        source.module = module;
        source
    }
}

/// The file in which a path from the top of the crate is defined; imports that pass a name on are followed.
fn definition<'a>(sources: &'a BTreeMap<String, Source>, path: &[String], depth: u32) -> Option<&'a str> {
    let of = |module: &[String]| sources.iter().find(|(_, source)| source.module == module);
    let (length, (file, source)) = (1..=path.len()).rev().find_map(|length| Some((length, of(&path[..length])?)))?;
    if let Some(imported) = path.get(length).and_then(|name| source.imports.get(name))
        && depth < 8
    {
        let whole: Words = imported.iter().chain(&path[length + 1..]).cloned().collect();
        return definition(sources, &whole, depth + 1);
    }
    Some(file)
}

/// Which file uses which other, and by which names.
type Graph = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn graph(sources: &BTreeMap<String, Source>) -> Graph {
    let mut graph = Graph::new();
    for (file, source) in sources.iter().filter(|(_, source)| !source.only_imports) {
        let imports = source.imports.iter().filter(|(name, _)| !source.passed_on.contains(*name)).map(|(_, path)| path);
        for path in imports.chain(&source.paths) {
            let Some(other) = definition(sources, path, 0).filter(|other| *other != file) else { continue };
            let name = path.last().cloned().unwrap_or_default();
            graph.entry(file.clone()).or_default().entry(other.to_owned()).or_default().insert(name);
        }
    }
    graph
}

/// The files that can be reached from one, without using this edge.
fn reached<'a>(graph: &'a Graph, from: &'a str, without: Option<(&str, &str)>) -> BTreeSet<&'a str> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(file) = open.pop() {
        for next in graph.get(file).into_iter().flat_map(BTreeMap::keys) {
            if without != Some((file, next)) && seen.insert(next.as_str()) {
                open.push(next);
            }
        }
    }
    seen
}

/// The circles among these files: each is the set of those that reach each other.
fn circles<'a>(graph: &'a Graph, among: &BTreeSet<&'a str>, without: Option<(&str, &str)>) -> Vec<BTreeSet<&'a str>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        among.iter().map(|file| (*file, reached(graph, file, without))).collect();
    let mut found: Vec<BTreeSet<&str>> = Vec::new();
    for (file, seen) in &reach {
        if !seen.contains(file) || found.iter().any(|circle| circle.contains(file)) {
            continue;
        }
        found.push(seen.iter().filter(|o| reach.get(**o).is_some_and(|back| back.contains(file))).copied().collect());
    }
    found
}

/// The edge whose loss leaves the smallest circle, and of those the one with the fewest names.
fn edge_to_cut<'a>(graph: &'a Graph, circle: &BTreeSet<&'a str>) -> (&'a str, &'a str, &'a BTreeSet<String>) {
    let edges = circle.iter().flat_map(|from| graph[*from].iter().map(|(to, names)| (*from, to.as_str(), names)));
    edges
        .filter(|(_, to, _)| circle.contains(to))
        .min_by_key(|(from, to, names)| {
            let left = circles(graph, circle, Some((from, to)));
            (left.iter().map(BTreeSet::len).max().unwrap_or(0), names.len())
        })
        .unwrap()
}

fn sources(texts: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, Source> {
    texts.into_iter().map(|(file, text)| (file.clone(), Source::parse(&file, &text))).collect()
}

fn described(graph: &Graph, circle: &BTreeSet<&str>) -> String {
    let (from, to, names) = edge_to_cut(graph, circle);
    let (files, names) = (circle.iter().copied().collect::<Vec<_>>(), names.iter().cloned().collect::<Vec<_>>());
    format!("{}\n    cut {from} -> {to} ({})", files.join(" "), names.join(", "))
}

/// What each file of src/ uses, but for those that only tests compile.
fn graph_of_src() -> Graph {
    let tested = |file: &String| file.ends_with("/tests.rs") || file.contains("/tests/");
    let all = files().into_iter().filter(|f| f.starts_with("src/") && f.ends_with(".rs") && !tested(f));
    graph(&sources(all.map(|file| (file.clone(), read(&file)))))
}

/// The rooms of src/http, from the lowest. Each uses itself and those below it.
const ROOMS: &[&[&str]] =
    &[&["connection"], &["response"], &["request"], &["stream", "api"], &["routes.rs"], &["server"], &["mod.rs"]];

fn room_of(file: &str) -> Option<(usize, &str)> {
    let room = file.strip_prefix("src/http/")?.split('/').next()?;
    Some((ROOMS.iter().position(|rooms| rooms.contains(&room))?, room))
}

/// The uses of one room of src/http by another that does not lie above it.
fn upward_uses(graph: &Graph) -> Vec<String> {
    let mut wrong = Vec::new();
    for (from, uses) in graph {
        for (to, names) in uses {
            if let (Some((from_level, from_room)), Some((to_level, to_room))) = (room_of(from), room_of(to))
                && from_room != to_room
                && to_level >= from_level
            {
                wrong.push(format!("{from} uses {to} ({})", names.iter().cloned().collect::<Vec<_>>().join(", ")));
            }
        }
    }
    wrong
}

#[test]
fn each_room_of_http_uses_only_those_below_it() {
    nothing("these point upwards or sideways", &upward_uses(&graph_of_src()));
}

#[test]
fn a_use_of_a_higher_room_of_http_is_seen() {
    let uses = |from: &str, to: &str| {
        let names = BTreeSet::from(["A".to_owned()]);
        upward_uses(&Graph::from([(from.to_owned(), BTreeMap::from([(to.to_owned(), names)]))]))
    };
    for (from, to) in [
        ("src/http/connection/gate.rs", "src/http/server/listener.rs"),
        ("src/http/api/me.rs", "src/http/stream/page.rs"),
        ("src/http/request/peer.rs", "src/http/routes.rs"),
    ] {
        assert_eq!(uses(from, to), [format!("{from} uses {to} (A)")]);
    }
    assert!(uses("src/http/server/listener.rs", "src/http/connection/gate.rs").is_empty());
    assert!(uses("src/http/stream/ws/serve.rs", "src/http/stream/page.rs").is_empty());
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let graph = graph_of_src();
    let found = circles(&graph, &graph.keys().map(String::as_str).collect(), None);
    let circles: Vec<String> = found.iter().map(|circle| described(&graph, circle)).collect();
    nothing("these files use each other in a circle", &circles);
}

#[test]
fn the_circles_test_sees_what_it_is_for() {
    let circles_of = |texts: &[(&str, &str)]| {
        let sources = sources(texts.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())));
        let graph = graph(&sources);
        let found = circles(&graph, &graph.keys().map(String::as_str).collect(), None);
        found.iter().map(|circle| described(&graph, circle)).collect::<Vec<_>>()
    };
    let a_to_b = "src/x/a.rs src/x/b.rs\n    cut src/x/a.rs -> src/x/b.rs (B)";
    let parent = ("src/x/mod.rs", "mod a;\nmod b;\npub use a::A;\npub use self::b::B;\n");
    for (a, b) in [
        ("use super::b::B;\nstruct A(B);", "use super::a::{A, A2};\nstruct B(A);"),
        ("use crate::x::b::B;\nstruct A;", "use crate::x::{\n    a::{A, A2},\n};\nstruct B;"),
        ("struct A(super::b::B);", "use super::a;\nstruct B(a::A, a::A2);"),
        // By what the parent passes on.
        ("use super::B;\nstruct A(B);", "use super::a::{A, A2};\nstruct B;"),
    ] {
        assert_eq!(circles_of(&[parent, ("src/x/a.rs", a), ("src/x/b.rs", b)]), [a_to_b], "{a:?} {b:?}");
    }
    for (a, b) in [
        ("use super::b::B;\nstruct A(B);", "struct B;"),
        ("use super::b::B;\nstruct A(B);", "// use super::a::A;\nstruct B;"),
        ("use super::b::B;\nstruct A(B);", "pub(in crate::x::a) struct B;"),
        ("use super::b::B;\nstruct A(B);", "struct B;\n#[cfg(test)]\nmod tests {\n    use super::super::a::A;\n}"),
    ] {
        assert_eq!(circles_of(&[parent, ("src/x/a.rs", a), ("src/x/b.rs", b)]), Vec::<String>::new(), "{a:?} {b:?}");
    }
    // A parent with code of its own is a file like any other.
    let busy = ("src/x/mod.rs", "mod a;\nstruct X(a::A);");
    assert_eq!(circles_of(&[busy, ("src/x/a.rs", "use super::X;\nstruct A(X);")]).len(), 1);
    // Three files, and the edge with the fewest names.
    let three = [
        ("src/x/a.rs", "use super::b::{B, B2};"),
        ("src/x/b.rs", "use super::c::C;"),
        ("src/x/c.rs", "use super::a::{A, A2};"),
    ]
    .map(|(file, uses)| (file, format!("{uses}\nstruct Own;")));
    let three: Vec<(&str, &str)> = three.iter().map(|(file, text)| (*file, text.as_str())).collect();
    let said = circles_of(&[&[("src/x/mod.rs", "mod a;\nmod b;\nmod c;")], &three[..]].concat());
    assert_eq!(said, ["src/x/a.rs src/x/b.rs src/x/c.rs\n    cut src/x/b.rs -> src/x/c.rs (C)"]);
}
