-- Judges all limits of one request, and looks its answer up, in one step. Behind a line that sets `clock`, what TIME says.
--
-- KEYS: the limits; then, where something is looked up, those of look.lua.
-- ARGV: how many limits; for each its period (us), burst, weight, longest wait (us), 1 if it is taken for a hit as well;
--       then, where something is looked up, those of look.lua.
-- Answers {0 granted | 1 refused | 2 hit | 3 held by another | 4 hit, and granted to ask for the next | 5 other data key,
--       which refused, wait (us), now (ms), version, generations, asked for at (ms), how long it serves: fresh, while the next
--       is asked for, where the platform fails (ms), value or data key, holder of the lease, lease's rest (ms), what is left of
--       each limit}.
local EPOCH, LONGEST_WAIT = 1735689600, 60000000
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
      -- What is no number is none of ours, and is written anew.
      local tat = math.max(tonumber(redis.call('GET', KEYS[i]) or 0) or 0, now)
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

local seen = {version = '', made = 0, fresh = 0, soon = 0, failed = 0, value = '', generations = '', rest = 0}
local function answer(status, which, wait)
  local told = {status, which, wait, now_ms, seen.version, seen.generations, seen.made, seen.fresh, seen.soon, seen.failed,
    seen.value, seen.holder or '', seen.rest}
  for i = 1, count do told[13 + i] = left[i] or 0 end
  return told
end

if looks then
  seen = look(count + 1, 2 + count * 5, now_ms)
  if seen.fault then return redis.error_reply(seen.fault) end
  if seen.other then return answer(5, 0, 0) end
end
local refused, wait = judge('1')
if refused then return answer(1, refused, wait) end
if looks and seen.hit then
  take()
  if not seen.late or not seen.free then return answer(2, 0, 0) end
  taken = {}
  if judge('0') then return answer(2, 0, 0) end
  take()
  seen.begin()
  return answer(4, 0, math.ceil(longest))
end
if looks and not seen.free then
  take()
  return answer(3, 0, 0)
end
refused, wait = judge('0')
if refused then return answer(1, refused, wait) end
take()
if looks then seen.begin() end
return answer(0, 0, math.ceil(longest))
