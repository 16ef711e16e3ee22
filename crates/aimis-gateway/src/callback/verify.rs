//! Whether a callback was signed by somebody who holds the tenant's token, and lately.
//!
//! The signature covers neither body nor path, so this proves that its maker held the token at one moment and
//! nothing about what came with it: that is judged in `open`, and by the inbox, which knows what the same
//! signature has carried before. Whoever asks is told nothing of what is found here, and finding out takes the
//! same work for every tenant, one that there is not included.

use aimis_core::sign::{Signer, Timestamp};
use http::HeaderMap;
use subtle::ConstantTimeEq;

use crate::config::CallbackSignature;
use crate::sent::Sent;
use crate::telemetry::labels::CallbackRefusal;

/// Digits of a timestamp. One length, because appId and timestamp are signed without a separator.
const TIMESTAMP_DIGITS: usize = 13;

/// What a tenant asks of a signature.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// `callback.signature`.
    pub signature: CallbackSignature,
    /// `callback.past_ms`.
    pub past_ms: u64,
    /// `callback.ahead_ms`.
    pub ahead_ms: u64,
}

/// Whom a callback has to be signed for, and with what.
pub struct Signatory<'a> {
    /// The tenant's appId.
    pub app_id: &'a str,
    /// One for each of the tenant's live tokens.
    pub signers: &'a [Signer],
    /// What the gateway itself signed for this tenant.
    pub sent: Option<&'a Sent>,
}

/// What a callback has proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Its maker held the token when it was `at`.
    Signed {
        /// The signed time.
        at: Timestamp,
        /// Which of [`Signatory::signers`] made the signature.
        signer: usize,
    },
    /// Nothing: it came without signature, or nobody looked.
    Unsigned,
}

/// Judges the signature in `headers` at the time `now`.
///
/// # Errors
/// Why it is not good, for the operator alone.
pub fn verify(
    headers: &HeaderMap,
    signatory: &Signatory<'_>,
    rules: Rules,
    now: Timestamp,
) -> Result<Proof, CallbackRefusal> {
    if rules.signature == CallbackSignature::Off {
        return Ok(Proof::Unsigned);
    }
    let Some(claim) = Claim::of(headers)? else {
        return match rules.signature {
            CallbackSignature::Required => Err(CallbackRefusal::Headers),
            CallbackSignature::IfPresent | CallbackSignature::Off => Ok(Proof::Unsigned),
        };
    };
    let at = claim.at.as_millis();
    // The appId comes first: without a separator, another one with other digits could be signed alike.
    let right_app = claim.app_id.as_bytes().ct_eq(signatory.app_id.as_bytes());
    let mut signed_by = None;
    for (index, signer) in signatory.signers.iter().enumerate() {
        // All of them, whichever fits: the time tells nobody which token is in use.
        let verified = signer.verify(signatory.app_id, claim.timestamp, claim.signature);
        signed_by = verified.ok().map(|()| index).or(signed_by);
    }
    if !bool::from(right_app) {
        return Err(CallbackRefusal::AppId);
    }
    let signer = signed_by.ok_or(CallbackRefusal::Signature)?;
    if at.saturating_add(rules.past_ms) < now.as_millis() {
        return Err(CallbackRefusal::Stale);
    }
    if at > now.as_millis().saturating_add(rules.ahead_ms) {
        return Err(CallbackRefusal::Ahead);
    }
    if signatory.sent.is_some_and(|sent| sent.contains(claim.at)) {
        return Err(CallbackRefusal::Reflected);
    }
    Ok(Proof::Signed { at: claim.at, signer })
}

/// The three headers of a signature.
struct Claim<'a> {
    app_id: &'a str,
    timestamp: &'a str,
    signature: &'a str,
    at: Timestamp,
}

