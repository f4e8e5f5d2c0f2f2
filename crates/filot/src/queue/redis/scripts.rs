//! The Lua scripts. In each, `ARGV[1]` is the prefix of the lane's keys and `ARGV[2]` that of all keys; keys are named
//! from these, which Redis allows outside of a cluster.

use redis::Script;

pub(super) struct Scripts {
    pub(super) push: Script,
    pub(super) claim: Script,
    pub(super) extend: Script,
    pub(super) finish: Script,
    pub(super) remove: Script,
    pub(super) reap: Script,
    pub(super) fall_back: Script,
}

/// Names and helpers that all scripts share. Times are microseconds; a double holds them exactly.
const PRELUDE: &str = r"
local lane, all = ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function int(n) return string.format('%.0f', n) end
local function forget(id)
  redis.call('SREM', lane .. 'processing', id)
  redis.call('HDEL', lane .. 'processing:timestamps', id)
  redis.call('ZREM', lane .. 'leases', id)
  redis.call('HDEL', lane .. 'owners', id)
  redis.call('DEL', lane .. 'lock:' .. id)
end
-- Puts an id in line, or behind what its account has there.
local function put(lane, id)
  local account = redis.call('HGET', lane .. 'accounts', id) or ''
  if redis.call('HEXISTS', lane .. 'turns', account) == 1 then
    redis.call('RPUSH', lane .. 'behind:' .. account, id)
  else
    redis.call('HSET', lane .. 'turns', account, 1)
    redis.call('RPUSH', lane .. 'queue', id)
  end
end
-- Puts an id in front of all others: it has waited already.
local function put_back(lane, id)
  redis.call('HINCRBY', lane .. 'turns', redis.call('HGET', lane .. 'accounts', id) or '', 1)
  redis.call('LPUSH', lane .. 'queue', id)
end
-- An id is no longer in line: the next of its account comes at the end.
local function step_out(lane, id)
  local account = redis.call('HGET', lane .. 'accounts', id) or ''
  if redis.call('HINCRBY', lane .. 'turns', account, -1) > 0 then return end
  redis.call('HDEL', lane .. 'turns', account)
  local following = redis.call('LPOP', lane .. 'behind:' .. account)
  if following then
    redis.call('HSET', lane .. 'turns', account, 1)
    redis.call('RPUSH', lane .. 'queue', following)
  end
end
-- The id that is next, or false.
local function next_in_line(lane)
  local id = redis.call('LPOP', lane .. 'queue')
  if id then step_out(lane, id) end
  return id
end
-- The token of whoever holds a lease of the id, or false.
local function holder(id)
  local owner = redis.call('HGET', lane .. 'owners', id)
  return owner and string.match(owner, '^%d+')
end
";

/// ARGV: id, delay in ms, account. 1 if it was put in, 0 if it is in already.
const PUSH: &str = r"
local id, delay = ARGV[3], tonumber(ARGV[4])
for _, prefix in ipairs({all, all .. 'gpu:'}) do
  if redis.call('SISMEMBER', prefix .. 'queued', id) == 1 or redis.call('ZSCORE', prefix .. 'leases', id) then
    return 0
  end
end
-- Whoever asks again for one that was given up has taken note of it.
for _, prefix in ipairs({all, all .. 'gpu:'}) do
  if redis.call('SREM', prefix .. 'buried', id) == 1 then
    for _, entry in ipairs(redis.call('LRANGE', prefix .. 'dead', 0, -1)) do
      if string.match(entry, '^%S+') == id then redis.call('LREM', prefix .. 'dead', 1, entry) end
    end
  end
end
redis.call('SADD', lane .. 'queued', id)
redis.call('HSET', lane .. 'accounts', id, ARGV[5])
redis.call('HDEL', lane .. 'attempts', id)
if delay > 0 then
  redis.call('ZADD', lane .. 'delayed', int(now / 1000 + delay), id)
else
  put(lane, id)
  redis.call('SETNX', lane .. 'since', int(now / 1000))
end
return 1
";

/// ARGV: lane, owner, limit, lease in µs. A list of {id, token, attempt}.
const CLAIM: &str = r"
local name, owner, limit, lease = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
if name == 'gpu' then redis.call('SET', lane .. 'alive', int(now / 1000)) end
-- A delayed one whose time has come need not wait for the reaper.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', lane .. 'delayed', '-inf', int(now / 1000), 'LIMIT', 0, limit)) do
  redis.call('ZREM', lane .. 'delayed', id)
  put(lane, id)
