//! A platform that resets, cuts, forgets: every caller gets its own answer or a clean refusal, never another's.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aimis_simulator::{Fault, Platform, PlatformOptions, Recorded, Study};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::client::{Answer, Connection, request};
use crate::support::gateway::{Gateway, ID_NUMBER, PHONE, Settings};

const REQUESTS: usize = 5_000;
const CONCURRENCY: usize = 64;

/// A study of the vectors' patient whose report nobody else has: its number tells its answer from all others.
fn study_id(number: usize) -> String {
    format!("S{number:06}")
}

fn report_query(number: usize) -> Vec<u8> {
    let body = format!(
        r#"{{"reportId":"R{}","phoneNum":"{PHONE}","idNum":"{ID_NUMBER}","hospitalId":"H0001"}}"#,
        study_id(number)
    );
    request("POST", "/thirdparty/patientReportUrl/900001", &[], body.as_bytes())
}

async fn platform_with_reports(count: usize) -> Platform {
    let platform = Platform::start(PlatformOptions {
        record_limit: 3 * REQUESTS,
        ..PlatformOptions::default()
    })
    .await
    .unwrap();
    for number in 0..count {
        let study = Study::new(&study_id(number), 0, "2024-12-05 09:30:00", "H0001", "U0001");
        assert!(platform.add_study(ID_NUMBER, study));
    }
    platform
}

/// A gateway that asks again only where a pooled connection was closed, and never gives up: what is looked at
/// here is whose answer is whose.
fn without_mercy(platform: &Platform) -> Gateway {
    Settings::calling(platform)
        .with("runtime", "workers = 2")
        .with("platform", "max_retries = 0")
        .with("breaker", "enabled = false")
        .start()
}

/// What became of many requests.
#[derive(Debug, Default)]
struct Tally {
    answered: usize,
    refused: usize,
}

/// Asks for every report once, over [`CONCURRENCY`] connections that are kept; checks each answer.
async fn ask_for_all(gateway: &Gateway) -> (Tally, HashMap<usize, Answer>) {
    let next = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..CONCURRENCY {
        let (lan, next) = (gateway.lan, Arc::clone(&next));
        clients.spawn(async move {
            let mut connection = Connection::open(lan).await;
            let mut answers = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= REQUESTS {
                    return answers;
                }
                connection.send(&report_query(number)).await.unwrap();
                // The gateway never breaks its own connection, whatever the platform does.
                answers.push((number, connection.answer().await.expect("an answer")));
            }
        });
    }
    let mut tally = Tally::default();
    let mut all = HashMap::new();
    while let Some(answers) = clients.join_next().await {
        for (number, answer) in answers.unwrap() {
            if answer.status == 200 {
                assert_eq!(answer.json()["data"]["studyId"], study_id(number), "a foreign answer");
                assert_eq!(answer.code(), 0);
                tally.answered += 1;
            } else {
                assert_clean_refusal(&answer);
                tally.refused += 1;
            }
            assert!(all.insert(number, answer).is_none());
        }
    }
    assert_eq!(tally.answered + tally.refused, REQUESTS);
    (tally, all)
}

#[track_caller]
fn assert_clean_refusal(answer: &Answer) {
    assert!(
        matches!(
            (answer.status, answer.code()),
            (502, 800_301 | 800_303) | (504, 800_302)
        ),
        "{answer:?}"
    );
    assert_eq!(answer.header("x-aimis-origin"), Some("gateway"));
    assert!(answer.header("proxy-status").is_some());
    assert!(answer.json()["data"].is_null());
}

/// Every attempt was signed rightly, and every answer is byte for byte one that was given for that report.
#[track_caller]
fn assert_each_answer_was_given_for_its_question(platform: &Platform, answers: &HashMap<usize, Answer>) {
    let mut given: HashMap<String, Vec<Recorded>> = HashMap::new();
    for record in platform.requests() {
        assert_eq!(record.verdict, Some(0), "{:?}", record.reply_json());
        let report = record.json()["reportId"].as_str().unwrap().to_owned();
        given.entry(report).or_default().push(record);
    }
    for (number, answer) in answers.iter().filter(|(_, answer)| answer.status == 200) {
        let attempts = &given[&format!("R{}", study_id(*number))];
        let given = attempts.iter().filter(|attempt| attempt.reply == answer.body).count();
        assert_eq!(given, 1, "report {number}");
    }
}

