package redisstore

import (
	"github.com/redis/go-redis/v9"
)

// The scripts of [Neighbours]. An element of the vector set is a nonce of 8 bytes and the ID of its entry: an entry that
// is replaced has another element, so that nobody who found the old vector reads the new answer. The hash has, by ID, a
// head that begins with the same nonce ('h'), the answer ('a') and the verdicts ('r', 'w'). The sorted set has the
// elements by the millisecond in which they expire. Nothing but a script writes to the three.
//
// To search is no part of a script: Redis does that beside its other work only for a command of its own.

// partitionScript begins a script. KEYS vectors, entries, until. A sweep deletes a few at a time, because each takes a
// fifth of a millisecond out of the graph, for which everybody waits.
const partitionScript = `
local vectors, entries, untils = KEYS[1], KEYS[2], KEYS[3]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function remove(element)
  redis.call('VREM', vectors, element)
  redis.call('ZREM', untils, element)
  local id = string.sub(element, 9)
  local head = redis.call('HGET', entries, 'h' .. id)
  if head and string.sub(head, 1, 8) == string.sub(element, 1, 8) then
    redis.call('HDEL', entries, 'h' .. id, 'a' .. id, 'r' .. id, 'w' .. id)
  end
end
local function sweep()
  for _, element in ipairs(redis.call('ZRANGEBYSCORE', untils, '-inf', now, 'LIMIT', 0, 20)) do remove(element) end
end
`

// ARGV element, time to live, vector, head, answer, most entries.
var addScript = redis.NewScript(partitionScript + `
if redis.call('EXISTS', vectors, entries, untils) % 3 ~= 0 or redis.call('VCARD', vectors) ~= redis.call('ZCARD', untils) then
  redis.call('UNLINK', vectors, entries, untils) -- evicted in part
end
sweep()
local element, ttl = ARGV[1], tonumber(ARGV[2])
local id = string.sub(element, 9)
redis.call('VADD', vectors, 'FP32', ARGV[3], element, 'NOQUANT') -- first, because it refuses another length
local before = redis.call('HGET', entries, 'h' .. id)
if before and string.sub(before, 1, 8) ~= string.sub(element, 1, 8) then -- else this is sent again
  remove(string.sub(before, 1, 8) .. id)
end
redis.call('HSET', entries, 'h' .. id, ARGV[4], 'a' .. id, ARGV[5])
redis.call('ZADD', untils, string.format('%.0f', now + ttl), element)
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ARGV[2]) end
end
local over = redis.call('ZCARD', untils) - tonumber(ARGV[6])
if over > 0 then
  for _, first in ipairs(redis.call('ZRANGE', untils, 0, math.min(over, 20) - 1)) do remove(first) end
end
return 1
`)

// ARGV how many answers, elements. Gives for each head, right, wrong and, of the first ones, the answer; or 0 for one
// that is dead, which it deletes.
var fetchScript = redis.NewScript(partitionScript + `
local answers, rows = tonumber(ARGV[1]), {}
for i = 2, #ARGV do
  local element = ARGV[i]
  local id = string.sub(element, 9)
  local till = redis.call('ZSCORE', untils, element)
  local e = redis.call('HMGET', entries, 'h' .. id, 'r' .. id, 'w' .. id)
  if till and tonumber(till) > now and e[1] and string.sub(e[1], 1, 8) == string.sub(element, 1, 8) then
    local row = {e[1], e[2] or '0', e[3] or '0'}
    if answers > 0 then
      row[4] = redis.call('HGET', entries, 'a' .. id) or ''
      answers = answers - 1
    end
    rows[i - 1] = row
  else
    remove(element)
    rows[i - 1] = 0
  end
end
sweep()
return rows
`)

// ARGV elements. Gives how many of them were there.
var removeScript = redis.NewScript(partitionScript + `
local n = 0
for _, element in ipairs(ARGV) do
  local till = redis.call('ZSCORE', untils, element)
  if till and tonumber(till) > now then n = n + 1 end
  remove(element)
end
return n
`)

// ARGV how many entries there are thought to be. Deletes all and gives how many there were, or -1 if there are more.
var dropScript = redis.NewScript(partitionScript + `
if redis.call('ZCARD', untils) > tonumber(ARGV[1]) then return -1 end
local n = redis.call('ZCOUNT', untils, '(' .. now, '+inf')
redis.call('UNLINK', vectors, entries, untils)
return n
`)

// KEYS entries, once; ARGV id, right, wrong.
var judgeScript = redis.NewScript(`
if redis.call('HEXISTS', KEYS[1], 'h' .. ARGV[1]) == 1 and redis.call('SET', KEYS[2], '', 'NX', 'PX', 60000) then
  redis.call('HINCRBY', KEYS[1], 'r' .. ARGV[1], ARGV[2])
  redis.call('HINCRBY', KEYS[1], 'w' .. ARGV[1], ARGV[3])
end
return 1
`)

// KEYS book, once; ARGV counters and deltas.
var countScript = redis.NewScript(`
if redis.call('SET', KEYS[2], '', 'NX', 'PX', 60000) then
  for i = 1, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
return redis.call('HGETALL', KEYS[1])
`)
