//! What a line of the trail states, as a reader sees it. It is true only if the line's seal is good ([`super::chain`]).

use serde::Deserialize;

/// A line's members; those that a line of its kind has not are `None`. Unknown ones are a later version's, and skipped.
#[derive(Clone, Debug, Deserialize)]
pub struct Stated<'l> {
    /// Number of the line, from 1, without a gap.
    pub seq: u64,
    /// When, in UTC.
    pub time: &'l str,
    /// What it is about.
    pub kind: &'l str,
    /// Id of the request.
    pub request: Option<&'l str>,
    /// Whose patient.
    pub tenant: Option<&'l str>,
    /// Which system asked.
    pub client: Option<&'l str>,
    /// Which of its users.
    pub operator: Option<&'l str>,
    /// The same where he is named by what could be personal.
    pub operator_tag: Option<&'l str>,
    /// Who sat at the command line.
    #[serde(borrow)]
    pub who: Option<std::borrow::Cow<'l, str>>,
    /// Which act.
    pub act: Option<&'l str>,
    /// Which API.
    pub api: Option<&'l str>,
    /// For what purpose.
    pub usage: Option<i64>,
    /// Tag of the identity number.
    pub id_tag: Option<&'l str>,
    /// Tag of the telephone.
    pub phone_tag: Option<&'l str>,
    /// Which event.
    pub event: Option<&'l str>,
    /// Who made the answer.
    pub origin: Option<&'l str>,
    /// What the answer means.
    pub class: Option<&'l str>,
    /// Its code.
    pub code: Option<i64>,
    /// How many.
    pub count: Option<u64>,
    // Lines about the trail itself.
    pub(super) trail: Option<&'l str>,
    pub(super) series: Option<&'l str>,
    pub(super) file: Option<u32>,
    pub(super) key: Option<&'l str>,
    pub(super) previous: Option<&'l str>,
    pub(super) what: Option<&'l str>,
    pub(super) first: Option<u64>,
    pub(super) last: Option<u64>,
}

/// The kind of the first line of a file.
pub(super) const FILE: &str = "file";
/// The gateway begins to write.
pub(super) const START: &str = "start";
/// It ends, and nothing is missing.
pub(super) const STOP: &str = "stop";
/// Records could not be kept.
pub(super) const LOST: &str = "lost";
/// A file was removed since its time was over.
pub(super) const PRUNED: &str = "pruned";
/// At the start, something was not as the trail had left it.
pub(super) const ANOMALY: &str = "anomaly";

impl<'l> Stated<'l> {
    /// Reads a line without its end.
    pub fn read(line: &'l [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}
