//! The demo data. Nobody here exists: the numbers are those of the golden vectors or runs of zeros.

use super::{Data, Patient, Study};
use crate::account::{DEMO_HOSPITAL as H1, DEMO_UNION as U1};

/// A second hospital of the same consortium.
const H2: &str = "H0002";
/// A hospital of another consortium.
const H3: &str = "H0003";
const U2: &str = "U0002";

/// Study number, type, date, hospital, consortium.
type Row = (&'static str, u8, &'static str, &'static str, &'static str);

const FIRST: &[Row] = &[
    ("S1001", 0, "2024-12-05 09:30:00", H1, U1),
    ("S1002", 0, "2024-12-20 14:00:00", H1, U1),
    ("S1003", 0, "2024-12-31 23:59:59", H2, U1),
    ("S1004", 0, "2024-12-15 08:00:00", H3, U2),
    ("S1005", 1, "2024-11-11 10:00:00", H1, U1),
    ("S1006", 2, "2024-10-01 00:00:00", H1, U1),
    ("S1007", 3, "2024-12-10 11:20:00", H2, U1),
    ("S1008", 4, "2024-12-24 07:45:00", H1, U1),
    ("S1009", 5, "2024-12-24 08:15:00", H3, U2),
    ("S1010", 0, "2023-06-01 16:00:00", H1, U1),
];
const SECOND: &[Row] = &[
    ("S2001", 0, "2024-12-06 10:00:00", H1, U1),
    ("S2002", 5, "2024-12-07 10:00:00", H2, U1),
    ("S2003", 3, "2024-09-30 15:30:00", H3, U2),
];
const THIRD: &[Row] = &[("S3001", 4, "2024-12-18 13:10:00", H1, U1)];

pub(super) fn data() -> Data {
    let mut data = Data::empty();
    for (hospital, consortium) in [(H1, U1), (H2, U1), (H3, U2)] {
        data.add_hospital(hospital, consortium);
    }
    let people: [(&str, &str, &str, bool, &[Row]); 4] = [
        ("张三", "11010119000101009X", "13800138000", true, FIRST),
        ("欧阳测试", "440101190001010010", "13800138001", true, SECOND),
        ("测试患者甲", "H12345678", "13800138002", false, THIRD),
        ("测试患者乙", "110101190001010014", "13800138003", false, &[]),
    ];
    for (name, id_num, phone_num, consulted, rows) in people {
        let mut patient = Patient::new(name, id_num, phone_num);
        if consulted {
            let url = format!(
                "https://imaging.example.com/consultations?pid={}&token=c0ffee00",
                patient.patient_id
            );
            patient.consultations_h5_url = Some(url);
        }
        data.add_patient(patient);
        for (study_id, kind, date, hospital, consortium) in rows {
            data.add_study(id_num, Study::new(study_id, *kind, date, hospital, consortium));
        }
    }
    data
}
