-- One decision, by the clock of Redis, so that all nodes count by the same one. The arithmetic is that of gcra.rs.
-- KEYS[1]: the key; ARGV: count, period in microseconds, price.
-- The value is "debt time"; it expires when the debt is paid back.
local count, price, debt = tonumber(ARGV[1]), tonumber(ARGV[3]), 0
local most = count * tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local kept = redis.call('GET', KEYS[1])
if kept then
    local was, at = string.match(kept, '^(%d+) (%d+)$')
    if was then
        -- A clock that was set back pays nothing back; one that was set forward does, once.
        debt = math.max(0, tonumber(was) - math.max(0, now - tonumber(at)) * count)
    end
end
local allowed = 0
if debt + price <= most then
    allowed, debt = 1, debt + price
end
if debt > 0 then
    redis.call('SET', KEYS[1], string.format('%.0f %.0f', debt, now), 'PX', math.ceil(debt / count / 1000))
end
return {allowed, debt}