impl<'a> Claim<'a> {
    /// The three headers, each there exactly once; `None` if there is none of them.
    fn of(headers: &'a HeaderMap) -> Result<Option<Self>, CallbackRefusal> {
        let names = ["appid", "timestamp", "signature"];
        if names.iter().all(|name| !headers.contains_key(*name)) {
            return Ok(None);
        }
        let only = |name: &str| {
            let mut values = headers.get_all(name).iter();
            let value = values.next().filter(|_| values.next().is_none());
            value
                .and_then(|value| value.to_str().ok())
                .ok_or(CallbackRefusal::Headers)
        };
        let [app_id, timestamp, signature] = names;
        let (app_id, timestamp, signature) = (only(app_id)?, only(timestamp)?, only(signature)?);
        if timestamp.len() != TIMESTAMP_DIGITS || !timestamp.bytes().all(|b| b.is_ascii_digit()) {
            return Err(CallbackRefusal::Headers);
        }
        let at = timestamp.parse().map_err(|_| CallbackRefusal::Headers)?;
        Ok(Some(Self {
            app_id,
            timestamp,
            signature,
            at: Timestamp::from_millis(at),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aimis_core::sign::{SignatureEncoding, TimestampUnit};
    use aimis_core::token::{KeyForm, Token};
    use aimis_simulator::{Account, Switches};
    use http::HeaderValue;
    use proptest::prelude::*;

    const NOW: u64 = 1_735_689_600_000;
    const PAST: u64 = 300_000;
    const AHEAD: u64 = 60_000;

    fn signer(token: &str) -> Signer {
        let token = Token::parse(token.as_bytes(), KeyForm::Raw).unwrap();
        Signer::new(&token, SignatureEncoding::HexLower, TimestampUnit::Milliseconds)
    }

    fn rules(signature: CallbackSignature) -> Rules {
        Rules {
            signature,
            past_ms: PAST,
            ahead_ms: AHEAD,
        }
    }

    fn headers(values: &[(&'static str, String)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn signed_headers(timestamp: &str) -> HeaderMap {
        let account = Account::demo();
        headers(&[
            ("appid", account.app_id.clone()),
            ("timestamp", timestamp.to_owned()),
            ("signature", account.sign(timestamp, &Switches::default())),
        ])
    }

    fn judged(headers: &HeaderMap, sent: Option<&Sent>) -> Result<Proof, CallbackRefusal> {
        let account = Account::demo();
        let signers = [signer(&account.token)];
        let signatory = Signatory {
            app_id: &account.app_id,
            signers: &signers,
            sent,
        };
        verify(
            headers,
            &signatory,
            rules(CallbackSignature::IfPresent),
            Timestamp::from_millis(NOW),
        )
    }

    #[test]
    fn the_window_is_open_at_both_its_edges_and_closed_behind_them() {
        for (at, wanted) in [
            (NOW, None),
            (NOW - PAST, None),
            (NOW - PAST - 1, Some(CallbackRefusal::Stale)),
            (NOW + AHEAD, None),
            (NOW + AHEAD + 1, Some(CallbackRefusal::Ahead)),
        ] {
            let judged = judged(&signed_headers(&at.to_string()), None);
            let at = Timestamp::from_millis(at);
            assert_eq!(judged, wanted.map_or(Ok(Proof::Signed { at, signer: 0 }), Err));
        }
    }

    #[test]
    fn only_thirteen_digits_are_a_time() {
        for timestamp in [
            "1735689600",
            "01735689600000",
            "173568960000",
            "+735689600000",
            "1735689600000 ",
        ] {
            let judged = judged(&signed_headers(timestamp), None);
            assert_eq!(judged, Err(CallbackRefusal::Headers), "{timestamp:?}");
        }
    }

    #[test]
    fn a_pair_that_we_sent_is_refused() {
        let sent = Sent::new(PAST + AHEAD);
        sent.remember(Timestamp::from_millis(NOW - 5));

        assert_eq!(
            judged(&signed_headers(&(NOW - 5).to_string()), Some(&sent)),
            Err(CallbackRefusal::Reflected)
        );
        assert!(judged(&signed_headers(&(NOW - 4).to_string()), Some(&sent)).is_ok());
    }

    #[test]
    fn every_live_token_is_good_and_no_other() {
        let tokens = [
            "0123456789abcdef0123456789abcdef",
            "Ab9-Zz8_Yy7.Xx6~Ww5!Vv4@Uu3#Tt2$",
            "ffffffffffffffffffffffffffffffff",
        ];
        let signers: Vec<_> = tokens[..2].iter().map(|token| signer(token)).collect();
        for (index, token) in tokens.iter().enumerate() {
            let account = Account {
                token: (*token).to_owned(),
                ..Account::demo()
            };
            let timestamp = NOW.to_string();
            let headers = headers(&[
                ("appid", account.app_id.clone()),
                ("timestamp", timestamp.clone()),
                ("signature", account.sign(&timestamp, &Switches::default())),
            ]);
            let signatory = Signatory {
                app_id: &account.app_id,
                signers: &signers,
                sent: None,
            };
            let judged = verify(
                &headers,
                &signatory,
                rules(CallbackSignature::Required),
                Timestamp::from_millis(NOW),
            );
            assert_eq!(judged.is_ok(), index < 2);
        }
    }

    /// What a header holds in the property below.
    #[derive(Clone, Debug)]
    struct Sample {
        app_ids: Vec<&'static str>,
        timestamps: Vec<String>,
        signatures: Vec<String>,
        rule: CallbackSignature,
        ours: bool,
    }

    fn sample() -> impl Strategy<Value = Sample> {
        let rule = prop_oneof![
            Just(CallbackSignature::Required),
            Just(CallbackSignature::IfPresent),
            Just(CallbackSignature::Off)
        ];
        let app_id = prop_oneof![8 => Just("900001"), 1 => Just("90000"), 1 => Just("900002")];
        let edges = prop_oneof![
            4 => (NOW - PAST - 2)..=(NOW - PAST + 2),
            4 => (NOW + AHEAD - 2)..=(NOW + AHEAD + 2),
            4 => (NOW - 3)..=(NOW + 3),
            1 => Just(NOW / 1000),
            1 => Just(NOW * 10),
        ];
        let count = prop_oneof![1 => Just(0_usize), 10 => Just(1), 1 => Just(2)];
        (
            rule,
            app_id,
            edges,
            [count.clone(), count.clone(), count],
            0..8_u8,
            any::<bool>(),
        )
            .prop_map(|(rule, app_id, at, counts, spoilt, ours)| {
                let timestamp = at.to_string();
                let good = Account::demo().sign(&timestamp, &Switches::default());
                let signature = match spoilt {
                    0 => good.replace(&good[..1], if good.starts_with('0') { "1" } else { "0" }),
                    1 => good[1..].to_owned(),
                    2 => good.to_ascii_uppercase(),
                    _ => good,
                };
                Sample {
                    app_ids: vec![app_id; counts[0]],
                    timestamps: vec![timestamp; counts[1]],
                    signatures: vec![signature; counts[2]],
                    rule,
                    ours,
                }
            })
    }

    /// What is right, said plainly, with the simulator's reading of the signature.
    fn plainly_good(sample: &Sample) -> bool {
        if sample.rule == CallbackSignature::Off {
            return true;
        }
        match (&*sample.app_ids, &*sample.timestamps, &*sample.signatures) {
            ([], [], []) => sample.rule == CallbackSignature::IfPresent,
            ([app_id], [timestamp], [signature]) => {
                let at: u64 = timestamp.parse().unwrap();
                timestamp.len() == 13
                    && *app_id == "900001"
                    && signature.to_ascii_lowercase() == Account::demo().sign(timestamp, &Switches::default())
                    && (NOW - PAST..=NOW + AHEAD).contains(&at)
                    && !(sample.ours && at.is_multiple_of(2))
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_exactly_what_a_plain_reading_accepts(sample in sample()) {
            let mut values = Vec::new();
            values.extend(sample.app_ids.iter().map(|value| ("appid", (*value).to_owned())));
            values.extend(sample.timestamps.iter().map(|value| ("timestamp", value.clone())));
            values.extend(sample.signatures.iter().map(|value| ("signature", value.clone())));
            let sent = Sent::new(PAST + AHEAD);
            for at in (NOW - PAST - 2..=NOW - PAST + 2).chain(NOW - 3..=NOW + 3).chain(NOW + AHEAD - 2..=NOW + AHEAD + 2) {
                if at.is_multiple_of(2) {
                    sent.remember(Timestamp::from_millis(at));
                }
            }
            let account = Account::demo();
            let signers = [signer(&account.token)];
            let signatory = Signatory {
                app_id: &account.app_id,
                signers: &signers,
                sent: sample.ours.then_some(&sent),
            };

            let judged = verify(&headers(&values), &signatory, rules(sample.rule), Timestamp::from_millis(NOW));

            prop_assert_eq!(judged.is_ok(), plainly_good(&sample), "{:?}", judged);
        }
    }
}
