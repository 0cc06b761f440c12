//! Which keys hold secrets, by what they are called.
//!
//! A key is cut into words, at whatever is no letter or digit and where camel case begins a new one, and is then read
//! from its end, as the last word says what the value is: a `db_password` is a password and a `password_hash` nearly
//! one, while `token_count` is a count and `author` has nothing to do with `auth`.

use std::collections::HashSet;

/// Names of secrets, squeezed: lower case, nothing between the words. They count as a whole key and as its last words.
#[rustfmt::skip]
const NAMES: &[&str] = &[
    // Passwords and what stands in for them.
    "password", "passwd", "passphrase", "passcode", "pass", "pwd", "otp", "totp", "hotp", "otpcode", "mfacode",
    "twofactorcode", "verificationcode", "onetimecode", "recoverycode", "backupcode", "cvv", "cvc", "dbpass",
    "userpass", "smtppass", "mailpass", "ftppass", "sshpass", "pgpass", "redispass", "mysqlpass", "rootpass",
    "adminpass",
    // Tokens.
    "token", "jwt", "bearer", "auth", "oauth", "authorization", "authcode", "authorizationcode", "cookie",
    "jsessionid", "phpsessid",
    // Keys. A key as such is none: most keys of a database are primary ones.
    "secret", "apikey", "accesskey", "secretkey", "privatekey", "privkey", "authkey", "sessionkey", "signingkey",
    "encryptionkey", "decryptionkey", "masterkey", "sharedkey", "accountkey", "servicekey", "webhookkey", "hmackey",
    "sshkey", "sharedaccesskey", "sharedaccesssignature", "amzsignature", "googsignature",
    // Several at once, and those in words.
    "credential", "creds", "mnemonic", "seedphrase", "seedwords", "recoveryphrase", "secretphrase", "walletseed",
    "masterseed",
];

/// Those that count also where something is glued to their front: `dbpassword`, `accesstoken`, `clientsecret`.
#[rustfmt::skip]
const GLUED: &[&str] = &[
    "password", "passwd", "passphrase", "token", "secret", "apikey", "accesskey", "secretkey", "privatekey",
    "authorization", "cookie", "credential", "mnemonic", "seedphrase",
];

/// Too short or too common to count unless they are the whole key.
const WHOLE: &[&str] = &["pin", "pw"];

/// What may follow the name of a secret and leaves it one: other forms of the same thing.
#[rustfmt::skip]
const FORMS: &[&str] = &[
    "value", "hash", "hashed", "digest", "salt", "plain", "plaintext", "clear", "cleartext", "raw", "text", "string",
    "str", "pem", "der", "json", "base", "base64", "b64", "hex", "encoded", "encrypted", "enc", "new", "old",
    "current", "previous", "next", "confirmation", "confirm", "repeat", "header", "data", "phrase", "words", "key",
    "bytes", "b64", "md5", "sha1", "sha256", "sha512", "bcrypt", "scrypt", "argon2", "again", "input", "field", "list",
    "array", "map", "pair", "jar",
];

/// A word that begins so makes the whole key one of a secret, whatever follows.
const TELLING: &str = "mnemonic";

/// What makes `pass` no password when it is the word before.
const PASSING: &[&str] = &[
    "boarding", "season", "first", "second", "single", "forward", "backward", "low", "high", "band", "by", "tests",
    "checks",
];

/// What makes `tokens` a number of them, as language models count; before it, and `input` behind it too.
#[rustfmt::skip]
const COUNTED: &[&str] = &[
    "max", "min", "total", "prompt", "completion", "input", "output", "num", "numberof", "used", "reasoning",
    "cached", "remaining", "context", "generated", "estimated", "n",
];

/// Longer keys are judged by their end.
const LONGEST: usize = 256;
/// So many words after the name are looked through.
const FORMS_IN_A_ROW: usize = 4;

/// The names of secrets: those above, and more.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    names: HashSet<Box<str>>,
}

impl Keys {
    /// The built-in names and these.
    pub(super) fn with(extra: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut names: HashSet<Box<str>> = NAMES.iter().map(|name| Box::from(*name)).collect();
        names.extend(
            extra
                .into_iter()
                .map(|word| Squeezed::of(word.as_ref()).text)
                .filter(|name: &String| !name.is_empty())
                .map(String::into_boxed_str),
        );
        Self { names }
    }

