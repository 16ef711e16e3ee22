//! The answers to one question that was asked for each type of study become one list.
//!
//! The elements are the platform's bytes: numbers, escapes and unknown members stay as they were sent. What could not
//! be had is told beside what could: a list from which a type is missing in silence would be a clinical risk (P9).
//! `partial` is always there, so that a HIS can rely on it.

use aimis_core::codes::{Class, Codes};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::ask::NoReply;
use crate::config::Language;
use crate::edge::connection::Body;
use crate::rejection::{self, Rejection};
use crate::telemetry::exchange::Parts;
use crate::telemetry::labels::OTHER_CODE;
use crate::upstream::envelope::holds_nothing;
use crate::upstream::error::{Foreign, UpstreamError};
use crate::upstream::reply::Reply;

const X_AIMIS_ANSWER: HeaderName = HeaderName::from_static("x-aimis-answer");
const X_AIMIS_MERGED: HeaderName = HeaderName::from_static("x-aimis-merged");
const X_AIMIS_PARTIAL: HeaderName = HeaderName::from_static("x-aimis-partial");

/// What parts are judged by.
#[derive(Clone, Copy)]
pub struct Terms<'s> {
    /// What the platform's codes mean.
    pub codes: &'s Codes,
    /// The API that was asked.
    pub api: &'static str,
    /// `platform.max_body`, for all parts together.
    pub max_body: usize,
    /// Of our own messages.
    pub language: Language,
}

/// One list of many.
pub struct Merged {
    types: Vec<i64>,
    body: Vec<u8>,
    failures: Vec<Failure>,
    /// What became of the parts.
    pub parts: Parts,
}

/// A type of study whose list is missing.
#[derive(Serialize)]
struct Failure {
    #[serde(rename = "studyType")]
    study_type: i64,
    code: i64,
    message: Box<RawValue>,
}

impl Failure {
    /// `3=30001`. Codes have six digits at most; a longer number that a platform puts there could be a person's, and
    /// headers end in the logs of whatever is in between (P1).
    fn for_header(&self) -> String {
        if self.code.unsigned_abs() < 1_000_000 {
            format!("{}={}", self.study_type, self.code)
        } else {
            format!("{}={OTHER_CODE}", self.study_type)
        }
    }
}

/// What a reply contributes.
enum Part<'r> {
    /// Elements, as they stand between the brackets.
    Studies(&'r str),
    Nothing,
    Failed {
        code: i64,
        message: Box<RawValue>,
    },
}

/// The members of an envelope that matter here, as they stand.
#[derive(Deserialize)]
struct Members<'r> {
    #[serde(borrow)]
    message: Option<&'r RawValue>,
    #[serde(borrow)]
    data: Option<&'r RawValue>,
}

impl Merged {
    /// Merges what came for `types`, in their order.
    pub fn of(types: Vec<i64>, replies: &[Result<Reply, NoReply>], terms: Terms<'_>) -> Self {
        let mut parts = Parts::default();
        let mut data = Vec::new();
        let mut failures = Vec::new();
        for (study_type, reply) in types.iter().copied().zip(replies) {
            let part = match reply {
                Ok(reply) => Part::of(reply, terms),
                Err(error) => Part::failed(*error, terms),
            };
            match part.within(terms.max_body.saturating_sub(data.len()), terms) {
                Part::Studies(elements) => {
                    if !data.is_empty() {
                        data.push(b',');
                    }
                    data.extend_from_slice(elements.as_bytes());
                    parts.ok += 1;
                }
                Part::Nothing => parts.empty += 1,
                Part::Failed { code, message } => {
                    parts.failed += 1;
                    failures.push(Failure {
                        study_type,
                        code,
                        message,
                    });
                }
            }
        }
        let partial = serde_json::to_vec(&failures).expect("numbers and texts are always JSON");
        let body = [
            br#"{"code":0,"message":"success","data":["#,
            data.as_slice(),
            br#"],"partial":"#,
            &partial,
            b"}",
        ];
        Self {
            types,
            body: body.concat(),
            failures,
            parts,
        }
    }

    /// Whether nothing could be had: there is no list then, not even an empty one.
    pub fn is_failure(&self) -> bool {
        self.failures.len() == self.types.len()
    }

