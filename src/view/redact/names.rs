//! The names of secrets, in lower case and without anything between their words. To hide one more key, add its name to [`CERTAIN`],
//! or to [`LIKELY`] if only some of its values are secret.

use super::alphabet::{LOOK_AHEAD, url};

/// Names whose value is secret whatever string it is. A name counts as a whole key and as the last words of one.
#[rustfmt::skip]
pub(super) const CERTAIN: &[&str] = &[
    // Passwords and what stands in for them.
    "password", "passwd", "passphrase", "passcode", "pwd", "otp", "totp", "hotp", "otpcode", "mfacode", "twofactorcode",
    "verificationcode", "onetimecode", "recoverycode", "backupcode", "cvv", "cvc", "dbpass", "userpass", "smtppass", "mailpass",
    "ftppass", "sshpass", "pgpass", "redispass", "mysqlpass", "rootpass", "adminpass", "wifipass",
    // Tokens of an authenticated client.
    "accesstoken", "refreshtoken", "idtoken", "authtoken", "bearertoken", "sessiontoken", "apitoken", "bottoken", "csrftoken",
    "xsrftoken", "personalaccesstoken", "servicetoken", "deploytoken", "securitytoken", "oauthtoken", "setcookie",
    "jsessionid", "phpsessid", "authcode", "authorizationcode",
    // Keys. The word `key` alone is not listed: most keys of a database are primary ones.
    "secret", "apikey", "accesskey", "secretkey", "privatekey", "privkey", "authkey", "sessionkey", "signingkey",
    "encryptionkey", "decryptionkey", "masterkey", "sharedkey", "accountkey", "servicekey", "webhookkey", "hmackey",
    "sshkey", "sharedaccesskey", "sharedaccesssignature", "amzsignature", "googsignature", "presharedkey", "psk", "wif",
    "xprv", "nsec",
    // Credentials, and secrets made of words.
    "credential", "creds", "mnemonic", "seedphrase", "seedwords", "recoveryphrase", "secretphrase", "walletseed",
    "masterseed",
];

/// Names whose value is mostly secret. The form of the value decides.
pub(super) const LIKELY: &[&str] = &["token", "jwt", "bearer", "auth", "oauth", "authorization", "cookie", "pass"];

/// Names that count also where something is glued to their front: `dbpassword`, `clientsecret`.
#[rustfmt::skip]
pub(super) const GLUED: &[&str] = &[
    "password", "passwd", "passphrase", "secret", "apikey", "accesskey", "secretkey", "privatekey", "authorization",
    "credential", "mnemonic", "seedphrase", "accesstoken", "refreshtoken", "authtoken", "sessiontoken",
];

/// Names that are too short or too common to count unless they are the whole key.
pub(super) const WHOLE_KEYS: &[&str] = &["pin", "pw"];

/// A key with a word that begins like this is that of a secret, whatever follows.
pub(super) const MNEMONIC_PREFIX: &str = "mnemonic";

/// Words that may follow the name of a secret, for another form of it: `password_hash`.
#[rustfmt::skip]
pub(super) const FORMS: &[&str] = &[
    "value", "hash", "hashed", "digest", "salt", "plain", "plaintext", "clear", "cleartext", "raw", "text", "string",
    "str", "pem", "der", "json", "base", "base64", "b64", "hex", "encoded", "encrypted", "enc", "new", "old",
    "current", "previous", "next", "confirmation", "confirm", "repeat", "header", "data", "phrase", "words", "key",
    "bytes", "md5", "sha1", "sha256", "sha512", "bcrypt", "scrypt", "argon2", "again", "input", "field", "list",
    "array", "map", "pair", "jar",
];

/// Words that may follow the name of a secret, for the place where it is used: `password_prod`.
#[rustfmt::skip]
pub(super) const PLACES: &[&str] = &[
    "prod", "production", "dev", "development", "stage", "staging", "test", "testing", "qa", "uat", "local", "live",
    "sandbox", "demo", "main", "backup", "primary", "secondary", "admin", "root", "db", "database", "readonly", "ro", "rw",
    "mainnet", "testnet", "internal", "external", "default", "fallback", "temp", "tmp", "legacy",
];

/// Words before `key` that make it the key of a service. The form of the value decides.
#[rustfmt::skip]
pub(super) const SERVICES: &[&str] = &[
    "openai", "anthropic", "claude", "gemini", "mistral", "groq", "cohere", "huggingface", "hf", "pinecone", "langsmith",
    "langchain", "langfuse", "tavily", "serpapi", "deepseek", "openrouter", "perplexity", "replicate", "together", "xai", "llm",
    "elevenlabs", "deepgram", "deepl", "firecrawl", "exchange", "broker", "binance", "coinbase", "kraken", "bybit", "okx",
    "kucoin", "bitfinex", "bitstamp", "bitget", "gateio", "deribit", "alpaca", "polygon", "finnhub", "tiingo", "etherscan",
    "infura", "alchemy", "quicknode", "moralis", "helius", "coingecko", "wallet", "vault", "unseal", "root", "cipher", "crypto",
    "aes", "rsa", "ecdsa", "gpg", "pgp", "tls", "ssl", "wireguard", "wg", "stripe", "paypal", "plaid", "twilio", "sendgrid",
    "mailgun", "mailchimp", "postmark", "resend", "slack", "discord", "telegram", "github", "gitlab", "bitbucket", "datadog",
    "newrelic", "sentry", "grafana", "posthog", "algolia", "mapbox", "azure", "aws", "gcp", "google", "cloudflare",
    "digitalocean", "heroku", "vercel", "netlify", "supabase", "firebase", "twitter", "facebook", "meta", "linkedin", "spotify",
    "youtube", "weather", "maps", "admin", "deploy", "bot", "license", "licence", "storage", "jwt", "cookie", "csrf", "app",
    "application", "client", "server", "consumer", "integration", "recovery", "restore", "validator", "node", "staking", "hot",
    "cold", "trading", "signer",
];

