-- Ends generations: whatever was asked for under one of them is of no use any more, be it kept or on its way.
--
-- KEYS: the tenant's data key, the generations. ARGV: id of the data key.
-- Answers nothing when that is done; the tenant's data key if it is another, under which generations have other names.
local wrapped = redis.call('GET', KEYS[1])
-- Nothing that was kept can be opened.
if not wrapped then return '' end
if string.sub(wrapped, 1, 8) ~= ARGV[1] then return wrapped end
for i = 2, #KEYS do redis.call('DEL', KEYS[i]) end
return ''