    /// Its body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Makes the answer to the caller.
    pub fn into_answer(self) -> Response<Body> {
        let types: Vec<String> = self.types.iter().map(i64::to_string).collect();
        let partial: Vec<String> = self.failures.iter().map(Failure::for_header).collect();
        let mut response = Response::new(Body::new(self.body.into()));
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        );
        headers.insert(X_AIMIS_ANSWER, HeaderValue::from_static("merged"));
        for (name, list) in [(X_AIMIS_MERGED, types.join(",")), (X_AIMIS_PARTIAL, partial.join(", "))] {
            if !list.is_empty()
                && let Ok(value) = HeaderValue::from_str(&list)
            {
                headers.insert(name, value);
            }
        }
        response
    }
}

impl<'r> Part<'r> {
    fn of(reply: &'r Reply, terms: Terms<'_>) -> Self {
        let Some(code) = reply.envelope().code() else {
            return Self::failed(UpstreamError::NotEnvelope(Foreign::NotList, reply.head()), terms);
        };
        let rule = terms.codes.lookup(terms.api, code);
        let body = reply.body().strip_prefix(b"\xef\xbb\xbf").unwrap_or(reply.body());
        // Read through once, which the road never does: one wrong byte would spoil the other parts.
        let members: Option<Members<'r>> = serde_json::from_slice(body).ok();
        match (rule.class, members) {
            (Class::NoData, _) => Self::Nothing,
            (Class::Success, Some(members)) if reply.status().is_success() => match elements(members.data) {
                Some("") => Self::Nothing,
                Some(elements) => Self::Studies(elements),
                None => Self::failed(UpstreamError::NotEnvelope(Foreign::NotList, reply.head()), terms),
            },
            (Class::Success, _) => Self::failed(UpstreamError::NotEnvelope(Foreign::NotList, reply.head()), terms),
            (_, members) => {
                let said = members.and_then(|members| members.message);
                let meaning = match terms.language {
                    Language::Zh => rule.meaning_zh,
                    Language::En => rule.meaning_en,
                };
                Self::Failed {
                    code,
                    message: said
                        .filter(|text| text.get().starts_with('"'))
                        .map_or_else(|| quoted(meaning), ToOwned::to_owned),
                }
            }
        }
    }

    fn failed(no_reply: impl Into<NoReply>, terms: Terms<'_>) -> Self {
        let rejection = Rejection::from(no_reply.into());
        Self::Failed {
            code: rejection.public().code.into(),
            message: quoted(&rejection::message(&rejection, terms.language)),
        }
    }

    /// The same, unless it is more than there is room for.
    fn within(self, room: usize, terms: Terms<'_>) -> Self {
        match self {
            Self::Studies(elements) if elements.len() > room => Self::failed(UpstreamError::TooLarge, terms),
            other => other,
        }
    }
}

/// What stands between the brackets of a list, empty for what holds nothing; `None` if it is something else.
fn elements(data: Option<&RawValue>) -> Option<&str> {
    let Some(data) = data.map(RawValue::get) else {
        return Some("");
    };
    if holds_nothing(data.as_bytes()) {
        return Some("");
    }
    Some(data.strip_prefix('[')?.strip_suffix(']')?.trim())
}

