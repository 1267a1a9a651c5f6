package redisstore

import (
	"github.com/redis/go-redis/v9"
)

// Amounts are never Lua numbers where it matters: those are floats, which tell neighbours apart only up to 2^53
// picodollars, $9,007. Amounts are added by HINCRBY, and near the limit the sum is read back as a string and compared
// digit by digit.
//
// An account is a hash of what is used (spent and reserved together), spent and expired, and of when it was born. It is
// also a member of a sorted set, scored by when it may be forgotten: one that is in the set and was not born has been lost,
// and nothing is granted. A reservation is a member of a sorted set, scored by the end of its lease: its id, then keys and
// amounts, in lines. One whose lease has run out moves to a second set, for a settle that comes late. A hash has the
// switches that are on: the switch under its target, a limit under the key of its account. All keys of a ledger are in one
// slot of a cluster.
//
// Each call of Redis from a script costs about a microsecond, so there are as few as possible: 5 for a reservation, 6
// for a settle.

// sweep lets leases run out. KEYS epoch, leases, late, switches, known accounts; ARGV epoch, now, prefix or "" for not now.
const sweep = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return LOST end
if ARGV[3] ~= '' then
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[2], 'LIMIT', 0, 1000)) do
    local key
    for line in member:gmatch('\n([^\n]+)') do
      if key then
        redis.call('HINCRBY', key, 'spent', line)
        redis.call('HINCRBY', key, 'expired', line)
        key = nil
      else
        key = ARGV[3] .. line
      end
    end
    redis.call('ZREM', KEYS[2], member)
    redis.call('ZADD', KEYS[3], ARGV[2], member)
  end
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', tonumber(ARGV[2]) - 86400000)
  redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', ARGV[2])
end
`

// reserve: KEYS also the accounts; ARGV also until, member, "again" for a repetition, amount, limit and keep for each
// account, and last the targets of switches. Times are milliseconds; keep is how long an account stays, 0 for ever.
// Gives -1, the index of the account that has no room, -2 when the accounts are lost, or the switch that is against it.
var reserveScript = redis.NewScript(`local LOST = -2` + sweep + `
local switched = redis.call('HLEN', KEYS[4]) > 0
if switched then
  for i = 7 + (#KEYS - 5) * 3, #ARGV do
    local s = redis.call('HGET', KEYS[4], ARGV[i])
    if s then return s end
  end
end
-- The lease may have run out before the repetition came.
if ARGV[6] == 'again' and redis.call('ZSCORE', KEYS[3], ARGV[5]) then return -1 end
if redis.call('ZADD', KEYS[2], 'NX', ARGV[4], ARGV[5]) == 0 then return -1 end
local function giveBack(last)
  for j = 6, last do
    local taken = ARGV[7 + (j - 6) * 3]
    if taken ~= '0' then redis.call('HINCRBY', KEYS[j], 'used', '-' .. taken) end
  end
  redis.call('ZREM', KEYS[2], ARGV[5])
end
for i = 6, #KEYS do
  local a = 7 + (i - 6) * 3
  local amount, limit = ARGV[a], switched and redis.call('HGET', KEYS[4], KEYS[i]) or ARGV[a + 1]
  local sum = redis.pcall('HINCRBY', KEYS[i], 'used', amount)
  local full = type(sum) == 'table' -- it would overflow
  if not full and sum == tonumber(amount) and redis.call('HSETNX', KEYS[i], 'born', ARGV[2]) == 1 then
    local keep = ARGV[a + 2]
    if redis.call('ZADD', KEYS[5], 'NX', keep == '0' and '+inf' or ARGV[2] + keep, KEYS[i]) == 0 then
      redis.call('DEL', KEYS[i])
      giveBack(i - 1)
      return LOST
    end
    if keep ~= '0' then redis.call('PEXPIRE', KEYS[i], keep) end
  end
  if not full and sum > tonumber(limit) * 0.999999 then
    local used = redis.call('HGET', KEYS[i], 'used')
    full = #used > #limit or #used == #limit and used > limit
    if full and amount ~= '0' then redis.call('HINCRBY', KEYS[i], 'used', '-' .. amount) end
  end
  if full then
    giveBack(i - 1)
    return i - 6
  end
end
return -1
`)

// settle: KEYS also the accounts; ARGV also member, spent, then for each account spent less the amount, and the amount
// negated. Gives "lost", "none", or used, spent, expired and limit of each account.
var settleScript = redis.NewScript(`local LOST = {'lost'}` + sweep + `
local late = redis.call('ZREM', KEYS[2], ARGV[4]) == 0
if late and redis.call('ZREM', KEYS[3], ARGV[4]) == 0 then return {'none'} end
local accounts, lost = {}, false
for i = 6, #KEYS do
  local a = 6 + (i - 6) * 2
  redis.pcall('HINCRBY', KEYS[i], 'used', ARGV[a])
  if late then
    redis.call('HINCRBY', KEYS[i], 'expired', ARGV[a + 1])
    redis.pcall('HINCRBY', KEYS[i], 'spent', ARGV[a])
  else
    redis.pcall('HINCRBY', KEYS[i], 'spent', ARGV[5])
  end
  local n = redis.call('HMGET', KEYS[i], 'used', 'spent', 'expired', 'born')
  if not n[4] then -- forgotten, or lost
    redis.call('DEL', KEYS[i])
    lost = lost or redis.call('ZSCORE', KEYS[5], KEYS[i])
  end
  for j = 1, 3 do accounts[#accounts + 1] = n[j] or '0' end
  accounts[#accounts + 1] = redis.call('HGET', KEYS[4], KEYS[i]) or '0'
end
if lost then return LOST end
return accounts
`)

// account: KEYS also the account. Gives "lost", or used, spent, expired and limit.
var accountScript = redis.NewScript(`local LOST = {'lost'}` + sweep + `
local a = redis.call('HMGET', KEYS[6], 'used', 'spent', 'expired', 'born')
if not a[4] and redis.call('ZSCORE', KEYS[5], KEYS[6]) then return LOST end
return {a[1] or '0', a[2] or '0', a[3] or '0', redis.call('HGET', KEYS[4], KEYS[6]) or '0'}
`)
