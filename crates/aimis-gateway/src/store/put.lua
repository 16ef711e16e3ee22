-- Keeps an entry, unless its guard is another than when it was asked for, and gives the lease back.
--
-- KEYS: the entry, its guard, the lease.
-- ARGV: version, guard, how long it is fresh (ms), how long it is kept (ms; 0: not at all), value, token of the lease.
-- Answers 1 if it is kept.
local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local guard = redis.call('GET', KEYS[2]) or string.rep('\0', 16)
local kept = 0
if guard == ARGV[2] and tonumber(ARGV[4]) > 0 then
  local times = string.format('%013.0f%013.0f', now_ms, now_ms + tonumber(ARGV[3]))
  redis.call('SET', KEYS[1], ARGV[1] .. guard .. times .. ARGV[5], 'PX', ARGV[4])
  kept = 1
end
if ARGV[6] ~= '' and redis.call('GET', KEYS[3]) == ARGV[6] then redis.call('DEL', KEYS[3]) end
return kept
