//! The queue in Redis, on the keys that operators of FiLot know. Every step is one Lua script, so that no crash falls
//! between its parts, and takes the time from Redis, so that no two clocks have to agree.
//!
//! | key (`{lane}` is empty for CPU, `gpu:` for GPU) | type | holds |
//! |---|---|---|
//! | `filot:ocr:{lane}queue` | list | ids whose turn it is, the next on the left: of each account one, but for those that were given back |
//! | `filot:ocr:{lane}behind:<account>` | list | ids that come after the one that their account has in line |
//! | `filot:ocr:{lane}turns` | hash | account → its ids in line |
//! | `filot:ocr:{lane}accounts` | hash | id → account |
//! | `filot:ocr:{lane}queued` | set | ids that wait, in line or delayed: keeps one from being queued twice |
//! | `filot:ocr:{lane}processing` | set | ids under a lease |
//! | `filot:ocr:{lane}processing:timestamps` | hash | id → start in ms |
//! | `filot:ocr:{lane}leases` | zset | id → end of the lease in µs |
//! | `filot:ocr:{lane}owners` | hash | id → fencing token and owner |
//! | `filot:ocr:{lane}attempts` | hash | id → claims since it was queued |
//! | `filot:ocr:{lane}delayed` | zset | id → when it is due, in ms |
//! | `filot:ocr:{lane}dead` | list | `id reason`, the latest on the left |
//! | `filot:ocr:{lane}buried` | set | the ids in it |
//! | `filot:ocr:gpu:lock:<id>` | string | fencing token of the lease, for as long as it lasts |
//! | `filot:ocr:gpu:alive` | string | there while a GPU reader asks for work |
//! | `filot:ocr:results`, `filot:ocr:gpu:results` | Pub/Sub | changes of documents, without personal data |
//! | `filot:ocr:work` | Pub/Sub | the name of a lane that has work |

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Client, FromRedisValue, IntoConnectionInfo, Script};
use secrecy::ExposeSecret;
use tokio::sync::broadcast;
use tokio::task::AbortHandle;
use tracing::{debug, warn};

use super::{Change, Depth, Error, Lane, Lease, Queue, Result, Signal, Then};
use crate::config;
use crate::document::{DocumentId, UserId};

mod scripts;

use scripts::Scripts;

/// How long to wait for an answer of Redis.
const PATIENCE: Duration = Duration::from_secs(3);

/// The queue in Redis.
pub struct RedisQueue {
    connection: ConnectionManager,
    prefix: String,
    scripts: Scripts,
    signals: broadcast::Sender<Signal>,
    listener: AbortHandle,
    lock_ttl: Duration,
}

impl Drop for RedisQueue {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl RedisQueue {
    /// The queue in the Redis of the configuration. Succeeds also while Redis is down; it is then reached later.
    ///
    /// # Errors
    /// When the address is not one.
    pub fn connect(config: &config::service::Redis, lock_ttl: Duration) -> Result<Self> {
        let client = client(config)?;
        let connection = ConnectionManager::new_lazy_with_config(client.clone(), patience())?;
        let prefix = format!("{}:ocr:", config.prefix);
        let signals = broadcast::Sender::new(1024);
        let listener = tokio::spawn(listen(client, prefix.clone(), signals.clone())).abort_handle();
        Ok(Self { connection, prefix, scripts: Scripts::new(), signals, listener, lock_ttl })
    }

    fn key(&self, lane: Lane, name: &str) -> String {
        let lane = match lane {
            Lane::Cpu => "",
            Lane::Gpu => "gpu:",
        };
        format!("{}{lane}{name}", self.prefix)
    }

    /// A script with the prefix of the lane's keys as its first argument, then the prefix of all keys.
    async fn run<T: FromRedisValue>(&self, script: &Script, lane: Lane, args: &[&str]) -> Result<T> {
        let mut call = script.prepare_invoke();
        call.arg(self.key(lane, "")).arg(&self.prefix);
        for arg in args {
            call.arg(*arg);
        }
        let mut connection = self.connection.clone();
        patiently(call.invoke_async(&mut connection)).await
    }

