-- Judges all limits of one request, and looks its answer up, in one step. Behind a line that sets `clock`, what TIME says.
--
-- KEYS: the limits; then, where something is looked up, the entry, its guard, the lease.
-- ARGV: how many limits; for each its period (us), burst, weight, longest wait (us), 1 if it is taken for a hit as well;
--       then, where something is looked up: 1 if it may be used, the version that the caller has, its longest age (ms; -1:
--       any), the time beyond its freshness (ms), the token of the lease (empty: none wanted), the lease's life (ms).
-- Answers {0 granted | 1 refused | 2 hit | 3 held by another, which refused, wait (us), now (ms), version, guard, made (ms),
--       until (ms), value, lease's rest (ms), what is left of each limit}.
local EPOCH, HEAD, LONGEST_WAIT = 1735689600, 58, 60000000
local now = (tonumber(clock[1]) - EPOCH) * 1000000 + tonumber(clock[2])
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local count = tonumber(ARGV[1])
local looks = #KEYS > count
local taken, left, longest = {}, {}, 0

-- Notes what the limits of one kind cost; the first that refuses, if one does, and when to come again.
local function judge(kind)
  for i = 1, count do
    local at = 2 + (i - 1) * 5
    if ARGV[at + 4] == kind then
      local period, burst, most = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 3])
      local weight = math.min(tonumber(ARGV[at + 2]), burst)
      local whole = period * burst
      local tat = math.max(tonumber(redis.call('GET', KEYS[i]) or 0), now)
      -- Further ahead it cannot be, but behind a clock that was set back or under another quota.
      tat = math.min(tat, now + whole + LONGEST_WAIT)
      -- What is left of a microsecond by rounding is nobody's wait.
      local wait = tat + period * weight - whole - now
      if wait < 0.01 then wait = 0 end
      if wait > most then return i, math.ceil(wait) end
      taken[i] = {tat, period, weight, whole}
      longest = math.max(longest, wait)
    end
  end
end

-- Takes of all that were judged, for when the request goes: as late as the slowest lets it.
local function take()
  local goes = now + math.ceil(longest)
  for i, of in pairs(taken) do
    local tat, period, weight, whole = unpack(of)
    tat = math.max(tat, goes) + period * weight
    left[i] = math.max(0, math.floor((whole - (tat - goes)) / period + 0.001))
    redis.call('SET', KEYS[i], string.format('%.3f', tat), 'PX', math.ceil((tat - now) / 1000) + 1)
  end
end

local version, guard, made, till, value, rest = '', '', 0, 0, '', 0
local function answer(status, which, wait)
  local told = {status, which, wait, now_ms, version, guard, made, till, value, rest}
  for i = 1, count do told[10 + i] = left[i] or 0 end
  return told
end

local refused, wait = judge('1')
if refused then return answer(1, refused, wait) end
local lease, token, life
if looks then
  local at = 2 + count * 5
  local entry = KEYS[count + 1]
  guard = redis.call('GET', KEYS[count + 2]) or string.rep('\0', 16)
  lease, token, life = KEYS[count + 3], ARGV[at + 4], ARGV[at + 5]
  local head = redis.call('GETRANGE', entry, 0, HEAD - 1)
  if #head == HEAD and string.sub(head, 17, 32) == guard then
    version = string.sub(head, 1, 16)
    made, till = tonumber(string.sub(head, 33, 45)), tonumber(string.sub(head, 46, 58))
    local oldest = tonumber(ARGV[at + 2])
    if ARGV[at] == '1' and now_ms < till + tonumber(ARGV[at + 3]) and (oldest < 0 or now_ms - made <= oldest) then
      if version ~= ARGV[at + 1] then value = redis.call('GETRANGE', entry, HEAD, -1) end
      take()
      return answer(2, 0, 0)
    end
  end
  if token ~= '' then
    local holder = redis.call('GET', lease)
    if holder and holder ~= token then
      rest = math.max(0, redis.call('PTTL', lease))
      take()
      return answer(3, 0, 0)
    end
  end
end
refused, wait = judge('0')
if refused then return answer(1, refused, wait) end
take()
if looks and token ~= '' then redis.call('SET', lease, token, 'PX', life) end
return answer(0, 0, math.ceil(longest))
