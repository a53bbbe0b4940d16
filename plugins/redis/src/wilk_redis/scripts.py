"""What runs on the server as a whole: an entry and what is known about it change together (Lua).

The keys of a cache begin with ``wilk:{PREFIX:NAMESPACE}:``, so that a cluster keeps them together:

- ``e:KEY``: an entry, as text: generation (17 digits), written and expires (19 digits each), value;
- ``gen``: the generation; entries of another one do not count;
- ``used``, ``expires``, ``sizes``, ``tags``: by key, when an entry was last used, when it expires, what it
  takes, its tags; ``totals``: bytes, evictions, hits, misses;
- ``version``: grows with each change;
- ``olds`` and ``old:…``: the keys of generations that were cleared, until their entries are removed.
"""

from __future__ import annotations

from typing import Final

NEVER: Final = "9" * 19
"""Expires: never. No moment of 64 bits is as late."""
HEAD: Final = 17 + 19 + 19

_COMMON = """
local b = ARGV[1]
local used, sizes, expires = b .. 'used', b .. 'sizes', b .. 'expires'
local tags, totals = b .. 'tags', b .. 'totals'

local function renewed()
  local t = redis.call('TIME')
  local g = string.format('%011.0f%06.0f', t[1], t[2])
  if g == redis.call('GET', b .. 'gen') then
    g = string.format('%011.0f%06.0f', t[1] + 1000000000, t[2])
  end
  redis.call('SET', b .. 'gen', g)
  if redis.call('EXISTS', b .. 'version') == 0 then
    redis.call('SET', b .. 'version', string.format('%.0f%06.0f', t[1], t[2]))
  end
  if redis.call('EXISTS', used) == 1 then
    redis.call('RENAME', used, b .. 'old:' .. g)
    redis.call('SADD', b .. 'olds', b .. 'old:' .. g)
  end
  redis.call('UNLINK', sizes, expires, tags)
  redis.call('HSET', totals, 'bytes', 0)
  return g
end

local function generation()
  local g = redis.call('GET', b .. 'gen')
  if not g then return renewed() end
  if redis.call('EXISTS', used) == 0 and tonumber(redis.call('HGET', totals, 'bytes') or 0) > 0 then
    return renewed()  -- the server has thrown away what is known about the entries
  end
  return g
end

local function drop(key)
  local size = redis.call('HGET', sizes, key)
  redis.call('ZREM', used, key)
  redis.call('ZREM', expires, key)
  redis.call('HDEL', tags, key)
  if size then
    redis.call('HDEL', sizes, key)
    redis.call('HINCRBY', totals, 'bytes', -size)
  end
  return redis.call('UNLINK', b .. 'e:' .. key) == 1 and size and 1 or 0
end
"""

# base, key, written and expires (19 digits), value, expires or '', milliseconds or '', size, tags,
# the most bytes of all
SET: Final = (
    _COMMON
    + """
local key, now, size, most = ARGV[2], ARGV[3], tonumber(ARGV[8]), tonumber(ARGV[10])
local g = generation()
local before = tonumber(redis.call('HGET', sizes, key) or 0)
if ARGV[7] == '' then
  redis.call('SET', b .. 'e:' .. key, g .. now .. ARGV[4] .. ARGV[5])
else
  redis.call('SET', b .. 'e:' .. key, g .. now .. ARGV[4] .. ARGV[5], 'PX', ARGV[7])
end
redis.call('ZADD', used, now, key)
redis.call('HSET', sizes, key, size)
if ARGV[6] == '' then redis.call('ZREM', expires, key) else redis.call('ZADD', expires, ARGV[6], key) end
if ARGV[9] == '' then redis.call('HDEL', tags, key) else redis.call('HSET', tags, key, ARGV[9]) end
redis.call('INCR', b .. 'version')
local bytes = redis.call('HINCRBY', totals, 'bytes', size - before)
if bytes > most then
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', expires, '-inf', now, 'LIMIT', 0, 1000)) do
    if gone ~= key then drop(gone) end
  end
  if redis.call('ZCARD', used) > 200 then most = math.floor(most * 19 / 20) end
  local evicted = 0
  bytes = tonumber(redis.call('HGET', totals, 'bytes'))
  while bytes > most do
    local oldest = redis.call('ZRANGE', used, 0, 99)
    for _, name in ipairs(oldest) do
      if bytes <= most then break end
      if name ~= key then
        drop(name)
        evicted = evicted + 1
        bytes = tonumber(redis.call('HGET', totals, 'bytes'))
      end
    end
    if #oldest <= 1 then
      redis.call('HSET', totals, 'bytes', size)
      break
    end
  end
  redis.call('HINCRBY', totals, 'evictions', evicted)
end
return 1
"""
)