#[tokio::test]
async fn p6_under_resets_every_caller_gets_its_own_answer_or_a_clean_refusal() {
    let platform = platform_with_reports(REQUESTS).await;
    platform.set_fault_rate(Fault::ResetBeforeHead, 10);
    let gateway = without_mercy(&platform);

    let (tally, answers) = ask_for_all(&gateway).await;

    assert_each_answer_was_given_for_its_question(&platform, &answers);
    let struck = platform
        .requests()
        .iter()
        .filter(|request| request.fault.is_some())
        .count();
    assert!(
        tally.answered > 0 && tally.refused <= struck,
        "{tally:?}, {struck} struck"
    );
    // A reset of a connection that had served before is met by a second attempt: most resets are never seen.
    assert!(tally.refused < struck / 2, "{tally:?}, {struck} struck");
    assert!(platform.connections_accepted() < REQUESTS);
    assert!(platform.malformed().is_empty());
}

#[tokio::test]
async fn p6_under_cuts_of_every_kind_every_caller_gets_its_own_answer_or_a_clean_refusal() {
    let platform = platform_with_reports(REQUESTS).await;
    for (fault, one_in) in [
        (Fault::ResetBeforeHead, 31),
        (Fault::ResetWithinHead, 37),
        (Fault::ResetWithinBody, 29),
        (Fault::HalfBody, 41),
        (Fault::SilentClose, 23),
        (Fault::WrongContentLength { delta: -7 }, 43),
        (Fault::Garbage, 47),
        (Fault::Chunked, 7),
        (Fault::CloseAfter, 19),
    ] {
        platform.set_fault_rate(fault, one_in);
    }
    let gateway = without_mercy(&platform);

    let (tally, answers) = ask_for_all(&gateway).await;

    assert_each_answer_was_given_for_its_question(&platform, &answers);
    // Faults of delivery alone leave an answer whole.
    let harmless = |fault: &Fault| matches!(fault, Fault::Chunked | Fault::CloseAfter | Fault::SilentClose);
    let struck = platform
        .requests()
        .iter()
        .filter(|r| r.fault.as_ref().is_some_and(|f| !harmless(f)))
        .count();
    assert!(
        tally.answered > 0 && tally.refused > 0 && tally.refused <= struck,
        "{tally:?}, {struck} struck"
    );
    assert!(platform.connections_accepted() < REQUESTS);
    assert!(platform.malformed().is_empty());
}

#[tokio::test]
async fn a_stale_connection_is_never_the_callers_concern() {
    const ROUNDS: usize = 300;
    let platform = platform_with_reports(ROUNDS).await;
    platform.set_fault(Fault::SilentClose);
    let gateway = Gateway::before(&platform);
    let mut connection = Connection::open(gateway.lan).await;

    for number in 0..ROUNDS {
        connection.send(&report_query(number)).await.unwrap();
        let answer = connection.answer().await.unwrap();
        assert_eq!(
            (answer.status, answer.code()),
            (200, 0),
            "round {number}: {}",
            answer.text()
        );
        assert_eq!(answer.json()["data"]["studyId"], study_id(number));
    }

    // Nothing was asked twice: what went over a stale connection never arrived.
    assert_eq!(platform.request_count(), ROUNDS as u64);
}

#[tokio::test]
async fn p3_every_attempt_is_signed_anew() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);
    assert_eq!(gateway.studies().await.code(), 0);
    // The reset takes a while, so the second attempt comes at another millisecond.
    platform.push_fault(Fault::Together {
        faults: vec![Fault::Latency { ms: 20 }, Fault::ResetBeforeHead],
    });

    let answer = gateway.studies().await;

    assert_eq!((answer.status, answer.code()), (200, 0));
    let requests = platform.requests();
    let [first, reset, again] = requests.as_slice() else {
        panic!("{} attempts", requests.len())
    };
    assert_eq!((first.connection, reset.connection, again.connection), (1, 1, 2));
    assert_eq!(reset.body, again.body);
    for (one, other) in [(first, reset), (first, again), (reset, again)] {
        for header in ["timestamp", "signature"] {
            assert_eq!(one.header_values(header).count(), 1);
            assert_ne!(one.header(header), other.header(header), "{header}");
        }
    }
    assert!(requests.iter().all(|request| request.verdict == Some(0)));
}

