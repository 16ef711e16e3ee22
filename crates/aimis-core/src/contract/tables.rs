//! The built-in contracts: the three queries and the status callback.

use std::sync::Arc;

use crate::datetime::Edge;

use super::{
    Answer, Contract, DATA_FLAG, Field, FieldKind, HIS_ID, HOSPITAL_ID, ID_NUM, PATIENT_NAME, PHONE_NUM, REPORT_ID,
    STATUS, STUDY_DATE_BEGIN, STUDY_DATE_END, STUDY_ID, STUDY_TYPE, UNION_ID, USAGE,
};

/// Study list: section 4.
pub fn patient_studies() -> Contract {
    use FieldKind::{DateTime, IdNumber, Phone, Text};
    let fields = vec![
        Field::required(PHONE_NUM, Phone),
        Field::required(ID_NUM, IdNumber),
        Field::optional(HIS_ID, Text),
        Field::optional(PATIENT_NAME, Text),
        Field::required(HOSPITAL_ID, Text),
        Field::required(UNION_ID, Text),
        Field::required(STUDY_TYPE, FieldKind::Integer { min: 0, max: 5 }),
        Field::required(DATA_FLAG, FieldKind::Integer { min: 0, max: 4 }),
        Field::required(USAGE, FieldKind::Integer { min: 0, max: 2 }),
        Field::required(STUDY_DATE_BEGIN, DateTime(Edge::Begin)),
        Field::required(STUDY_DATE_END, DateTime(Edge::End)),
    ];
    Contract::new("patientStudies", fields)
        .and_then(|contract| contract.with_window(STUDY_DATE_BEGIN, STUDY_DATE_END))
        .expect("the built-in tables are tested")
        .with_answer(Answer::List)
}

/// Link to a patient's consultations: section 5.
pub fn patient_consultations() -> Contract {
    use FieldKind::{IdNumber, Phone, Text};
    let fields = vec![
        Field::required(HIS_ID, Text),
        Field::required(PHONE_NUM, Phone),
        Field::required(ID_NUM, IdNumber),
        Field::optional(PATIENT_NAME, Text),
        Field::required(HOSPITAL_ID, Text),
        Field::required(UNION_ID, Text),
    ];
    Contract::new("patientConsultations", fields).expect("the built-in tables are tested")
}

/// Links to a report and its images: section 6. It has no `unionId`.
pub fn patient_report_url() -> Contract {
    use FieldKind::{IdNumber, Phone, Text};
    let fields = vec![
        Field::required(REPORT_ID, Text),
        Field::required(PHONE_NUM, Phone),
        Field::required(ID_NUM, IdNumber),
        Field::required(HOSPITAL_ID, Text),
    ];
    Contract::new("patientReportUrl", fields)
        .expect("the built-in tables are tested")
        .link_only()
}

/// The three queries a HIS may send, in the order of the specification.
pub fn queries() -> Vec<Contract> {
    vec![patient_studies(), patient_consultations(), patient_report_url()]
}

/// Status callback: section 8. Set its personal fields decrypted.
///
/// It is wider than the documented table wherever refusing would lose an event for good, since redelivery is unknown:
/// `status` and `studyType` take any whole number (unknown ones are stored and passed on), `studyDate` is text in
/// whatever form, and the links may be empty before there is a report.
pub fn status_callback() -> Contract {
    use FieldKind::{IdNumber, Phone, Text};
    const OPEN: FieldKind = FieldKind::Integer {
        min: i64::MIN,
        max: i64::MAX,
    };
    let fields = vec![
        Field::required(STATUS, OPEN),
        Field::required(PHONE_NUM, Phone),
        Field::required(ID_NUM, IdNumber),
        Field::required("patientId", Text),
        Field::required(HOSPITAL_ID, Text),
        Field::optional(HIS_ID, Text),
        Field::required(STUDY_TYPE, OPEN),
        Field::required("studyDate", Text),
        Field::required(STUDY_ID, Text),
        Field::optional("bodyPart", Text),
        Field::optional("studyName", Text),
        Field::optional("h5Url", Text),
        Field::optional("h5DetailUrl", Text),
        Field::required(REPORT_ID, Text),
    ];
    Contract::new("statusCallback", fields).expect("the built-in tables are tested")
}

/// [`queries`], each ready to be shared by orders.
pub fn shared_queries() -> Vec<Arc<Contract>> {
    queries().into_iter().map(Arc::new).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Window;
    use super::*;

    fn names(contract: &Contract) -> String {
        let name = |f: &Field| format!("{}{}", f.name, if f.required { "" } else { "?" });
        contract.fields().iter().map(name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_tables_are_those_of_the_specification() {
        let [studies, consultations, report] = <[_; 3]>::try_from(queries()).unwrap();
        assert_eq!(
            names(&studies),
            "phoneNum idNum hisId? patientName? hospitalId unionId studyType dataFlag usage studyDateBegin studyDateEnd"
        );
        assert_eq!(
            names(&consultations),
            "hisId phoneNum idNum patientName? hospitalId unionId"
        );
        assert_eq!(names(&report), "reportId phoneNum idNum hospitalId");
        assert_eq!(studies.windows(), [Window { begin: 9, end: 10 }]);
        assert!(report.is_link_only() && !studies.is_link_only());
        assert_eq!(studies.answer(), Answer::List);
        assert_eq!(status_callback().fields().len(), 14);
    }
}