# base, key, now and expires (19 digits), expires or '', milliseconds or ''
TOUCH: Final = (
    _COMMON
    + """
local name = b .. 'e:' .. ARGV[2]
local g = redis.call('GET', b .. 'gen')
local head = redis.call('GETRANGE', name, 0, 54)
if not g or #head < 55 or string.sub(head, 1, 17) ~= g then return 0 end
if string.sub(head, 37, 55) <= ARGV[3] then return 0 end
redis.call('SETRANGE', name, 36, ARGV[4])
if ARGV[6] == '' then redis.call('PERSIST', name) else redis.call('PEXPIRE', name, ARGV[6]) end
if ARGV[5] == '' then
  redis.call('ZREM', expires, ARGV[2])
else
  redis.call('ZADD', expires, ARGV[5], ARGV[2])
end
redis.call('ZADD', used, 'XX', 'GT', ARGV[3], ARGV[2])
redis.call('INCR', b .. 'version')
return 1
"""
)

# base, keys
DELETE: Final = (
    _COMMON
    + """
local removed = 0
for i = 2, #ARGV do removed = removed + drop(ARGV[i]) end
redis.call('INCR', b .. 'version')
return removed
"""
)

# base
CLEAR: Final = (
    _COMMON
    + """
local count = redis.call('ZCARD', used)
renewed()
redis.call('INCR', b .. 'version')
return count
"""
)

# base: a step of removing the entries of generations that were cleared; 0 when none is left
BURY: Final = (
    _COMMON
    + """
local name = redis.call('SRANDMEMBER', b .. 'olds')
if not name then return 0 end
local g = redis.call('GET', b .. 'gen')
local popped = redis.call('ZPOPMIN', name, 500)
for i = 1, #popped, 2 do
  local entry = b .. 'e:' .. popped[i]
  if redis.call('GETRANGE', entry, 0, 16) ~= g then redis.call('UNLINK', entry) end
end
if redis.call('EXISTS', name) == 0 then redis.call('SREM', b .. 'olds', name) end
return 1
"""
)

# base, 'prefix' or 'tag', what it is, cursor: a step of removing the entries that have it
CLEAR_SOME: Final = (
    _COMMON
    + """
local found
if ARGV[2] == 'prefix' then
  found = redis.call('ZSCAN', used, ARGV[4], 'COUNT', 500)
else
  found = redis.call('HSCAN', tags, ARGV[4], 'COUNT', 500)
end
local removed = 0
for i = 1, #found[2], 2 do
  local key = found[2][i]
  local has
  if ARGV[2] == 'prefix' then
    has = string.sub(key, 1, #ARGV[3]) == ARGV[3]
  else
    has = string.find(found[2][i + 1], ARGV[3], 1, true)
  end
  if has then removed = removed + drop(key) end
end
redis.call('INCR', b .. 'version')
return {found[1], removed}
"""
)

# base, now: a step of removing what has expired; and of the longest unused, what the server itself removed
SWEEP: Final = (
    _COMMON
    + """
local gone = redis.call('ZRANGEBYSCORE', expires, '-inf', ARGV[2], 'LIMIT', 0, 1000)
for _, key in ipairs(gone) do drop(key) end
if #gone < 1000 then
  for _, key in ipairs(redis.call('ZRANGE', used, 0, 499)) do
    if redis.call('EXISTS', b .. 'e:' .. key) == 0 then drop(key) end
  end
end
return #gone
"""
)

# lock, token
UNLOCK: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
# lock, token, milliseconds
RENEW: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
"""
