//! A study list of the platform, as far as a callback would tell of it.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::callback::listed::Listed;

/// The answer is no study list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoList;

#[derive(serde::Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Row {
    his_id: Text,
    report_id: Text,
    study_type: Text,
    study_date: Text,
    study_id: Text,
    body_part: Text,
    study_name: Text,
    h5_url: Text,
    h5_detail_url: Text,
}

/// A text, or a number as its digits; nothing where there is `null`.
#[derive(Default)]
struct Text(Zeroizing<String>);

/// Reads an answer of class success. A row that is none, or names no study, is left out.
pub(super) fn read(body: &[u8]) -> Result<Vec<Listed>, NoList> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|_| NoList)?;
    let Some(data) = answer.data.filter(|data| data.get().starts_with('[')) else {
        return Ok(Vec::new());
    };
    let rows: Vec<&RawValue> = serde_json::from_str(data.get()).map_err(|_| NoList)?;
    Ok(rows.into_iter().filter_map(|row| listed(row.get())).collect())
}

fn listed(row: &str) -> Option<Listed> {
    let row: Row = serde_json::from_str(row).ok()?;
    let listed = Listed {
        study_type: row.study_type.0.trim().parse().ok()?,
        study_id: row.study_id.0,
        report_id: row.report_id.0,
        study_date: row.study_date.0,
        body_part: row.body_part.0,
        study_name: row.study_name.0,
        his_id: row.his_id.0,
        h5_url: row.h5_url.0,
        h5_detail_url: row.h5_detail_url.0,
    };
    (!listed.study_id.trim().is_empty()).then_some(listed)
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Words)
    }
}

struct Words;

impl Visitor<'_> for Words {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a number")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text(Zeroizing::new(text.to_owned())))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Text, E> {
        Ok(Text(Zeroizing::new(number.to_string())))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Text, E> {
        Ok(Text(Zeroizing::new(number.to_string())))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Text, E> {
        Ok(Text::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_what_is_none_is_left_out() {
        let body = "\u{feff}{\"code\":0,\"data\":[\
            {\"studyId\":\"S1\",\"reportId\":\"R1\",\"studyType\":0,\"h5Url\":\"https://a/\",\"h5DetailUrl\":\"\",\"more\":[1]},\
            {\"studyId\":7,\"studyType\":\"5\",\"reportId\":null,\"h5DetailUrl\":\"https://a/\"},\
            {\"studyId\":\"\",\"studyType\":0},{\"studyId\":\"S2\"},{\"studyId\":[1],\"studyType\":0},null,3]}";
        let rows = read(body.as_bytes()).unwrap();
        let seen: Vec<_> = rows
            .iter()
            .map(|row| (row.study_id.as_str(), row.report_id.as_str(), row.study_type, row.has()))
            .collect();
        assert_eq!(seen, [("S1", "R1", 0, 1), ("7", "", 5, 2)]);
    }

    #[test]
    fn an_answer_without_studies_is_an_empty_list_and_half_of_one_is_none() {
        for body in ["{\"code\":0}", "{\"code\":0,\"data\":null}", "{\"code\":0,\"data\":{}}"] {
            assert!(read(body.as_bytes()).unwrap().is_empty(), "{body}");
        }
        assert!(read(b"{\"code\":0,\"data\":[{\"studyId\":").is_err());
    }
}
