//! The platform's answer to every question: a list of studies, of a given size.

/// A success with so many bytes, at least 64.
pub fn body(bytes: usize) -> Vec<u8> {
    const END: &str = "]}";
    let mut text = String::from(r#"{"code":0,"message":"success","data":["#);
    let study = |number: usize, name: &str| {
        format!(
            r#"{{"hisId":"P{number:07}","reportId":"R{number:09}","studyType":0,"studyDate":"2025-06-01 09:30:00","studyId":"S{number:09}","bodyPart":"胸部","studyName":"{name}","applyDoctor":"王医生","applyDept":"放射科","h5Url":"https://pacs.qq.com/h5/{number:09}","h5DetailUrl":"https://pacs.qq.com/detail/{number:09}"}}"#
        )
    };
    let whole = study(0, "CT").len() + 1;
    let mut number = 0;
    // Whole studies while two more fit; the last one takes what is left in its name.
    while text.len() + 2 * whole + END.len() <= bytes {
        text += &study(number, "CT");
        text.push(',');
        number += 1;
    }
    let left = (bytes + "CT".len()).saturating_sub(text.len() + whole - 1 + END.len());
    if number > 0 {
        text += &study(number, &"C".repeat(left));
    } else {
        let filler = bytes.saturating_sub(text.len() + END.len() + 2);
        text += &format!("\"{}\"", "x".repeat(filler));
    }
    text += END;
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_json_of_its_size() {
        for bytes in [64, 500, 1024, 4096, 65536] {
            let body = body(bytes);
            assert_eq!(body.len(), bytes);
            serde_json::from_slice::<serde_json::Value>(&body).unwrap();
        }
    }
}
