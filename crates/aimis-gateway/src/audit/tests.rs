//! The tamper suite: whatever is done to files without the key is found, and its place told.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::files::{Trail, list};
use super::find::{Query, find};
use super::head;
use super::needed;
use super::open::Anomaly;
use super::testing::{Bed, NOW, later, look_up, look_ups, phone};
use super::verify::{Expected, Problem};
use super::watch;

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn put(path: &Path, lines: &[String]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(path, text).unwrap();
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn problems(bed: &Bed) -> Vec<Problem> {
    bed.verify().problems
}

#[test]
fn a_trail_is_sound_as_it_was_written() {
    let bed = Bed::with(60);

    let report = bed.verify();

    assert_eq!(report.problems, []);
    assert!(report.files >= 4, "{report:?}");
    // A first line a file, a start and a stop.
    assert_eq!(report.lines, 60 + report.files + 2);
    assert_eq!(report.numbers, Some((1, report.lines)));
    assert_eq!((report.lost, report.unclean, report.torn), (0, 0, 0));
}

#[test]
fn any_byte_changed_is_found_in_its_line() {
    let bed = Bed::with(6);
    for path in bed.files() {
        let good = fs::read(&path).unwrap();
        let mut line = 1;
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            let problems = problems(&bed);
            let first = problems
                .first()
                .unwrap_or_else(|| panic!("byte {at} of {} is free", name(&path)));
            assert_eq!(first.file, name(&path), "{first:?}");
            // Without its end, the last line is half a line, and is missed behind the one before.
            let half = u64::from(at + 1 == good.len());
            assert_eq!(first.line, line - half, "byte {at}: {first:?}");
            if good[at] == b'\n' {
                line += 1;
            }
        }
        fs::write(&path, &good).unwrap();
    }
    assert_eq!(problems(&bed), []);
}

#[test]
fn any_line_taken_out_doubled_or_swapped_is_found_at_its_place() {
    let bed = Bed::with(6);
    let files = bed.files();
    for path in &files {
        let good = lines(path);
        for at in 0..good.len() {
            let mut without = good.clone();
            without.remove(at);
            put(path, &without);
            let found = problems(&bed);
            assert!(!found.is_empty(), "line {} of {} taken out", at + 1, name(path));
            let is_last = at + 1 == good.len();
            if !is_last && at > 0 {
                assert_eq!((found[0].file.as_str(), found[0].line), (&*name(path), at as u64 + 1));
                assert!(found[0].what.contains("missing"), "{found:?}");
            }

            let mut doubled = good.clone();
            doubled.insert(at, good[at].clone());
            put(path, &doubled);
            let found = problems(&bed);
            assert_eq!(
                (found[0].file.as_str(), found[0].line),
                (&*name(path), at as u64 + 2),
                "{found:?}"
            );

            if at + 1 < good.len() {
                let mut swapped = good.clone();
                swapped.swap(at, at + 1);
                put(path, &swapped);
                let found = problems(&bed);
                assert_eq!(
                    (found[0].file.as_str(), found[0].line),
                    (&*name(path), at as u64 + 1),
                    "{found:?}"
                );
            }
        }
        put(path, &good);
    }
    assert_eq!(problems(&bed), []);
}

#[test]
fn a_cut_anywhere_is_found() {
    let bed = Bed::with(6);
    for path in bed.files() {
        let good = fs::read(&path).unwrap();
        for length in 0..good.len() {
            fs::write(&path, &good[..length]).unwrap();
            assert!(!problems(&bed).is_empty(), "{} cut at {length}", name(&path));
        }
        fs::write(&path, &good).unwrap();
    }
}

#[test]
fn a_file_that_is_gone_is_named_wherever_it_stood() {
    let bed = Bed::with(60);
    let files = bed.files();
    for (index, path) in files.iter().enumerate() {
        let good = fs::read(path).unwrap();
        fs::remove_file(path).unwrap();
        let found = problems(&bed);
        let told: String = found.iter().map(|problem| problem.what.clone()).collect();
        assert!(told.contains("missing"), "{told}");
        if index + 1 < files.len() {
            assert_eq!(found.last().unwrap().file, name(&files[index + 1]), "{found:?}");
            assert!(told.contains(&format!("file {}", index + 1)), "{told}");
        } else {
            assert!(told.contains("at the end"), "{told}");
        }
        fs::write(path, good).unwrap();
    }
    // Two that change places, and one under another's number.
    let bytes: Vec<_> = files[1..3].iter().map(|path| fs::read(path).unwrap()).collect();
    fs::write(&files[1], &bytes[1]).unwrap();
    fs::write(&files[2], &bytes[0]).unwrap();
    assert_eq!(problems(&bed)[0].file, name(&files[1]));
}

