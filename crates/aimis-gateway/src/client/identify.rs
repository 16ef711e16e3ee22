//! Which client a request comes from: by its key, its address and its certificate.
//!
//! A client is known by everything that is configured for it, together: a key that is right does not help
//! from a network that is not the client's. Where a request carries a key, only the client of that key is
//! looked at; without one, among those that need none, a certificate decides before a network and the closest
//! network before a wider one.

use std::net::IpAddr;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

use super::Client;
use super::keys::Keys;
use crate::config::{CertificateMatch, Network};
use crate::edge::peer::{Peer, PeerCertificate};

/// The header of clients that cannot set `Authorization`.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Longest key that is hashed; ours have 70 characters.
const MAX_KEY: usize = 512;

/// Why a request is of no client. For the log; whoever asks learns only that it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInFault {
    /// No key came, and neither address nor certificate is any client's.
    NoCredentials,
    /// `Authorization` is not `Bearer KEY`, or two different keys came.
    Malformed,
    /// The key is no client's.
    UnknownKey,
    /// The key is right, and comes from an address that is not its client's.
    Address,
    /// The key is right, and its client's certificate is not there.
    Certificate,
}

impl SignInFault {
    /// Name for the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoCredentials => "no-credentials",
            Self::Malformed => "malformed-credentials",
            Self::UnknownKey => "unknown-key",
            Self::Address => "address-not-allowed",
            Self::Certificate => "certificate-missing",
        }
    }
}

/// What a client is known by.
pub struct Marks {
    /// SHA-256 of its keys; empty if it needs none.
    pub keys: Vec<[u8; 32]>,
    /// Where it comes from; `None` for anywhere.
    pub networks: Option<Vec<Network>>,
    /// What it proves to own; `None` for nothing.
    pub certificates: Option<Vec<CertificateMatch>>,
}

impl Marks {
    /// The length of the closest network that `address` is in; 0 where the client has none to be in. A unix
    /// socket has no address, so it is in no network.
    fn network(&self, address: Option<IpAddr>) -> Option<u8> {
        let Some(networks) = &self.networks else { return Some(0) };
        let inside = networks
            .iter()
            .filter(|network| address.is_some_and(|a| network.contains(a)));
        inside.map(Network::prefix).max()
    }

    fn certificate(&self, found: Option<&PeerCertificate>) -> bool {
        let Some(wanted) = &self.certificates else { return true };
        found.is_some_and(|found| {
            wanted.iter().any(|wanted| match wanted {
                CertificateMatch::Name(name) => found.names.iter().any(|known| known.eq_ignore_ascii_case(name)),
                CertificateMatch::Sha256(digest) => found.sha256 == digest.0,
            })
        })
    }
}

/// Who asks, and how that is known.
pub struct Identified<'c> {
    /// The client.
    pub client: &'c Client,
    /// By a key or a certificate; otherwise by the place alone that the request comes from, which a web page that
    /// is open there shares.
    pub by_proof: bool,
}

impl<'c> Identified<'c> {
    fn by_place(client: &'c Client) -> Self {
        Self {
            client,
            by_proof: false,
        }
    }
}

/// Why a request is nobody's.
pub struct Unidentified<'c> {
    /// What is wrong.
    pub fault: SignInFault,
    /// Whose key it was, if it was one.
    pub client: Option<&'c Client>,
}

/// All clients of this gateway.
pub struct Clients {
    known: Vec<(Marks, Client)>,
    keys: Keys,
    /// Positions of those that need no key.
    keyless: Vec<usize>,
    /// Whoever asks, where no clients are configured.
    anybody: Client,
}

impl Clients {
    /// `anybody` is who asks where `known` is empty; its settings also hold for requests of nobody known.
    pub fn new(known: Vec<(Marks, Client)>, anybody: Client) -> Self {
        let digests = known.iter().enumerate().flat_map(|(position, (marks, _))| {
            let digests = marks.keys.iter().copied();
            digests.map(move |digest| (digest, position))
        });
        let is_keyless = |position: &usize| known[*position].0.keys.is_empty();
        Self {
            keys: Keys::new(digests),
            keyless: (0..known.len()).filter(is_keyless).collect(),
            known,
            anybody,
        }
    }

    /// Who asks where it is not known who does.
    pub fn anybody(&self) -> &Client {
        &self.anybody
    }

    /// The client called `name`.
    pub fn by_name(&self, name: &str) -> Option<&Client> {
        let named = |client: &Client| client.name.as_ref().is_some_and(|known| known.as_str() == name);
        self.known.iter().map(|(_, client)| client).find(|client| named(client))
    }

    /// Which client a request is of.
    ///
    /// # Errors
    /// [`Unidentified`] when it is nobody's.
    pub fn identify(&self, headers: &HeaderMap, peer: &Peer) -> Result<Identified<'_>, Unidentified<'_>> {
        if self.known.is_empty() {
            return Ok(Identified::by_place(&self.anybody));
        }
        let certificate = peer.certificate.as_deref();
        let nobody = |fault| Unidentified { fault, client: None };
        if let Some(key) = presented_key(headers).map_err(nobody)? {
            let found = self.keys.find(key).and_then(|position| self.known.get(position));
            let (marks, client) = found.ok_or(nobody(SignInFault::UnknownKey))?;
            let failed = |fault| Unidentified {
                fault,
                client: Some(client),
            };
            marks.network(peer.address).ok_or(failed(SignInFault::Address))?;
            if !marks.certificate(certificate) {
                return Err(failed(SignInFault::Certificate));
            }
            return Ok(Identified { client, by_proof: true });
        }
        self.keyless
            .iter()
            .filter_map(|position| self.known.get(*position))
            .filter(|(marks, _)| marks.certificate(certificate))
            .filter_map(|(marks, client)| {
                let closeness = marks.network(peer.address)?;
                Some((marks.certificates.is_some(), closeness, client))
            })
            // Of equals the first of the configuration; `max_by_key` would give the last.
            .rev()
            .max_by_key(|(certified, closeness, _)| (*certified, *closeness))
            .map(|(certified, _, client)| Identified {
                client,
                by_proof: certified,
            })
            .ok_or(nobody(SignInFault::NoCredentials))
    }
}

/// The key that a request carries, if it carries one.
fn presented_key(headers: &HeaderMap) -> Result<Option<&[u8]>, SignInFault> {
    let mut found: Option<&[u8]> = None;
    for value in headers.get_all(AUTHORIZATION) {
        let value = value.as_bytes().trim_ascii();
        let (scheme, key) = value.split_at_checked(7).ok_or(SignInFault::Malformed)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") || found.is_some() {
            return Err(SignInFault::Malformed);
        }
        found = Some(key.trim_ascii());
    }
    for value in headers.get_all(&X_API_KEY) {
        let key = value.as_bytes().trim_ascii();
        // Both headers may carry it, if it is the same: which of two is meant cannot be told.
        if found.is_some_and(|other| other != key) {
            return Err(SignInFault::Malformed);
        }
        found = Some(key);
    }
    match found {
        Some(key) if key.is_empty() || key.len() > MAX_KEY => Err(SignInFault::Malformed),
        found => Ok(found),
    }
}