#[tokio::test]
async fn connections_are_used_again_and_only_when_whole() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);
    for _ in 0..20 {
        assert_eq!(gateway.studies().await.code(), 0);
    }
    assert_eq!((platform.connections_accepted(), platform.request_count()), (1, 20));

    // Each of these leaves its connection in doubt, so the next question opens another.
    for (index, fault) in [
        Fault::HalfBody,
        Fault::Garbage,
        Fault::ResetWithinBody,
        Fault::WrongContentLength { delta: -3 },
        Fault::CloseAfter,
    ]
    .into_iter()
    .enumerate()
    {
        platform.push_fault(fault.clone());
        let _ = gateway.studies().await;
        let answer = gateway.studies().await;
        assert_eq!((answer.status, answer.code()), (200, 0), "behind {fault:?}");
        assert_eq!(platform.connections_accepted(), index + 2, "behind {fault:?}");
    }
    // A whole answer that is merely not the platform's leaves it good.
    platform.push_fault(Fault::HtmlPage { status: 200 });
    assert_eq!(gateway.studies().await.code(), 800_303);
    assert_eq!(gateway.studies().await.code(), 0);
    assert_eq!(platform.connections_accepted(), 6);
}

#[tokio::test]
async fn p6_an_answer_that_nobody_asked_for_is_nobodys_answer() {
    // Answers each connection's first question twice, and tells how many connections there were.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        for round in 0_u32.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut asked = [0; 4096];
                let mut serial = 0;
                while stream.read(&mut asked).await.is_ok_and(|read| read > 0) {
                    let answer = |number: &str| {
                        let body = format!(r#"{{"code":0,"data":"{number}"}}"#);
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                    };
                    let both = format!("{}{}", answer(&format!("{round}.{serial}")), answer("unasked"));
                    if stream.write_all(both.as_bytes()).await.is_err() {
                        return;
                    }
                    serial += 1;
                }
            });
        }
    });
    let gateway = Settings::calling_url(&format!("http://{address}")).start();

    for _ in 0..50 {
        let answer = gateway.studies().await;
        assert!(!answer.text().contains("unasked"), "{}", answer.text());
        assert_eq!(answer.status, 200);
    }
    server.abort();
}

#[tokio::test]
async fn p6_an_unasked_answer_that_comes_later_ends_all_reuse() {
    // Answers once; sends a second answer when it is told to, and tells when that is on its way.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, mut told) = tokio::sync::mpsc::channel::<tokio::sync::oneshot::Sender<()>>(1);
    let server = tokio::spawn(async move {
        let answer = |text: &str| {
            let body = format!(r#"{{"code":0,"data":"{text}"}}"#);
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        };
        let mut connections = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut asked = [0; 4096];
            assert!(stream.read(&mut asked).await.unwrap() > 0);
            stream.write_all(answer("asked").as_bytes()).await.unwrap();
            let sent = told.recv().await.unwrap();
            // The gateway may have closed it already.
            let _ = stream.write_all(answer("unasked").as_bytes()).await;
            sent.send(()).unwrap();
            connections.push(stream);
        }
    });
    let gateway = Settings::calling_url(&format!("http://{address}")).start();

    for _ in 0..20 {
        let answer = gateway.studies().await;
        assert_eq!(answer.text(), r#"{"code":0,"data":"asked"}"#);
        let (sent, is_sent) = tokio::sync::oneshot::channel();
        tell.send(sent).await.unwrap();
        is_sent.await.unwrap();
    }

    // Seen once, whether by hyper's read or by our look; from then on every question has its own connection.
    assert_eq!(gateway.metric("aimis_upstream_unasked_answers_total").await, Some(1.0));
    assert_eq!(
        gateway.metric("aimis_upstream_connections{state=\"idle\"}").await,
        Some(0.0)
    );
    assert!(gateway.stop().contains("\"event.name\":\"unasked_answer\""));
    server.abort();
}

#[tokio::test]
async fn endless_informational_answers_are_cut_long_before_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked).await;
            while stream
                .write_all(&b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100))
                .await
                .is_ok()
            {}
        }
    });
    let gateway = Settings::calling_url(&format!("http://{address}")).start();

    let answer = gateway.studies().await;

    assert_eq!((answer.status, answer.code()), (502, 800_303));
    assert_eq!(
        gateway
            .metric("aimis_upstream_attempts_total{api=\"patientStudies\",result=\"http\"}")
            .await,
        Some(1.0)
    );
    server.abort();
}

#[tokio::test]
async fn an_answer_whose_end_is_told_by_the_close_only_has_to_be_whole() {
    for (body, wanted) in [
        (r#"{"code":0,"message":"ok","data":[{"studyId":"S1","x":{"a":1}}]}"#, 0),
        (
            r#"{"code":0,"message":"ok","data":[{"studyId":"S1","x":{"a":1}"#,
            800_303,
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked).await;
            let answer =
                format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        });
        let gateway = Settings::calling_url(&format!("http://{address}")).start();

        let answer = gateway.studies().await;

        assert_eq!(answer.code(), wanted);
        server.await.unwrap();
    }
}
