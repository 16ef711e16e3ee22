//! What the platform knows: hospitals, patients, studies, and the questions that can be asked of them.

mod demo;

use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// A patient. Every value in a simulation is made up.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Patient {
    /// Name, plain text.
    pub name: String,
    /// Identity number in canonical form: what has to come out of `idNum`, exactly.
    pub id_num: String,
    /// Telephone number in canonical form: what has to come out of `phoneNum`, exactly.
    pub phone_num: String,
    /// The number in the HIS.
    pub his_id: String,
    /// The platform's own patient id, which callbacks carry.
    pub patient_id: String,
    /// The page with the patient's consultations, if there are any.
    pub consultations_h5_url: Option<String>,
}

impl Patient {
    /// A patient without consultations; ids follow from the identity number.
    #[must_use]
    pub fn new(name: &str, id_num: &str, phone_num: &str) -> Self {
        let tag = fingerprint(id_num);
        Self {
            name: name.to_owned(),
            id_num: id_num.to_owned(),
            phone_num: phone_num.to_owned(),
            his_id: format!("HIS{}", &tag[..8]),
            patient_id: format!("P{}", &tag[8..16]),
            consultations_h5_url: None,
        }
    }
}

/// A study as `patientStudies` lists it. Serialises to the documented fields, in the documented order.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Study {
    /// HIS number of the patient.
    pub his_id: String,
    /// Key for `patientReportUrl`; empty while there is no report.
    pub report_id: String,
    /// 0 radiology, 1 ophthalmology, 2 pathology, 3 endoscopy, 4 electrocardiogram, 5 ultrasound.
    pub study_type: u8,
    /// `yyyy-MM-dd HH:mm:ss`, China Standard Time.
    pub study_date: String,
    /// Study number.
    pub study_id: String,
    /// Examined part.
    pub body_part: String,
    /// Item.
    pub study_name: String,
    /// Ordering doctor.
    pub apply_doctor: String,
    /// The doctor's id.
    pub apply_doctor_id: String,
    /// Ordering department.
    pub apply_dept: String,
    /// The department's id.
    pub apply_dept_id: String,
    /// Mini program.
    pub uni_app_id: String,
    /// Path in it.
    pub uni_path: String,
    /// Report page: a bearer link.
    pub h5_url: String,
    /// Image page: a bearer link.
    pub h5_detail_url: String,
    /// The hospital that made the study; not in answers, `dataFlag` 1 and 2 go by it.
    #[serde(skip)]
    pub hospital_id: String,
    /// The consortium of that hospital; not in answers, `dataFlag` 3 and 4 go by it.
    #[serde(skip)]
    pub union_id: String,
}

impl Study {
    /// A study with a report; the other fields are filled with made-up values that follow from `study_id`.
    #[must_use]
    pub fn new(study_id: &str, study_type: u8, study_date: &str, hospital_id: &str, union_id: &str) -> Self {
        let (body_part, study_name) = match study_type {
            0 => ("胸部", "胸部CT平扫"),
            1 => ("眼", "眼底照相"),
            2 => ("胃", "胃黏膜活检"),
            3 => ("胃", "电子胃镜检查"),
            4 => ("心脏", "十二导联心电图"),
            _ => ("腹部", "腹部彩超"),
        };
        let report_id = format!("R{study_id}");
        // A sibling's links carry a time and a token in the query (platform-api.md section 6).
        let query = format!("rid={report_id}&ts=1735689600&token={}", &fingerprint(study_id)[..32]);
        Self {
            his_id: String::new(),
            study_type,
            study_date: study_date.to_owned(),
            study_id: study_id.to_owned(),
            body_part: body_part.to_owned(),
            study_name: study_name.to_owned(),
            apply_doctor: "测试医生".to_owned(),
            apply_doctor_id: "D0001".to_owned(),
            apply_dept: "测试科室".to_owned(),
            apply_dept_id: "K0001".to_owned(),
            uni_app_id: "wx0000000000000000".to_owned(),
            uni_path: format!("pages/report/index?{query}"),
            h5_url: format!("https://imaging.example.com/report?{query}"),
            h5_detail_url: format!("https://imaging.example.com/images?{query}"),
            hospital_id: hospital_id.to_owned(),
            union_id: union_id.to_owned(),
            report_id,
        }
    }
}

/// All that the platform knows.
#[derive(Clone, Debug, Default)]
pub struct Data {
    hospitals: Vec<String>,
    unions: Vec<String>,
    patients: Vec<(Patient, Vec<Study>)>,
    by_identity: HashMap<String, usize>,
    /// Report id to patient and study.
    reports: HashMap<String, (usize, usize)>,
}

/// Which studies are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StudyQuery<'a> {
    pub(crate) hospital_id: &'a str,
    pub(crate) union_id: &'a str,
    pub(crate) study_type: u8,
    pub(crate) data_flag: u8,
    /// Both ends belong to the window.
    pub(crate) begin: &'a str,
    pub(crate) end: &'a str,
}

