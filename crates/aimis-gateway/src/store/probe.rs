//! One look at the store from outside of a gateway, for `doctor`: does what a gateway does, under a name that no tenant can
//! have, and leaves nothing. What it could not take away, because it was ended or not let, goes by itself within seconds.

use std::time::Duration;

use redis::{Cmd, RedisError, Value};

use super::ask::{Answer, Ask, Take, Verdict, bytes, script};
use super::connection::{Connection, Target};
use super::fault::Fault;
use super::keeper::beat;
use super::keys::Keys;
use super::look::{End, Keep, LookUp, Names, Scripts, Token, Use};
use super::script::Script;
use crate::clock::Clock;
use crate::forward::cache::shared::data_key_name;

/// The shortest time that a call is given: what is slower than `store.timeout_ms` shall be told as slow.
const PATIENCE: Duration = Duration::from_secs(1);
/// After so long nothing of it is left, whatever happens.
const LIFE: Duration = Duration::from_secs(10);
/// What is kept for a moment.
const VALUE: &[u8] = b"doctor";

/// What the store was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// To take a connection, and the user.
    Connect,
    /// To judge a limit.
    Judge,
    /// To note that a gateway is there, and that it has gone.
    Note,
    /// To look an answer up.
    LookUp,
    /// To keep one.
    Keep,
    /// To end what is kept.
    Forget,
    /// To give a tenant's data key.
    DataKey,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It does not do that.
    Fault(Act, Fault),
    /// It does not know what it was told a moment ago.
    Lost,
}

/// What was seen.
pub(crate) struct Seen {
    /// Gateways that share it now.
    pub(crate) gateways: u32,
    /// How long a call took that judges a limit.
    pub(crate) took: Duration,
}

/// A connection of its own.
pub(crate) struct Probe {
    connection: Connection,
    keys: Keys,
    /// The tenant that there is not, and the token of its question.
    tenant: String,
    token: Token,
    timeout: Duration,
}

impl Probe {
    /// Connects and signs in. `chance` tells it from all others that look at the same time.
    ///
    /// # Errors
    /// Why that is not possible.
    pub(crate) async fn connect(
        target: &Target,
        prefix: &str,
        timeout: Duration,
        chance: &[u8; 32],
    ) -> Result<Self, Trouble> {
        let connected = target.connect().await;
        let (connection, _) = connected.map_err(|error| Trouble::Fault(Act::Connect, Fault::of(&error)))?;
        Ok(Self {
            connection,
            keys: Keys::new(prefix, false),
            // An underscore is in no tenant's name.
            tenant: format!("_doctor_{}", hex::encode(&chance[16..24])),
            token: *chance.first_chunk().expect("16 of 32 bytes"),
            timeout: timeout.max(PATIENCE),
        })
    }

    /// Judges a limit that nobody has, notes a gateway where nobody looks, and counts those that there are.
    ///
    /// # Errors
    /// The first thing that is not possible.
    pub(crate) async fn judge(&mut self) -> Result<Seen, Trouble> {
        // A gateway brings scripts along only to a server that does not have them, so the right to it would be missed late.
        let mut bring = redis::cmd("EVAL");
        bring.arg("return 1").arg(1).arg(self.name("quota", "tenant"));
        self.send(Act::Judge, &bring).await?;
        let clock = Clock::system();
        let mut took = Duration::ZERO;
        // The first call may have to bring the script along.
        for _ in 0..2 {
            let began = clock.moment();
            self.ask(Act::Judge, None).await?;
            took = clock.moment().since(began);
        }
        let place = self.name("gateways", "doctor");
        let noted = self
            .run(Act::Note, &beat(), |cmd| {
                cmd.arg(1).arg(&place).arg("doctor").arg(1_000);
            })
            .await;
        let mut leave = redis::cmd("ZREM");
        let left = self.send(Act::Note, leave.arg(&place).arg("doctor")).await;
        if noted.is_err() || left.is_err() {
            // It may be there without an end.
            let _ = self.send(Act::Note, redis::cmd("DEL").arg(&place)).await;
        }
        noted.and(left)?;
        let mut count = redis::cmd("ZCARD");
        count.arg(self.keys.gateways());
        let Value::Int(gateways) = self.send(Act::Note, &count).await? else {
            return Err(Trouble::Fault(Act::Note, Fault::Reply));
        };
        Ok(Seen {
            gateways: u32::try_from(gateways).unwrap_or(u32::MAX),
            took,
        })
    }