#[test]
fn lines_cut_off_the_end_are_told_by_the_head_and_without_it_by_what_is_known_elsewhere() {
    let bed = Bed::with(3);
    let path = &bed.files()[0];
    let sealed = bed.verify();
    let (_, last) = sealed.numbers.unwrap();
    let head = Trail::Gateway.head(bed.directory.path());
    let good = lines(path);
    put(path, &good[..good.len() - 2]);

    let found = problems(&bed);
    assert_eq!(
        found[0].what,
        format!(
            "records {} to {last} are missing at the end: the last was in file 1",
            last - 1
        )
    );
    assert_eq!(
        (found[0].file.clone(), found[0].line),
        (name(path), good.len() as u64 - 2)
    );

    // Without the head, or with one of another making, it is told that nobody can know.
    let kept = fs::read(&head).unwrap();
    fs::remove_file(&head).unwrap();
    assert!(problems(&bed)[0].what.contains("may have been cut off"));
    for at in 0..kept.len() - 1 {
        let mut changed = kept.clone();
        changed[at] ^= 2;
        fs::write(&head, changed).unwrap();
        assert!(!problems(&bed).is_empty(), "byte {at} of the head is free");
    }

    // An old head put back with the old lines is whole in itself; only from outside can it be told.
    let old = Bed::with(2);
    assert_eq!(problems(&old), []);
    let expected = Expected {
        at_least: Some(last),
        ..Expected::default()
    };
    assert!(
        old.verify_expecting(&expected).problems[0]
            .what
            .contains("missing at the end")
    );
    let expected = Expected {
        anchors: vec![(3, sealed.seal[..16].to_owned()), (last, sealed.seal[..16].to_owned())],
        ..Expected::default()
    };
    let found = old.verify_expecting(&expected).problems;
    assert!(found[0].what.contains("another seal"), "{found:?}");
    assert!(found[1].what.contains("is not there"), "{found:?}");
}

#[test]
fn a_gateway_knows_what_it_wrote_though_all_of_it_is_removed() {
    let bed = Bed::with(3);
    let (_, last) = bed.verify_expecting(&Expected::default()).numbers.unwrap();
    let known = watch::expected(Trail::Gateway, last);
    assert_eq!(bed.verify_expecting(&known).problems, []);
    for file in fs::read_dir(bed.directory.path()).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }

    let found = bed.verify_expecting(&known).problems;

    assert!(
        found.iter().any(|problem| problem.what.contains("missing at the end")),
        "{found:?}"
    );
    assert!(watch::expected(Trail::Acts, last).at_least.is_none());
}

#[test]
fn a_trail_under_another_key_is_not_taken_for_ours() {
    let mut bed = Bed::with(3);
    bed.keys = vec![2];
    let found = problems(&bed);
    assert!(found[0].what.contains("previous_key_files"), "{found:?}");
    assert!(bed.try_open(NOW).err().unwrap().contains("previous_key_files"));

    bed.keys = vec![2, 1];
    let mut journal = bed.open();
    look_ups(&mut journal, 3..6);
    journal.close(later(6)).unwrap();
    assert_eq!(problems(&bed), []);
    assert_eq!(bed.files().len(), 2, "a file is written under one key");

    let mut found = 0;
    for number in [1, 4] {
        let query = Query {
            number: Some(&phone(number)),
            ..Query::default()
        };
        let keys = bed.keys();
        let searched = find::<std::io::Error>(bed.directory.path(), &keys, &query, &mut |record| {
            assert_eq!((record.stated.count, record.sound), (Some(number), true));
            found += 1;
            Ok(true)
        });
        assert_eq!(searched.unwrap().skipped, []);
    }
    assert_eq!(found, 2, "one of each key");

    // To verify all needs both keys, to go on writing that of the last file.
    drop(journal);
    bed.keys = vec![2];
    let (directory, keys) = (bed.directory.path(), bed.keys());
    let last = list(Trail::Gateway, directory).unwrap().into_iter().last();
    assert!(needed::unknown(directory, &keys).unwrap().is_some());
    assert!(
        needed::unknown_of(Trail::Gateway, last, directory, &keys)
            .unwrap()
            .is_none()
    );
    assert_eq!(bed.try_open(later(7)).err(), None);
}

