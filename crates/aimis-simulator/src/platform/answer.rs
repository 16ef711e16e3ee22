//! The three questions answered: authenticated, read, looked up, put into the envelope.

use super::auth::authenticate;
use super::fields::Fields;
use super::refusal::Refusal;
use super::state::State;
use super::{PATIENT_CONSULTATIONS, PATIENT_REPORT_URL, PATIENT_STUDIES};
use crate::account::ReadyAccount;
use crate::crypto::{Key, Switches};
use crate::data::{Data, Patient, Study, StudyQuery};
use crate::wire::{Request, Response};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An answer, and what recording wants to know of its making.
pub(super) struct Judged {
    pub(super) response: Response,
    pub(super) verdict: Option<i64>,
    pub(super) decrypted: Option<BTreeMap<String, String>>,
}

impl Judged {
    fn http(response: Response) -> Self {
        Self {
            response,
            verdict: None,
            decrypted: None,
        }
    }
}

/// The platform's answer to `request`, before any fault.
pub(super) fn answer(state: &State, request: &Request, now_ms: i64) -> Judged {
    let head = &request.head;
    let path = head.target().split('?').next().unwrap_or_default();
    let mut parts = path.strip_prefix("/thirdparty/").unwrap_or_default().split('/');
    let (Some(api), Some(app_id), None) = (parts.next(), parts.next(), parts.next()) else {
        return Judged::http(Response::text(404, "no such path\n"));
    };
    if app_id.is_empty() || !(is_documented(api) || state.has_reply(api)) {
        return Judged::http(Response::text(404, "no such path\n"));
    }
    if head.method() != "POST" {
        return Judged::http(Response::text(405, "POST only\n").header("Allow", "POST"));
    }
    if !head.single("content-type").is_some_and(is_json) {
        return Judged::http(Response::text(415, "application/json only\n"));
    }
    let mut decrypted = None;
    let outcome = authenticate(state, app_id, head, now_ms)
        .and_then(|(account, key)| ask(state, api, &account, key, &request.body, &mut decrypted));
    let (response, verdict) = match outcome {
        Ok(data) => (
            state
                .reply(api)
                .unwrap_or_else(|| Response::json(envelope(0, "success", &state.request_id(), Some(&data)))),
            0,
        ),
        Err(refusal) => (
            Response::json(state.error_envelope(refusal.code, &refusal.message)),
            refusal.code,
        ),
    };
    Judged {
        response,
        verdict: Some(verdict),
        decrypted,
    }
}

fn is_documented(api: &str) -> bool {
    [PATIENT_STUDIES, PATIENT_CONSULTATIONS, PATIENT_REPORT_URL].contains(&api)
}

/// `application/json`, any parameter but a charset other than UTF-8.
fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.eq_ignore_ascii_case("charset").then(|| value.trim_matches('"'))
    });
    essence.eq_ignore_ascii_case("application/json")
        && charset.is_none_or(|charset| charset.eq_ignore_ascii_case("utf-8"))
}

/// The envelope; `data` is JSON already, and absent when `None`.
pub(super) fn envelope(code: i64, message: &str, request_id: &str, data: Option<&str>) -> Vec<u8> {
    let message = serde_json::to_string(message).unwrap_or_default();
    let mut body = format!("{{\"code\":{code},\"message\":{message},\"requestId\":\"{request_id}\"");
    if let Some(data) = data {
        body.push_str(",\"data\":");
        body.push_str(data);
    }
    body.push('}');
    body.into_bytes()
}

/// The `data` of a successful answer as JSON.
fn ask(
    state: &State,
    api: &str,
    account: &Arc<ReadyAccount>,
    key: usize,
    body: &[u8],
    decrypted: &mut Option<BTreeMap<String, String>>,
) -> Result<String, Refusal> {
    let switches = state.switches();
    let key = account
        .keys
        .get(key)
        .ok_or_else(|| Refusal::new(90_002, "invalid signature"))?;
    let fields = Fields::parse(body)?;
    let who = Who::open(&fields, key, &switches)?;
    *decrypted = Some(who.to_map());
    let data = state.data();
    match api {
        PATIENT_STUDIES => studies(&data, &fields, &who, state.empty_is_100004()),
        PATIENT_CONSULTATIONS => consultations(&data, &fields, &who),
        PATIENT_REPORT_URL => report_url(&data, &fields, &who),
        // A sibling API that a test has taught us by a canned reply.
        _ => Ok("null".to_owned()),
    }
}

