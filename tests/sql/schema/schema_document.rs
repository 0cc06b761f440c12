//! Reads `docs/04_DB_SCHEMA.md` into facts. Strict: a row that cannot be read is an error and never skipped, since a
//! specification that is silently ignored is worse than none.

use super::facts::Facts;

pub(super) const DOCUMENT: &str = "docs/04_DB_SCHEMA.md";
const PRESENT: &str = "present";
const PARENT: &str = "table rowcast.events";
const PARTITION: &str = "rowcast.events_p<first>";

/// What the heading above a table is about.
#[derive(Clone, Debug, PartialEq)]
enum Subject {
    Prose,
    Roles,
    Domains,
    Object(String),
}

/// The kinds of tables, known by their header. Columns that are not named here are prose, which must not be empty.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Table {
    Properties,
    Columns,
    Constraints,
    Indexes,
    Triggers,
    Grants,
    Roles,
    Domains,
}

const HEADERS: &[(&[&str], Table)] = &[
    (&["property", "value"], Table::Properties),
    (&["column", "type", "null", "default", "meaning"], Table::Columns),
    (&["constraint", "definition"], Table::Constraints),
    (&["index", "definition"], Table::Indexes),
    (&["index", "definition", "the read that needs it"], Table::Indexes),
    (&["trigger", "definition", "enabled", "meaning"], Table::Triggers),
    (&["role", "privileges", "why"], Table::Grants),
    (&["role", "attributes", "meaning"], Table::Roles),
    (&["domain", "base type", "constraint", "definition", "meaning"], Table::Domains),
];

/// The cells that are for people, by header.
pub(super) const PROSE: &[&str] = &["meaning", "why", "the read that needs it"];

/// The facts of the document, or the first line that cannot be read.
pub(super) fn parse(text: &str) -> Result<Facts, String> {
    let mut reader = Reader { facts: Facts::new(), subject: Subject::Prose };
    let mut table: Option<(Table, &[&str])> = None;
    let mut fenced = false;
    let mut lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim())).peekable();
    while let Some((number, line)) = lines.next() {
        let at = |message: String| format!("{DOCUMENT} line {number}: {message}");
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced {
        } else if line.starts_with('#') {
            table = None;
            reader.heading(line).map_err(at)?;
        } else if !line.starts_with('|') {
            table = None;
            if line.contains(" | ") {
                return Err(at(format!("looks like a row of a table, but does not begin with |: {line}")));
            }
        } else if let Some((kind, header)) = table {
            let cells = cells(line).map_err(at)?;
            if cells.len() != header.len() {
                return Err(at(format!("{} cells, the table has {}: {line}", cells.len(), header.len())));
            }
            reader.row(kind, header, &cells).map_err(|message| at(format!("{message}: {line}")))?;
        } else {
            let names = cells(line).map_err(at)?;
            let known = HEADERS.iter().find(|(header, _)| names == *header);
            let (header, kind) = known.ok_or_else(|| at(format!("not a table that this page may hold: {line}")))?;
            reader.may_hold(*kind).map_err(at)?;
            match lines.next() {
                Some((_, rule)) if is_rule(rule, header.len()) => table = Some((*kind, header)),
                _ => return Err(at(format!("no rule under the header: {line}"))),
            }
        }
    }
    if fenced {
        return Err(format!("{DOCUMENT}: a code block is not closed"));
    }
    expand_partitions(reader.facts)
}

/// The cells of a row, in which `\|` stands for `|`.
pub(super) fn cells(line: &str) -> Result<Vec<String>, String> {
    let inner = line.strip_prefix('|').and_then(|l| l.strip_suffix('|')).filter(|l| !l.ends_with('\\'));
    let inner = inner.ok_or_else(|| format!("a row begins and ends with |: {line}"))?;
    if !inner.contains('\\') {
        // Nearly all rows, which are read some thousand times over: an unoptimised build is slow at characters.
        return Ok(inner.split('|').map(|cell| cell.trim().to_owned()).collect());
    }
    let mut cells = vec![String::new()];
    let mut characters = inner.chars().peekable();
    while let Some(c) = characters.next() {
        match (c, characters.peek()) {
            ('\\', Some('|')) => cells.last_mut().unwrap().extend(characters.next()),
            ('|', _) => cells.push(String::new()),
            _ => cells.last_mut().unwrap().push(c),
        }
    }
    Ok(cells.into_iter().map(|cell| cell.trim().to_owned()).collect())
}

