//! Asking a responder, within a limit of time. A responder that fails, panics or answers what cannot be stored does no harm.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::text;
use super::{Outcome, Question, Responder};

/// The most characters of one part of an answer, which is one event.
const PART_CHARS: usize = 4_000;
/// The most characters of an answer. A longer answer counts as a failure of the responder.
const MAX_ANSWER_CHARS: usize = 64_000;
/// The most parts of an answer: [`MAX_ANSWER_CHARS`] in parts of at least half of [`PART_CHARS`].
pub(super) const MAX_PARTS: i32 = 32;

/// Asks a responder. Returns the parts of its answer, at least one, or the outcome without an answer.
pub(super) async fn ask(
    responder: &Arc<dyn Responder>,
    question: Question,
    limit: Duration,
) -> Result<Vec<String>, Outcome> {
    let asked = Arc::clone(responder);
    // A task of its own, so that a responder that panics, or never yields, keeps nothing else from going on.
    let answering = AbortOnDropHandle::new(tokio::spawn(async move { asked.answer(question).await }));
    let answer = match tokio::time::timeout(limit, answering).await {
        Ok(Ok(Ok(answer))) => answer,
        Ok(Ok(Err(why))) => return Err(failed(&why)),
        Ok(Err(why)) => return Err(failed(&why)),
        Err(_) => {
            tracing::warn!(?limit, "the responder did not answer in time");
            return Err(Outcome::Timeout);
        }
    };
    parts(&answer).ok_or_else(|| failed(&"its answer cannot be stored"))
}

fn failed(why: &dyn std::fmt::Display) -> Outcome {
    tracing::warn!(%why, "the responder failed");
    Outcome::Failed
}

/// Cuts an answer into parts, at the last blank in the second half of a part, if there is one. The parts joined are the answer.
/// `None` if the answer cannot be stored.
fn parts(answer: &str) -> Option<Vec<String>> {
    let answer = answer.replace("\r\n", "\n");
    text::check(&answer).ok()?;
    if answer.chars().count() > MAX_ANSWER_CHARS {
        return None;
    }
    let (mut parts, mut rest) = (Vec::new(), answer.as_str());
    while let Some((end, _)) = rest.char_indices().nth(PART_CHARS) {
        let head = rest.get(..end)?;
        let blank = head.char_indices().skip(PART_CHARS / 2).filter(|(_, c)| c.is_whitespace()).last();
        let cut = blank.map_or(end, |(at, c)| at + c.len_utf8());
        let (part, tail) = rest.split_at_checked(cut)?;
        parts.push(part.to_owned());
        rest = tail;
    }
    if !rest.is_empty() {
        parts.push(rest.to_owned());
    }
    // The table takes no blank rows.
    let blank = |part: &String| part.trim_matches([' ', '\t', '\n', '\r']).is_empty();
    (!parts.iter().any(blank)).then_some(parts)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_cut_at_blanks_and_nothing_of_it_is_lost() {
        assert_eq!(parts("Yes.\r\nNo.").unwrap(), ["Yes.\nNo."]);
        for answer in
            ["word ".repeat(5_000), "𝕏".repeat(10_001), format!("{} {}", "a".repeat(3_999), "b".repeat(4_000))]
        {
            let cut = parts(&answer).unwrap();
            assert_eq!(cut.concat(), answer);
            assert!(cut.len() > 1 && cut.iter().all(|part| part.chars().count() <= PART_CHARS));
        }
        assert_eq!(parts(&"word ".repeat(5_000)).unwrap()[0].len(), 4_000);
        let most = "x".repeat(PART_CHARS / 2) + " ";
        let longest: String =
            most.chars().chain("y".repeat(PART_CHARS).chars()).cycle().take(MAX_ANSWER_CHARS).collect();
        assert!(i32::try_from(parts(&longest).unwrap().len()).unwrap() <= MAX_PARTS);
    }

    #[test]
    fn what_cannot_be_stored_is_no_answer() {
        let blank_part = format!("a{}b", " ".repeat(2 * PART_CHARS));
        for bad in ["", " \n", "a\0", &"x".repeat(MAX_ANSWER_CHARS + 1), &blank_part] {
            assert_eq!(parts(bad), None, "{}", bad.len());
        }
    }
}
