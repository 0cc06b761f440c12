//! Checking tokens: from the text that a client sent to the identity that it stands for.

use std::sync::Arc;

use super::claims::Policy;
use super::header::Parts;
use super::identity::Identity;
use super::key::{Algorithm, Key};
use super::key_source::{FetchError, FetchKeys};
use super::keys::Keys;
use super::rejection::{Reason, Rejection, TokenError};
use crate::clock::Clock;
use crate::config::{ConfigError, TokenConfig};
use crate::shutdown::Shutdown;

/// The URL at which Google publishes the certificates of Firebase's ID tokens.
const FIREBASE_KEYS: &str = "https://www.googleapis.com/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com";

/// Checks tokens by the configured keys. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Verifier(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    secret: Option<(Key, Policy)>,
    keys: Option<Published>,
    clock: Clock,
}

/// The keys of an identity provider, and what its tokens must claim.
#[derive(Debug)]
struct Published {
    keys: Keys,
    policy: Policy,
    /// The only algorithm of the provider, if it has one alone.
    only: Option<Algorithm>,
}

impl Verifier {
    /// Reads the configuration. Nothing is fetched yet: see [`Verifier::keep_keys`].
    pub fn new(config: &TokenConfig, clock: Clock, fetcher: Arc<dyn FetchKeys>) -> Result<Self, ConfigError> {
        let configured = Policy { issuer: config.issuer.clone(), audience: config.audience.clone(), auth_time: false };
        let keys = Published::new(config, &configured, fetcher)?;
        let secret = config.secret.as_ref().map(|secret| (Key::secret(secret), configured));
        if secret.is_none() && keys.is_none() {
            return Err(ConfigError::new("no key for tokens"));
        }
        Ok(Self(Arc::new(Rules { secret, keys, clock })))
    }

    /// The identity that a token speaks for. Waits only where its key must be fetched first.
    pub async fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        self.examine(token).await.map_err(|rejection| {
            tracing::debug!(why = rejection.reason, "a token is refused");
            rejection.error
        })
    }

    /// The identity that a token speaks for, or the reason of its refusal. The reason must not reach whoever sent the token,
    /// since it would help to forge one.
    pub async fn examine(&self, token: &str) -> Result<Identity, Rejection> {
        let parts = Parts::of(token)?;
        let (verdict, policy) = match (&self.0.keys, &self.0.secret, &parts.header.kid) {
            (Some(published), _, Some(kid)) => (published.check(kid, &parts).await, &published.policy),
            (_, Some((key, policy)), _) => (check(key, &parts), policy),
            (Some(_), None, None) => return Err("kid is missing".into()),
            (None, None, _) => return Err("there is no key".into()),
        };
        verdict?;
        let judged = policy.judge(&parts.claims, self.0.clock.unix_seconds());
        judged.map_err(|rejection| Rejection { has_valid_signature: true, ..rejection })
    }

    /// Fetches the keys now, and again before they are stale, until the shutdown. A server runs this as a task; without
    /// it the first token waits for the keys.
    pub async fn keep_keys(self, shutdown: Shutdown) {
        match &self.0.keys {
            Some(published) => published.keys.keep_fresh(&shutdown).await,
            // A task that ends before the shutdown would be taken for a broken one.
            None => shutdown.cancelled().await,
        }
    }

    /// Fetches the keys once and says how many there are; `None` where only a secret is configured.
    pub async fn fetch_keys(&self) -> Option<Result<usize, FetchError>> {
        let published = self.0.keys.as_ref()?;
        Some(published.keys.fetch().await)
    }

    /// The source of the keys, without the query of its URL; `None` where only a secret is configured.
    pub fn key_source(&self) -> Option<String> {
        self.0.keys.as_ref().map(|published| published.keys.source())
    }
}

impl Published {
    fn new(
        config: &TokenConfig,
        configured: &Policy,
        fetcher: Arc<dyn FetchKeys>,
    ) -> Result<Option<Self>, ConfigError> {
        let Some(project) = &config.firebase_project else {
            let Some(place) = &config.jwks else { return Ok(None) };
            if configured.issuer.is_none() || configured.audience.is_none() {
                return Err(ConfigError::new(
                    "ROWCAST_JWT_ISSUER and ROWCAST_JWT_AUDIENCE are required with ROWCAST_JWKS",
                ));
            }
            let keys = Keys::new(place, fetcher)?;
            return Ok(Some(Self { keys, policy: configured.clone(), only: None }));
        };
        let policy = Policy {
            issuer: Some(format!("https://securetoken.google.com/{project}")),
            audience: Some(project.clone()),
            auth_time: true,
        };
        let keys = Keys::new(config.jwks.as_deref().unwrap_or(FIREBASE_KEYS), fetcher)?;
        Ok(Some(Self { keys, policy, only: Some(Algorithm::Rs256) }))
    }

    async fn check(&self, kid: &str, parts: &Parts<'_>) -> Result<(), Reason> {
        // Checked before the key is looked for, since an unknown `kid` causes a fetch.
        if self.only.is_some_and(|only| only.as_str() != parts.header.algorithm) {
            return Err("alg is not that of the key");
        }
        let key = self.keys.get(kid).await.ok_or("there is no key of this kid, or none could be had")?;
        check(&key, parts)
    }
}

/// Checks that the token names the algorithm of the key and is signed by the key.
fn check(key: &Key, parts: &Parts<'_>) -> Result<(), Reason> {
    if key.algorithm().as_str() != parts.header.algorithm {
        return Err("alg is not that of the key");
    }
    if key.verifies(parts.signed, &parts.signature) { Ok(()) } else { Err("the signature is not of the key") }
}