    async fn wake(&self, lane: Lane) {
        let mut connection = self.connection.clone();
        let channel = format!("{}work", self.prefix);
        // Workers also look by themselves; a lost call only costs time.
        let sent = patiently(connection.publish::<_, _, ()>(channel, lane.as_str())).await;
        if let Err(error) = sent {
            debug!(%error, "cannot wake readers");
        }
    }
}

/// A connection for others than the queue; `None` without Redis in the configuration.
pub(crate) fn connection(config: &config::service::Redis) -> Option<ConnectionManager> {
    config.url.as_ref()?;
    ConnectionManager::new_lazy_with_config(client(config).ok()?, patience()).ok()
}

/// Erases every key under the prefix of the configuration.
///
/// # Errors
/// When Redis does not answer.
pub(crate) async fn erase_all(config: &config::service::Redis) -> Result<()> {
    let mut connection = client(config)?.get_connection_manager_with_config(patience()).await?;
    // The prefix consists of letters, digits, - and _, so nothing in it is a pattern.
    let pattern = format!("{}:*", config.prefix);
    let keys: Vec<String> = {
        let mut found = connection.scan_match::<_, String>(pattern).await?;
        let mut keys = Vec::new();
        while let Some(key) = found.next_item().await {
            keys.push(key?);
        }
        keys
    };
    for some in keys.chunks(500) {
        connection.unlink::<_, ()>(some).await?;
    }
    Ok(())
}

fn client(config: &config::service::Redis) -> Result<Client> {
    let url = config::exposed(&config.url).unwrap_or("redis://127.0.0.1:6379");
    let mut info = url.into_connection_info()?;
    if let Some(password) = &config.password {
        let settings = info.redis_settings().clone().set_password(password.expose_secret());
        info = info.set_redis_settings(settings);
    }
    Ok(Client::open(info)?)
}

fn patience() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(2)))
        .set_response_timeout(Some(PATIENCE))
        .set_number_of_retries(1)
        .set_max_delay(Duration::from_secs(1))
}

async fn patiently<T>(call: impl Future<Output = redis::RedisResult<T>>) -> Result<T> {
    match tokio::time::timeout(PATIENCE * 2, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Error::TimedOut),
    }
}

