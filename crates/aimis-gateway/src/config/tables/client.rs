//! A system of the hospital that may ask: how it is known, what it may ask for, how it speaks.

use super::lan::{AnswerCharset, AnswerStatus, Language, UnknownFields};
use super::limits::OwnClientQuota;
use crate::config::entry::optional_table;
use crate::config::kind::alias::{Alias, alias};
use crate::config::kind::choice::one_of;
use crate::config::kind::digest::{CertificateMatch, Sha256Digest, certificate, digest};
use crate::config::kind::network::{Network, network};
use crate::config::kind::number::integer;
use crate::config::kind::text::{Text, identifier, label, text};
use crate::config::kind::{Kind, one_or_more, switch};
use crate::config::plain::Plain;
use crate::config::section::section;

section! {
    /// A system of the hospital that may ask. It is known by all that is set of `key_sha256`, `networks` and
    /// `certificates` together; at least one is needed. A rule that is not set allows everything, but for
    /// `tenants` and `hospital_ids`. How it speaks, where it does not say, is what `[lan]` says.
    pub struct Client {
        /// What logs call this client; unique.
        name: Text = label(32).required("his");
        /// The SHA-256 of its key, as `aimis-gateway client-key new` prints it; two while the key is being replaced. The client sends the key itself as `Authorization: Bearer KEY` or `X-Api-Key: KEY`.
        key_sha256: Option<Vec<Sha256Digest>> = one_or_more(digest()).optional("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        /// Addresses it comes from. The address is the connection's own; no header can change it.
        networks: Option<Vec<Network>> = one_or_more(network()).optional(Plain::List(vec!["10.0.0.0/16".into()]));
        /// Certificates it proves to own; needs `lan.tls` with `client_ca_file`.
        certificates: Option<Vec<CertificateMatch>> = one_or_more(certificate()).optional("his.hospital.example");
        /// Tenants it may ask for, by name. Needed where there are several tenants.
        tenants: Option<Vec<Text>> = one_or_more(label(32)).optional(Plain::List(vec!["first-hospital".into()]));
        /// Values of `hospitalId` it may ask for; `*` is any. Not set: the tenant's own `hospital_id` and the client's, one of which is needed then. What the tenant fills in has to be among them.
        hospital_ids: Option<Vec<Text>> = one_or_more(text(64)).optional(Plain::List(vec!["H0001".into()]));
        /// Values of `unionId` it may ask for; `*` is any. Not set: the tenant's own `union_id` and the client's, any where neither is set.
        union_ids: Option<Vec<Text>> = one_or_more(text(64)).optional(Plain::List(vec!["U0001".into()]));
        /// APIs it may use.
        apis: Option<Vec<Text>> = one_or_more(identifier(64)).optional(Plain::List(vec!["patientStudies".into(), "patientReportUrl".into()]));
        /// Values of `usage` it may ask with: 0 the patient looks, 1 online consultation, 2 a doctor looks. Of the APIs only `patientStudies` has this field, so it is no bound for the others: set `apis` too.
        usage: Option<Vec<i64>> = one_or_more(integer(0, 2)).optional(Plain::List(vec![Plain::Integer(0), Plain::Integer(1)]));
        /// Values of `dataFlag` it may ask with: 0 all of the patient's data, 1 only this hospital's, 2 all but this hospital's, 3 only this union's, 4 all but this union's. Of the APIs only `patientStudies` has this field, so it is no bound for the others: set `apis` too.
        data_flag: Option<Vec<i64>> = one_or_more(integer(0, 4)).optional(Plain::List(vec![Plain::Integer(1)]));
        /// Values of `studyType` it may ask with, 0 to 5. Of the APIs only `patientStudies` has this field, so it is no bound for the others: set `apis` too.
        study_type: Option<Vec<i64>> = one_or_more(integer(0, 5)).optional(Plain::List(vec![Plain::Integer(0), Plain::Integer(5)]));
        /// The widest time window it may ask for. Of the APIs only `patientStudies` has one, so it is no bound for the others: set `apis` too.
        max_range_days: Option<u32> = integer(1, 36_500).unit("days").optional(Plain::Integer(366));
        /// It may fetch the events of its tenants (`GET` and `POST /inbox/v1/{tenant}/events`): everything that callbacks say, whatever the other rules allow it to ask.
        inbox: bool = switch().or(false);
        /// Put into its requests that name no hospital, before the tenant's.
        hospital_id: Option<Text> = text(64).optional("H0001");
        /// Put into its requests that name no union, before the tenant's.
        union_id: Option<Text> = text(64).optional("U0001");
        /// As `lan.strict`.
        strict: Option<bool> = switch().optional(false);
        /// As `lan.any_key_case`.
        any_key_case: Option<bool> = switch().optional(true);
        /// As `lan.aliases`; replaces these.
        aliases: Option<Vec<Alias>> = one_or_more(alias()).optional(Plain::List(vec!["sfzh=idNum".into()]));
        /// As `lan.form_fields`.
        form_fields: Option<Vec<Text>> = one_or_more(text(64)).optional(Plain::List(vec!["param".into()]));
        /// As `lan.unknown_fields`.
        unknown_fields: Option<UnknownFields> = one_of().optional("drop");
        /// As `lan.merge_study_types`.
        merge_study_types: Option<bool> = switch().optional(false);
        /// As `lan.status`.
        status: Option<AnswerStatus> = one_of().optional("mapped");
        /// As `lan.ascii_json`.
        ascii_json: Option<bool> = switch().optional(false);
        /// As `lan.charset`.
        charset: Option<AnswerCharset> = one_of().optional("utf-8");
        /// As `lan.language`.
        language: Option<Language> = one_of().optional("zh");
        /// Where its quotas differ from those of `[limits]`.
        limits: Option<OwnClientQuota> = optional_table();
    }
}

impl Client {
    /// Nothing but its address tells this client.
    pub fn by_network_alone(&self) -> bool {
        self.key_sha256.is_none() && self.certificates.is_none()
    }
}
