-- Ends a question: gives its lease back, and keeps its answer if all generations are those that it was asked under.
--
-- KEYS: the tenant's data key, the entry, the lease, the generations.
-- ARGV: id of the data key; token of the lease; the generations when it was asked; what becomes of the entry (keep | forget |
--   leave); version; when it was asked for (ms); how long it serves: fresh, while the next is asked for, where the platform
--   fails (ms); value.
-- Answers 0 if a generation is another: whoever came later may not use the answer. 1 if they are the same; 2 if it is kept, too.
local holder = redis.call('GET', KEYS[3])
if holder and string.sub(holder, 1, 16) == ARGV[2] then redis.call('DEL', KEYS[3]) end
local wrapped = redis.call('GET', KEYS[1])
if not wrapped or string.sub(wrapped, 1, 8) ~= ARGV[1] then return 0 end
local role, reign = string.match(redis.call('INFO', 'replication'), 'role:(%a+).-master_replid:(%x+)')
if role ~= 'master' then return redis.error_reply(role and 'READONLY it follows another' or 'NOREIGN it tells no master_replid') end
local names = {}
for i = 4, #KEYS do names[#names + 1] = KEYS[i] end
local generations = redis.call('MGET', unpack(names))
for i = 1, #names do
  if not generations[i] or string.sub(generations[i], 1, #reign) ~= reign then return 0 end
end
if table.concat(generations) ~= ARGV[3] then return 0 end
if ARGV[4] == 'leave' then return 1 end
-- Whoever was asked later knows better.
local made = redis.call('HMGET', KEYS[2], 'g', 't')
if made[1] == ARGV[3] and (tonumber(made[2]) or 0) > tonumber(ARGV[6]) then return 1 end
redis.call('DEL', KEYS[2])
if ARGV[4] == 'forget' then return 1 end
local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local left = math.max(tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])) - (now_ms - tonumber(ARGV[6]))
if left < 1 then return 1 end
redis.call('HSET', KEYS[2], 'g', ARGV[3], 'v', ARGV[5], 't', ARGV[6], 'f', ARGV[7], 'r', ARGV[8], 'e', ARGV[9], 'b', ARGV[10])
redis.call('PEXPIRE', KEYS[2], left)
for i = 1, #names do
  if redis.call('PTTL', names[i]) < left then redis.call('PEXPIRE', names[i], left) end
end
return 2
