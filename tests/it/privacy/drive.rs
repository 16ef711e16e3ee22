//! Every path of the forward road, driven with values in the places where nobody expects them.

use std::collections::BTreeSet;
use std::net::UdpSocket;

use aimis_simulator::{Canned, Fault, PATIENT_STUDIES, Platform};

use super::canary::Sinks;
use super::{CLIENT_KEY, Gateway, HIS_ID, ID_NUMBER, NAME, PHONE, Settings, TOKEN};
use crate::support::client::{self, Answer, Connection, request};
use crate::support::collector::Collector;
use crate::support::directory::Directory;
use crate::support::gateway::studies_query;

const PATH: &str = "/thirdparty/patientStudies/900001";
const CIPHERTEXT: &str = "554fb5befba4daabdb8169e45db64485";
/// What is put into every place.
pub const VALUES: [&str; 8] = [
    PHONE,
    ID_NUMBER,
    NAME,
    HIS_ID,
    TOKEN,
    CIPHERTEXT,
    CLIENT_KEY,
    "138-0013-8000",
];

/// Sends, and keeps what came back.
#[derive(Default)]
pub struct Drive {
    /// What came out of the gateway.
    pub sinks: Sinks,
    codes: BTreeSet<i64>,
    statuses: BTreeSet<u16>,
}

impl Drive {
    pub fn new() -> Self {
        Self::default()
    }

    /// Every kind of answer has been seen, so every kind of path was driven.
    pub fn assert_complete(&self) {
        let all = [
            0, 800_001, 800_003, 800_004, 800_005, 800_006, 800_007, 800_101, 800_102, 800_201, 800_301, 800_302,
            800_303,
        ];
        for code in all {
            assert!(
                self.codes.contains(&code),
                "no answer with code {code}; {:?}",
                self.codes
            );
        }
        assert!(self.sinks.len() > 5000, "{}", self.sinks.len());
    }

    /// What a collector of traces got; also the ids in hex, as whoever looks at traces sees them.
    pub fn spans(&mut self, collector: &Collector) {
        let exported = collector.requests();
        assert!(!exported.is_empty(), "nothing was traced");
        for request in exported {
            self.sinks.text("spans in hex", hex::encode(&request));
            self.sinks.text("spans", request);
        }
    }

    /// Keeps an answer.
    pub fn keep(&mut self, what: &str, answer: &Answer) {
        self.statuses.insert(answer.status);
        if let Ok(body) = serde_json::from_slice::<serde_json::Value>(&answer.body) {
            self.codes.extend(body["code"].as_i64());
        }
        self.sinks.answer(what, answer);
    }

    /// Sends bytes; a connection that is closed without an answer has told nothing.
    async fn send(&mut self, gateway: &Gateway, what: &str, bytes: &[u8]) {
        if let Some(answer) = client::exchange(gateway.lan, bytes).await {
            self.keep(what, &answer);
        }
    }

    pub async fn good_queries(&mut self, gateway: &Gateway) {
        let who = format!("\"phoneNum\":\"138 0013 8000\",\"idNum\":\"11010119000101009x\",\"patientName\":\"{NAME}\"");
        let bodies = [
            ("patientStudies", studies_query()),
            ("patientConsultations", format!("{{{who},\"hisId\":\"{HIS_ID}\"}}")),
            ("patientReportUrl", format!("{{{who},\"reportId\":\"RS1001\"}}")),
        ];
        for (api, body) in bodies {
            let answer = gateway.query(api, body).await;
            self.keep(api, &answer);
        }
    }

    /// Each value in each part of a request.
    pub async fn odd_places(&mut self, gateway: &Gateway) {
        for value in VALUES {
            for (place, bytes) in lines(value).into_iter().chain(headers(value)).chain(bodies(value)) {
                self.send(gateway, place, &bytes).await;
            }
        }
    }

    /// Each value where the hospital's system names its user, in look-ups that are recorded.
    pub async fn operators(&mut self, gateway: &Gateway) {
        // A key that a caller chose himself looks like any login; those that we make are known by their beginning.
        for value in VALUES.into_iter().filter(|value| *value != CLIENT_KEY) {
            let bytes = request("POST", PATH, &[("X-Operator-Id", value)], studies_query().as_bytes());
            self.send(gateway, "operator", &bytes).await;
        }
    }