end
local claimed = {}
while #claimed < limit do
  local id = next_in_line(lane)
  if not id then break end
  -- One that was removed, or put in by hand a second time, is passed by.
  local known = redis.call('SREM', lane .. 'queued', id)
  if known == 1 or not redis.call('ZSCORE', lane .. 'leases', id) then
    local last = tonumber(redis.call('HGET', all .. 'token', 'last') or '0')
    local token = math.max(now, last + 1)
    redis.call('HSET', all .. 'token', 'last', int(token))
    local attempt = redis.call('HINCRBY', lane .. 'attempts', id, 1)
    redis.call('SADD', lane .. 'processing', id)
    redis.call('HSET', lane .. 'processing:timestamps', id, int(now / 1000))
    redis.call('ZADD', lane .. 'leases', int(now + lease), id)
    redis.call('HSET', lane .. 'owners', id, int(token) .. ' ' .. owner)
    if name == 'gpu' then redis.call('SET', lane .. 'lock:' .. id, int(token), 'PX', int(lease / 1000 + 1)) end
    claimed[#claimed + 1] = {id, int(token), attempt}
  end
end
return claimed
";

/// ARGV: id, token, time in µs. 1 if the lease is the caller's.
const EXTEND: &str = r"
local id, token, lease = ARGV[3], ARGV[4], tonumber(ARGV[5])
if holder(id) ~= token then return 0 end
redis.call('ZADD', lane .. 'leases', int(now + lease), id)
if redis.call('EXISTS', lane .. 'lock:' .. id) == 1 then
  redis.call('PEXPIRE', lane .. 'lock:' .. id, int(lease / 1000 + 1))
end
return 1
";

/// ARGV: id, token, what (complete, retry, release, bury), with. 1 if the lease was the caller's.
const FINISH: &str = r"
local id, token, what, with = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
if holder(id) ~= token then return 0 end
forget(id)
if what == 'retry' then
  redis.call('SADD', lane .. 'queued', id)
  redis.call('ZADD', lane .. 'delayed', int(now / 1000 + tonumber(with)), id)
elseif what == 'release' then
  redis.call('HINCRBY', lane .. 'attempts', id, -1)
  redis.call('SADD', lane .. 'queued', id)
  put_back(lane, id)
else
  redis.call('HDEL', lane .. 'attempts', id)
  redis.call('HDEL', lane .. 'accounts', id)
  if what == 'bury' then
    redis.call('LPUSH', lane .. 'dead', id .. ' ' .. with)
    redis.call('SADD', lane .. 'buried', id)
    while redis.call('LLEN', lane .. 'dead') > 10000 do
      redis.call('SREM', lane .. 'buried', string.match(redis.call('RPOP', lane .. 'dead'), '^%S+'))
    end
  end
end
return 1
";

/// ARGV: id.
const REMOVE: &str = r"
local id = ARGV[3]
forget(id)
if redis.call('LREM', lane .. 'queue', 0, id) > 0 then
  step_out(lane, id)
else
  redis.call('LREM', lane .. 'behind:' .. (redis.call('HGET', lane .. 'accounts', id) or ''), 0, id)
end
redis.call('ZREM', lane .. 'delayed', id)
redis.call('HDEL', lane .. 'attempts', id)
redis.call('HDEL', lane .. 'accounts', id)
return redis.call('SREM', lane .. 'queued', id)
";

/// How many leases had ended, and how many delayed ones came due.
const REAP: &str = r"
local ended = redis.call('ZRANGEBYSCORE', lane .. 'leases', '-inf', int(now), 'LIMIT', 0, 1000)
for _, id in ipairs(ended) do
  forget(id)
  redis.call('SADD', lane .. 'queued', id)
  put_back(lane, id)
end
-- A worker of the earlier kind leaves ids here without a lease.
for _, id in ipairs(redis.call('SMEMBERS', lane .. 'processing')) do
  if not redis.call('ZSCORE', lane .. 'leases', id) then
    redis.call('SREM', lane .. 'processing', id)
    redis.call('HDEL', lane .. 'processing:timestamps', id)
    if redis.call('SADD', lane .. 'queued', id) == 1 then put_back(lane, id) end
  end
end
local due = redis.call('ZRANGEBYSCORE', lane .. 'delayed', '-inf', int(now / 1000), 'LIMIT', 0, 1000)
for _, id in ipairs(due) do
  redis.call('ZREM', lane .. 'delayed', id)
  put(lane, id)
end
return {#ended, #due}
";

/// ARGV: silence in ms. How many were moved to the CPU lane.
const FALL_BACK: &str = r"
local silence = tonumber(ARGV[3])
local alive = tonumber(redis.call('GET', lane .. 'alive') or '0')
local since = tonumber(redis.call('GET', lane .. 'since') or '0')
if now / 1000 - math.max(alive, since) < silence then return 0 end
local moved = 0
while true do
  local id = next_in_line(lane)
  if not id then break end
  redis.call('SREM', lane .. 'queued', id)
  redis.call('HDEL', lane .. 'attempts', id)
  local account = redis.call('HGET', lane .. 'accounts', id)
  redis.call('HDEL', lane .. 'accounts', id)
  if redis.call('SADD', all .. 'queued', id) == 1 then
    if account then redis.call('HSET', all .. 'accounts', id, account) end
    put(all, id)
    moved = moved + 1
  end
end
redis.call('DEL', lane .. 'since')
return moved
";

impl Scripts {
    pub(super) fn new() -> Self {
        let script = |body: &str| Script::new(&format!("{PRELUDE}{body}"));
        Self {
            push: script(PUSH),
            claim: script(CLAIM),
            extend: script(EXTEND),
            finish: script(FINISH),
            remove: script(REMOVE),
            reap: script(REAP),
            fall_back: script(FALL_BACK),
        }
    }
}
