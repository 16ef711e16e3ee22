-- Looks an answer up. Every generation that its question stands in has a key of its own; what is not there, or is of another
-- reign of a master, is of no generation: an answer that was asked under it is none.
--
-- A reign ends with the process and with each promotion: a master draws another `master_replid` at its start and when it
-- takes over (and with its first replica, and an hour behind its last; that costs questions). The id of the process would not
-- do: a master that was replaced takes what it follows, with generations that it has itself ended meanwhile, and would know
-- them for its own when it takes over again.
--
-- It is asked for each time, 13 us, and of the very server that judges. Known from a heartbeat, or from the beginning of
-- a connection, it would be that of another moment: behind a proxy, and in a cluster, a connection outlives the server that it
-- leads to, and one that came back with its dump would serve what a callback has ended.
--
-- KEYS from `first`: the tenant's data key, the entry, the lease, the generations.
-- ARGV from `at`: id of the data key; what may be used (0 nothing, 1 fresh, 2 what serves while the next is asked for, 3 all
--   there is); the version that the caller has; the longest age (ms; -1: any); a token; the lease's life (ms; 0: none wanted);
--   how long generations live at least (ms; 0: none are begun).
local function look(first, at, now_ms)
  local seen = {version = '', made = 0, fresh = 0, soon = 0, failed = 0, value = '', generations = '', rest = 0}
  local wrapped = redis.call('GET', KEYS[first])
  if not wrapped or string.sub(wrapped, 1, 8) ~= ARGV[at] then
    seen.other, seen.value = true, wrapped or ''
    return seen
  end
  local role, reign = string.match(redis.call('INFO', 'replication'), 'role:(%a+).-master_replid:(%x+)')
  if role ~= 'master' then
    -- A server that follows another has that one's reign, and hears later of what has ended.
    seen.fault = role and 'READONLY it follows another' or 'NOREIGN it tells no master_replid'
    return seen
  end
  local names = {}
  for i = first + 3, #KEYS do names[#names + 1] = KEYS[i] end
  local generations, whole = redis.call('MGET', unpack(names)), true
  for i = 1, #names do
    if not generations[i] or string.sub(generations[i], 1, #reign) ~= reign then
      generations[i], whole = false, false
    end
  end
  local token, life = ARGV[at + 4], tonumber(ARGV[at + 6])

  -- The question goes to the platform: its answer will be of the generations that are now.
  seen.begin = function()
    if life > 0 then
      for i = 1, #names do
        if not generations[i] then
          generations[i] = reign .. token
          redis.call('SET', names[i], generations[i], 'PX', life)
        elseif redis.call('PTTL', names[i]) < life then
          redis.call('PEXPIRE', names[i], life)
        end
      end
      seen.generations = table.concat(generations)
      if seen.free and tonumber(ARGV[at + 5]) > 0 then
        redis.call('SET', KEYS[first + 2], token .. seen.generations, 'PX', ARGV[at + 5])
      end
    end
  end

  seen.free = true
  if whole then
    seen.generations = table.concat(generations)
    local use, oldest = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 3])
    local entry = redis.call('HMGET', KEYS[first + 1], 'g', 'v', 't', 'f', 'r', 'e')
    if entry[1] == seen.generations then
      local times = {}
      for i = 1, 4 do
        -- What is no number of ours is none: a sign, a point, or more digits than are exact.
        local digits = string.match(entry[2 + i] or '', '^%d+$')
        times[i] = digits and #digits < 16 and tonumber(digits)
      end
      local made, fresh, soon, failed = unpack(times, 1, 4)
      if not (made and fresh and soon and failed and #(entry[2] or '') == 16) then
        -- Somebody else wrote it, which is told by a version that is none.
        redis.call('DEL', KEYS[first + 1])
        seen.version = '?'
        made, fresh, soon, failed = 0, 0, 0, 0
      end
      -- A clock that was set back: how old it is cannot be told.
      local age = now_ms - made
      if age > -1000 and age < math.max(fresh, soon, failed) then
        seen.version, seen.made, seen.fresh, seen.soon, seen.failed = entry[2], made, fresh, soon, failed
        local till = use == 1 and fresh or use == 2 and math.max(fresh, soon) or use == 3 and math.max(fresh, soon, failed) or 0
        if age < till and (oldest < 0 or age <= oldest) then
          seen.hit, seen.late = true, life > 0 and age >= fresh
          if entry[2] ~= ARGV[at + 2] then seen.value = redis.call('HGET', KEYS[first + 1], 'b') or '' end
        end
      end
    end
    if tonumber(ARGV[at + 5]) > 0 then
      -- A lease of other generations is of a question whose answer nobody may have any more.
      local holder = redis.call('GET', KEYS[first + 2])
      if holder and string.sub(holder, 17) == seen.generations then
        seen.free, seen.holder = false, string.sub(holder, 1, 16)
        seen.rest = math.max(0, redis.call('PTTL', KEYS[first + 2]))
      end
    end
  end
  return seen
end
