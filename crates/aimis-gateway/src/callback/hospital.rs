//! What a tenant's callbacks are judged by, and the stand-in for tenants that there are not.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use aimis_core::cipher::{FieldCipher, HexCase, Padding};
use aimis_core::sign::{SignatureEncoding, Signer, TimestampUnit};
use aimis_core::token::{KeyForm, Token};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::verify::{Rules, Signatory};
use crate::config::{LinkHost, Network};
use crate::sent::Sent;
use crate::tenant::TenantName;

/// A tenant as its callbacks see it.
pub struct Hospital {
    /// What logs call it, and the path.
    pub name: TenantName,
    /// Its appId at the platform.
    pub app_id: String,
    /// Which hospital's callbacks are its own; `None` if it does not say.
    pub hospital_id: Option<String>,
    /// What is asked of a signature.
    pub rules: Rules,
    /// One for each live token.
    pub signers: Vec<Signer>,
    /// One for each live token.
    pub ciphers: Vec<FieldCipher>,
    /// What the gateway itself signed for it.
    pub sent: Option<Arc<Sent>>,
    /// The last part of the path.
    pub secret: Option<PathSecret>,
    /// Where callbacks come from; `None` for anywhere.
    pub networks: Option<Vec<Network>>,
    /// Where links may lead; `None` for anywhere.
    pub link_hosts: Option<Vec<LinkHost>>,
}

impl Hospital {
    /// Whom a callback has to be signed for.
    pub fn signatory(&self) -> Signatory<'_> {
        Signatory {
            app_id: &self.app_id,
            signers: &self.signers,
            sent: self.sent.as_deref(),
        }
    }

    /// Whether callbacks may come from `address`; a unix socket has none, and is on this machine.
    pub fn is_near(&self, address: Option<IpAddr>) -> bool {
        match (&self.networks, address) {
            (Some(networks), Some(address)) => networks.iter().any(|network| network.contains(address)),
            (None, _) | (_, None) => true,
        }
    }

    /// Whether `given` is the last part of the path, in the same time for every text.
    pub fn knows(&self, given: Option<&str>) -> bool {
        match (&self.secret, given) {
            (None, given) => given.is_none(),
            (Some(secret), given) => bool::from(secret.is(given.unwrap_or_default())),
        }
    }
}

/// The last part of a callback's path, as its digest: the text itself is not kept.
pub struct PathSecret([u8; 32]);

impl PathSecret {
    /// The secret `text`.
    pub fn new(text: &[u8]) -> Self {
        Self(Sha256::digest(text).into())
    }

    fn is(&self, given: &str) -> Choice {
        self.0.ct_eq(&Sha256::digest(given))
    }
}

/// All tenants of the road.
pub struct Hospitals {
    /// By name.
    all: HashMap<TenantName, Hospital>,
    nobody: Hospital,
}

impl Hospitals {
    /// These, and one that stands in for any other.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn new(all: Vec<Hospital>, rules: Rules) -> std::io::Result<Self> {
        let nobody = stand_in(rules)?;
        let all = all.into_iter().map(|hospital| (hospital.name.clone(), hospital));
        Ok(Self {
            all: all.collect(),
            nobody,
        })
    }

    /// Whether there is a tenant of this name.
    pub fn has(&self, name: &TenantName) -> bool {
        self.all.contains_key(name)
    }

    /// The tenant `name`, or the stand-in, whose callbacks are judged with the same effort and then refused.
    pub fn find(&self, name: &str) -> (&Hospital, bool) {
        let found = self.all.get(name);
        (found.unwrap_or(&self.nobody), found.is_some())
    }
}

/// A tenant with a token that nobody has ever seen.
fn stand_in(rules: Rules) -> std::io::Result<Hospital> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(std::io::Error::other)?;
    let token = Token::parse(hex::encode(random).as_bytes(), KeyForm::Raw).expect("32 hex digits are a token");
    Ok(Hospital {
        name: TenantName::new("-"),
        app_id: String::new(),
        hospital_id: None,
        rules,
        signers: vec![Signer::new(
            &token,
            SignatureEncoding::HexLower,
            TimestampUnit::Milliseconds,
        )],
        ciphers: vec![FieldCipher::new(&token, Padding::Pkcs7, HexCase::Lower)],
        sent: None,
        secret: None,
        networks: None,
        link_hosts: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CallbackSignature;

    fn hospital(secret: Option<&str>) -> Hospital {
        let rules = Rules {
            signature: CallbackSignature::IfPresent,
            past_ms: 1,
            ahead_ms: 1,
        };
        Hospital {
            secret: secret.map(|text| PathSecret::new(text.as_bytes())),
            ..stand_in(rules).unwrap()
        }
    }

    #[test]
    fn the_last_part_of_the_path_is_there_if_and_only_if_it_is_asked_for() {
        let open = hospital(None);
        assert!(open.knows(None) && !open.knows(Some("")) && !open.knows(Some("x")));
        let closed = hospital(Some("a-secret-of-sixteen"));
        assert!(closed.knows(Some("a-secret-of-sixteen")));
        for wrong in [None, Some(""), Some("a-secret-of-sixtee"), Some("a-secret-of-sixteen ")] {
            assert!(!closed.knows(wrong), "{wrong:?}");
        }
    }
}
