//! A partner's credentials as the platform keeps them: appId, tokens, hospital, consortium.

use crate::crypto::{Key, Switches};
use serde::{Deserialize, Serialize};

/// The made-up token of the golden vectors.
pub const DEMO_TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// The made-up appId of the golden vectors.
pub const DEMO_APP_ID: &str = "900001";
/// The made-up hospital of the demo account.
pub const DEMO_HOSPITAL: &str = "H0001";
/// The made-up consortium of the demo account.
pub const DEMO_UNION: &str = "U0001";

/// One partner of the platform.
///
/// While tokens are rotated, a request is accepted under any of the three, and its fields have to be
/// encrypted under the token that signed it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Partner id: path, header and signed message.
    pub app_id: String,
    /// The token in force: what callbacks are signed and encrypted with.
    pub token: String,
    /// Accepted already, used by the platform later.
    #[serde(default)]
    pub next_token: Option<String>,
    /// Still accepted.
    #[serde(default)]
    pub previous_token: Option<String>,
    /// The hospital's id in the imaging cloud.
    pub hospital_id: String,
    /// The consortium's id in the imaging cloud.
    pub union_id: String,
}

impl Account {
    /// An account with one token.
    #[must_use]
    pub fn new(app_id: &str, token: &str, hospital_id: &str, union_id: &str) -> Self {
        Self {
            app_id: app_id.to_owned(),
            token: token.to_owned(),
            next_token: None,
            previous_token: None,
            hospital_id: hospital_id.to_owned(),
            union_id: union_id.to_owned(),
        }
    }

    /// The account of the golden vectors: appId 900001, hospital H0001, consortium U0001.
    #[must_use]
    pub fn demo() -> Self {
        Self::new(DEMO_APP_ID, DEMO_TOKEN, DEMO_HOSPITAL, DEMO_UNION)
    }

    /// The signature of `timestamp` under the token in force.
    #[must_use]
    pub fn sign(&self, timestamp: &str, switches: &Switches) -> String {
        Key::new(&self.token, switches.key_form).sign(&self.app_id, timestamp, switches.signature_encoding)
    }

    /// `text` encrypted under the token in force, in lower-case hex.
    ///
    /// Empty when the token is no key of 32 bytes, so that a test of bad tokens sees a refusal, not a panic.
    #[must_use]
    pub fn encrypt(&self, text: &str, switches: &Switches) -> String {
        Key::new(&self.token, switches.key_form)
            .encrypt(text, switches.padding)
            .unwrap_or_default()
    }
}

impl Default for Account {
    fn default() -> Self {
        Self::demo()
    }
}

impl std::fmt::Debug for Account {
    /// Without tokens, made up or not: the habit is worth more than the convenience.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("app_id", &self.app_id)
            .field("hospital_id", &self.hospital_id)
            .field("union_id", &self.union_id)
            .finish_non_exhaustive()
    }
}

/// An account with its keys made ready, as a request meets it.
pub(crate) struct ReadyAccount {
    pub(crate) account: Account,
    pub(crate) keys: Vec<Key>,
}

impl ReadyAccount {
    pub(crate) fn new(account: Account, switches: &Switches) -> Self {
        let tokens = [
            Some(&account.token),
            account.next_token.as_ref(),
            account.previous_token.as_ref(),
        ];
        let keys = tokens
            .into_iter()
            .flatten()
            .map(|token| Key::new(token, switches.key_form))
            .collect();
        Self { account, keys }
    }
}
