//! The question: a look-up of 300 bytes, for another patient each time, in clear or already protected. And a callback.

use std::io::Write as _;

use crate::clock;
use crate::job::{API, Job, app_id, client_key};

/// Bytes of the question in clear.
const BODY: usize = 300;
/// Where callbacks go.
const CALLBACK_PATH: &str = "/callback/bench";
/// How the identity number of every patient begins: of someone born in 1900.
const ID_NUM: &str = "1101011900";

/// Which patients are asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Patients {
    /// Never the same again: nothing can be answered from a cache.
    Different,
    /// One.
    Same,
}

/// What the gateway or its peer is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As a HIS asks: for peers that do the job.
    Clear,
    /// Encrypted and signed by us, for peers that relay what they get.
    Protected,
    /// No question: a callback, as the platform sends one about a study of its own.
    Callback,
}

/// Makes the requests of one connection.
pub struct Questions {
    form: Form,
    patients: Patients,
    next: u32,
    step: u32,
    tenants: u32,
    clients: u32,
    job: Job,
    body: Vec<u8>,
}

impl Questions {
    /// The `index`-th of `of` makers, which share the patients: the first is `first`.
    pub fn new(form: Form, patients: Patients, first: u32, index: u32, of: u32) -> Self {
        Self {
            form,
            patients,
            next: first.wrapping_add(index),
            step: of,
            tenants: 1,
            clients: 0,
            job: Job::default(),
            body: Vec::new(),
        }
    }

    /// The same for so many tenants, one patient of each after the other.
    #[must_use]
    pub fn of_tenants(self, tenants: u32) -> Self {
        Self { tenants, ..self }
    }

    /// The same by so many clients, one after the other, each with its key; 0 is nobody known.
    #[must_use]
    pub fn of_clients(self, clients: u32) -> Self {
        Self { clients, ..self }
    }

