//! The imaging platform's protocol, pure: no I/O, no clock, no globals.
//!
//! Everything that must be proved rather than tuned lives here, so that it can be read and tested without a
//! network: what a signature covers, how a field is encrypted, which fields an API has, when two spellings mean
//! one patient, and what a business code asks of us. The gateway adds time, sockets and policy.
//!
//! | module | in | out |
//! |---|---|---|
//! | [`token`] | the text Tencent assigned | the secret both crypto modules are keyed with |
//! | [`sign`] | appId and time | the `timestamp` and `signature` headers |
//! | [`cipher`] | a personal field | hex of AES-256-ECB, and back |
//! | [`datetime`] | a date as a HIS writes it | `yyyy-MM-dd HH:mm:ss` |
//! | [`identity`] | identity numbers and telephones | normal form, judgement, mask |
//! | [`contract`] | - | the fields of each API, as data |
//! | [`order`] | the members of one request | a checked order, and the body that may leave the house |
//! | [`codes`] | the platform's `code` | its class, and what follows from it |
//! | [`wiped`] | - | memory that is overwritten before it goes |
//!
//! Section numbers in the documentation are those of the interface specification, `platform-api.md`.
//!
//! Personal text is never printable here: types that hold it have no `Display`, and their `Debug`, if any, shows
//! `***`. It leaves only through methods whose call sites can be searched for.

pub mod cipher;
pub mod codes;
pub mod contract;
pub mod datetime;
pub mod identity;
pub mod order;
pub mod sign;
mod text;
pub mod token;
pub mod wiped;
