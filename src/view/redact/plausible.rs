//! Tells values that can be secrets from those that cannot. Under a key such as `password` nearly every value is one; under `token`
//! the symbols of currencies, numbers, words and addresses occur as well.

use super::keys::Secrecy;
use super::rewriting::{REDACTED, steps};

/// The most bytes of a symbol, as `1000SHIBUSDT` or `SOL-PERP`.
const LONGEST_SYMBOL: usize = 12;
/// The fewest bytes of a secret under a key that is likely that of one. Shorter values can be guessed anyhow.
const SHORTEST: usize = 6;
/// The fewest bytes of the key of a service.
const SHORTEST_KEY: usize = 12;
/// The fewest bytes of a secret inside the value of a key of a secret, under an ordinary key of its own.
const SHORTEST_NESTED: usize = 8;
/// The most bytes of a word.
const LONGEST_WORD: usize = 24;

/// Values that say something about a secret without being one, in lower case.
const SAYS_NOTHING: &[&str] =
    &["", "null", "none", "nil", "undefined", "true", "false", "yes", "no", "on", "off", "[redacted]", "<redacted>"];

/// Parts of a value that hold digits and are known words all the same.
#[rustfmt::skip]
const WORDS_WITH_DIGITS: &[&str] = &[
    "oauth1", "oauth2", "openid2", "saml2", "sha1", "sha224", "sha256", "sha384", "sha512", "md5", "hs256", "hs384", "hs512",
    "rs256", "rs384", "rs512", "es256", "es384", "es512", "ps256", "ed25519", "x25519", "secp256k1", "aes128", "aes256",
    "argon2", "argon2id", "pbkdf2", "erc20", "erc721", "erc1155", "erc4626", "bep20", "bep2", "trc20", "spl2022", "token2022",
    "x509", "base58", "base64", "utf8", "web2", "web3", "http2", "http3", "k8s", "i18n", "l10n", "p256", "bip32", "bip39",
    "cl100k", "o200k", "gpt2", "gpt4", "gpt4o", "gpt5", "llama2", "llama3", "qwen2", "qwen3", "phi3", "phi4", "pkcs8", "pkcs12",
    "v2beta", "s3", "ec2", "iso8601", "basic64", "fido2", "u2f", "layer1", "layer2",
];

/// True if a string under a key of this kind is hidden.
pub(super) fn is_hidden(kind: Secrecy, value: &str) -> bool {
    steps(value.len().min(64));
    match kind {
        Secrecy::Named => value != REDACTED,
        Secrecy::Certain => !says_nothing(value),
        Secrecy::Likely => can_be_secret(value, SHORTEST),
        Secrecy::ServiceKey => can_be_secret(value, SHORTEST_KEY),
        Secrecy::Nested => can_be_secret(value, SHORTEST_NESTED),
    }
}

/// True if this says that there is no secret, or where it comes from: `none`, `***`, `${{ secrets.TOKEN }}`.
pub(super) fn says_nothing(value: &str) -> bool {
    let value = value.trim();
    SAYS_NOTHING.iter().any(|word| value.eq_ignore_ascii_case(word))
        || value.bytes().all(|b| b == b'*')
        || is_variable(value)
}

/// `$TOKEN`, `${TOKEN}`, `${{ secrets.TOKEN }}`, `%TOKEN%`.
fn is_variable(value: &str) -> bool {
    let name = |name: &str| {
        let last = name.trim().rsplit('.').next().unwrap_or_default();
        let qualified = name.trim().len() > last.len();
        let plain =
            |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_' || (qualified && b.is_ascii_lowercase());
        last.len() > 2 && last.bytes().all(plain) && !last.starts_with(|c: char| c.is_ascii_digit())
    };
    let between = |open: &str, close: &str| value.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    between("${{", "}}").or_else(|| between("${", "}")).or_else(|| between("%", "%")).is_some_and(name)
        || value.strip_prefix('$').is_some_and(name)
}

/// True if this can be a secret: long enough, and neither a word, several, a symbol, a number, an address nor a time.
fn can_be_secret(value: &str, shortest: usize) -> bool {
    let value = value.trim();
    if value.len() < SHORTEST || says_nothing(value) {
        return false;
    }
    if let Some((scheme, rest)) = value.split_once(' ')
        && ["bearer", "basic", "token", "negotiate", "digest"].iter().any(|name| scheme.eq_ignore_ascii_case(name))
    {
        return !is_prose(rest);
    }
    // A value that says `secret`, but for the methods of OAuth: `client_secret_post`.
    if value.contains("secret") && !value.contains(' ') && !value.starts_with("client_secret_") {
        return value.len() >= shortest;
    }
    // Cookies.
    if value.contains('=') && value.split(';').all(|pair| pair.contains('=')) && !value.contains("==") {
        return true;
    }
    if value.contains(char::is_whitespace) {
        return value.split_whitespace().any(|word| looks_secret(word, shortest.max(SHORTEST_KEY)));
    }
    looks_secret(value, shortest)
}