    /// Whether the value under this key is a secret.
    pub(super) fn match_key(&self, key: &str) -> bool {
        let key = Squeezed::of(tail(key));
        super::steps(key.text.len());
        if key.starts.iter().any(|&start| key.text[start..].starts_with(TELLING)) {
            return true;
        }
        let mut end = key.text.len();
        for _ in 0..=FORMS_IN_A_ROW {
            if self.ends_in_name(&key, end) {
                return true;
            }
            let text = &key.text[..end];
            let before = || FORMS.iter().filter_map(|form| name_before(text, form));
            // `passwordhash` is one word.
            if before().any(|rest| self.ends_in_name(&key, rest.len())) {
                return true;
            }
            let form = before().map(str::len).find(|start| key.starts.contains(start));
            let digits = || key.last_word(end).filter(|&start| text[start..].bytes().all(|b| b.is_ascii_digit()));
            let Some(start) = form.or_else(digits) else { return false };
            end = start;
        }
        false
    }

    /// Whether the name of a secret, or of several, ends here.
    fn ends_in_name(&self, key: &Squeezed, end: usize) -> bool {
        let text = &key.text[..end];
        if WHOLE.contains(&text) || self.is_name(key, text) {
            return true;
        }
        text.strip_suffix('s').is_some_and(|one| self.is_name(key, one) && !counted(one))
    }

    fn is_name(&self, key: &Squeezed, text: &str) -> bool {
        let named = |start: usize| {
            let words = text.get(start..).filter(|words| self.names.contains(*words));
            words.is_some_and(|words| words != "pass" || !key.passes(start))
        };
        GLUED.iter().any(|name| text.ends_with(name)) || key.starts.iter().any(|&start| named(start))
    }
}

/// Whether this, with an `s`, is how many tokens there are.
fn counted(text: &str) -> bool {
    let before = text.strip_suffix("token").unwrap_or_default();
    COUNTED.iter().any(|word| before.ends_with(word) && (word.len() > 1 || before.len() == 1))
}

/// What stands before this form; none if there is another, or if the form makes it the number of tokens that were put in.
fn name_before<'a>(text: &'a str, form: &str) -> Option<&'a str> {
    let rest = text.strip_suffix(form)?;
    let counts = form == "input" && rest.strip_suffix('s').unwrap_or(rest).ends_with("token");
    (!counts).then_some(rest)
}

/// The end of a key, long enough for every name and form.
fn tail(key: &str) -> &str {
    let mut from = key.len().saturating_sub(LONGEST);
    while !key.is_char_boundary(from) {
        from += 1;
    }
    &key[from..]
}

/// A key without what stands between its words, and where they begin.
struct Squeezed {
    text: String,
    starts: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gap,
    Digit,
    Upper,
    Lower,
}

fn kind(char: char) -> Kind {
    match char {
        c if c.is_uppercase() => Kind::Upper,
        c if c.is_alphabetic() => Kind::Lower,
        c if c.is_numeric() => Kind::Digit,
        _ => Kind::Gap,
    }
}

impl Squeezed {
    fn of(key: &str) -> Self {
        let mut squeezed = Self { text: String::with_capacity(key.len()), starts: Vec::with_capacity(8) };
        let mut before = Kind::Gap;
        let mut chars = key.chars().peekable();
        while let Some(char) = chars.next() {
            let now = kind(char);
            if now != Kind::Gap {
                // The `K` of `APIKey` begins a word, the `P` does not.
                let begins = now != before && !(before == Kind::Upper && now == Kind::Lower);
                let turns = now == Kind::Upper && chars.peek().is_some_and(|next| kind(*next) == Kind::Lower);
                if begins || turns {
                    squeezed.starts.push(squeezed.text.len());
                }
                squeezed.text.extend(char.to_lowercase());
            }
            before = now;
        }
        squeezed
    }

    /// Where the last word begins of those that begin before this place.
    fn last_word(&self, end: usize) -> Option<usize> {
        self.starts.iter().rev().copied().find(|start| *start < end)
    }