/// Passes on what is published, from a connection of its own that is renewed when it breaks.
async fn listen(client: Client, prefix: String, signals: broadcast::Sender<Signal>) {
    let work = format!("{prefix}work");
    let channels = [work.clone(), format!("{prefix}results"), format!("{prefix}gpu:results")];
    loop {
        let subscribed = async {
            let mut pubsub = client.get_async_pubsub().await?;
            for channel in &channels {
                pubsub.subscribe(channel).await?;
            }
            redis::RedisResult::Ok(pubsub)
        };
        match subscribed.await {
            Ok(pubsub) => {
                // Whatever was said while nobody listened: look for work once.
                for lane in Lane::ALL {
                    let _ = signals.send(Signal::Work(*lane));
                }
                let mut messages = pubsub.into_on_message();
                while let Some(message) = messages.next().await {
                    let Ok(text) = message.get_payload::<String>() else { continue };
                    let signal = if message.get_channel_name() == work {
                        text.parse().ok().map(Signal::Work)
                    } else {
                        serde_json::from_str(&text).ok().map(Signal::Changed)
                    };
                    if let Some(signal) = signal {
                        let _ = signals.send(signal);
                    }
                }
            }
            Err(error) => warn!(error = error.category(), "cannot listen to Redis"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[async_trait]
impl Queue for RedisQueue {
    fn kind(&self) -> &'static str {
        "redis"
    }

    fn in_database(&self) -> bool {
        false
    }

    async fn push(&self, lane: Lane, id: DocumentId, account: UserId, delay: Duration) -> Result<bool> {
        let args = [&*id.to_string(), &delay.as_millis().to_string(), &account.to_string()];
        let new: bool = self.run(&self.scripts.push, lane, &args).await?;
        if new && delay.is_zero() {
            self.wake(lane).await;
        }
        Ok(new)
    }

    async fn claim(&self, lane: Lane, owner: &str, limit: usize, lease: Duration) -> Result<Vec<Lease>> {
        let lease = match lane {
            Lane::Cpu => lease,
            Lane::Gpu => lease.min(self.lock_ttl),
        };
        let args = [lane.as_str(), owner, &limit.to_string(), &lease.as_micros().to_string()];
        let claimed: Vec<(String, i64, u32)> = self.run(&self.scripts.claim, lane, &args).await?;
        claimed
            .into_iter()
            .map(|(id, token, attempt)| {
                let id = id.parse().map_err(|_| Error::Corrupt("document id"))?;
                Ok(Lease { id, lane, token, attempt })
            })
            .collect()
    }

    async fn extend(&self, lease: &Lease, by: Duration) -> Result<bool> {
        let args = [&*lease.id.to_string(), &lease.token.to_string(), &by.as_micros().to_string()];
        self.run(&self.scripts.extend, lease.lane, &args).await
    }

    async fn complete(&self, lease: &Lease) -> Result<bool> {
        self.run(
            &self.scripts.finish,
            lease.lane,
            &[&lease.id.to_string(), &lease.token.to_string(), "complete", ""],
        )
        .await
    }

    async fn fail(&self, lease: &Lease, then: Then) -> Result<bool> {
        let (what, with) = match &then {
            Then::Retry(wait) => ("retry", wait.as_millis().to_string()),
            Then::Release => ("release", String::new()),
            Then::Bury(reason) => ("bury", reason.clone()),
        };
        let args = [&*lease.id.to_string(), &lease.token.to_string(), what, &with];
        let done = self.run(&self.scripts.finish, lease.lane, &args).await?;
        if then == Then::Release {
            self.wake(lease.lane).await;
        }
        Ok(done)
    }

    async fn remove(&self, id: DocumentId) -> Result<()> {
        for lane in Lane::ALL {
            let _: i64 = self.run(&self.scripts.remove, *lane, &[&id.to_string()]).await?;
        }
        Ok(())
    }

    async fn reap(&self) -> Result<u64> {
        let mut ended = 0;
        for lane in Lane::ALL {
            let (reaped, promoted): (u64, u64) = self.run(&self.scripts.reap, *lane, &[]).await?;
            ended += reaped;
            if reaped + promoted > 0 {
                self.wake(*lane).await;
            }
        }
        Ok(ended)
    }

    async fn fall_back(&self, silence: Duration) -> Result<u64> {
        let args = [&*silence.as_millis().to_string()];
        let moved = self.run(&self.scripts.fall_back, Lane::Gpu, &args).await?;
        if moved > 0 {
            self.wake(Lane::Cpu).await;
        }
        Ok(moved)
    }

    async fn depth(&self, lane: Lane) -> Result<Depth> {
        let mut pipe = redis::pipe();
        pipe.scard(self.key(lane, "queued"))
            .zcard(self.key(lane, "delayed"))
            .zcard(self.key(lane, "leases"))
            .llen(self.key(lane, "dead"));
        let mut connection = self.connection.clone();
        let (waiting, delayed, leased, dead): (u64, u64, u64, u64) =
            patiently(pipe.query_async(&mut connection)).await?;
        Ok(Depth { ready: waiting.saturating_sub(delayed), delayed, leased, dead })
    }

    async fn dead(&self, lane: Lane, limit: usize) -> Result<Vec<(DocumentId, String)>> {
        let last = isize::try_from(limit).unwrap_or(isize::MAX).saturating_sub(1);
        let mut connection = self.connection.clone();
        let entries: Vec<String> = patiently(connection.lrange(self.key(lane, "dead"), 0, last)).await?;
        entries
            .iter()
            .map(|entry| {
                let (id, reason) = entry.split_once(' ').unwrap_or((entry, ""));
                Ok((id.parse().map_err(|_| Error::Corrupt("document id"))?, reason.to_owned()))
            })
            .collect()
    }

    async fn announce(&self, change: &Change) -> Result<()> {
        let channel = format!("{}results", self.prefix);
        let message = serde_json::to_string(change).map_err(|_| Error::Corrupt("change"))?;
        let mut connection = self.connection.clone();
        patiently(connection.publish::<_, _, ()>(channel, message)).await
    }

    fn signals(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
    }

    async fn ping(&self) -> Result<()> {
        let mut connection = self.connection.clone();
        let ping = redis::cmd("PING");
        patiently(ping.query_async::<()>(&mut connection)).await
    }

    async fn may_evict(&self) -> Result<bool> {
        let mut connection = self.connection.clone();
        // Allowed where CONFIG is not: managed servers forbid that.
        let mut info = redis::cmd("INFO");
        info.arg("memory");
        let told: String = patiently(info.query_async(&mut connection)).await?;
        let policy = told.lines().find_map(|line| line.strip_prefix("maxmemory_policy:"));
        Ok(policy.is_some_and(|policy| policy.trim() != "noeviction"))
    }
}
