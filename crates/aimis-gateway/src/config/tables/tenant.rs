//! A hospital that is served: who it is to the platform, its token, and where it differs.

use std::path::PathBuf;

use super::cache::TenantCache;
use super::callback::TenantCallback;
use super::limits::OwnTenantQuota;
use super::protocol::{Crypto, Dates, Identity, Sign};
use crate::config::entry::{optional_table, overrides};
use crate::config::kind::Kind;
use crate::config::kind::end::{End, end};
use crate::config::kind::path::secret_path;
use crate::config::kind::proxy::{ProxyChoice, proxy};
use crate::config::kind::text::{Text, identifier, label, text, user};
use crate::config::kind::token::{TokenSource, token, token_file};
use crate::config::problem::Problem;
use crate::config::section::{Field, Origins, Reader, Section, Setting, child, section};
use crate::config::tree::Node;

/// A hospital that is served. Its `crypto`, `sign`, `identity`, `dates`, `cache` and `callback` are complete: what the tenant does
/// not say is taken from the global section, key by key.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// What logs, metrics and paths call it: 1 to 32 of `a-z0-9-`, unique.
    pub name: Text,
    /// The identifier the platform gave out: 1 to 64 of `A-Za-z0-9._-`, unique.
    pub app_id: Text,
    /// Where its token is.
    pub token: TokenSource,
    /// When the token ends, as the platform said.
    pub token_not_after: Option<End>,
    /// Where the token is that the platform will accept.
    pub next_token_file: Option<PathBuf>,
    /// When that one ends.
    pub next_token_not_after: Option<End>,
    /// Where the token is that it accepted before.
    pub previous_token_file: Option<PathBuf>,
    /// Put into requests that name no hospital.
    pub hospital_id: Option<Text>,
    /// Put into requests that name no union.
    pub union_id: Option<Text>,
    /// Its own way to the platform, if it differs.
    pub proxy: Option<ProxyChoice>,
    /// Its own user at the proxy.
    pub proxy_user: Option<Text>,
    /// Where the password of that user is.
    pub proxy_password_file: Option<PathBuf>,
    /// How its personal fields are encrypted.
    pub crypto: Crypto,
    /// How its requests are signed.
    pub sign: Sign,
    /// What is done about its identity numbers and telephones.
    pub identity: Identity,
    /// What is done about its time windows.
    pub dates: Dates,
    /// Where its quota differs from that of `[limits.tenant]`.
    pub limits: Option<OwnTenantQuota>,
    /// How its answers are kept.
    pub cache: TenantCache,
    /// What its callbacks have to prove, and where they are delivered to.
    pub callback: TenantCallback,
}

section! {
    /// A hospital that is served. Its tables `crypto`, `sign`, `identity`, `dates`, `cache` and `callback` take what they
    /// do not say from the global sections of the same names.
    pub(in crate::config) struct TenantTable {
        /// What logs, metrics and paths call this tenant; unique.
        name: Text = label(32).required("first-hospital");
        /// The identifier the platform gave out; unique.
        app_id: Text = identifier(64).required("900001");
        /// The file that holds the token and nothing else, no line end either (`printf %s`). One of `token_file` and `token` is needed.
        token_file: Option<TokenSource> = token_file().optional("secrets/first-hospital.token");
        /// The token itself. A file is better: an environment is inherited, and shown by many tools.
        token: Option<TokenSource> = token().optional("");
        /// When the platform takes this token no more, if it said so. A day is over when it is over in China. It changes
        /// nothing but what is told: a metric, an alert, `doctor`, `check --security`.
        token_not_after: Option<End> = end().optional("2027-01-31");
        /// During a rotation, the file with the token that the platform will accept. Callbacks may be signed with it at
        /// once; requests are when the platform accepts it (`[rotation]`).
        next_token_file: Option<PathBuf> = secret_path().optional("secrets/first-hospital.token.next");
        /// When the platform takes the token of `next_token_file` no more. Only together with that.
        next_token_not_after: Option<End> = end().optional("2028-01-31");
        /// During a rotation, the file with the token before. Callbacks may be signed with it, and requests are if the
        /// platform accepts it and not the other.
        previous_token_file: Option<PathBuf> = secret_path().optional("secrets/first-hospital.token.previous");
        /// Put into requests that name no hospital.
        hospital_id: Option<Text> = text(64).optional("H0001");
        /// Put into requests that name no union.
        union_id: Option<Text> = text(64).optional("U0001");
        /// The proxy for this tenant's requests, `direct` for none; else that of `platform.proxy`. The user and password
        /// of `platform` are for `platform.proxy` only.
        proxy: Option<ProxyChoice> = proxy().optional("http://proxy.hospital:3129");
        /// This tenant's user at its proxy. Only together with `proxy_password_file`.
        proxy_user: Option<Text> = user(256).optional("first-hospital");
        /// The file that holds the password of that user and nothing else.
        proxy_password_file: Option<PathBuf> = secret_path().optional("secrets/first-hospital.proxy-password");
        /// How this tenant's personal fields are encrypted.
        crypto: Crypto = overrides();
        /// How this tenant's requests are signed.
        sign: Sign = overrides();
        /// What is done about this tenant's identity numbers and telephones.
        identity: Identity = overrides();
        /// What is done about this tenant's time windows.
        dates: Dates = overrides();
        /// Where this tenant's quota at the platform differs from that of `[limits.tenant]`.
        limits: Option<OwnTenantQuota> = optional_table();
        /// How this tenant's answers are kept.
        cache: TenantCache = overrides();
        /// What a callback of this tenant has to prove, and where it is delivered to. Means something only with the
        /// section `callback`.
        callback: TenantCallback = overrides();
    }
}