    /// Whether the `pass` that begins here is something that is passed.
    fn passes(&self, at: usize) -> bool {
        self.last_word(at).is_some_and(|before| PASSING.contains(&&self.text[before..at]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip]
    const SECRET: &[&str] = &[
        "password", "Password", "PASSWORD", "passwd", "passphrase", "pwd", "secret", "secrets", "token", "tokens",
        "api_key", "apikey", "apiKey", "ApiKey", "API-KEY", "api key", "x-api-key", "X_API_KEY", "aPiKeY", "pAsSwOrD",
        "user_pAsSwOrD", "db_password", "dbpassword", "userPassword", "DB-PASSWORD", "AWS_SECRET_ACCESS_KEY",
        "secretAccessKey", "refreshToken", "refresh_token", "accesstoken", "id_token", "ACCESS TOKEN", "clientSecret",
        "client-secret", "authorization", "Authorization", "proxy-authorization", "auth", "basic_auth", "authHeader",
        "bearer", "cookie", "cookies", "Set-Cookie", "private_key", "privateKey", "PRIVATE KEY",
        "rsa_private_key_pem", "private-keys", "credentials", "credential", "userCredentials", "mnemonic",
        "walletMnemonic", "seed_phrase", "seedPhrase", "password2", "password_hash", "passwordHash", "passwordhash",
        "password_confirmation", "secret_key_base", "otp", "totp", "otp_code", "pin", "PIN", "cvv", "cvv2", "jwt",
        "session_token", "sshKey", "encryption_key", "api_keys", "p-a_s s.word", "meta.db.password",
        "service[password]", "smtp_pass", "creds", "x-amz-signature", "__password__", "OAUTH_TOKEN",
        "mnemonic_seed", "mnemonic_backup", "mnemonic_en", "mnemonicSeed", "mnemonicbackup", "wallet_mnemonic_en",
        "mnemonics_backup", "password_again", "password_input", "passwordInput", "passwordField", "password_md5",
        "passwordMd5", "passwordmd5", "password_sha256", "tokenB64", "token_b64", "tokenb64", "token_base64",
        "token_pair", "tokenPair", "credentials_b64", "api_keys_list", "secrets_map", "secretsList",
        "user_credentials_list", "cookie_jar", "cookieJar", "pass", "PASS", "db_pass", "dbPass", "DB_PASS", "dbpass",
        "wifi_pass", "jenkins.pass", "pass_hash", "pass_b64", "old_pass", "proxy_pass",
    ];

    #[rustfmt::skip]
    const PLAIN: &[&str] = &[
        "", "author", "authors", "authority", "authenticated", "authored_by", "coauthor", "tokens_used", "max_tokens",
        "maxTokens", "prompt_tokens", "n_tokens", "tokenizer", "token_count", "token_type", "token_symbol",
        "secretary", "secretariat", "pinned", "pins", "spin", "pinning", "opinion", "passport", "passed", "passes",
        "pass_count", "pass_rate", "by_pass", "boarding_pass", "seasonPass", "tests_pass", "highPass", "passing", "passive",
        "passenger", "passenger_list", "trespass", "surpass", "bypass", "compass", "key", "primary_key", "public_key", "publicKey", "dedupe_key", "idempotency_key",
        "keyboard", "monkey", "cookie_consent", "password_changed_at", "password_policy", "auth_method", "auth_time",
        "session_id", "sessionId", "access_key_id", "private_key_id", "credit", "accredited", "bearing", "seed",
        "seeded", "qty", "symbol", "signature", "hash", "header", "text", "api", "access", "wordpass", "word",
        "tokens_input", "token_input", "input_tokens", "token_pair_id", "price_list", "map", "pair", "trading_pair",
        "field", "input", "md5", "content_md5", "b64", "payload_b64", "jar", "key_map", "key_list", "author_list",
        "cookie_jar_size", "password_field_id", "secretary_list", "list_of_tokens_used", "max_tokens_list",
        "secret_santa_id", "cryptography", "footprint", "2", "_", "é", "日本",
    ];

    #[test]
    fn names_of_secrets_are_known_and_their_neighbours_are_not() {
        let keys = Keys::with([""; 0]);
        let missed: Vec<_> = SECRET.iter().filter(|key| !keys.match_key(key)).collect();
        assert!(missed.is_empty(), "not known: {missed:?}");
        let wrong: Vec<_> = PLAIN.iter().filter(|key| keys.match_key(key)).collect();
        assert!(wrong.is_empty(), "taken for secrets: {wrong:?}");
    }

    #[test]
    fn more_names_can_be_given_and_none_taken_away() {
        let keys = Keys::with(["Card Number", "iban", "", "--"]);
        for key in ["card_number", "cardNumber", "CARDNUMBER", "customer-iban", "ibans", "password"] {
            assert!(keys.match_key(key), "{key}");
        }
        for key in ["card", "number", "ibanese", "", "-"] {
            assert!(!keys.match_key(key), "{key}");
        }
    }

    #[test]
    fn a_long_key_is_judged_by_its_end() {
        let keys = Keys::with([""; 0]);
        assert!(keys.match_key(&format!("{}_password", "é".repeat(100_000))));
        assert!(!keys.match_key(&format!("password{}", "_x".repeat(100_000))));
    }
}
