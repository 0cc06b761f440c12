-- Replaces the report, and the lists that have changed, if the writer still holds the lease. Renews the lease in any case.
-- KEYS: holder, report, then a list each. ARGV: holder, lease in ms, report (or nothing), then a list each (or nothing).
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return { 'taken' } end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
for at = #KEYS, 2, -1 do
  if ARGV[at + 1] ~= '' then redis.call('XADD', KEYS[at], 'MAXLEN', 1, '*', 'e', ARGV[at + 1]) end
end
return { 'ok' }