fn is_rule(line: &str, columns: usize) -> bool {
    cells(line).is_ok_and(|c| c.len() == columns && c.iter().all(|c| c.len() >= 3 && c.chars().all(|c| c == '-')))
}

/// What stands between backticks. A name or a definition is always written so.
fn code(cell: &str) -> Result<&str, String> {
    let inner = cell.strip_prefix('`').and_then(|c| c.strip_suffix('`'));
    inner.filter(|c| !c.trim().is_empty() && !c.contains('`')).ok_or_else(|| format!("not one `…`: {cell:?}"))
}

/// Likewise, or plain words.
fn code_or_words(cell: &str) -> Result<&str, String> {
    if cell.starts_with('`') || cell.ends_with('`') {
        return code(cell);
    }
    if cell.is_empty() || cell.contains('`') {
        return Err(format!("neither `…` nor plain words: {cell:?}"));
    }
    Ok(cell)
}

fn one_of<'a>(cell: &'a str, allowed: &[&str]) -> Result<&'a str, String> {
    if allowed.contains(&cell) { Ok(cell) } else { Err(format!("{cell:?} is not one of {allowed:?}")) }
}

struct Reader {
    facts: Facts,
    subject: Subject,
}

impl Reader {
    fn heading(&mut self, line: &str) -> Result<(), String> {
        let title = line.trim_start_matches('#').trim();
        self.subject = match title.split_once(' ') {
            None if title == "Roles" => Subject::Roles,
            None if title == "Domains" => Subject::Domains,
            None if title == "Database" => Subject::Object("database".to_owned()),
            Some((kind @ ("Schema" | "Table" | "View" | "Type" | "Sequence" | "Function"), name)) => {
                Subject::Object(format!("{} {}", kind.to_lowercase(), code(name)?))
            }
            Some(("Partitions", name)) if code(name)? == PARTITION => Subject::Object(format!("table {PARTITION}")),
            _ if title.contains('`') => return Err(format!("not a heading that this page knows: {line}")),
            _ => Subject::Prose,
        };
        match self.subject.clone() {
            Subject::Object(name) => self.add(name, PRESENT),
            _ => Ok(()),
        }
    }

    fn may_hold(&self, table: Table) -> Result<(), String> {
        let fits = match &self.subject {
            Subject::Prose => false,
            Subject::Roles => table == Table::Roles,
            Subject::Domains => table == Table::Domains,
            Subject::Object(name) if name.starts_with("table ") => !matches!(table, Table::Roles | Table::Domains),
            Subject::Object(name) if name.starts_with("view ") => {
                matches!(table, Table::Properties | Table::Columns | Table::Triggers | Table::Grants)
            }
            Subject::Object(_) => matches!(table, Table::Properties | Table::Grants),
        };
        if fits { Ok(()) } else { Err(format!("a table of {table:?} has no place under this heading")) }
    }

