-- Puts a wrapped data key in the place of the one that the caller knows; the first who comes does.
--
-- KEYS: the tenant's data key. ARGV: the one that was there (empty: none), the new one.
-- Answers the one that is there now.
local there = redis.call('GET', KEYS[1]) or ''
if there ~= ARGV[1] then return there end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]