/// The two numbers that say who is asked about.
struct Who {
    phone_num: Option<String>,
    id_num: Option<String>,
}

impl Who {
    fn open(fields: &Fields, key: &Key, switches: &Switches) -> Result<Self, Refusal> {
        let phone_num = fields.encrypted("phoneNum", key, switches, super::fields::looks_like_phone)?;
        let id_num = fields.encrypted("idNum", key, switches, super::fields::looks_like_identity)?;
        Ok(Self { phone_num, id_num })
    }

    fn to_map(&self) -> BTreeMap<String, String> {
        let pairs = [("phoneNum", &self.phone_num), ("idNum", &self.id_num)];
        pairs
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
            .collect()
    }

    fn find<'a>(&self, data: &'a Data) -> Option<(&'a Patient, &'a [Study])> {
        data.patient(self.id_num.as_deref(), self.phone_num.as_deref())
    }

    fn is(&self, patient: &Patient) -> bool {
        let same = |given: &Option<String>, known: &str| given.as_ref().is_none_or(|given| given == known);
        same(&self.id_num, &patient.id_num) && same(&self.phone_num, &patient.phone_num)
    }
}

fn studies(data: &Data, fields: &Fields, who: &Who, empty_is_100004: bool) -> Result<String, Refusal> {
    fields.optional_text("hisId")?;
    fields.optional_text("patientName")?;
    let hospital_id = fields.text("hospitalId")?;
    let union_id = fields.text("unionId")?;
    let study_type = fields.integer("studyType", 5)?;
    let data_flag = fields.integer("dataFlag", 4)?;
    fields.integer("usage", 2)?;
    let begin = fields.study_time("studyDateBegin")?;
    let end = fields.study_time("studyDateEnd")?;
    if begin > end {
        return Err(Refusal::new(
            20_030,
            "format not valid: studyDateBegin is after studyDateEnd",
        ));
    }
    known_hospital(data, hospital_id)?;
    known_union(data, union_id)?;
    let query = StudyQuery {
        hospital_id,
        union_id,
        study_type,
        data_flag,
        begin,
        end,
    };
    let all = who.find(data).map(|(_, studies)| studies).unwrap_or_default();
    let found: Vec<&Study> = Data::studies(all, &query).collect();
    if found.is_empty() && empty_is_100004 {
        return Err(Refusal::new(100_004, "no data found"));
    }
    Ok(to_json(&found))
}

fn consultations(data: &Data, fields: &Fields, who: &Who) -> Result<String, Refusal> {
    fields.text("hisId")?;
    fields.optional_text("patientName")?;
    known_hospital(data, fields.text("hospitalId")?)?;
    known_union(data, fields.text("unionId")?)?;
    let url = who
        .find(data)
        .and_then(|(patient, _)| patient.consultations_h5_url.as_deref());
    let url = url.ok_or_else(|| Refusal::new(100_004, "no data found"))?;
    Ok(to_json(&json!({ "h5Url": url })))
}

fn report_url(data: &Data, fields: &Fields, who: &Who) -> Result<String, Refusal> {
    let report_id = fields.text("reportId")?;
    known_hospital(data, fields.text("hospitalId")?)?;
    let (owner, study) = data
        .report(report_id)
        .ok_or_else(|| Refusal::new(30_003, "report does not exist"))?;
    if !who.is(owner) {
        return Err(Refusal::new(30_009, "no permission to view the study"));
    }
    Ok(to_json(&json!({
        "h5Url": study.h5_url,
        "h5DetailUrl": study.h5_detail_url,
        "studyId": study.study_id,
    })))
}

fn known_hospital(data: &Data, id: &str) -> Result<(), Refusal> {
    if data.knows_hospital(id) {
        Ok(())
    } else {
        Err(Refusal::new(20_016, "institution does not exist"))
    }
}

fn known_union(data: &Data, id: &str) -> Result<(), Refusal> {
    if data.knows_union(id) {
        Ok(())
    } else {
        Err(Refusal::new(20_023, "consortium does not exist"))
    }
}

fn to_json(value: &impl Serialize) -> String {
    // Strings and numbers under string keys cannot fail to serialise.
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_a_media_type_and_not_a_substring() {
        for good in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
        ] {
            assert!(is_json(good), "{good}");
        }
        for bad in [
            "text/json",
            "application/jsonp",
            "application/json; charset=gbk",
            "text/plain; application/json",
            "",
        ] {
            assert!(!is_json(bad), "{bad}");
        }
    }
}
