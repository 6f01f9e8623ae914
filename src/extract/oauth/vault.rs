//! Tokens at rest: XChaCha20-Poly1305 with a key that lives outside the database.

use anyhow::{Context as _, Result, anyhow, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, Generate as _, Key, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::store::{TokenOwner, TokenRow};
use crate::config::Config;

/// How a token key is made; every message about a key says it.
const HOW_TO_MAKE_A_KEY: &str = "make one with `openssl rand -base64 32`, keep it in the environment or a file, and \
                                 refer to it: token_key = \"env:MARTS_TOKEN_KEY\" under [security]";

/// Written before each ciphertext, so that a later format can be told apart.
const FORMAT: u8 = 1;
const NONCE_BYTES: usize = 24;

/// Encrypts and decrypts token sets.
pub struct Vault {
    cipher: XChaCha20Poly1305,
}

/// What one refresh hands out. It has no `Debug`, so it cannot be printed.
pub(super) struct TokenSet {
    pub refresh: SecretString,
    pub access: SecretString,
    pub access_expires_at: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
struct Plain<'a> {
    #[serde(borrow)]
    refresh: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    access: std::borrow::Cow<'a, str>,
    access_expires_at: DateTime<Utc>,
}

impl Vault {
    /// The vault whose key `[security] token_key` refers to.
    pub fn open(config: &Config) -> Result<Self> {
        let reference = config.security.token_key.as_ref().with_context(|| {
            format!(
                "no token_key in {}: rotated tokens are stored encrypted; {HOW_TO_MAKE_A_KEY}",
                config.path.display()
            )
        })?;
        Self::new(&reference.read().with_context(|| format!("reading the token key; {HOW_TO_MAKE_A_KEY}"))?)
            .with_context(|| format!("the token key at {reference}"))
    }

    /// A vault with a key of 32 bytes in base64.
    pub fn new(key: &SecretString) -> Result<Self> {
        let bytes = STANDARD
            .decode(key.expose_secret().trim())
            .map(Zeroizing::new)
            .map_err(|_| anyhow!("is not base64; {HOW_TO_MAKE_A_KEY}"))?;
        let key: &Key<XChaCha20Poly1305> = bytes
            .as_slice()
            .try_into()
            .map_err(|_| anyhow!("has {} bytes instead of 32; {HOW_TO_MAKE_A_KEY}", bytes.len()))?;
        Ok(Vault { cipher: XChaCha20Poly1305::new(key) })
    }

    /// Encrypts a set for its owner. The owner is authenticated with it, so the row of one organisation is worthless
    /// under another's name.
    pub(super) fn seal(&self, owner: &TokenOwner, set: &TokenSet) -> Result<Vec<u8>> {
        let plain = Plain {
            refresh: set.refresh.expose_secret().into(),
            access: set.access.expose_secret().into(),
            access_expires_at: set.access_expires_at,
        };
        let plain = Zeroizing::new(serde_json::to_vec(&plain)?);
        let nonce = XNonce::generate();
        let bound_to = owner.to_string();
        let payload = Payload { msg: &plain, aad: bound_to.as_bytes() };
        let sealed = self.cipher.encrypt(&nonce, payload).map_err(|_| anyhow!("encrypting the tokens of {owner}"))?;
        Ok([&[FORMAT], nonce.as_slice(), &sealed].concat())
    }

    /// The row under this vault's key instead of a former one's; none when it is under this key already.
    ///
    /// # Errors
    /// A row that neither key opens.
    pub fn reseal(&self, owner: &TokenOwner, row: &TokenRow, former: &Vault) -> Result<Option<TokenRow>> {
        if self.unseal(owner, &row.ciphertext).is_ok() {
            return Ok(None);
        }
        let set = former.unseal(owner, &row.ciphertext).context("neither the new key nor the former one opens them")?;
        // Only a second chance: one that cannot be read is as good as none.
        let previous = row.previous_ciphertext.as_ref().and_then(|sealed| former.unseal(owner, sealed).ok());
        Ok(Some(TokenRow {
            ciphertext: self.seal(owner, &set)?,
            previous_ciphertext: previous.map(|set| self.seal(owner, &set)).transpose()?,
            version: row.version + 1,
            ..row.clone()
        }))
    }

    /// Decrypts a set of that owner.
    pub(super) fn unseal(&self, owner: &TokenOwner, sealed: &[u8]) -> Result<TokenSet> {
        ensure!(
            sealed.len() > 1 + NONCE_BYTES && sealed[0] == FORMAT,
            "the stored tokens of {owner} are in no format known to this version"
        );
        let (nonce, sealed) = sealed[1..].split_at(NONCE_BYTES);
        let nonce: &XNonce = nonce.try_into().expect("split at its length");
        let bound_to = owner.to_string();
        let payload = Payload { msg: sealed, aad: bound_to.as_bytes() };
        let plain = self.cipher.decrypt(nonce, payload).map(Zeroizing::new).map_err(|_| {
            anyhow!(
                "the stored tokens of {owner} cannot be decrypted: token_key under [security] is not the key they were \
                 encrypted with; put that key back, or delete the row of oauth_tokens and reconnect"
            )
        })?;
        // The reason is dropped: it may quote the plain text.
        let plain: Plain<'_> =
            serde_json::from_slice(&plain).map_err(|_| anyhow!("the stored tokens of {owner} are not as written"))?;
        Ok(TokenSet {
            refresh: SecretString::from(plain.refresh.into_owned()),
            access: SecretString::from(plain.access.into_owned()),
            access_expires_at: plain.access_expires_at,
        })
    }
}

/// Tells one seed from another without keeping it.
pub(super) fn fingerprint(seed: &SecretString) -> String {
    hex::encode(Sha256::digest(seed.expose_secret().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(byte: u8) -> Vault {
        Vault::new(&STANDARD.encode([byte; 32]).into()).unwrap()
    }

    fn owner(org: &str) -> TokenOwner {
        TokenOwner { org: org.to_owned(), connector: "quickbooks" }
    }

    fn set() -> TokenSet {
        TokenSet {
            refresh: "RT1-\"quoted\"".into(),
            access: "AT1".into(),
            access_expires_at: "2026-01-21T09:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn what_is_sealed_opens_again_and_is_not_readable() {
        let sealed = vault(7).seal(&owner("vital"), &set()).unwrap();
        assert!(!String::from_utf8_lossy(&sealed).contains("RT1"));
        assert_ne!(sealed, vault(7).seal(&owner("vital"), &set()).unwrap(), "a nonce is used once");
        let opened = vault(7).unseal(&owner("vital"), &sealed).unwrap();
        assert_eq!(opened.refresh.expose_secret(), "RT1-\"quoted\"");
        assert_eq!(opened.access_expires_at, set().access_expires_at);
    }

    #[test]
    fn another_key_another_organisation_or_a_changed_byte_does_not_open_it() {
        let sealed = vault(7).seal(&owner("vital"), &set()).unwrap();
        let error = |result: Result<TokenSet>| result.err().unwrap().to_string();
        assert!(error(vault(8).unseal(&owner("vital"), &sealed)).contains("token_key"));
        assert!(error(vault(7).unseal(&owner("bennett"), &sealed)).contains("bennett/quickbooks"));
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(vault(7).unseal(&owner("vital"), &changed).is_err());
        assert!(vault(7).unseal(&owner("vital"), &sealed[..20]).is_err());
        assert!(vault(7).unseal(&owner("vital"), b"").is_err());
    }

    #[test]
    fn a_row_changes_its_key_once() {
        let old = vault(7);
        let row = TokenRow {
            ciphertext: old.seal(&owner("vital"), &set()).unwrap(),
            previous_ciphertext: Some(old.seal(&owner("vital"), &set()).unwrap()),
            seed_fingerprint: String::new(),
            issued_at: set().access_expires_at,
            expires_at: None,
            hard_expires_at: None,
            version: 4,
        };
        let next = vault(8).reseal(&owner("vital"), &row, &old).unwrap().unwrap();
        assert_eq!(next.version, 5);
        for sealed in [Some(&next.ciphertext), next.previous_ciphertext.as_ref()] {
            let opened = vault(8).unseal(&owner("vital"), sealed.unwrap()).unwrap();
            assert_eq!(opened.refresh.expose_secret(), "RT1-\"quoted\"");
        }
        assert!(vault(7).unseal(&owner("vital"), &next.ciphertext).is_err());
        assert!(vault(8).reseal(&owner("vital"), &next, &old).unwrap().is_none());
        assert!(vault(9).reseal(&owner("vital"), &row, &vault(8)).is_err());
    }

    #[test]
    fn a_key_that_is_none_is_refused_with_the_way_to_make_one() {
        for key in ["not base64!", "c2hvcnQ="] {
            let error = Vault::new(&key.into()).err().unwrap().to_string();
            assert!(error.contains("openssl rand -base64 32") && !error.contains(key), "{error}");
        }
    }
}