    /// The files of the audit trail of a gateway that has stopped, and what a syslog server got of it.
    pub fn trail(&mut self, directory: &Directory, syslog: &UdpSocket) {
        self.sinks.files("audit trail", directory.path());
        syslog.set_nonblocking(true).unwrap();
        let (mut room, mut messages) = (vec![0; 65_536], 0);
        while let Ok(length) = syslog.recv(&mut room) {
            self.sinks.text("syslog", &room[..length]);
            messages += 1;
        }
        assert!(messages > 20, "{messages} messages");
    }

    /// The right key in each place where it is taken, and what is nearly it.
    pub async fn sign_ins(&mut self, gateway: &Gateway) {
        let bearer = format!("Bearer {CLIENT_KEY}");
        let (basic, cut) = (format!("Basic {CLIENT_KEY}"), &CLIENT_KEY[..CLIENT_KEY.len() - 1]);
        for headers in [
            &[("Authorization", bearer.as_str())][..],
            &[("X-Api-Key", CLIENT_KEY)],
            &[("Authorization", &basic)],
            &[("X-Api-Key", cut), ("Authorization", &bearer)],
            &[("X-Api-Key", CLIENT_KEY), ("Origin", CLIENT_KEY)],
        ] {
            let bytes = request("POST", PATH, headers, studies_query().as_bytes());
            self.send(gateway, "sign-in", &bytes).await;
        }
        let other_hospital = studies_query().replace("H0001", HIS_ID);
        let bytes = request("POST", PATH, &[("X-Api-Key", CLIENT_KEY)], other_hospital.as_bytes());
        self.send(gateway, "not permitted", &bytes).await;
    }

    /// A body that never comes whole, and one that is too long.
    pub async fn cut_bodies(&mut self, gateway: &Gateway) {
        let mut connection = Connection::open(gateway.lan).await;
        let head =
            format!("POST {PATH} HTTP/1.1\r\nHost: gateway\r\nContent-Length: 500\r\n\r\n{{\"phoneNum\":\"{PHONE}");
        connection.send(head.as_bytes()).await.unwrap();
        connection.half_close().await;
        if let Some(answer) = connection.answer().await {
            self.keep("cut body", &answer);
        }
        let long = format!("{{\"patientName\":\"{}\"}}", NAME.repeat(20_000));
        self.send(gateway, "long body", &request("POST", PATH, &[], long.as_bytes()))
            .await;
        let expect =
            format!("POST {PATH} HTTP/1.1\r\nHost: gateway\r\nExpect: 100-continue\r\nContent-Length: {PHONE}\r\n\r\n");
        self.send(gateway, "announced body", expect.as_bytes()).await;
    }

    /// A platform that quotes values wherever it can.
    pub async fn platform_failures(&mut self, gateway: &Gateway, platform: &Platform) {
        let message = format!("no data for {PHONE} {ID_NUMBER} {NAME} under {TOKEN}");
        for code in [100_004, 90_001, 90_002, 90_003, 20_031, 1, 13_800_138_000] {
            platform.push_fault(Fault::BusinessCode {
                code,
                message: message.clone(),
            });
            self.studies(gateway, "business code").await;
        }
        for fault in [
            Fault::ResetBeforeHead,
            Fault::ResetWithinHead,
            Fault::ResetWithinBody,
            Fault::HalfBody,
            Fault::Garbage,
            Fault::NotJson,
            Fault::EmptyBody,
            Fault::Oversized { bytes: 9 << 20 },
            Fault::HtmlPage { status: 200 },
            Fault::Status {
                code: 502,
                envelope: false,
            },
            Fault::Status {
                code: 500,
                envelope: true,
            },
            Fault::RetryAfter {
                status: 429,
                seconds: 3,
            },
        ] {
            platform.push_fault(fault);
            self.studies(gateway, "fault").await;
        }
        let page = format!(
            "<html><title>{NAME}</title>{PHONE} {TOKEN} https://imaging.example.com/?token={CLIENT_KEY}</html>"
        );
        let cut = format!("{{\"code\":\"{PHONE}\",\"message\":\"{message}");
        let number = format!("{{\"code\":\"{PHONE}\",\"message\":\"{message}\",\"data\":null}}");
        for (status, kind, body) in [
            (200, "text/html", page.clone()),
            (403, "text/html", page),
            (302, "text/plain", message.clone()),
            (200, "application/json", cut),
            (200, "application/json", number),
            (200, "application/json", format!("\"{message}\"")),
        ] {
            let headers = vec![
                (
                    "Location".to_owned(),
                    format!("https://imaging.example.com/?idNum={ID_NUMBER}&token={TOKEN}"),
                ),
                ("Server".to_owned(), PHONE.to_owned()),
                ("Set-Cookie".to_owned(), format!("session={CLIENT_KEY}")),
                ("X-Patient".to_owned(), ID_NUMBER.to_owned()),
            ];
            let canned = Canned {
                status,
                content_type: kind.to_owned(),
                headers,
                body: body.into_bytes(),
            };
            platform.set_reply(PATIENT_STUDIES, canned);
            self.studies(gateway, "canned answer").await;
        }
        platform.clear_reply(PATIENT_STUDIES);
    }

