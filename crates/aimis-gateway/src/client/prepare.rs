//! Clients as the configuration has them become clients as the road uses them.

use super::identify::{Clients, Marks};
use super::permissions::{Ids, Permissions};
use super::{Answers, Client, ClientName};
use crate::config::{self, Config};
use crate::forward::apis::Apis;
use crate::forward::decode::Dialects;

/// The clients of a configuration.
pub fn clients(config: &Config, apis: &Apis) -> Clients {
    let known = config.clients.iter().enumerate().map(|(index, settings)| {
        let client = Client {
            name: Some(ClientName::new(&settings.name)),
            index,
            permissions: permissions(settings, config, apis),
            hospital_id: settings.hospital_id.as_deref().map(str::to_owned),
            union_id: settings.union_id.as_deref().map(str::to_owned),
            ..manner(&config.lan, Some(settings))
        };
        (marks(settings), client)
    });
    Clients::new(known.collect(), manner(&config.lan, None))
}

fn marks(settings: &config::Client) -> Marks {
    Marks {
        keys: settings.key_sha256.iter().flatten().map(|digest| digest.0).collect(),
        networks: settings.networks.clone(),
        certificates: settings.certificates.clone(),
    }
}

fn permissions(settings: &config::Client, config: &Config, apis: &Apis) -> Permissions {
    let tenant = |name: &config::Text| config.tenants.iter().position(|tenant| tenant.name == *name);
    let ids = |ids: &Option<Vec<config::Text>>| match ids.as_deref() {
        None => Ids::Own,
        Some(ids) if ids.iter().any(|id| &**id == "*") => Ids::Any,
        Some(ids) => Ids::Only(ids.iter().map(ToString::to_string).collect()),
    };
    Permissions {
        // Names of tenants and APIs were checked with the configuration: none is lost here.
        tenants: settings
            .tenants
            .as_ref()
            .map(|names| names.iter().filter_map(tenant).collect()),
        hospital_ids: ids(&settings.hospital_ids),
        union_ids: ids(&settings.union_ids),
        apis: settings
            .apis
            .as_ref()
            .map(|names| names.iter().filter_map(|name| apis.position(name)).collect()),
        usage: settings.usage.clone(),
        data_flag: settings.data_flag.clone(),
        study_type: settings.study_type.clone(),
        max_range_days: settings.max_range_days,
        inbox: settings.inbox,
    }
}

/// How a client speaks and is answered: what it does not say is what `[lan]` says. Without a client, who may
/// do everything.
fn manner(lan: &config::Lan, client: Option<&config::Client>) -> Client {
    let texts = |texts: &[config::Text]| texts.iter().map(ToString::to_string).collect();
    let aliases = client
        .and_then(|client| client.aliases.as_ref())
        .or(lan.aliases.as_ref());
    Client {
        name: None,
        index: 0,
        permissions: Permissions::everything(),
        hospital_id: None,
        union_id: None,
        dialects: Dialects {
            form_fields: texts(
                client
                    .and_then(|client| client.form_fields.as_deref())
                    .unwrap_or(&lan.form_fields),
            ),
            unknown_fields: client
                .and_then(|client| client.unknown_fields)
                .unwrap_or(lan.unknown_fields),
            any_key_case: client
                .and_then(|client| client.any_key_case)
                .unwrap_or(lan.any_key_case),
            aliases: aliases
                .into_iter()
                .flatten()
                .map(|alias| (alias.alias.clone(), alias.field.clone()))
                .collect(),
        },
        strict: client.and_then(|client| client.strict).unwrap_or(lan.strict),
        merge_study_types: client
            .and_then(|client| client.merge_study_types)
            .unwrap_or(lan.merge_study_types),
        answers: Answers {
            status: client.and_then(|client| client.status).unwrap_or(lan.status),
            ascii_json: client.and_then(|client| client.ascii_json).unwrap_or(lan.ascii_json),
            charset: client.and_then(|client| client.charset).unwrap_or(lan.charset),
            language: client.and_then(|client| client.language).unwrap_or(lan.language),
        },
    }
}