fn quoted(text: &str) -> Box<RawValue> {
    serde_json::value::to_raw_value(text).expect("a text is always JSON")
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use proptest::prelude::*;

    use super::*;

    type Came = Result<Reply, NoReply>;

    fn came(body: &str) -> Came {
        Ok(Reply::made_up(StatusCode::OK, body))
    }

    fn merged_within(max_body: usize, replies: &[Came]) -> Merged {
        let codes = Codes::builtin();
        let terms = Terms {
            codes: &codes,
            api: "patientStudies",
            max_body,
            language: Language::En,
        };
        Merged::of((0..replies.len() as i64).collect(), replies, terms)
    }

    fn merged(replies: &[Came]) -> Merged {
        merged_within(1 << 20, replies)
    }

    fn text(merged: &Merged) -> &str {
        std::str::from_utf8(&merged.body).unwrap()
    }

    #[test]
    fn elements_stay_as_they_were_sent() {
        let merged = merged(&[
            came(r#"{"code":0,"data":[ {"n":1.10,"m":1E+2} , {"k":"\u4e2d\ud800"} ]}"#),
            came("\u{feff}{\"data\":[\n{\"big\":123456789012345678901234567890}\n],\"code\":\"0\"}"),
        ]);

        assert_eq!(
            text(&merged),
            r#"{"code":0,"message":"success","data":[{"n":1.10,"m":1E+2} , {"k":"\u4e2d\ud800"},{"big":123456789012345678901234567890}],"partial":[]}"#
        );
        assert_eq!(
            merged.parts,
            Parts {
                ok: 2,
                empty: 0,
                failed: 0
            }
        );
    }

    #[test]
    fn a_part_without_studies_is_no_failure() {
        let bodies = [
            r#"{"code":100004,"message":"no data"}"#,
            r#"{"code":0,"data":[]}"#,
            r#"{"code":0,"data":null}"#,
            r#"{"code":0,"data":{}}"#,
            r#"{"code":0,"data":" "}"#,
            r#"{"code":0}"#,
        ];
        let merged = merged(&bodies.map(came));

        assert_eq!(
            text(&merged),
            r#"{"code":0,"message":"success","data":[],"partial":[]}"#
        );
        assert_eq!(
            merged.parts,
            Parts {
                ok: 0,
                empty: 6,
                failed: 0
            }
        );
        assert!(!merged.is_failure());
    }

    #[test]
    fn what_failed_is_told_with_its_reason() {
        let merged = merged(&[
            came(r#"{"code":0,"data":[1]}"#),
            came(r#"{"code":30001,"message":"\u67e5\u8be2","data":[2]}"#),
            came(r#"{"code":90001,"message":7}"#),
            Err(UpstreamError::Deadline.into()),
            came(r#"{"code":0,"data":{"h5Url":"x"}}"#),
            came(r#"{"data":[3]}"#),
            came(r#"{"code":0,"data":[1}}"#),
        ]);

        let failures: serde_json::Value = serde_json::from_str(text(&merged)).unwrap();
        let codes: Vec<i64> = failures["partial"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f["code"].as_i64().unwrap())
            .collect();
        assert_eq!(codes, [30_001, 90_001, 800_302, 800_303, 800_303, 800_303]);
        assert!(text(&merged).contains(r#"{"studyType":1,"code":30001,"message":"\u67e5\u8be2"}"#));
        assert!(
            failures["partial"]
                .as_array()
                .unwrap()
                .iter()
                .all(|f| f["message"].is_string())
        );
        assert_eq!(failures["data"], serde_json::json!([1]));
        let answer = merged.into_answer();
        assert_eq!(answer.headers()[X_AIMIS_MERGED], "0,1,2,3,4,5,6");
        assert_eq!(
            answer.headers()[X_AIMIS_PARTIAL],
            "1=30001, 2=90001, 3=800302, 4=800303, 5=800303, 6=800303"
        );
    }

    #[test]
    fn an_error_page_with_a_good_code_is_a_failure() {
        let page = Ok(Reply::made_up(StatusCode::BAD_GATEWAY, r#"{"code":0,"data":[1]}"#));
        assert!(merged(&[page]).is_failure());
    }

    #[test]
    fn all_parts_together_are_bounded() {
        let list = || came(r#"{"code":0,"data":[12345]}"#);

        let merged = merged_within(11, &[list(), list(), came(r#"{"code":0,"data":[1]}"#)]);

        let answer: serde_json::Value = serde_json::from_str(text(&merged)).unwrap();
        assert_eq!(
            (&answer["data"], &answer["partial"][0]["code"]),
            (&serde_json::json!([12345, 12345]), &800_303.into())
        );
        assert_eq!(merged.parts.failed, 1);
    }

    proptest! {
        #[test]
        fn any_lists_are_concatenated(lists in proptest::collection::vec(proptest::collection::vec(any::<(String, i32)>(), 0..4), 1..6)) {
            let replies: Vec<Came> = lists
                .iter()
                .map(|list| came(&serde_json::json!({"code": 0, "data": list}).to_string()))
                .collect();
            let merged = merged(&replies);
            let answer: serde_json::Value = serde_json::from_str(text(&merged)).unwrap();
            prop_assert_eq!(&answer["data"], &serde_json::json!(lists.concat()));
            prop_assert_eq!(merged.parts.empty as usize, lists.iter().filter(|list| list.is_empty()).count());
        }
    }
}