    /// Lists of several types, of which the platform refuses some and quotes values in that.
    pub async fn merged_lists(&mut self, platform: &Platform) {
        let gateway = Settings::calling(platform)
            .with("log", "level = \"debug\"")
            .with("lan", "merge_study_types = true\nmerge_concurrency = 1")
            .start();
        for value in VALUES
            .map(|value| format!("{value:?}"))
            .into_iter()
            .chain([PHONE.into(), "0,5".into()])
        {
            for types in [
                format!("[{value}]"),
                format!("[0,{value}]"),
                value.clone(),
                format!("\"0,{value}\""),
            ] {
                let body = studies_query().replace("\"studyType\":0", &format!("\"studyType\":{types}"));
                self.send(&gateway, "list of types", &request("POST", PATH, &[], body.as_bytes()))
                    .await;
            }
        }
        let message = format!("no data for {PHONE} {ID_NUMBER} {NAME} under {TOKEN}");
        for code in [30_001, 13_800_138_000] {
            for fault in [
                Fault::BusinessCode {
                    code,
                    message: message.clone(),
                },
                Fault::None,
                Fault::HalfBody,
            ] {
                platform.push_fault(fault);
            }
            let body = studies_query().replace("\"studyType\":0", "\"studyType\":[0,1,2]");
            let answer = gateway.query(PATIENT_STUDIES, body).await;
            assert!(answer.header("x-aimis-partial").is_some());
            self.keep("merged list", &answer);
        }
        self.telemetry(&gateway).await;
        self.stop(gateway);
    }

    async fn studies(&mut self, gateway: &Gateway, what: &str) {
        let answer = gateway.studies().await;
        self.keep(what, &answer);
    }

    /// Nobody listens; no TLS where TLS should be; nobody answers.
    pub async fn unreachable_platforms(&mut self, platform: &Platform) {
        let closed = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        for url in [format!("http://{closed}"), format!("https://{}", platform.addr())] {
            let gateway = Settings::calling_url(&url).with("log", "level = \"debug\"").start();
            self.studies(&gateway, "unreachable").await;
            self.telemetry(&gateway).await;
            self.stop(gateway);
        }
        platform.push_fault(Fault::Hang);
        let gateway = Settings::calling(platform)
            .with("platform", "deadline_ms = 100")
            .start();
        self.studies(&gateway, "timeout").await;
        self.telemetry(&gateway).await;
        self.stop(gateway);
    }

    /// A stop while one request runs until it is cut, and another is half sent.
    pub async fn draining(&mut self, platform: &Platform) {
        let asked = platform.request_count();
        platform.push_fault(Fault::Hang);
        let gateway = Settings::calling(platform)
            .with("log", "level = \"debug\"")
            .with("drain", "timeout_ms = 1000")
            .start();
        let (lan, telemetry, log) = (gateway.lan, gateway.telemetry, gateway.log.clone());
        let asking = request("POST", PATH, &[], studies_query().as_bytes());
        let running = tokio::spawn(async move { client::exchange(lan, &asking).await });
        platform.wait_for_requests(asked + 1).await;
        let body = studies_query();
        let next = request("POST", PATH, &[("X-Request-Id", PHONE)], body.as_bytes());
        let mut late = Connection::open(lan).await;
        late.send(&next[..40]).await.unwrap();
        let drained = tokio::task::spawn_blocking(move || gateway.into_running().drain());
        while client::get(telemetry, "/readyz").await.status == 200 {}
        // Refused once the listener is closed.
        while tokio::net::TcpStream::connect(lan).await.is_ok() {}
        if late.send(&next[40..]).await.is_ok()
            && let Some(answer) = late.answer().await
        {
            self.keep("draining", &answer);
        }
        assert_eq!(drained.await.unwrap().cut, 1);
        assert!(running.await.unwrap().is_none());
        self.sinks.text("log while draining", log.text());
    }

