-- Appends events, if the writer still holds the lease and nobody has appended anything since its last write.
-- KEYS: holder, events. ARGV: holder, lease in ms, expected newest id, most entries, oldest seq to keep, then id and text of each.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return { 'taken' } end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
local found = newest[1] and newest[1][1] or '0-0'
if found ~= ARGV[3] then return { 'moved', found } end
for at = 6, #ARGV, 2 do
  redis.call('XADD', KEYS[2], ARGV[at], 'e', ARGV[at + 1])
end
redis.call('XTRIM', KEYS[2], 'MAXLEN', '~', ARGV[4])
redis.call('XTRIM', KEYS[2], 'MINID', '~', ARGV[5])
return { 'ok' }