#[test]
fn what_was_on_its_way_when_the_key_changed_is_found() {
    let mut bed = Bed::new();
    let mut journal = bed.open();
    look_ups(&mut journal, 0..2);
    let late = look_up(&journal, 2);
    bed.keys = vec![2, 1];
    journal.keys = bed.keys();
    assert!(journal.is_under_old_key());
    journal.roll(later(2)).unwrap();
    journal.add(late.at, |line| late.write(line));
    journal.close(later(3)).unwrap();
    assert_eq!(problems(&bed), []);

    let mut found = 0;
    let query = Query {
        number: Some(&phone(2)),
        ..Query::default()
    };
    let searched = find::<std::io::Error>(bed.directory.path(), &bed.keys(), &query, &mut |record| {
        assert!(record.sound && record.file.contains("00000002"));
        found += 1;
        Ok(true)
    });
    assert_eq!((searched.unwrap().skipped, found), (vec![], 1));
}

#[test]
fn half_a_line_of_a_killed_process_is_cut_off_and_told() {
    for cut in [1, 40, 200] {
        let bed = Bed::new();
        let mut journal = bed.open();
        look_ups(&mut journal, 0..3);
        let path = bed.files()[0].clone();
        let record = look_up(&journal, 3);
        journal.add(record.at, |line| record.write(line));
        let half = journal.pending[..cut].to_vec();
        drop(journal);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [whole, half].concat()).unwrap();
        assert_eq!((problems(&bed), bed.verify().torn), (vec![], cut as u64));

        let (mut journal, found) = bed.try_open(later(9)).unwrap();
        assert_eq!((found.torn, found.anomalies), (cut as u64, vec![]));
        look_ups(&mut journal, 3..5);
        journal.close(later(10)).unwrap();

        let report = bed.verify();
        assert_eq!((report.problems, report.unclean, report.torn), (vec![], 1, 0));
    }
}

#[test]
fn lines_that_are_gone_at_a_start_are_told_in_the_trail_for_ever() {
    let bed = Bed::with(3);
    let path = &bed.files()[0];
    let good = lines(path);
    put(path, &good[..good.len() - 2]);

    let (mut journal, found) = bed.try_open(later(9)).unwrap();
    let (first, last) = (good.len() as u64 - 1, good.len() as u64);
    assert_eq!(found.anomalies, [Anomaly::Missing { first, last }]);
    look_ups(&mut journal, 3..5);
    journal.close(later(10)).unwrap();

    let found = problems(&bed);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].what.contains(&format!("records {first} to {last}")),
        "{found:?}"
    );
    let accepted = Expected {
        accepted: [last + 1].into(),
        ..Expected::default()
    };
    let report = bed.verify_expecting(&accepted);
    assert_eq!((report.problems, report.accepted), (vec![], 1));
}

#[test]
fn a_changed_end_and_a_lost_head_do_not_keep_the_gateway_from_starting_and_are_told() {
    let bed = Bed::with(3);
    let path = &bed.files()[0];
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.len() - 10;
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
    fs::remove_file(Trail::Gateway.head(bed.directory.path())).unwrap();

    let (mut journal, found) = bed.try_open(later(9)).unwrap();
    assert_eq!(found.anomalies, [Anomaly::NoHead, Anomaly::Damaged]);
    look_ups(&mut journal, 3..5);
    journal.close(later(10)).unwrap();

    let found = problems(&bed);
    assert_eq!(found[0].file, name(path), "{found:?}");
    assert!(bed.files().len() == 2 && found.len() >= 3, "{found:?}");
}

#[test]
fn the_oldest_file_goes_when_its_time_is_over_and_not_before() {
    let bed = Bed::with(60);
    let count = bed.files().len();
    let (mut journal, _) = bed.try_open(later(61)).unwrap();
    assert_eq!(journal.prune(later(86_400 * 10)).unwrap(), None);
    assert_eq!(journal.prune(later(86_400 * 10 + 60)).unwrap(), Some(1));
    assert_eq!(
        journal.prune(later(86_400 * 10 + 60)).unwrap(),
        Some(2),
        "one at a time"
    );
    journal.close(later(86_400 * 11)).unwrap();

    assert_eq!((problems(&bed), bed.files().len()), (vec![], count - 2));
    // Whoever takes one himself has no record for it.
    fs::remove_file(&bed.files()[0]).unwrap();
    assert!(problems(&bed)[0].what.contains("no record tells"));
}

#[test]
fn a_first_line_that_was_changed_removes_nothing() {
    let bed = Bed::with(60);
    let files = bed.files();
    let (mut journal, _) = bed.try_open(later(61)).unwrap();
    let text = fs::read_to_string(&files[1]).unwrap();
    fs::write(&files[1], text.replacen("\"time\":\"2025", "\"time\":\"2015", 1)).unwrap();

    assert_eq!(journal.prune(later(86_400)).unwrap(), None);
    assert_eq!(bed.files(), files);
}

