//! A master, its replica, and three sentinels that watch them.

use std::process::Command;

use super::servers::{Engine, Server, free_port, on_path};
use crate::support::directory::Directory;
use crate::support::process::Process;

/// See the module's text.
pub struct Trio {
    master: Server,
    replica: Server,
    sentinels: Vec<(Process, u16, Directory)>,
}

impl Trio {
    #[track_caller]
    pub fn start() -> Self {
        let master = Server::with(Engine::Redis7, &["--repl-diskless-sync-delay 0"]);
        let of = format!("--replicaof 127.0.0.1 {}", master.port);
        let replica = Server::with(Engine::Redis7, &[&of]);
        // Sentinels ask only now and then which replicas there are.
        replica.says("sync: Finished with success");
        let program = on_path("redis-sentinel", "redis-sentinel");
        let sentinels: Vec<_> = (0..3)
            .map(|_| {
                let (directory, port) = (Directory::new(), free_port());
                let text = format!(
                    "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor aimis 127.0.0.1 {} 2\n\
                     sentinel down-after-milliseconds aimis 500\nsentinel failover-timeout aimis 2000\n",
                    directory.path().display(),
                    master.port
                );
                let file = directory.file("sentinel.conf", text);
                let mut command = Command::new(&program);
                command.arg(file);
                let process = Process::start(command);
                process.line(|line| line.contains("+monitor master"));
                (process, port, directory)
            })
            .collect();
        // Nobody is promoted before they know each other and the replica.
        for (process, ..) in &sentinels {
            let mut met = [0, 0];
            while met[0] < 1 || met[1] < 2 {
                let line = process.line(|line| line.contains("+slave ") || line.contains("+sentinel "));
                met[usize::from(line.contains("+sentinel "))] += 1;
            }
        }
        Self {
            master,
            replica,
            sentinels,
        }
    }

    /// The sentinels, as `store.redis_url` has them; the first is nobody.
    pub fn urls(&self) -> String {
        let urls = self
            .sentinels
            .iter()
            .map(|(_, port, _)| format!("\"redis://127.0.0.1:{port}\""));
        let nobody = format!("\"redis://127.0.0.1:{}\"", free_port());
        let urls: Vec<_> = std::iter::once(nobody).chain(urls).collect();
        format!("[{}]", urls.join(", "))
    }

    /// For questions of the test's own, to the master and its replica.
    #[track_caller]
    pub fn servers(&self) -> Vec<redis::Connection> {
        vec![self.master.connection(), self.replica.connection()]
    }

    /// Likewise, to the sentinels.
    #[track_caller]
    pub fn sentinels(&self) -> Vec<redis::Connection> {
        let client = |port: &u16| redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
        let sentinels = self.sentinels.iter();
        sentinels
            .map(|(_, port, _)| client(port).get_connection().unwrap())
            .collect()
    }

    pub fn kill_master(&mut self) {
        self.master.down();
    }

    /// Returns when all sentinels name the one that was the replica.
    #[track_caller]
    pub fn agreed(&self) {
        for mut sentinel in self.sentinels() {
            let mut named = redis::cmd("SENTINEL");
            named.arg("GET-MASTER-ADDR-BY-NAME").arg("aimis");
            while named.query::<(String, u16)>(&mut sentinel).unwrap().1 != self.replica.port {
                std::thread::yield_now();
            }
        }
    }

    /// The replica has heard of everything that the master was told.
    pub fn level(&self) {
        let heard = redis::cmd("WAIT")
            .arg(1)
            .arg(0)
            .query::<i64>(&mut self.master.connection());
        assert_eq!(heard.unwrap(), 1);
    }

    /// The replica hears nothing of its master any more: it follows nobody, and is a replica still.
    pub fn deafen_replica(&self) {
        let mut deaf = redis::cmd("REPLICAOF");
        deaf.arg("127.0.0.1").arg(free_port());
        deaf.exec(&mut self.replica.connection()).unwrap();
    }

    /// What the replica has under keys that match.
    pub fn of_replica(&self, pattern: &str) -> Vec<String> {
        keys(&self.replica, pattern)
    }

    /// What the master has under keys that match.
    pub fn of_master(&self, pattern: &str) -> Vec<String> {
        keys(&self.master, pattern)
    }

    /// The replica counts a quota.
    pub fn replica_judges(&self) -> bool {
        let mut connection = self.replica.connection();
        let key = "aimis:{first-hospital}:quota:tenant";
        redis::cmd("EXISTS").arg(key).query::<i64>(&mut connection).unwrap() == 1
    }
}

/// Keys of a server that match, sorted.
pub fn keys(server: &Server, pattern: &str) -> Vec<String> {
    let mut connection = server.connection();
    let mut keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query(&mut connection).unwrap();
    keys.sort();
    keys
}