impl Section for Tenant {
    fn about() -> String {
        TenantTable::about()
    }

    fn fields() -> Vec<Field> {
        TenantTable::fields()
    }

    fn read(reader: &mut Reader, at: &str, node: &Node) -> Option<Self> {
        let table = TenantTable::read(reader, at, node);
        // Whether a token is named shows even where other keys are wrong.
        let named = ["token_file", "token"].map(|key| node.get(key).is_some());
        if named == [true, true] {
            let reason = "is set beside `token_file`; only one of them can be meant";
            let origin = node.get("token").map(|token| token.origin.clone());
            reader
                .problems
                .push(Problem::about(origin, &child(at, "token"), reason));
            return None;
        }
        if named == [false, false] {
            let reason = "is missing: the file that holds the token";
            reader.problems.push(Problem::about(
                Some(node.origin.clone()),
                &child(at, "token_file"),
                reason,
            ));
        }
        let table = table?;
        let token = table.token_file.or(table.token)?;
        let TenantTable {
            name,
            app_id,
            token_not_after,
            next_token_file,
            next_token_not_after,
            previous_token_file,
            hospital_id,
            union_id,
            proxy,
            proxy_user,
            proxy_password_file,
            crypto,
            sign,
            identity,
            dates,
            limits,
            cache,
            callback,
            ..
        } = table;
        Some(Self {
            name,
            app_id,
            token,
            token_not_after,
            next_token_file,
            next_token_not_after,
            previous_token_file,
            hospital_id,
            union_id,
            proxy,
            proxy_user,
            proxy_password_file,
            crypto,
            sign,
            identity,
            dates,
            limits,
            cache,
            callback,
        })
    }

    fn show(&self, at: &str, origins: &Origins) -> Vec<Setting> {
        let Self {
            name,
            app_id,
            token,
            token_not_after,
            next_token_file,
            next_token_not_after,
            previous_token_file,
            hospital_id,
            union_id,
            proxy,
            proxy_user,
            proxy_password_file,
            crypto,
            sign,
            identity,
            dates,
            limits,
            cache,
            callback,
        } = self.clone();
        let (token_file, token) = match token {
            TokenSource::File(_) => (Some(token), None),
            TokenSource::Inline(_) => (None, Some(token)),
        };
        let table = TenantTable {
            name,
            app_id,
            token_file,
            token,
            token_not_after,
            next_token_file,
            next_token_not_after,
            previous_token_file,
            hospital_id,
            union_id,
            proxy,
            proxy_user,
            proxy_password_file,
            crypto,
            sign,
            identity,
            dates,
            limits,
            cache,
            callback,
        };
        table.show(at, origins)
    }
}
