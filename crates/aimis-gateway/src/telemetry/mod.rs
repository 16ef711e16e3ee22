//! Seeing the gateway: metrics, log lines, health.

pub mod answers;
pub mod ask;
pub mod audit;
pub mod cache;
pub mod callbacks;
pub mod deliveries;
pub mod empty_share;
pub mod event;
pub mod exchange;
mod exemplars;
pub mod health;
pub mod http;
pub mod labels;
pub mod limits;
pub mod log;
pub mod metrics;
pub mod openmetrics;
pub mod patient_tag;
pub mod pulls;
pub mod reconcile;
pub mod reloads;
pub mod store;
pub mod tenants;
pub mod throttle;
pub mod traces;
