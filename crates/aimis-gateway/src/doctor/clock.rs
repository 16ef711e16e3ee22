//! Our clock beside the platform's, by the `Date` of an answer.

use std::time::Duration;

use super::chart::Chart;
use super::exchange;
use crate::config::{self, MOST_CORRECTION};
use crate::upstream::clock_offset::offset_of;

pub(super) async fn examine(chart: &mut Chart) {
    let (mut asked, mut answered) = (false, false);
    // The first answer tells; the probe of that tenant is then done as well.
    for index in 0..chart.hospitals.len() {
        chart.findings.restart();
        let Some(heard) = exchange::ask(chart, index).await else {
            continue;
        };
        asked = true;
        let reply = heard.result.as_ref().ok();
        answered |= reply.is_some();
        let offset = reply
            .and_then(|reply| reply.dated())
            .and_then(|dated| offset_of(dated, heard.read));
        chart.hospitals[index].heard = Some(heard);
        if let Some(offset) = offset {
            judge(chart, offset);
            return;
        }
    }
    if answered {
        let fix = "Look for a cache or proxy that drops the header Date, or answers slower than in two seconds.";
        chart
            .findings
            .warn(None, "the answer does not tell the platform's time", fix);
    } else {
        let why = if asked {
            "since the platform gave no answer"
        } else {
            "since no tenant can ask"
        };
        chart.findings.skipped(None, why);
    }
}

fn judge(chart: &mut Chart, offset_ms: i64) {
    let clock = &chart.config.clock;
    let off = Duration::from_millis(offset_ms.unsigned_abs());
    let alarm = off >= clock.alarm;
    if off < clock.warn {
        chart.findings.ok(
            None,
            format!("within {:.1} s of the platform's", off.as_secs_f64().max(0.5)),
        );
        return;
    }
    let found = format!("your clock is {} s {}", off.as_secs(), direction(offset_ms));
    if clock.auto_correct && off <= clock.max_correction {
        chart.correction = -offset_ms;
        // Those that asked by the wrong clock ask again.
        chart.hospitals.iter_mut().for_each(|hospital| hospital.heard = None);
        let found = format!("{found}, which clock.auto_correct makes up for in signatures");
        let fix = "Set this machine's clock by NTP (chronyc tracking, timedatectl): log and certificates go by it.";
        chart.findings.warn(None, found, fix);
        return;
    }
    chart.clock_off = Some(offset_ms);
    let shifted = match clock.offset_ms {
        0 => "",
        _ => ", and set clock.offset_ms to 0 then",
    };
    let fix = format!(
        "Set this machine's clock by NTP (chronyc tracking, timedatectl){shifted}{}.",
        otherwise(clock, off)
    );
    if alarm {
        chart.findings.fail(None, found, fix);
    } else {
        chart.findings.warn(None, found, fix);
    }
}

/// What helps where this machine's clock cannot be set.
fn otherwise(clock: &config::Clock, off: Duration) -> String {
    let most = clock.max_correction.as_millis();
    let needed = off.as_millis();
    if off > MOST_CORRECTION {
        "; it is too far off for clock.auto_correct".to_owned()
    } else if clock.auto_correct {
        format!(
            ": it is too far off for clock.auto_correct, which corrects up to clock.max_correction_ms = {most}; where \
             that is not possible, set clock.max_correction_ms to more than {needed}"
        )
    } else if off > clock.max_correction {
        format!(
            "; where that is not possible, set clock.auto_correct = true, and clock.max_correction_ms, which is {most}, \
             to more than {needed}"
        )
    } else {
        "; where that is not possible, set clock.auto_correct = true".to_owned()
    }
}

/// What our clock is, being so far ahead.
pub(super) fn direction(offset_ms: i64) -> &'static str {
    if offset_ms > 0 { "fast" } else { "slow" }
}