    /// Writes the next request in place of what `out` holds.
    pub fn write(&mut self, out: &mut Vec<u8>) {
        out.clear();
        if self.form == Form::Callback {
            return self.write_callback(out);
        }
        let phone = format!("138{:08}", self.next % 100_000_000);
        let id_num = id_num(self.next);
        let app_id = app_id(self.next % self.tenants);
        let client = self.next.checked_rem(self.clients);
        if self.patients == Patients::Different {
            self.next = self.next.wrapping_add(self.step);
        }
        self.body.clear();
        let body = &mut self.body;
        body.extend_from_slice(br#"{"phoneNum":""#);
        match self.form {
            Form::Clear => body.extend_from_slice(phone.as_bytes()),
            Form::Protected | Form::Callback => self.job.encrypt(phone.as_bytes(), body),
        }
        body.extend_from_slice(br#"","idNum":""#);
        match self.form {
            Form::Clear => body.extend_from_slice(id_num.as_bytes()),
            Form::Protected | Form::Callback => self.job.encrypt(id_num.as_bytes(), body),
        }
        body.extend_from_slice(REST.as_bytes());
        let clear = r#"{"phoneNum":"","idNum":""}"#.len() - 1 + phone.len() + id_num.len() + REST.len();
        body.resize(body.len() + BODY.saturating_sub(clear), b' ');
        body.push(b'}');

        let length = body.len();
        let _ = write!(
            out,
            "POST {API}{app_id} HTTP/1.1\r\nHost: gateway.hospital\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {length}\r\n"
        );
        if let Some(client) = client {
            let _ = write!(out, "Authorization: Bearer {}\r\n", client_key(client));
        }
        if self.form == Form::Protected {
            self.sign(out);
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.body);
    }

    fn write_callback(&mut self, out: &mut Vec<u8>) {
        let number = self.next;
        self.next = self.next.wrapping_add(self.step);
        self.body.clear();
        self.body.extend_from_slice(br#"{"status":3,"phoneNum":""#);
        self.job
            .encrypt(format!("138{:08}", number % 100_000_000).as_bytes(), &mut self.body);
        self.body.extend_from_slice(br#"","idNum":""#);
        self.job.encrypt(id_num(number).as_bytes(), &mut self.body);
        let _ = write!(
            self.body,
            r#"","patientId":"P{number}","hospitalId":"H0001","hisId":"P0001234","studyType":0,"studyDate":"2025-06-01 09:30:00","studyId":"S{number}","bodyPart":"胸部","studyName":"CT","h5Url":"https://pacs.qq.com/h5/{number}","h5DetailUrl":"https://pacs.qq.com/detail/{number}","reportId":"R{number}"}}"#
        );
        let length = self.body.len();
        let _ = write!(
            out,
            "POST {CALLBACK_PATH} HTTP/1.1\r\nHost: gateway.hospital\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
        );
        self.sign(out);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.body);
    }

    fn sign(&self, out: &mut Vec<u8>) {
        let timestamp = clock::unix_ms().to_string();
        let _ = write!(
            out,
            "appId: {}\r\ntimestamp: {timestamp}\r\nsignature: ",
            crate::job::APP_ID
        );
        out.extend_from_slice(&self.job.sign(timestamp.as_bytes()));
        out.extend_from_slice(b"\r\n");
    }
}

/// What follows the identity number.
const REST: &str = r#"","hisId":"P0001234","patientName":"测试患者","hospitalId":"H0001","unionId":"U0001","studyType":0,"dataFlag":1,"usage":2,"studyDateBegin":"2025-01-01 00:00:00","studyDateEnd":"2025-12-31 23:59:59""#;

/// Whether a text could be the telephone or identity number of a patient of ours.
pub fn is_phone(text: &[u8]) -> bool {
    text.len() == 11 && text.starts_with(b"138") && text.iter().all(u8::is_ascii_digit)
}

/// Whether a text could be the identity number of a patient of ours.
pub fn is_id(text: &[u8]) -> bool {
    text.len() == 18 && text.starts_with(ID_NUM.as_bytes())
}

/// The identity number of a patient: one of 335,664 (GB 11643: born on a day, the how-manieth of it, the check digit).
fn id_num(patient: u32) -> String {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let (day, nth) = (patient / 999, patient % 999 + 1);
    let mut number = format!("{ID_NUM}{:02}{:02}{nth:03}", day / 28 % 12 + 1, day % 28 + 1);
    let digits = number.bytes().map(|digit| u32::from(digit - b'0'));
    let sum: u32 = digits.zip(WEIGHTS).map(|(digit, weight)| digit * weight).sum();
    number.push(char::from(b"10X98765432"[sum as usize % 11]));
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    #[test]
    fn a_question_has_300_bytes_and_another_patient_each_time() {
        let mut questions = Questions::new(Form::Clear, Patients::Different, 0, 1, 4);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        questions.write(&mut first);
        questions.write(&mut second);

        let message = wire::message(&first).unwrap().unwrap();
        assert_eq!(message.body.len(), BODY);
        serde_json::from_slice::<serde_json::Value>(message.body).unwrap();
        let phone = |bytes: &[u8]| bytes[wire::text(bytes, "\"phoneNum\"").unwrap()].to_vec();
        assert_eq!(phone(&first), b"13800000001");
        assert_eq!(phone(&second), b"13800000005");
        assert!(first.starts_with(b"POST /thirdparty/patientStudies/900001 "));
        let id = |bytes: &[u8]| bytes[wire::text(bytes, "\"idNum\"").unwrap()].to_vec();
        assert_eq!(id(&first), b"110101190001010022");
        assert_ne!(id(&first), id(&second));
    }

    #[test]
    fn clients_ask_in_turn_each_with_its_key() {
        let keys = |clients| {
            let mut questions = Questions::new(Form::Clear, Patients::Different, 0, 2, 4).of_clients(clients);
            let mut request = Vec::new();
            [0; 3].map(|_| {
                questions.write(&mut request);
                let message = wire::message(&request).unwrap().unwrap();
                wire::header(message.head, "Authorization").map(<[u8]>::to_vec)
            })
        };
        let of = |client| Some(format!("Bearer {}", client_key(client)).into_bytes());
        assert_eq!(keys(5), [of(2), of(1), of(0)]);
        assert_eq!(keys(0), [None, None, None]);
    }

    #[test]
    fn identity_numbers_have_their_check_digit() {
        assert_eq!(id_num(8), "11010119000101009X");
        assert_eq!(id_num(999), "11010119000102001X");
    }

    #[test]
    fn a_callback_is_about_a_study_of_its_own_and_signed() {
        let mut callbacks = Questions::new(Form::Callback, Patients::Different, 5, 0, 1);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        callbacks.write(&mut first);
        callbacks.write(&mut second);

        let message = wire::message(&first).unwrap().unwrap();
        let fields: serde_json::Value = serde_json::from_slice(message.body).unwrap();
        assert_eq!((&fields["studyId"], &fields["status"]), (&"S5".into(), &3.into()));
        assert!(Job::default().opens(fields["idNum"].as_str().unwrap().as_bytes(), is_id));
        let timestamp = wire::header(message.head, "timestamp").unwrap();
        let signature = wire::header(message.head, "signature").unwrap();
        assert_eq!(signature, Job::default().sign(timestamp));
        assert!(memchr::memmem::find(&second, b"S6").is_some());
    }

    #[test]
    fn a_protected_question_opens() {
        let mut questions = Questions::new(Form::Protected, Patients::Same, 7, 0, 1);
        let mut bytes = Vec::new();
        questions.write(&mut bytes);

        let message = wire::message(&bytes).unwrap().unwrap();
        let field = |name| &message.body[wire::text(message.body, name).unwrap()];
        assert!(Job::default().opens(field("\"phoneNum\""), is_phone));
        assert!(Job::default().opens(field("\"idNum\""), is_id));
        serde_json::from_slice::<serde_json::Value>(message.body).unwrap();
    }
}
