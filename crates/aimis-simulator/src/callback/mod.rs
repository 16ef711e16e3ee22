//! Status callbacks as the platform sends them (platform-api.md, section 8), and forged ones.

mod sender;

pub use sender::{CallbackReply, CallbackSender, Encoding};

use crate::account::Account;
use crate::crypto::Switches;
use crate::data::{Patient, Study};
use serde_json::Value;

/// A callback before encryption: fields in the documented order, numbers as JSON numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Callback {
    /// 0 exam information only, 1 report, 2 images, 3 report and images.
    pub status: i64,
    /// Telephone number in clear; encrypted when sent.
    pub phone_num: String,
    /// Identity number in clear; encrypted when sent.
    pub id_num: String,
    /// The platform's patient id.
    pub patient_id: String,
    /// Selects the tenant.
    pub hospital_id: String,
    /// HIS number.
    pub his_id: Option<String>,
    /// 0 to 5, as in the study list.
    pub study_type: i64,
    /// `yyyy-MM-dd HH:mm:ss`.
    pub study_date: String,
    /// Study number.
    pub study_id: String,
    /// Examined part.
    pub body_part: Option<String>,
    /// Item.
    pub study_name: Option<String>,
    /// Report page; may be empty before there is one.
    pub h5_url: String,
    /// Image page; may be empty before there is one.
    pub h5_detail_url: String,
    /// Key for `patientReportUrl`.
    pub report_id: String,
    /// Fields put in, or in place, after encryption: unknown ones, wrong types, foreign ciphertexts.
    pub overrides: Vec<(String, Value)>,
    /// Fields left out.
    pub omitted: Vec<String>,
}

impl Callback {
    /// The callback about a study of a patient.
    #[must_use]
    pub fn about(patient: &Patient, study: &Study, status: i64) -> Self {
        Self {
            status,
            phone_num: patient.phone_num.clone(),
            id_num: patient.id_num.clone(),
            patient_id: patient.patient_id.clone(),
            hospital_id: study.hospital_id.clone(),
            his_id: Some(study.his_id.clone()).filter(|id| !id.is_empty()),
            study_type: i64::from(study.study_type),
            study_date: study.study_date.clone(),
            study_id: study.study_id.clone(),
            body_part: Some(study.body_part.clone()),
            study_name: Some(study.study_name.clone()),
            h5_url: study.h5_url.clone(),
            h5_detail_url: study.h5_detail_url.clone(),
            report_id: study.report_id.clone(),
            overrides: Vec::new(),
            omitted: Vec::new(),
        }
    }

    /// A report with images (status 3) for the patient of the golden vectors at the demo hospital.
    #[must_use]
    pub fn demo() -> Self {
        let patient = Patient::new("张三", "11010119000101009X", "13800138000");
        let study = Study::new(
            "S1001",
            0,
            "2024-12-05 09:30:00",
            crate::DEMO_HOSPITAL,
            crate::DEMO_UNION,
        );
        Self {
            his_id: Some(patient.his_id.clone()),
            ..Self::about(&patient, &study, 3)
        }
    }

    /// The same with another study number, and the report id that goes with it.
    #[must_use]
    pub fn study(mut self, study_id: &str) -> Self {
        study_id.clone_into(&mut self.study_id);
        self.report_id = format!("R{study_id}");
        self
    }

    /// The same with another status.
    #[must_use]
    pub fn status(mut self, status: i64) -> Self {
        self.status = status;
        self
    }

    /// Puts a field in, or in place, as it is: after encryption.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.overrides.push((name.to_owned(), value.into()));
        self
    }

    /// Leaves a field out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.omitted.push(name.to_owned());
        self
    }

    /// The fields as they go over the wire, encrypted for `account`.
    #[must_use]
    pub fn fields(&self, account: &Account, switches: &Switches) -> Vec<(String, Value)> {
        let optional = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
        let mut fields: Vec<(String, Value)> = [
            ("status", self.status.into()),
            ("phoneNum", account.encrypt(&self.phone_num, switches).into()),
            ("idNum", account.encrypt(&self.id_num, switches).into()),
            ("patientId", self.patient_id.as_str().into()),
            ("hospitalId", self.hospital_id.as_str().into()),
            ("hisId", optional(&self.his_id)),
            ("studyType", self.study_type.into()),
            ("studyDate", self.study_date.as_str().into()),
            ("studyId", self.study_id.as_str().into()),
            ("bodyPart", optional(&self.body_part)),
            ("studyName", optional(&self.study_name)),
            ("h5Url", self.h5_url.as_str().into()),
            ("h5DetailUrl", self.h5_detail_url.as_str().into()),
            ("reportId", self.report_id.as_str().into()),
        ]
        .into_iter()
        .filter(|(_, value): &(&str, Value)| !value.is_null())
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        for (name, value) in &self.overrides {
            match fields.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known = value.clone(),
                None => fields.push((name.clone(), value.clone())),
            }
        }
        fields.retain(|(name, _)| !self.omitted.contains(name));
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_can_be_forged_and_left_out() {
        let callback = Callback::demo()
            .with("status", "7")
            .with("extra", 1)
            .without("reportId")
            .without("hisId");

        let fields = callback.fields(&Account::demo(), &Switches::default());

        assert_eq!(fields[0], ("status".into(), "7".into()));
        assert_eq!(fields.last().unwrap(), &("extra".to_owned(), Value::from(1)));
        assert!(!fields.iter().any(|(name, _)| name == "reportId" || name == "hisId"));
    }
}
