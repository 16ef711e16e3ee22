//! A disk that is full: by events, and by what others write.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use aimis_simulator::{Account, Callback, CallbackReply, CallbackSender};

use super::bed::{Bed, kill};
use super::chance::Chance;
use super::senders::{After, Senders};
use crate::support::process::Serve;

/// A small disk; gone with this.
struct Disk(PathBuf);

impl Disk {
    /// Of so many KiB, at `place`.
    fn mount(place: PathBuf, kib: u64) -> Self {
        let disk = Self(place);
        let uid = rustix::process::getuid().as_raw();
        disk.run(
            "mount",
            &[
                "-t",
                "tmpfs",
                "-o",
                &format!("size={kib}k,uid={uid},mode=0700"),
                "aimis-test",
            ],
        );
        disk
    }

    /// Makes it larger.
    fn resize(&self, kib: u64) {
        self.run("mount", &["-o", &format!("remount,size={kib}k")]);
    }

    /// Fills it to the last byte, by a file that is given.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("ballast");
        let mut file = File::create(&path).unwrap();
        for size in [1 << 16, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }

    #[track_caller]
    fn run(&self, program: &str, arguments: &[&str]) {
        let done = self.command(program, arguments).output().unwrap();
        assert!(
            done.status.success(),
            "this test needs a small disk and mounts a tmpfs: run it as root, or as a user whom sudo lets do that \
             without a password, and in a container only with --cap-add SYS_ADMIN; {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = if rustix::process::getuid().is_root() {
            Command::new(program)
        } else {
            let mut command = Command::new("sudo");
            command.args(["-n", program]);
            command
        };
        command.args(arguments).arg(&self.0);
        command
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // At once where nothing uses it, and else as soon as nothing does.
        let _ = self.command("umount", &["-l"]).output();
    }
}

/// Sends something that was never sent before.
async fn send_new(serve: &Serve, study: &str) -> CallbackReply {
    let sender = CallbackSender::new(&Bed::callback_url(serve), &Account::demo()).unwrap();
    sender.send(&Callback::demo().study(study)).await.unwrap()
}

#[track_caller]
fn is_refused(reply: &CallbackReply) {
    assert_eq!((reply.status, reply.code), (503, Some(800_202)));
    assert!(
        reply
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("retry-after"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_full_of_events_refuses_more_and_loses_none() {
    let mut chance = Chance::new("full");
    let mut bed = Bed::new().await;
    let disk = Disk::mount(bed.disk(), 3 << 9);
    bed.his_down().await;

    let serve = bed.start();
    let senders = Senders::start(&Bed::callback_url(&serve), &bed.ledger, &mut chance);
    senders.wait(After::Refusals(100)).await;
    is_refused(&send_new(&serve, "never-kept").await);
    kill(serve.process);
    senders.stop().await;
    let full = bed.ledger.missing();
    // It starts again where nothing has become better, and knows what it can take.
    let serve = bed.start();
    is_refused(&send_new(&serve, "never-kept").await);

    disk.resize(16 << 10);
    let senders = Senders::start(&Bed::callback_url(&serve), &bed.ledger, &mut chance);
    senders.wait(After::Acknowledgements(100)).await;
    kill(serve.process);
    senders.stop().await;

    assert!(bed.ledger.missing() > full);
    let figures = bed.settle().await;
    println!("full with {full}: {figures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_others_fill_to_the_last_byte_loses_nothing() {
    let mut chance = Chance::new("filled");
    let mut bed = Bed::new().await;
    let disk = Disk::mount(bed.disk(), 2 << 10);
    let serve = bed.start();
    let senders = Senders::start(&Bed::callback_url(&serve), &bed.ledger, &mut chance);
    senders.wait(After::Acknowledgements(100)).await;

    let ballast = disk.fill();
    senders.wait(After::Refusals(100)).await;
    is_refused(&send_new(&serve, "never-kept").await);

    // Nobody has to start it again.
    std::fs::remove_file(&ballast).unwrap();
    senders.wait(After::Acknowledgements(100)).await;
    let ballast = disk.fill();
    senders.wait(After::Refusals(10)).await;
    kill(serve.process);
    senders.stop().await;
    bed.collect();
    // It starts where there is no byte left: queries are answered, and what the inbox holds leaves it.
    let serve = bed.start();
    is_refused(&send_new(&serve, "never-kept").await);
    kill(serve.process);
    bed.collect();
    std::fs::remove_file(&ballast).unwrap();

    let figures = bed.settle().await;
    println!("{figures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_purged_makes_room() {
    let mut chance = Chance::new("purged");
    let bed = Bed::new().await;
    let disk = Disk::mount(bed.disk(), 5 << 10);
    // Half of it is somebody else's, so that the rest is full soon.
    std::fs::write(disk.0.join("ballast"), vec![0; 5 << 19]).unwrap();
    let serve = bed.start();
    let senders = Senders::start(&Bed::callback_url(&serve), &bed.ledger, &mut chance);
    senders.wait(After::Refusals(100)).await;
    is_refused(&send_new(&serve, "never-kept").await);
    senders.stop().await;
    bed.emptied(&serve).await;

    bed.inbox(&["purge", "--all", "--yes"]);

    // At once, and as much as before.
    let before = bed.ledger.acknowledgements();
    assert!(send_new(&serve, "kept-at-last").await.is_received());
    let senders = Senders::start(&Bed::callback_url(&serve), &bed.ledger, &mut chance);
    senders.wait(After::Acknowledgements(before / 2)).await;
    senders.stop().await;
}