impl StudyQuery<'_> {
    fn takes(&self, study: &Study) -> bool {
        let (own, consortium) = (study.hospital_id == self.hospital_id, study.union_id == self.union_id);
        let flagged = match self.data_flag {
            0 => true,
            1 => own,
            2 => !own,
            3 => consortium,
            _ => !consortium,
        };
        let date = study.study_date.as_str();
        flagged && study.study_type == self.study_type && (self.begin..=self.end).contains(&date)
    }
}

impl Data {
    /// Nothing known, not even a hospital.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Four made-up patients with studies of every kind in three hospitals of two consortia.
    ///
    /// The first is that of the golden vectors: 张三, 11010119000101009X, 13800138000.
    #[must_use]
    pub fn demo() -> Self {
        demo::data()
    }

    /// Makes a hospital and a consortium known.
    pub fn add_hospital(&mut self, hospital_id: &str, union_id: &str) {
        for (known, id) in [(&mut self.hospitals, hospital_id), (&mut self.unions, union_id)] {
            if !known.iter().any(|known| known == id) {
                known.push(id.to_owned());
            }
        }
    }

    /// Adds a patient; one with the same identity number is replaced and keeps the studies.
    pub fn add_patient(&mut self, patient: Patient) {
        match self.by_identity.get(&patient.id_num) {
            Some(&known) => self.patients[known].0 = patient,
            None => {
                self.by_identity.insert(patient.id_num.clone(), self.patients.len());
                self.patients.push((patient, Vec::new()));
            }
        }
    }

    /// Adds a study to the patient with this identity number, and its hospital and consortium.
    /// An empty `his_id` becomes the patient's. False when there is no such patient.
    pub fn add_study(&mut self, id_num: &str, mut study: Study) -> bool {
        let Some(&patient) = self.by_identity.get(id_num) else {
            return false;
        };
        self.add_hospital(&study.hospital_id, &study.union_id);
        let (owner, studies) = &mut self.patients[patient];
        if study.his_id.is_empty() {
            study.his_id.clone_from(&owner.his_id);
        }
        if !study.report_id.is_empty() {
            self.reports.insert(study.report_id.clone(), (patient, studies.len()));
        }
        studies.push(study);
        true
    }

    /// Every patient with the studies.
    pub fn patients(&self) -> impl Iterator<Item = (&Patient, &[Study])> {
        self.patients
            .iter()
            .map(|(patient, studies)| (patient, studies.as_slice()))
    }

    /// The study with this number, and its patient.
    #[must_use]
    pub fn study(&self, study_id: &str) -> Option<(&Patient, &Study)> {
        self.patients
            .iter()
            .find_map(|(patient, studies)| Some((patient, studies.iter().find(|study| study.study_id == study_id)?)))
    }

    pub(crate) fn knows_hospital(&self, id: &str) -> bool {
        self.hospitals.iter().any(|known| known == id)
    }

    pub(crate) fn knows_union(&self, id: &str) -> bool {
        self.unions.iter().any(|known| known == id)
    }

    /// The patient whose numbers are exactly these; one that is not given matches any.
    pub(crate) fn patient(&self, id_num: Option<&str>, phone_num: Option<&str>) -> Option<(&Patient, &[Study])> {
        let found = match (id_num, phone_num) {
            (Some(id), _) => self.by_identity.get(id).and_then(|&at| self.patients.get(at)),
            (None, Some(phone)) => self.patients.iter().find(|(patient, _)| patient.phone_num == phone),
            (None, None) => None,
        };
        let (patient, studies) = found?;
        phone_num
            .is_none_or(|phone| patient.phone_num == phone)
            .then_some((patient, studies.as_slice()))
    }

    pub(crate) fn studies<'a>(studies: &'a [Study], query: &'a StudyQuery<'a>) -> impl Iterator<Item = &'a Study> {
        studies.iter().filter(|study| query.takes(study))
    }

    pub(crate) fn report(&self, report_id: &str) -> Option<(&Patient, &Study)> {
        let &(patient, study) = self.reports.get(report_id)?;
        let (patient, studies) = self.patients.get(patient)?;
        Some((patient, studies.get(study)?))
    }
}

fn fingerprint(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_patients_are_distinct_and_have_studies_of_every_kind() {
        let data = Data::demo();
        let studies: Vec<_> = data.patients().flat_map(|(_, studies)| studies).collect();

        assert_eq!(data.patients().count(), 4);
        assert_eq!(data.by_identity.len(), 4);
        assert!((0..6).all(|kind| studies.iter().any(|study| study.study_type == kind)));
        assert_eq!(
            data.reports.len(),
            studies.iter().filter(|study| !study.report_id.is_empty()).count()
        );
        assert!(
            studies
                .iter()
                .all(|study| crate::date::is_study_time(&study.study_date))
        );
        assert_eq!(
            data.patient(Some("11010119000101009X"), Some("13800138000"))
                .unwrap()
                .0
                .name,
            "张三"
        );
    }

    #[test]
    fn both_numbers_have_to_match() {
        let data = Data::demo();

        assert!(data.patient(Some("11010119000101009X"), Some("13800138001")).is_none());
        assert!(data.patient(Some("11010119000101009x"), Some("13800138000")).is_none());
        assert!(data.patient(None, Some("13800138000")).is_some());
        assert!(data.patient(None, None).is_none());
    }
}
