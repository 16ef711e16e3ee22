//! P6: which hospital a request belongs to, and that it is served with that hospital's keys alone.

use aimis_simulator::{Account, PATIENT_STUDIES, Platform, PlatformOptions, Recorded};
use serde_json::json;

use crate::support::client::{Answer, Connection, post, request};
use crate::support::gateway::{Gateway, PHONE, Settings, studies_query, studies_query_with};

/// The other token of the vectors, and what it makes of their telephone number (platform-api.md, section 10).
const SECOND_TOKEN: &str = "Ab9-Zz8_Yy7.Xx6~Ww5!Vv4@Uu3#Tt2$";
const SECOND_PHONE: &str = "767ccd2d641ad5145ab8bbe159deb679";
/// What the first token makes of it.
const FIRST_PHONE: &str = "554fb5befba4daabdb8169e45db64485";

fn second() -> Account {
    Account::new("900002", SECOND_TOKEN, "H0002", "U0002")
}

/// A platform that knows both hospitals, and a gateway that serves both.
async fn two_hospitals() -> (Platform, Gateway) {
    let platform = Platform::start(PlatformOptions {
        accounts: vec![Account::demo(), second()],
        ..PlatformOptions::default()
    })
    .await
    .unwrap();
    let gateway = Settings::calling(&platform).tenant("second-hospital", second()).start();
    (platform, gateway)
}

async fn ask(gateway: &Gateway, app_id: Option<&str>, members: serde_json::Value) -> Answer {
    let path = app_id.map_or_else(String::new, |id| format!("/{id}"));
    let body = studies_query_with(members);
    post(
        gateway.lan,
        &format!("/thirdparty/{PATIENT_STUDIES}{path}"),
        &[],
        body.as_bytes(),
    )
    .await
}

/// Header, path, signature and ciphertext of a request are all of one hospital.
#[track_caller]
fn assert_served_for(account: &Account, phone: &str, request: &Recorded) {
    assert_eq!(
        request.path,
        format!("/thirdparty/{PATIENT_STUDIES}/{}", account.app_id)
    );
    assert_eq!(request.header("appId"), Some(&*account.app_id));
    // The platform checked the signature under this appId's token, and decrypted both fields with it.
    assert_eq!(request.verdict, Some(0), "{}", request.reply_json());
    assert_eq!(request.json()["phoneNum"], phone);
    assert_eq!(request.decrypted.as_ref().unwrap()["phoneNum"], PHONE);
}

#[tokio::test]
async fn p6_the_hospital_follows_from_the_path_else_from_its_id() {
    let (platform, gateway) = two_hospitals().await;
    let first = Account::demo();
    let other = second();
    let rows = [
        (
            "path of the first",
            Some("900001"),
            json!({}),
            &first,
            FIRST_PHONE,
            "H0001",
        ),
        (
            "path of the second",
            Some("900002"),
            json!({"hospitalId": "H0002"}),
            &other,
            SECOND_PHONE,
            "H0002",
        ),
        ("id of the first", None, json!({}), &first, FIRST_PHONE, "H0001"),
        (
            "id of the second",
            None,
            json!({"hospitalId": "H0002"}),
            &other,
            SECOND_PHONE,
            "H0002",
        ),
        (
            "id in white space",
            None,
            json!({"hospitalId": " H0002 "}),
            &other,
            SECOND_PHONE,
            "H0002",
        ),
        (
            "path before id",
            Some("900002"),
            json!({"hospitalId": "H0001"}),
            &other,
            SECOND_PHONE,
            "H0001",
        ),
        (
            "filled in for the first",
            Some("900001"),
            json!({"hospitalId": null, "unionId": ""}),
            &first,
            FIRST_PHONE,
            "H0001",
        ),
        (
            "filled in for the second",
            Some("900002"),
            json!({"hospitalId": null, "unionId": null}),
            &other,
            SECOND_PHONE,
            "H0002",
        ),
    ];
    for (name, app_id, members, account, phone, hospital) in rows {
        platform.clear_requests();

        let answer = ask(&gateway, app_id, members.clone()).await;

        let request = platform.only_request();
        assert_eq!((answer.status, answer.code()), (200, 0), "{name}");
        assert_served_for(account, phone, &request);
        assert_eq!(request.json()["hospitalId"], hospital, "{name}");
        let union = if members.get("unionId").is_some() {
            account.union_id.as_str()
        } else {
            "U0001"
        };
        assert_eq!(request.json()["unionId"], union, "{name}");
    }
}

#[tokio::test]
async fn p6_the_only_hospital_is_meant_by_a_path_without_appid() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);

    for members in [json!({}), json!({"hospitalId": null, "unionId": null})] {
        platform.clear_requests();
        let answer = ask(&gateway, None, members).await;
        assert_eq!(answer.code(), 0);
        let request = platform.only_request();
        assert_served_for(&Account::demo(), FIRST_PHONE, &request);
        assert_eq!(request.json()["hospitalId"], "H0001");
        assert_eq!(request.json()["unionId"], "U0001");
    }
}

#[tokio::test]
async fn p6_a_neighbours_id_given_by_the_caller_stays() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);

    let answer = ask(
        &gateway,
        Some("900001"),
        json!({"hospitalId": "H0002", "unionId": "U0002"}),
    )
    .await;

    assert_eq!(answer.code(), 0);
    let request = platform.only_request();
    assert_served_for(&Account::demo(), FIRST_PHONE, &request);
    assert_eq!(
        (&request.json()["hospitalId"], &request.json()["unionId"]),
        (&json!("H0002"), &json!("U0002"))
    );
}

#[tokio::test]
async fn p6_an_appid_that_nobody_has_is_nobodys() {
    let (platform, gateway) = two_hospitals().await;

    for app_id in [
        "900003",
        "90000",
        "9000011",
        "900001%20",
        "%39%30%30%30%30%31",
        "900001,900002",
        "-",
    ] {
        let answer = ask(&gateway, Some(app_id), json!({})).await;
        assert_eq!((answer.status, answer.code()), (404, 800_006), "{app_id}");
    }
    assert_eq!(platform.request_count(), 0);
}

#[tokio::test]
async fn p6_two_hospitals_at_once_over_the_same_connections_never_mix() {
    const EACH: usize = 200;
    let (platform, gateway) = two_hospitals().await;
    let lan = gateway.lan;

    let mut clients = tokio::task::JoinSet::new();
    for index in 0..8 {
        clients.spawn(async move {
            let mut connection = Connection::open(lan).await;
            for round in 0..EACH / 4 {
                // Each connection changes hospital with every request.
                let app_id = if (index + round) % 2 == 0 { "900001" } else { "900002" };
                let path = format!("/thirdparty/{PATIENT_STUDIES}/{app_id}");
                connection
                    .send(&request("POST", &path, &[], studies_query().as_bytes()))
                    .await
                    .unwrap();
                assert_eq!(connection.answer().await.unwrap().code(), 0);
            }
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }

    let requests = platform.requests();
    let (first, other) = (Account::demo(), second());
    let count = |account: &Account, phone: &str| {
        let theirs = requests.iter().filter(|r| r.header("appId") == Some(&*account.app_id));
        theirs
            .inspect(|request| assert_served_for(account, phone, request))
            .count()
    };
    assert_eq!((count(&first, FIRST_PHONE), count(&other, SECOND_PHONE)), (EACH, EACH));
    assert!(platform.connections_accepted() < requests.len());
}