/// Words that make a key one about a secret, whose value is shown: `password_policy`.
#[rustfmt::skip]
pub(super) const WORDS_ABOUT: &[&str] = &[
    "id", "ids", "name", "names", "type", "kind", "at", "on", "by", "count", "length", "len", "size", "policy", "policies",
    "rule", "rules", "reset", "resets", "change", "changed", "changes", "updated", "created", "expires", "expired", "expiry",
    "expiration", "expire", "age", "hint", "hints", "strength", "score", "required", "requested", "enabled", "disabled",
    "attempts", "attempt", "failures", "failed", "failure", "errors", "error", "min", "max", "minimum", "maximum", "version",
    "versions", "arn", "path", "file", "filename", "dir", "url", "uri", "endpoint", "link", "format", "algorithm", "alg",
    "method", "manager", "provider", "store", "source", "status", "state", "valid", "invalid", "match", "matches", "present",
    "exists", "set", "used", "usage", "prefix", "suffix", "last", "first", "rotation", "rotated", "ttl", "lifetime", "label",
    "title", "description", "placeholder", "prompt", "page", "form", "screen", "event", "events", "less", "protected",
    "protection", "santa", "sharing", "ref", "reference", "selector", "scope", "scopes", "owner", "user", "username", "email",
    "account", "index", "env", "envvar", "variable", "var", "column", "generator", "checker", "validator", "encoder", "grant",
    "flow", "login", "auth", "authentication", "verified", "verification", "recovery", "history", "permissions", "level", "limit",
    "quota", "rate", "scan", "scanning", "detection", "leak", "leaks", "fingerprint", "thumbprint", "public",
];

/// Words before `token` and `tokens` that make them a currency, words of a language, or places in a list.
#[rustfmt::skip]
pub(super) const ORDINARY_TOKENS: &[&str] = &[
    // Places in a list.
    "next", "page", "nextpage", "prev", "previouspage", "prevpage", "continuation", "continue", "continuationtoken", "resume",
    "sync", "nextsync", "cursor", "paging", "pagination", "scroll",
    // Assets.
    "base", "quote", "sell", "buy", "lp", "pool", "pair", "reward", "rewards", "staking", "stake", "governance", "native",
    "wrapped", "gas", "fee", "collateral", "debt", "underlying", "mint", "erc20", "erc721", "spl", "nft", "from", "to", "in", "out",
    "src", "dst", "asset", "fan", "settlement", "borrow", "lend", "margin", "stable", "utility", "whitelist", "listed",
    // Words of a language.
    "input", "output", "prompt", "completion", "context", "remaining", "estimated", "numberof", "stop", "pad", "eos", "bos", "unk",
    "sep", "cls", "mask", "special", "audio", "image", "thinking", "cache", "accepted", "rejected",
    "prediction", "predicted", "budget",
];

/// Words before `pass` with which it is not a password: `boarding_pass`.
pub(super) const WORDS_BEFORE_PASS: &[&str] = &[
    "boarding", "season", "first", "second", "single", "forward", "backward", "low", "high", "band", "by", "tests",
    "checks", "test", "check", "ci", "build", "all", "multi", "two", "one", "render", "last", "to", "did",
];

/// First words that make a key a question, whose value is shown: `has_password`.
pub(super) const QUESTION_WORDS: &[&str] = &[
    "has", "is", "was", "had", "needs", "requires", "require", "allows", "allow", "supports", "forgot", "can",
    "should", "no", "num", "count", "missing", "without",
];

/// Members of a JSON Web Key that only its owner may know (RFC 7518).
const PRIVATE_OF_JWK: &[&str] = &["d", "k", "p", "q", "dp", "dq", "qi"];
/// The fewest characters of a private member of a JSON Web Key.
const SHORTEST_OF_JWK: usize = 16;

/// Keys and attributes whose value is the name of the value beside them: `"name": "password", "value": "…"`.
pub(super) const NAME_KEYS: &[&str] = &["key", "name", "field", "header"];

/// True if this can be a private member of a JSON Web Key.
pub(super) fn is_private_of_jwk(key: &str, value: &str) -> bool {
    PRIVATE_OF_JWK.contains(&key) && value.len() >= SHORTEST_OF_JWK && value.bytes().take(LOOK_AHEAD).all(url)
}
