//! Splits SQL into statements and words, knowing quotes, dollar quotes and comments. It does not know the grammar:
//! Postgres itself parses every migration in the tests with a database.

/// One word, number, name, string or sign. A string or a dollar-quoted body is one token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Word(String),
    Quoted(String),
    Body(String),
    Sign(char),
}

/// What stands between two semicolons, and the comments in and before it.
#[derive(Debug, Default)]
pub(super) struct Statement {
    pub(super) line: usize,
    pub(super) tokens: Vec<Token>,
    pub(super) comments: Vec<String>,
}

impl Statement {
    /// Words outside of quotes, in lower case; anything else counts as an empty word, so that neighbours stay apart.
    pub(super) fn words(&self) -> Vec<String> {
        let word = |token: &Token| if let Token::Word(w) = token { w.to_lowercase() } else { String::new() };
        self.tokens.iter().map(word).collect()
    }
}

pub(super) fn split(text: &str) -> Result<Vec<Statement>, String> {
    let mut rest = text;
    let mut statements = Vec::new();
    let mut current = Statement::default();
    let mut depth = 0_i32;
    while let Some(c) = rest.chars().next() {
        let line = 1 + text[..text.len() - rest.len()].matches('\n').count();
        let open = |what: &str| format!("line {line}: {what} is not closed");
        let mut length = c.len_utf8();
        let mut token = None;
        if rest.starts_with("--") {
            length = rest.find('\n').unwrap_or(rest.len());
            current.comments.push(rest[2..length].trim().to_owned());
        } else if rest.starts_with("/*") {
            length = block_comment(rest).ok_or_else(|| open("a comment"))?;
            current.comments.push(rest[2..length - 2].trim().to_owned());
        } else if c == '\'' || c == '"' {
            let escapes = c == '\'' && text[..text.len() - rest.len()].ends_with(['e', 'E']);
            length = quoted(rest, c, escapes).ok_or_else(|| open("a quote"))?;
            token = Some(Token::Quoted(rest[1..length - 1].to_owned()));
        } else if let Some(tag) = dollar_tag(rest) {
            let inner = &rest[tag.len()..];
            let end = inner.find(tag).ok_or_else(|| open(tag))?;
            length = 2 * tag.len() + end;
            token = Some(Token::Body(inner[..end].to_owned()));
        } else if c.is_alphanumeric() || c == '_' {
            length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(rest.len());
            token = Some(Token::Word(rest[..length].to_owned()));
        } else if c == '\\' {
            return Err(format!("line {line}: a backslash outside of quotes; psql's own commands are not SQL"));
        } else if c == ';' {
            if depth != 0 {
                return Err(format!("line {line}: a statement ends inside of brackets"));
            }
            if current.tokens.is_empty() {
                return Err(format!("line {line}: an empty statement"));
            }
            statements.push(std::mem::take(&mut current));
        } else if !c.is_whitespace() {
            depth += match c {
                '(' | '[' => 1,
                ')' | ']' => -1,
                _ => 0,
            };
            if depth < 0 {
                return Err(format!("line {line}: {c} closes nothing"));
            }
            token = Some(Token::Sign(c));
        }
        if let Some(token) = token {
            if current.tokens.is_empty() {
                current.line = line;
            }
            current.tokens.push(token);
        }
        rest = &rest[length..];
    }
    if current.tokens.is_empty() {
        Ok(statements)
    } else {
        Err(format!("line {}: the last statement does not end with a semicolon", current.line))
    }
}

/// The length of a comment, which may hold others.
fn block_comment(text: &str) -> Option<usize> {
    let (mut at, mut depth) = (2, 1);
    while depth > 0 {
        let next = at + text[at..].find(['*', '/'])?;
        at = match &text[next..] {
            rest if rest.starts_with("/*") => {
                depth += 1;
                next + 2
            }
            rest if rest.starts_with("*/") => {
                depth -= 1;
                next + 2
            }
            _ => next + 1,
        };
    }
    Some(at)
}

/// The length of a string or a quoted name; the quote twice is a quote.
fn quoted(text: &str, quote: char, escapes: bool) -> Option<usize> {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if escapes && c == '\\' {
            characters.next();
        } else if c == quote && characters.next_if(|(_, next)| *next == quote).is_none() {
            return Some(at + 1);
        }
    }
    None
}

fn dollar_tag(text: &str) -> Option<&str> {
    let end = 1 + text.strip_prefix('$')?.find('$')?;
    let name = &text[1..end];
    let starts_well = !name.starts_with(|c: char| c.is_ascii_digit());
    (starts_well && name.chars().all(|c| c.is_alphanumeric() || c == '_')).then(|| &text[..=end])
}

#[test]
fn quotes_bodies_and_comments_hide_what_they_hold() {
    let text = "select 'a;''b', \"x;\"\"y\", E'it\\'s;', $$ ; $$, $t$ $$ ; $t$, $1; -- not; this\n/* nor /* ; */ that; */ do $$ x $$;";
    let statements = split(text).unwrap();
    assert_eq!(statements.len(), 2, "{statements:?}");
    assert!(statements[0].tokens.contains(&Token::Quoted("a;''b".to_owned())));
    assert!(statements[0].tokens.contains(&Token::Body(" $$ ; ".to_owned())));
    assert_eq!(statements[1].comments, ["not; this", "nor /* ; */ that;"]);
    assert_eq!(statements[1].words(), ["do", ""]);
    assert_eq!(statements[1].line, 2);
}

#[test]
fn what_is_not_whole_is_refused() {
    for (text, message) in [
        ("select 'a", "line 1: a quote is not closed"),
        ("select 1;\nselect \"a", "line 2: a quote is not closed"),
        ("select E'a\\'", "a quote is not closed"),
        ("/* a /* b */", "a comment is not closed"),
        ("do $body$ x $$;", "$body$ is not closed"),
        ("select (1;", "ends inside of brackets"),
        ("select 1);", ") closes nothing"),
        ("select 1", "does not end with a semicolon"),
        ("select 1;;", "an empty statement"),
        ("\\dt\n", "a backslash outside of quotes"),
    ] {
        let error = split(text).expect_err(text);
        assert!(error.contains(message), "{text}: {error}");
    }
}
