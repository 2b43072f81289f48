-- Makes later changes to counters, whatever their limits are.
--
-- KEYS: one counter per change. ARGV, three per change:
--   'back', microseconds of level that were not used, 0
--   'more', microseconds of level that were used beyond what was taken, the highest level there is
--   'least', microseconds of level that there are at least, the highest level there is
--   'ends', the name of a request, 0
--   'runs', the name of a request, its lease in microseconds
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function whole(number)
  return string.format('%.0f', number)
end

local function keep(key, level)
  if level > 0 then
    redis.call('SET', key, whole(now + level), 'PX', whole(math.ceil(level / 1000)))
  else
    redis.call('DEL', key)
  end
end

for i, key in ipairs(KEYS) do
  local at = (i - 1) * 3
  local what, value, bound = ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  if what == 'ends' then
    redis.call('ZREM', key, value)
  elseif what == 'runs' then
    redis.call('ZADD', key, whole(now + bound), value)
    redis.call('PEXPIRE', key, whole(math.ceil(bound / 1000)))
  else
    local level = math.max(tonumber(redis.call('GET', key) or now) - now, 0)
    if what == 'back' then
      keep(key, level - tonumber(value))
    elseif what == 'least' then
      keep(key, math.min(math.max(level, tonumber(value)), bound))
    else
      keep(key, math.min(level + tonumber(value), bound))
    end
  end
end
return 1