#[test]
fn nothing_is_lost_to_a_disk_that_fails_for_a_while() {
    let bed = Bed::new();
    let mut journal = bed.open();
    let faults = Arc::clone(&journal.faults);
    for (round, fault) in [&faults.full, &faults.unsynced, &faults.full].into_iter().enumerate() {
        fault.store(true, Ordering::Relaxed);
        for number in 0..5 {
            let record = look_up(&journal, number + 5 * round as u64);
            journal.add(record.at, |line| record.write(line));
            assert!(journal.sync(NOW).is_err());
        }
        let head = head::read(Trail::Gateway, bed.directory.path(), &bed.keys())
            .unwrap()
            .unwrap();
        assert_eq!(head.seq, 2 + 5 * round as u64, "the head names what is durable");
        fault.store(false, Ordering::Relaxed);
        journal.sync(NOW).unwrap();
    }
    journal.close(NOW).unwrap();

    let report = bed.verify();
    assert_eq!((report.problems, report.lines), (vec![], 2 + 15 + 1));
}

#[test]
fn a_budget_that_is_used_up_is_a_disk_that_is_full() {
    let mut bed = Bed::new();
    bed.all = 2_000;
    let mut journal = bed.open();
    let mut number = 0;
    while journal.sync(NOW).is_ok() {
        let record = look_up(&journal, number);
        journal.add(record.at, |line| record.write(line));
        number += 1;
    }
    assert!((3..10).contains(&number), "{number}");
    let size: u64 = bed.files().iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(size <= 2_000, "{size}");
}

#[test]
fn two_gateways_do_not_share_a_directory() {
    let bed = Bed::new();
    let _journal = bed.open();
    assert!(bed.try_open(NOW).err().unwrap().contains("another process"));
}

/// What somebody without the key can do to a trail.
#[derive(Clone, Debug)]
enum Deed {
    Change(prop::sample::Index, prop::sample::Index, u8),
    Remove(prop::sample::Index, prop::sample::Index),
    Insert(prop::sample::Index, prop::sample::Index, String),
    Copy(
        prop::sample::Index,
        prop::sample::Index,
        prop::sample::Index,
        prop::sample::Index,
    ),
    Cut(prop::sample::Index, prop::sample::Index),
    Drop(prop::sample::Index),
}

fn deeds() -> impl Strategy<Value = Deed> {
    use prop::sample::Index;
    prop_oneof![
        (any::<Index>(), any::<Index>(), 1..=u8::MAX).prop_map(|(file, at, change)| Deed::Change(file, at, change)),
        (any::<Index>(), any::<Index>()).prop_map(|(file, line)| Deed::Remove(file, line)),
        (any::<Index>(), any::<Index>(), "[ -~]{0,80}").prop_map(|(file, line, text)| Deed::Insert(file, line, text)),
        (any::<Index>(), any::<Index>(), any::<Index>(), any::<Index>())
            .prop_map(|(a, b, c, d)| Deed::Copy(a, b, c, d)),
        (any::<Index>(), any::<Index>()).prop_map(|(file, at)| Deed::Cut(file, at)),
        any::<Index>().prop_map(Deed::Drop),
    ]
}

fn commit(deed: &Deed, files: &[PathBuf]) {
    match deed {
        Deed::Change(file, at, change) => {
            let path = file.get::<PathBuf>(files);
            let mut bytes = fs::read(path).unwrap();
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] ^= change;
                fs::write(path, bytes).unwrap();
            }
        }
        Deed::Remove(file, line) => {
            let mut all = lines(file.get::<PathBuf>(files));
            all.remove(line.index(all.len()));
            put(file.get::<PathBuf>(files), &all);
        }
        Deed::Insert(file, line, text) => {
            let mut all = lines(file.get::<PathBuf>(files));
            all.insert(line.index(all.len() + 1), text.clone());
            put(file.get::<PathBuf>(files), &all);
        }
        Deed::Copy(from, line, to, at) => {
            let copied = line.get(&lines(from.get::<PathBuf>(files))).clone();
            let mut all = lines(to.get::<PathBuf>(files));
            all.insert(at.index(all.len() + 1), copied);
            put(to.get::<PathBuf>(files), &all);
        }
        Deed::Cut(file, at) => {
            let bytes = fs::read(file.get::<PathBuf>(files)).unwrap();
            fs::write(file.get::<PathBuf>(files), &bytes[..at.index(bytes.len())]).unwrap();
        }
        Deed::Drop(file) => fs::remove_file(file.get::<PathBuf>(files)).unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_a_trail_without_its_key_is_found(deed in deeds(), records in 1..40_u64) {
        let bed = Bed::with(records);
        let files = bed.files();

        commit(&deed, &files);

        let found = problems(&bed);
        prop_assert!(!found.is_empty(), "{:?}", deed);
        prop_assert!(found.iter().all(|problem| !problem.file.is_empty()));
    }
}