    pub async fn telemetry(&mut self, gateway: &Gateway) {
        for path in ["/metrics", "/livez", "/readyz", "/startupz", "/healthz"] {
            self.sinks.answer(path, &gateway.telemetry(path).await);
        }
        let odd = format!("/{PHONE}?token={TOKEN}");
        self.sinks.answer("telemetry", &gateway.telemetry(&odd).await);
        // With ids of requests in it.
        let asked = request("GET", "/metrics", &[("Accept", "application/openmetrics-text")], b"");
        let answer = client::exchange(gateway.telemetry, &asked).await.unwrap();
        assert!(answer.text().contains("request_id"));
        self.sinks.answer("/metrics as OpenMetrics", &answer);
    }

    /// Stops a gateway and keeps its log.
    pub fn stop(&mut self, gateway: Gateway) {
        let log = gateway.stop();
        assert!(log.contains("\"event.name\":\"request\""));
        self.sinks.text("log", log);
    }
}

type Place = (&'static str, Vec<u8>);

fn lines(value: &str) -> Vec<Place> {
    let escaped: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let post = |target: String| request("POST", &target, &[], studies_query().as_bytes());
    vec![
        ("path", post(format!("/{value}"))),
        ("api", post(format!("/thirdparty/{value}"))),
        ("appId", post(format!("/thirdparty/patientStudies/{value}"))),
        ("escaped appId", post(format!("/thirdparty/patientStudies/{escaped}"))),
        ("behind appId", post(format!("{PATH}/{value}"))),
        ("field in query", post(format!("{PATH}?phoneNum={value}"))),
        ("other in query", post(format!("{PATH}?x={value}&{value}"))),
        ("escaped query", post(format!("{PATH}?x={escaped}"))),
        ("fragment", post(format!("{PATH}#{value}"))),
        ("absolute target", post(format!("http://{value}{PATH}"))),
        ("method", request(value, PATH, &[], b"{}")),
        ("get", request("GET", &format!("{PATH}?idNum={value}"), &[], b"")),
        ("no http", format!("POST {PATH} {value}\r\n\r\n").into_bytes()),
        ("only it", format!("{value}\r\n\r\n").into_bytes()),
    ]
}

fn headers(value: &str) -> Vec<Place> {
    let with = |headers: &[(&str, &str)]| request("POST", PATH, headers, studies_query().as_bytes());
    let id = |form: String| with(&[("X-Request-Id", &form)]);
    let bearer = format!("Bearer {value}");
    let charset = format!("application/json; charset={value}");
    let ids = [
        value.to_owned(),
        format!("{value}-query-of-today"),
        format!("query-of-today-{value}"),
        format!("his.abcd_{value}.query"),
    ];
    // Other texts that a caller chose for an id cannot be told from ids; callers have no ciphertexts.
    let ids = ids.into_iter().filter(|_| ![CIPHERTEXT, CLIENT_KEY].contains(&value));
    ids.map(|form| ("request id", id(form)))
        .chain(vec![
            ("header name", with(&[(value, "1")])),
            ("header name, ours", with(&[(&format!("X-Aimis-{value}"), value)])),
            (
                "authorization",
                with(&[("Authorization", &bearer), ("X-Api-Key", value)]),
            ),
            (
                "cookie",
                with(&[("Cookie", &bearer), ("User-Agent", value), ("Referer", value)]),
            ),
            (
                "forwarded",
                with(&[("X-Forwarded-For", value), ("Forwarded", value), ("Via", value)]),
            ),
            ("language", with(&[("Accept-Language", value), ("Accept", value)])),
            ("media type", with(&[("Content-Type", value)])),
            ("charset", with(&[("Content-Type", &charset)])),
            ("content coding", with(&[("Content-Encoding", value)])),
            (
                "the platform's",
                with(&[("signature", value), ("timestamp", value), ("appId", value)]),
            ),
            (
                "trace",
                with(&[("traceparent", value), ("tracestate", value), ("baggage", value)]),
            ),
            (
                "transfer coding",
                format!("POST {PATH} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {value}\r\n\r\n").into_bytes(),
            ),
            ("expectation", with(&[("Expect", value)])),
            (
                "host",
                format!("POST {PATH} HTTP/1.1\r\nHost: {value}\r\nContent-Length: 2\r\n\r\n{{}}").into_bytes(),
            ),
            (
                "folded header",
                format!("POST {PATH} HTTP/1.1\r\nHost: a\r\n {value}\r\n\r\n").into_bytes(),
            ),
        ])
        .collect()
}

fn bodies(value: &str) -> Vec<Place> {
    let escaped: String = value.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    let good = studies_query();
    let inside = good.trim_end_matches('}');
    let deep = |levels: usize| format!("{}\"{value}\"{}", "[".repeat(levels), "]".repeat(levels));
    let texts = [
        value.to_owned(),
        format!("\"{value}\""),
        format!("[\"{value}\"]"),
        format!("{{{value}}}"),
        format!("{{\"{value}\":1}}"),
        format!("{inside},\"{value}\":\"{value}\"}}"),
        format!("{inside},\"{value}\":1,\"{value}\":2}}"),
        format!("{inside},\"x{value}\":1}}"),
        format!("{inside},\"{escaped}\":\"{escaped}\"}}"),
        format!("{inside},\"phoneNum\":\"{value}\"}}"),
        format!("{inside},\"PHONENUM\":\"{value}\"}}"),
        format!("{inside},\"extra\":{{\"idNum\":\"{value}\"}}}}"),
        format!("{inside},\"extra\":{}}}", deep(8)),
        format!("{inside},\"extra\":{}}}", deep(40)),
        format!("{inside}}}{value}"),
        format!("{inside},\"x\":\"{value}"),
        format!("{{\"phoneNum\":{{\"a\":\"{value}\"}}}}"),
        format!("{{\"phoneNum\":[\"{value}\"],\"idNum\":true}}"),
        format!("{{\"phoneNum\":\"{value}\",\"idNum\":\"{value}\",\"hospitalId\":[\"{value}\"]}}"),
        format!("{{\"phoneNum\":\"{escaped}\",\"idNum\":\"{escaped}\"}}"),
        format!("{{\"phone\\u004eum\":\"{value}\",\"idNum\":\"{value}\"}}"),
        format!("{{\"phoneNum\":\"{value}\\ud800\"}}"),
        format!("{{\"phoneNum\":\"{value}\\u0000\"}}"),
        format!("{{\"phoneNum\":\"{value}\n\"}}"),
        format!("{{\"phoneNum\":'{value}'}}"),
        format!("phoneNum={value}&idNum={value}"),
        format!("<patient>{value}</patient>"),
        good.replace("\"studyType\":0", &format!("\"studyType\":\"{value}\"")),
        good.replace("\"usage\":0", &format!("\"usage\":{value}")),
        good.replace("2024-01-01 00:00:00", value),
        good.replace("H0001", value),
        good.replace("U0001", value),
        good.replace(ID_NUMBER, "110101190001010091"),
    ];
    let mut all: Vec<Place> = texts
        .into_iter()
        .map(|text| ("body", request("POST", PATH, &[], text.as_bytes())))
        .collect();
    for broken in [&b"\xff"[..], b"\xc3\x28", b"\x00"] {
        let text = [b"{\"phoneNum\":\"", broken, value.as_bytes(), broken, b"\"}"].concat();
        all.push(("broken text", request("POST", PATH, &[], &text)));
    }
    // The name as old clients write it: declared, guessed, and where no text should be.
    for member in [&b"patientName"[..], b"phoneNum", b"\xd5\xc5\xc8\xfd"] {
        let text = [b"{\"", member, b"\":\"\xd5\xc5\xc8\xfd", value.as_bytes(), b"\"}"].concat();
        let declared = [("Content-Type", "application/json; charset=GB18030")];
        all.push(("declared charset", request("POST", PATH, &declared, &text)));
        all.push(("guessed charset", request("POST", PATH, &[], &text)));
    }
    let form = format!("phoneNum={value}&idNum={value}&{value}={value}");
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    all.push(("form", request("POST", PATH, &kind, form.as_bytes())));
    let wrapped = format!("param={{\"phoneNum\":\"{value}\"}}&data={value}");
    all.push(("wrapped", request("POST", PATH, &kind, wrapped.as_bytes())));
    let part = format!("--b\r\nContent-Disposition: form-data; name=\"{value}\"\r\n\r\n{value}\r\n--b--\r\n");
    let kind = [("Content-Type", "multipart/form-data; boundary=b")];
    all.push(("multipart", request("POST", PATH, &kind, part.as_bytes())));
    all.push((
        "no tenant",
        request(
            "POST",
            "/thirdparty/patientStudies",
            &[],
            format!("{{\"hospitalId\":\"{value}\"}}").as_bytes(),
        ),
    ));
    all
}
