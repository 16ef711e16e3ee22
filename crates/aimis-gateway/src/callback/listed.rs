//! A study in a list becomes an event, as if its callback had come.
//!
//! A list has no `status`, so it is told from the links: a report has a page, and so have images (platform-api.md,
//! section 8: "may be empty before there is one"). Nor has it a `patientId`, which is empty then.

use aimis_core::sign::Timestamp;
use zeroize::Zeroizing;

use super::event::{NewEvent, Origin, Payload, QuarantineReason, Tag, Tags};
use super::links;
use super::open::{Patient, Told, object};
use crate::config::LinkHost;
use crate::tenant::TenantName;

/// A study as a list has it. Its texts are wiped when dropped.
#[derive(Default)]
pub struct Listed {
    /// `studyType`.
    pub study_type: i64,
    /// `studyId`, never empty.
    pub study_id: Zeroizing<String>,
    /// `reportId`; empty before there is a report.
    pub report_id: Zeroizing<String>,
    /// `studyDate`, as it stands.
    pub study_date: Zeroizing<String>,
    /// `bodyPart`.
    pub body_part: Zeroizing<String>,
    /// `studyName`.
    pub study_name: Zeroizing<String>,
    /// `hisId`.
    pub his_id: Zeroizing<String>,
    /// `h5Url`, the page of the report.
    pub h5_url: Zeroizing<String>,
    /// `h5DetailUrl`, the page of the images.
    pub h5_detail_url: Zeroizing<String>,
}

/// Whose list it is.
pub struct Subject<'a> {
    /// The tenant.
    pub tenant: &'a TenantName,
    /// Its hospital: the list was asked for with `dataFlag` 1, so every study in it is of this one.
    pub hospital_id: &'a str,
    /// Where links may lead; `None` for anywhere.
    pub link_hosts: Option<&'a [LinkHost]>,
    /// Whom it was asked about.
    pub patient: &'a Patient,
}

impl Listed {
    /// What the study has: bit 0 a report, bit 1 images. So it is also the status that a callback would have.
    pub fn has(&self) -> u8 {
        let there = |link: &str| u8::from(!link.trim().is_empty());
        there(&self.h5_url) | there(&self.h5_detail_url) << 1
    }

    /// Tells this study and report from others, whatever they have.
    pub fn tag(&self, subject: &Subject<'_>, tags: &Tags) -> Tag {
        self.tag_with(&self.report_id, subject, tags)
    }

    /// [`Self::tag`] of this study when it had no report.
    pub fn tag_before_report(&self, subject: &Subject<'_>, tags: &Tags) -> Tag {
        self.tag_with("", subject, tags)
    }

    /// The event.
    pub fn event(&self, subject: &Subject<'_>, tags: &Tags, now: Timestamp) -> NewEvent {
        let (tenant, has) = (subject.tenant, self.has());
        let identity = |status: u8| {
            let (hospital, study, report) = (subject.hospital_id, &self.study_id, &self.report_id);
            tags.identity(tenant, hospital, study, report, i64::from(status))
        };
        let told_by = [0, 1, 2, 3].map(identity);
        let study_type = self.study_type.to_string();
        let members = [&study_type, &*self.study_date, &self.body_part, &self.study_name];
        let gist = tags.gist(tenant, identity(has), members.map(String::as_str));
        let mut members = vec![
            ("status", Told::Number(i64::from(has))),
            ("phoneNum", Told::Text(&subject.patient.phone_num)),
            ("idNum", Told::Text(&subject.patient.id_num)),
            ("patientId", Told::Text("")),
            ("hospitalId", Told::Text(subject.hospital_id)),
            ("hisId", Told::Text(&self.his_id)),
            ("studyType", Told::Number(self.study_type)),
            ("studyDate", Told::Text(&self.study_date)),
            ("studyId", Told::Text(&self.study_id)),
            ("bodyPart", Told::Text(&self.body_part)),
            ("studyName", Told::Text(&self.study_name)),
            ("h5Url", Told::Text(&self.h5_url)),
            ("h5DetailUrl", Told::Text(&self.h5_detail_url)),
            ("reportId", Told::Text(&self.report_id)),
        ];
        let payload = object(&members);
        members.sort_unstable_by_key(|(name, _)| *name);
        let strays = |hosts: &[LinkHost]| {
            let links = [&self.h5_url, &self.h5_detail_url];
            links
                .iter()
                .any(|link| !link.trim().is_empty() && !links::leads_to(link, hosts))
        };
        NewEvent {
            tenant: tenant.clone(),
            study: tags.study(tenant, subject.hospital_id, &self.study_id),
            identity: identity(has),
            body: tags.body(tenant, &object(&members)),
            payload: Payload::new(payload),
            signed: None,
            quarantine: subject
                .link_hosts
                .is_some_and(strays)
                .then_some(QuarantineReason::LinkHost),
            received_at: now,
            origin: Origin::List { gist, has, told_by },
        }
    }

    fn tag_with(&self, report_id: &str, subject: &Subject<'_>, tags: &Tags) -> Tag {
        // No callback has this status.
        tags.identity(subject.tenant, subject.hospital_id, &self.study_id, report_id, -1)
    }
}
