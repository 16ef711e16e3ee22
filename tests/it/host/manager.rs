//! What the service manager hears, over a real datagram socket.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;

use aimis_simulator::{Platform, PlatformOptions};

use super::serve;
use crate::support::client::PATIENCE;
use crate::support::directory::Directory;
use crate::support::process::{Process, Serve};

/// A service manager's socket.
struct Manager(UnixDatagram);

impl Manager {
    fn new(socket: UnixDatagram) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// The next message that begins like this; those before it are let go.
    #[track_caller]
    fn hears(&self, wanted: &str) -> String {
        let mut heard = Vec::new();
        let mut buffer = [0; 1024];
        loop {
            let Ok(length) = self.0.recv(&mut buffer) else {
                panic!("not heard: {wanted}; heard: {heard:?}")
            };
            let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if message.starts_with(wanted) {
                return message;
            }
            heard.push(message);
        }
    }

    /// All that is still there.
    fn rest(&self) -> Vec<String> {
        self.0.set_nonblocking(true).unwrap();
        let mut buffer = [0; 1024];
        std::iter::from_fn(|| {
            let length = self.0.recv(&mut buffer).ok()?;
            Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
        })
        .collect()
    }
}

async fn ended(process: Process) -> Option<i32> {
    let ended = tokio::task::spawn_blocking(|| process.ended()).await.unwrap();
    ended.status.code()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manager_hears_ready_alive_and_stopping_in_this_order() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let directory = Directory::new();
    let path = directory.path().join("notify");
    let manager = Manager::new(UnixDatagram::bind(&path).unwrap());
    let mut command = serve(&platform);
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "200000")
        .env("AIMIS_DRAIN__TIMEOUT_MS", "90000");

    let serve = Serve::start(command);

    manager.hears("READY=1");
    for _ in 0..3 {
        manager.hears("WATCHDOG=1");
    }
    serve.process.signal("TERM");
    // Longer than the unit allows: 90 s of the configuration and 5 of our own.
    assert_eq!(manager.hears("STOPPING=1"), "STOPPING=1\nEXTEND_TIMEOUT_USEC=95000000");
    assert_eq!(ended(serve.process).await, Some(0));
    let rest = manager.rest();
    assert!(rest.iter().all(|message| message.starts_with("STATUS=")), "{rest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_in_the_abstract_namespace_hears_too() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let name = format!("aimis-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = Manager::new(UnixDatagram::bind_addr(&address).unwrap());
    let mut command = serve(&platform);
    command.env("NOTIFY_SOCKET", format!("@{name}"));

    let _serve = Serve::start(command);

    manager.hears("READY=1");
}

/// `systemctl start` has to fail where the configuration does, and not come back as if all were well.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_cannot_start_is_never_ready() {
    let directory = Directory::new();
    let path = directory.path().join("notify");
    let manager = Manager::new(UnixDatagram::bind(&path).unwrap());
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = |change: &dyn Fn(&mut Command)| {
        let mut command = serve(&platform);
        command.env("NOTIFY_SOCKET", &path);
        change(&mut command);
        Process::start(command)
    };

    let address = taken.local_addr().unwrap().to_string();
    let bound = refused(&|command| _ = command.env("AIMIS_LAN__LISTEN", &address));
    assert_eq!(ended(bound).await, Some(69));
    let wrong = refused(&|command| _ = command.env("AIMIS_DRAIN__TIMEOUT_MS", "soon"));
    assert_eq!(ended(wrong).await, Some(78));

    assert_eq!(manager.rest(), [""; 0]);
}
