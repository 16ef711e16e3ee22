//! Values that are right alone: which are refused together, and which are told.

use super::{TENANT, config, with_tenant};
use crate::config::{Sources, load, notices};

#[test]
fn what_cannot_work_together_is_refused() {
    for (text, complaint) in [
        (
            "[platform]\nretry_base_ms = 2000",
            "gateway.toml:2: platform.retry_base_ms: 2000 is more than retry_max_ms, which is 1000",
        ),
        (
            "[limits]\nclosed_ms = 70000",
            "gateway.toml:2: limits.closed_ms: 70000 is more than max_closed_ms, which is 60000",
        ),
        (
            "[clock]\nwarn_ms = 70000",
            "gateway.toml:2: clock.warn_ms: 70000 is more than alarm_ms, which is 60000",
        ),
        (
            "[clock]\nauto_correct = true\nmax_correction_ms = 0",
            "gateway.toml:2: clock.auto_correct: true is without effect: max_correction_ms is 0, so nothing would be \
             corrected",
        ),
        (
            "[platform]\nbase_url = \"http://127.0.0.1:1\"\nhttp2 = true",
            "gateway.toml:3: platform.http2: true is without effect: HTTP/2 is agreed upon in TLS, and platform.base_url \
             is not https",
        ),
        (
            "[[codes]]\ncode = 90001\nclass = \"no_data\"",
            "gateway.toml:3: codes[0].class: \"no_data\" would hide that 90001 is auth in the table of codes: a refusal \
             would be kept, and taken for an answer about the patient",
        ),
        (
            "[[codes]]\ncode = 90003\nclass = \"success\"",
            "gateway.toml:3: codes[0].class: \"success\" would hide that 90003 is limit in the table of codes: a refusal \
             would be kept, and taken for an answer about the patient",
        ),
        (
            "[[codes]]\ncode = 800201\nclass = \"limit\"",
            "gateway.toml:2: codes[0].code: 800201 is of the gateway's own codes (800000 to 800999), which are not looked \
             up here",
        ),
        (
            "[[codes]]\ncode = 20014\nclass = \"limit\"\nretry = true",
            "gateway.toml:4: codes[0].retry: true is without effect: what is over a limit is not asked again; leave it out",
        ),
    ] {
        assert_eq!(with_tenant(text).expect_err(text).to_string(), complaint);
    }
    for text in [
        "[platform]\nretry_base_ms = 1000",
        "[platform]\nhttp2 = true",
        "[clock]\nmax_correction_ms = 0",
        "[[codes]]\ncode = 90001\nclass = \"unknown\"",
        "[[codes]]\ncode = 801000\nclass = \"limit\"\nretry = false",
    ] {
        assert!(with_tenant(text).is_ok(), "{text}");
    }
}

#[test]
fn what_is_a_risk_is_told() {
    for (text, told) in [
        (
            "[limits]\nmax_wait_ms = 2000\n[platform]\ndeadline_ms = 2000\nconnect_timeout_ms = 1000",
            &["limits.max_wait_ms is 2000, and platform.deadline_ms only 2000"][..],
        ),
        (
            "[platform]\ndeadline_ms = 2000",
            &["platform.connect_timeout_ms is 3000, and platform.deadline_ms only 2000"],
        ),
        ("[breaker]\nenabled = false", &["breaker.enabled is false"]),
        (
            "[limits.tenant]\nrate_per_s = 0\nin_flight = 0",
            &["tenant a: rate_per_s and in_flight are 0"],
        ),
        (
            "[cache.patientStudies]\nnegative_s = 60",
            &["tenant a: patientStudies: cache.negative_s is more than fresh_s"],
        ),
        (
            "[cache.patientConsultations]\nnegative_s = 301\nfresh_s = 301",
            &["tenant a: patientConsultations: cache.negative_s is more than 300"],
        ),
        (
            "[cache.patientReportUrl]\nenabled = true\nfresh_s = 301",
            &["tenant a: patientReportUrl: links are kept for more than 300 s"],
        ),
        (
            "[[codes]]\ncode = 20010\nclass = \"no_data\"",
            &["codes[0]: 20010 is permission in the table of codes; as no_data"],
        ),
        ("", &[]),
        ("[cache]\nenabled = false\nnegative_s = 600", &[]),
        ("[cache.patientReportUrl]\nfresh_s = 600", &[]),
        ("[limits.tenant]\nrate_per_s = 0", &[]),
        ("[[codes]]\ncode = 20014\nclass = \"no_data\"", &[]),
    ] {
        let notices = notices(&config(text));
        assert_eq!(notices.len(), told.len(), "{text}: {notices:?}");
        for (notice, told) in notices.iter().zip(told) {
            assert!(notice.starts_with(told), "{text}: {notice}");
        }
    }
}

#[test]
fn an_inbox_that_can_be_shared_beside_answers_that_are_not_is_told() {
    let inbox = "[callback]\n[inbox]\ndatabase_url = \"postgres://a@localhost/b\"\n";
    let store = "[store]\nredis_url = \"redis://localhost\"\nkey_file = \"k\"\n";
    for (text, is_told) in [
        (inbox.to_owned(), true),
        (format!("{inbox}[cache]\nenabled = false\n"), false),
        (format!("{inbox}{store}"), false),
        ("[callback]\n".to_owned(), false),
    ] {
        let notices = notices(&config(&text));
        let told = notices.iter().any(|notice| notice == crate::config::ANSWERS_APART);
        assert_eq!(told, is_told, "{text}: {notices:?}");
    }
}

#[test]
fn missed_callbacks_are_looked_for_only_where_that_can_be() {
    let told = |sections: &str, tenant: &str| {
        let text = format!("{sections}\n{TENANT}\n{tenant}callback.reconcile = true\n");
        load(&Sources::text("gateway.toml", text)).map_err(|error| error.to_string())
    };
    let ids = "hospital_id = \"H0001\"\nunion_id = \"U0001\"\n";

    assert!(told("[callback]", ids).is_ok());
    for (sections, tenant, wanted) in [
        ("", ids, "tenants[0].callback.reconcile: this is without effect"),
        ("[callback]", "hospital_id = \"H0001\"\n", "needs union_id"),
        ("[callback]", "union_id = \"U0001\"\n", "needs hospital_id"),
        (
            "[callback]\n[reconcile]\nwindow_hours = 169",
            ids,
            "reconcile.window_hours: 169 is more than inbox.delivered_record_hours, which is 168",
        ),
    ] {
        let refused = told(sections, tenant).expect_err(sections);
        assert!(refused.contains(wanted), "{refused}");
    }
}