    fn row(&mut self, table: Table, header: &[&str], cells: &[String]) -> Result<(), String> {
        for (name, cell) in header.iter().zip(cells) {
            if PROSE.contains(name) && cell.is_empty() {
                return Err(format!("says nothing under {name}"));
            }
        }
        let object = match self.subject.clone() {
            Subject::Object(object) => object,
            Subject::Domains => return self.domain(cells),
            Subject::Roles | Subject::Prose => {
                let role = format!("role {}", code(&cells[0])?);
                self.add(role.clone(), PRESENT)?;
                return self.add(format!("{role}: attributes"), code_or_words(&cells[1])?);
            }
        };
        let name = if table == Table::Properties { code_or_words(&cells[0])? } else { code(&cells[0])? };
        match table {
            Table::Properties => self.add(format!("{object}: {name}"), code_or_words(&cells[1])?),
            Table::Constraints => self.add(format!("{object}: constraint {name}"), code(&cells[1])?),
            Table::Indexes => self.add(format!("{object}: index {name}"), code(&cells[1])?),
            Table::Grants => self.add(format!("{object}: grant to {name}"), code(&cells[1])?),
            Table::Triggers => {
                let trigger = format!("{object}: trigger {name}");
                self.add(trigger.clone(), PRESENT)?;
                self.add(format!("{trigger}: definition"), code(&cells[1])?)?;
                let enabled = one_of(&cells[2], &["origin", "always", "replica", "disabled"])?;
                self.add(format!("{trigger}: enabled"), enabled)
            }
            Table::Columns => {
                let column = format!("{object}: column {name}");
                self.add(column.clone(), PRESENT)?;
                self.add(format!("{column}: type"), code(&cells[1])?)?;
                self.add(format!("{column}: null"), one_of(&cells[2], &["yes", "no"])?)?;
                self.add(format!("{column}: default"), if cells[3].is_empty() { "" } else { code(&cells[3])? })?;
                let order = self.facts.entry(format!("{object}: columns in order")).or_default();
                order.push_str(if order.is_empty() { "" } else { ", " });
                order.push_str(name);
                Ok(())
            }
            Table::Roles | Table::Domains => Err("has a heading of its own".to_owned()),
        }
    }

    /// A domain has a row for each of its constraints. Anyone may use it, as Postgres has it for types.
    fn domain(&mut self, cells: &[String]) -> Result<(), String> {
        let domain = format!("domain {}", code(&cells[0])?);
        let base = format!("{domain}: base type");
        match self.facts.get(&base) {
            None => {
                self.add(domain.clone(), PRESENT)?;
                self.add(base, code(&cells[1])?)?;
                self.add(format!("{domain}: grant to PUBLIC"), "USAGE")?;
            }
            Some(said) if said == code(&cells[1])? => {}
            Some(said) => return Err(format!("{base}: said to be `{said}` above")),
        }
        self.add(format!("{domain}: constraint {}", code(&cells[2])?), code(&cells[3])?)
    }

    fn add(&mut self, fact: String, is: &str) -> Result<(), String> {
        match self.facts.insert(fact.clone(), is.to_owned()) {
            None => Ok(()),
            Some(_) => Err(format!("said twice: {fact}")),
        }
    }
}

/// The pattern of the partitions, written out for each of them.
fn expand_partitions(mut facts: Facts) -> Result<Facts, String> {
    let pattern = format!("table {PARTITION}");
    if !facts.contains_key(&pattern) {
        return Ok(facts);
    }
    let mut number = |name: &str| -> Result<u64, String> {
        let said = facts.remove(&format!("{pattern}: {name}"));
        let number = said.as_deref().and_then(|n| n.parse().ok()).filter(|n| (1..=1 << 40).contains(n));
        number.ok_or_else(|| format!("{DOCUMENT}: the partitions' {name} is not a number: {said:?}"))
    };
    let (count, rows) = (number("count")?, number("rows in each")?);
    if count > 256 {
        return Err(format!("{DOCUMENT}: the partitions' count is above 256: {count}"));
    }
    let mut own = Facts::new();
    for (fact, is) in &facts {
        let rest = fact.strip_prefix(PARENT).filter(|rest| rest.starts_with(": "));
        if let Some(rest) =
            rest.filter(|r| r.starts_with(": column") || is.starts_with("CHECK ") && !r.contains("index"))
        {
            let without_identity = is.strip_suffix(" generated always as identity").unwrap_or(is);
            own.insert(format!("{pattern}{rest}"), without_identity.to_owned());
        }
    }
    own.extend(facts.extract_if(.., |fact, _| fact.starts_with(&pattern)));
    for first in (0..count).map(|n| 1 + n * rows) {
        let written =
            |text: &str| text.replace("<first>", &first.to_string()).replace("<end>", &(first + rows).to_string());
        facts.extend(own.iter().map(|(fact, is)| (written(fact), written(is))));
    }
    facts.insert("partitions of rowcast.events: count".to_owned(), count.to_string());
    facts.insert("partitions of rowcast.events: rows in each".to_owned(), rows.to_string());
    Ok(facts)
}