    /// Asks for an answer that nobody keeps, keeps one, finds it, ends it, and finds it no more.
    ///
    /// # Errors
    /// The first thing that is not possible.
    pub(crate) async fn share(&mut self) -> Result<(), Trouble> {
        let names = Names {
            data_key: data_key_name(&self.keys, &self.tenant),
            entry: self.name("answer", "doctor"),
            lease: self.name("lease", "doctor"),
            generations: vec![self.name("patient", "doctor"), self.name("api", "doctor")],
        };
        let shared = self.share_under(&names).await;
        // Also what is there when something failed in between.
        let mut clean = redis::cmd("DEL");
        clean.arg(&names.data_key).arg(&names.entry).arg(&names.lease);
        let cleaned = self.send(Act::Forget, clean.arg(&names.generations)).await;
        shared.and(cleaned.map(drop))
    }

    async fn share_under(&mut self, names: &Names) -> Result<(), Trouble> {
        let (token, key_id) = (self.token, *self.token.first_chunk().expect("8 of 16 bytes"));
        let scripts = Scripts::new();
        // A gateway's has no end; this one has, should nobody be there to drop it. The store knows a data key by its id alone.
        let mut put = redis::cmd("SET");
        put.arg(&names.data_key).arg(&key_id[..]).arg("PX").arg(millis(LIFE));
        self.send(Act::Keep, &put).await?;
        let look_up = LookUp {
            names,
            key_id,
            usable: Use::Fresh,
            have: None,
            max_age: None,
            token,
            lease: Some(LIFE),
            asks: Some(LIFE),
        };

        let asked = self.ask(Act::LookUp, Some(look_up)).await?;
        if !matches!(asked.verdict, Verdict::Granted(_)) {
            return Err(Trouble::Lost);
        }
        let end = End {
            names,
            key_id,
            token,
            generations: &asked.seen.generations,
            asked_at_ms: asked.now_ms,
            keep: Keep::Entry {
                lives_ms: [millis(LIFE); 3],
                value: VALUE,
            },
        };
        let told = self.run(Act::Keep, &scripts.keep, |cmd| end.write(cmd)).await?;
        let found = self.ask(Act::LookUp, Some(look_up.only())).await?;
        let is_there = found.seen.value == VALUE && matches!(found.verdict, Verdict::Hit { .. });
        if !End::read(&told).kept || !is_there {
            return Err(Trouble::Lost);
        }

        let forget = |cmd: &mut Cmd| {
            cmd.arg(1 + names.generations.len())
                .arg(&names.data_key)
                .arg(&names.generations)
                .arg(&key_id[..]);
        };
        self.run(Act::Forget, &scripts.forget, forget).await?;
        let gone = self.ask(Act::LookUp, Some(look_up.only())).await?;
        if matches!(gone.verdict, Verdict::Hit { .. }) {
            return Err(Trouble::Lost);
        }
        Ok(())
    }

    /// A tenant's data key, wrapped; empty if there is none.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(crate) async fn data_key(&mut self, tenant: &str) -> Result<Vec<u8>, Trouble> {
        let mut get = redis::cmd("GET");
        get.arg(data_key_name(&self.keys, tenant));
        match self.send(Act::DataKey, &get).await? {
            Value::Nil => Ok(Vec::new()),
            value => bytes(value).ok_or(Trouble::Fault(Act::DataKey, Fault::Reply)),
        }
    }

    /// As a request asks, under a limit so small that it is gone by the time that anybody looks.
    async fn ask(&mut self, act: Act, look_up: Option<LookUp<'_>>) -> Result<Answer, Trouble> {
        let key = self.name("quota", "tenant");
        let limits = [Take {
            key: &key,
            period: Duration::from_micros(1),
            burst: 1,
            weight: 1,
            max_wait: LIFE,
            for_hits: false,
        }];
        let ask = Ask {
            limits: &limits,
            look_up,
        };
        let told = self.run(act, &script(), |cmd| ask.write(cmd)).await?;
        Answer::read(told, limits.len()).ok_or(Trouble::Fault(act, Fault::Reply))
    }

    fn name(&self, kind: &str, name: &str) -> String {
        self.keys.of_tenant(&self.tenant, kind, name)
    }

    async fn run(&mut self, act: Act, script: &Script, write: impl Fn(&mut Cmd)) -> Result<Value, Trouble> {
        let timeout = self.timeout;
        within(act, timeout, script.run(&mut self.connection, 0, write)).await
    }

    async fn send(&mut self, act: Act, cmd: &Cmd) -> Result<Value, Trouble> {
        let timeout = self.timeout;
        within(act, timeout, self.connection.send(cmd)).await
    }
}

async fn within(
    act: Act,
    timeout: Duration,
    call: impl Future<Output = Result<Value, RedisError>>,
) -> Result<Value, Trouble> {
    let told = tokio::time::timeout(timeout, call).await;
    told.map_err(|_| Fault::Timeout)
        .and_then(|told| told.map_err(|error| Fault::of(&error)))
        .map_err(|fault| Trouble::Fault(act, fault))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
