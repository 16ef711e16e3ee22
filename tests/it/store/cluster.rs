//! A cluster: three nodes with all slots, and a replica of one of them where a test wants one.

use redis::Connection;

use super::servers::{Engine, Server, free_port};

/// A node, and the port at which nodes talk to each other.
struct Node {
    server: Server,
    bus: u16,
}

/// See the module's text.
pub struct Cluster {
    engine: Engine,
    nodes: Vec<Node>,
    /// Of the node with this number.
    replica: Option<(usize, Node)>,
}

impl Cluster {
    /// Of Redis 7 or newer.
    #[track_caller]
    pub fn start(engine: Engine) -> Self {
        let nodes: Vec<Node> = (0..3).map(|_| Node::start(engine)).collect();
        for (node, (first, last)) in nodes.iter().zip([(0, 5_460), (5_461, 10_922), (10_923, 16_383)]) {
            let mut connection = node.server.connection();
            let mut slots = redis::cmd("CLUSTER");
            slots.arg("ADDSLOTSRANGE").arg(first).arg(last);
            slots.exec(&mut connection).unwrap();
            for other in &nodes {
                other.meet(&mut connection);
            }
        }
        for node in &nodes {
            until(&mut node.server.connection(), "cluster_known_nodes:3");
        }
        Self {
            engine,
            nodes,
            replica: None,
        }
    }

    /// The nodes, as `store.redis_url` has them.
    pub fn urls(&self) -> String {
        let urls = self.nodes.iter().map(|node| format!("\"{}\"", node.server.url()));
        format!("[{}]", urls.collect::<Vec<_>>().join(", "))
    }

    /// Gives the node that has this key a replica, which has all of it when this returns.
    #[track_caller]
    pub fn follow(&mut self, key: &str) {
        let master = self.node_of(key);
        let node = Node::start(self.engine);
        let mut connection = node.server.connection();
        self.nodes[master].meet(&mut connection);
        until(&mut connection, "cluster_known_nodes:4");
        let id: String = cluster("MYID")
            .query(&mut self.nodes[master].server.connection())
            .unwrap();
        cluster("REPLICATE").arg(id).exec(&mut connection).unwrap();
        node.server.says("sync: Finished with success");
        for other in &self.nodes {
            until(&mut other.server.connection(), "cluster_known_nodes:4");
        }
        self.replica = Some((master, node));
    }

    /// The node that is followed, and its replica.
    #[track_caller]
    pub fn pair(&self) -> (&Server, &Server) {
        let (master, replica) = self.replica.as_ref().expect("a replica");
        (&self.nodes[*master].server, &replica.server)
    }

    /// The node that is followed dies, and the replica takes its place.
    #[track_caller]
    pub fn fail_over(&mut self) {
        let (master, replica) = self.replica.as_ref().expect("a replica");
        self.nodes[*master].server.down();
        let mut connection = replica.server.connection();
        cluster("FAILOVER").arg("TAKEOVER").exec(&mut connection).unwrap();
        until(&mut connection, "cluster_state:ok");
    }

    /// A node by its number.
    pub fn node(&mut self, number: usize) -> &mut Server {
        &mut self.nodes[number].server
    }

    /// For questions of the test's own, to each node.
    #[track_caller]
    pub fn connections(&self) -> Vec<Connection> {
        self.nodes.iter().map(|node| node.server.connection()).collect()
    }

    /// Begins to move the slot of this key to another node: what is not there is asked for at the other.
    #[track_caller]
    pub fn moves(&self, key: &str) {
        let from = self.node_of(key);
        let to = (from + 1) % self.nodes.len();
        let (mut source, mut target) = (self.nodes[from].server.connection(), self.nodes[to].server.connection());
        let slot: u16 = cluster("KEYSLOT").arg(key).query(&mut source).unwrap();
        let id = |connection| cluster("MYID").query::<String>(connection).unwrap();
        let (source_id, target_id) = (id(&mut source), id(&mut target));
        let mut set = cluster("SETSLOT");
        set.arg(slot).arg("IMPORTING").arg(source_id).exec(&mut target).unwrap();
        let mut set = cluster("SETSLOT");
        set.arg(slot).arg("MIGRATING").arg(target_id).exec(&mut source).unwrap();
    }

    /// Which node has this key.
    #[track_caller]
    pub fn node_of(&self, key: &str) -> usize {
        let mut connection = self.nodes[0].server.connection();
        let slot: u16 = cluster("KEYSLOT").arg(key).query(&mut connection).unwrap();
        usize::from(slot / 5_461).min(2)
    }
}

impl Node {
    #[track_caller]
    fn start(engine: Engine) -> Self {
        let bus = free_port();
        let lines = [
            "--cluster-enabled yes",
            "--cluster-node-timeout 2000",
            "--cluster-require-full-coverage no",
            "--repl-diskless-sync-delay 0",
            &format!("--cluster-port {bus}"),
        ];
        let server = Server::with(engine, &lines);
        Self { server, bus }
    }

    /// Introduces it to another.
    fn meet(&self, other: &mut Connection) {
        let mut meet = cluster("MEET");
        meet.arg("127.0.0.1").arg(self.server.port).arg(self.bus);
        meet.exec(other).unwrap();
    }
}

fn cluster(command: &str) -> redis::Cmd {
    let mut cmd = redis::cmd("CLUSTER");
    cmd.arg(command);
    cmd
}

/// Returns when the cluster is well as this node sees it, and says so.
fn until(connection: &mut Connection, text: &str) {
    let said = |connection: &mut Connection| {
        let info: String = cluster("INFO").query(connection).unwrap();
        info.contains("cluster_state:ok") && info.contains(text)
    };
    while !said(connection) {
        std::thread::yield_now();
    }
}
