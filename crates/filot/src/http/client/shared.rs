//! Counts of requests that several instances share, in Redis.
//!
//! The generic cell rate algorithm: one number to a client, the time at which its allowance would be whole again. A
//! script takes the time from Redis, so that no two clocks have to agree.

use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;
use redis::aio::ConnectionManager;

/// An answer that takes longer is not waited for: the count of this process alone then decides.
const PATIENCE: Duration = Duration::from_millis(250);

/// Arguments: requests a minute. Answers 0, or the milliseconds until the next request is allowed.
static ALLOWANCE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local now = redis.call('TIME')
        local at = now[1] * 1000 + math.floor(now[2] / 1000)
        local apart = 60000 / tonumber(ARGV[1])
        local whole = math.max(tonumber(redis.call('GET', KEYS[1]) or at), at) + apart
        if whole - at > 60000 + 0.5 then
            return math.ceil(whole - at - 60000)
        end
        redis.call('SET', KEYS[1], whole, 'PX', math.ceil(whole - at) + 1000)
        return 0
        ",
    )
});

/// The shared counts.
#[derive(Clone)]
pub(super) struct SharedLimits {
    connection: ConnectionManager,
    prefix: String,
}

impl SharedLimits {
    pub(super) fn new(connection: ConnectionManager, prefix: &str) -> Self {
        Self { connection, prefix: prefix.to_owned() }
    }

    /// Takes one request from the allowance of `client`. `Some` wait when there is none left; `None` also when Redis
    /// does not answer.
    pub(super) async fn take(&self, kind: &str, client: IpAddr, a_minute: u32) -> Option<Duration> {
        let mut call = ALLOWANCE.key(format!("{}:limit:{kind}:{client}", self.prefix));
        call.arg(a_minute);
        let mut connection = self.connection.clone();
        let wait: u64 =
            tokio::time::timeout(PATIENCE, call.invoke_async(&mut connection)).await.ok()?.ok()?;
        (wait > 0).then(|| Duration::from_millis(wait))
    }
}