/// True if this is ordinary words.
fn is_prose(text: &str) -> bool {
    text.split_whitespace().all(|word| word.len() > 2 && is_readable(word))
}

/// True if this is no symbol, address, location, word, number or time, and long enough for a secret.
fn looks_secret(value: &str, shortest: usize) -> bool {
    value.len() >= shortest
        && !is_symbol(value)
        && !is_public_address(value)
        && !is_location(value)
        && !is_readable(value)
}

/// True for a symbol such as `BTCUSDT` or `ETH/USD`.
fn is_symbol(value: &str) -> bool {
    value.len() <= LONGEST_SYMBOL
        && value.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"-/._:".contains(&b))
        && value.bytes().filter(u8::is_ascii_uppercase).count() * 2 >= value.len().min(8)
}

/// True for an account or contract of a chain: `0x` and forty hexadecimal digits.
fn is_public_address(value: &str) -> bool {
    let hex = |digits: &str| digits.len() == 40 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    value.get(..2).is_some_and(|begin| begin.eq_ignore_ascii_case("0x")) && value.get(2..).is_some_and(hex)
}

/// True for a URL or path without a query.
fn is_location(value: &str) -> bool {
    let from_root = value.starts_with('/') && value.len() > 1 && !value.contains("//");
    let web = ["https://", "http://", "urn:", "arn:", "ipfs://"].iter().any(|scheme| value.starts_with(scheme));
    let parts = || value.split(['/', '.', ':', '-', '_']).all(|part| part.len() < LONGEST_WORD);
    (from_root || web) && !value.contains(['?', '#', '@', '=', '+']) && parts()
}

/// True if all parts of this are words, numbers or times.
fn is_readable(value: &str) -> bool {
    let separates = |c: char| "-_./:,;|+~()[]{}<>!?'\"@#%*=&$\u{2019}\u{2026}".contains(c);
    let punctuated = value.chars().filter(|c| "@#%*=&$+~|!?".contains(*c)).count();
    let trailing = value.ends_with(['!', '?', '%']);
    // A cookie, a password with its signs: `a=b`, `p@ss`.
    if punctuated > usize::from(trailing) && !is_mail_address(value) {
        return value.chars().all(|c| !c.is_alphabetic());
    }
    value.split(separates).all(is_readable_part)
}

fn is_mail_address(value: &str) -> bool {
    let (name, host) = value.split_once('@').unwrap_or_default();
    !name.is_empty() && host.contains('.') && host.bytes().all(|b| b.is_ascii_lowercase() || b"-.".contains(&b))
}

fn is_readable_part(part: &str) -> bool {
    if part.bytes().all(|b| b.is_ascii_digit()) {
        return part.len() <= 20;
    }
    if part.chars().all(char::is_alphabetic) {
        return is_word(part);
    }
    let lower = part.to_ascii_lowercase();
    let ends = |text: &str| text.bytes().all(|b| b.is_ascii_digit()) && text.len() <= 3 && !text.is_empty();
    // `v2`, `27T10`, `00Z`, `90d`.
    let version = lower.strip_prefix('v').is_some_and(ends);
    let time = part.len() <= 9 && part.bytes().all(|b| b.is_ascii_digit() || b"TZ".contains(&b));
    let short = part.len() <= 3;
    version || time || short || WORDS_WITH_DIGITS.contains(&lower.as_str())
}

/// True if letters alone are a word, or several whose beginnings are capitals: not `abGhTrUi`.
fn is_word(part: &str) -> bool {
    if part.len() <= 5 || part.chars().all(char::is_uppercase) {
        return part.len() <= LONGEST_WORD;
    }
    let capitals = part.chars().filter(|c| c.is_uppercase()).count();
    let turns = part.chars().zip(part.chars().skip(1)).filter(|(a, b)| a.is_lowercase() && b.is_uppercase()).count();
    // `TestFooBar`, `wstETH`, `HTTPServer`: a word of three letters and more for each turn.
    let words = turns + 1;
    let longest = if words > 1 { 3 * LONGEST_WORD } else { LONGEST_WORD };
    part.len() <= longest && part.len() >= 3 * words && (capitals <= words + 4) && has_vowels(part)
}

/// True if no more than six consonants follow each other: random letters have longer rows of them.
fn has_vowels(part: &str) -> bool {
    if !part.is_ascii() {
        return true;
    }
    let vowel = |b: u8| b"aeiouyAEIOUY".contains(&b);
    let longest = part.bytes().fold((0_usize, 0_usize), |(longest, run), b| {
        let run = if vowel(b) { 0 } else { run + 1 };
        (longest.max(run), run)
    });
    longest.0 <= 6
}
