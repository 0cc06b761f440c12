//! Keys of each kind, and keys of none.

use super::super::keys::{Keys, Secrecy};

/// Names of what is secret whatever string it is.
#[rustfmt::skip]
const CERTAIN: &[&str] = &[
    "password", "Password", "PASSWORD", "passwd", "passphrase", "pwd", "secret", "secrets", "api_key", "apikey", "apiKey",
    "ApiKey", "API-KEY", "api key", "x-api-key", "X_API_KEY", "aPiKeY", "pAsSwOrD", "user_pAsSwOrD", "db_password",
    "dbpassword", "userPassword", "DB-PASSWORD", "AWS_SECRET_ACCESS_KEY", "secretAccessKey", "refreshToken",
    "refresh_token", "accesstoken", "id_token", "ACCESS TOKEN", "clientSecret", "client-secret", "Set-Cookie",
    "private_key", "privateKey", "PRIVATE KEY", "rsa_private_key_pem", "private-keys", "credentials", "credential",
    "userCredentials", "mnemonic", "walletMnemonic", "seed_phrase", "seedPhrase", "password2", "db_password2",
    "password_hash", "passwordHash", "passwordhash", "password_confirmation", "secret_key_base", "otp", "totp",
    "otp_code", "pin", "PIN", "cvv", "cvv2", "session_token", "sshKey", "encryption_key", "api_keys", "p-a_s s.word",
    "meta.db.password", "service[password]", "smtp_pass", "creds", "x-amz-signature", "__password__", "OAUTH_TOKEN",
    "mnemonic_seed", "mnemonic_backup", "mnemonic_en", "mnemonicSeed", "mnemonicbackup", "wallet_mnemonic_en",
    "mnemonics_backup", "password_again", "password_input", "passwordInput", "passwordField", "password_md5",
    "passwordMd5", "passwordmd5", "password_sha256", "credentials_b64", "api_keys_list", "secrets_map", "secretsList",
    "user_credentials_list", "dbpass", "wif", "WIF", "wallet_wif", "psk", "wifi_psk", "password_prod",
    "DB_PASSWORD_STAGING", "api_key_live", "openaiApiKey", "STRIPE_SECRET_KEY", "github_access_token", "xprv",
    "authorization", "Authorization", "proxy-authorization", "db_pass", "dbPass", "DB_PASS", "wifi_pass", "x_auth token",
];

/// Names of what mostly is: the value decides.
#[rustfmt::skip]
const LIKELY: &[&str] = &[
    "token", "tokens", "Token", "x_device_token", "tokenB64", "token_b64", "tokenb64", "token_base64", "token_pair", "tokenPair",
    "cookie", "cookies", "cookie_jar", "cookieJar", "auth", "basic_auth", "authHeader", "bearer", "jwt", "pass", "PASS", "jenkins.pass", "my_pass",
    "pass_hash", "pass_b64", "old_pass", "proxy_pass", "token0", "token1", "github_token", "password_eu", "password_alice",
    "privateKeyOfAlice",
];

/// Names of keys of services.
const SERVICES: &[&str] = &[
    "exchange_key",
    "openai_key",
    "openaiKey",
    "OPENAI-KEY",
    "openaikey",
    "binanceKey",
    "wallet_key",
    "my_stripe_key",
];

/// Names of what is none.
#[rustfmt::skip]
const ORDINARY: &[&str] = &[
    "", "author", "authors", "authority", "authenticated", "authored_by", "coauthor", "tokens_used", "max_tokens",
    "maxTokens", "prompt_tokens", "n_tokens", "tokenizer", "token_count", "token_type", "token_symbol", "secretary",
    "secretariat", "pinned", "pins", "spin", "pinning", "opinion", "passport", "passed", "passes", "pass_count",
    "pass_rate", "by_pass", "boarding_pass", "seasonPass", "tests_pass", "highPass", "ci_pass", "passing", "passive",
    "passenger", "passenger_list", "trespass", "surpass", "bypass", "compass", "key", "primary_key", "public_key",
    "publicKey", "dedupe_key", "idempotency_key", "cache_key", "cache-key", "sort_key", "keyboard", "monkey",
    "cookie_consent", "password_changed_at", "password_policy", "password_reset_requested", "password_min_length",
    "auth_method", "auth_time", "session_id", "sessionId", "access_key_id", "private_key_id", "api_key_name", "credit",
    "accredited", "bearing", "seed", "seeded", "qty", "symbol", "signature", "hash", "header", "text", "api", "access",
    "wordpass", "word", "tokens_input", "token_input", "input_tokens", "token_pair_id", "price_list", "map", "pair",
    "trading_pair", "field", "input", "md5", "content_md5", "b64", "payload_b64", "jar", "key_map", "key_list",
    "author_list", "cookie_jar_size", "password_field_id", "secretary_list", "list_of_tokens_used", "max_tokens_list",
    "secret_santa_id", "cryptography", "footprint", "2", "_", "é", "日本", "has_password", "hasPassword", "is_secret",
    "requires_auth", "next_token", "nextToken", "next_page_token", "nextPageToken", "continuation_token", "base_token",
    "baseToken", "quoteToken", "tokenIn", "tokenOut", "token_in", "token_id", "tokenAddress", "token_decimals",
    "reward_tokens", "stop_tokens", "secret_name", "secret_version", "credentials_provider", "wifi", "waif",
];

#[test]
fn names_of_secrets_are_known_and_their_neighbours_are_not() {
    let keys = Keys::with([""; 0]);
    let wrong = |names: &[&'static str], is: Option<Secrecy>| {
        let wrong = names.iter().map(|key| (*key, keys.secrecy(key))).filter(|(_, secrecy)| *secrecy != is);
        wrong.collect::<Vec<_>>()
    };
    assert_eq!(wrong(CERTAIN, Some(Secrecy::Certain)), [], "not certain");
    assert_eq!(wrong(LIKELY, Some(Secrecy::Likely)), [], "not likely");
    assert_eq!(wrong(SERVICES, Some(Secrecy::ServiceKey)), [], "not of a service");
    assert_eq!(wrong(ORDINARY, None), [], "taken for secrets");
}

#[test]
fn more_names_can_be_given_and_none_taken_away() {
    let keys = Keys::with(["Card Number", "iban", "", "--"]);
    for key in ["card_number", "cardNumber", "CARDNUMBER", "customer-iban", "ibans", "iban_hash", "has_iban"] {
        assert_eq!(keys.secrecy(key), Some(Secrecy::Named), "{key}");
    }
    for key in ["card", "number", "ibanese", "", "-"] {
        assert_eq!(keys.secrecy(key), None, "{key}");
    }
    assert_eq!(keys.secrecy("password"), Some(Secrecy::Certain));
    // What is ordinary without it.
    assert_eq!(Keys::with(["next_token"]).secrecy("nextToken"), Some(Secrecy::Named));
}

#[test]
fn a_long_key_is_judged_by_its_end() {
    let keys = Keys::with([""; 0]);
    assert_eq!(keys.secrecy(&format!("{}_password", "é".repeat(100_000))), Some(Secrecy::Certain));
    assert_eq!(keys.secrecy(&format!("password{}", "_x".repeat(100_000))), None);
}
