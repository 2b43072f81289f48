-- Takes what all asks want, or nothing. One call, so nothing happens between judging and taking.
--
-- KEYS: one counter per ask. ARGV, five per ask:
--   rate:        'rate', shadow (0 or 1), cost, room, the level that is known already; microseconds
--   concurrency: 'runs', shadow, the most that may run, the name of the request, its lease in microseconds
-- Answers whether it was taken (0 or 1), then per ask whether it fits (0 or 1) and the level or number.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

-- numbers this large are written with an exponent otherwise
local function whole(number)
  return string.format('%.0f', number)
end

local taken, fits, levels = 1, {}, {}
for i, key in ipairs(KEYS) do
  local at = (i - 1) * 5
  if ARGV[at + 1] == 'runs' then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', whole(now))
    levels[i] = redis.call('ZCARD', key)
    fits[i] = levels[i] < tonumber(ARGV[at + 3])
  else
    local cost, room = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
    local level = tonumber(redis.call('GET', key) or now) - now
    -- never beyond two windows: a clock that was set back must not lock anybody out
    level = math.min(math.max(level, tonumber(ARGV[at + 5]), 0), room * 2)
    levels[i] = level
    fits[i] = level + cost <= room
  end
  if not fits[i] and ARGV[at + 2] == '0' then
    taken = 0
  end
end

local answer = { taken }
for i, key in ipairs(KEYS) do
  local at = (i - 1) * 5
  if taken == 1 and fits[i] then
    if ARGV[at + 1] == 'runs' then
      local lease = tonumber(ARGV[at + 5])
      redis.call('ZADD', key, whole(now + lease), ARGV[at + 4])
      redis.call('PEXPIRE', key, whole(math.ceil(lease / 1000)))
      levels[i] = levels[i] + 1
    else
      levels[i] = levels[i] + tonumber(ARGV[at + 3])
      -- what costs nothing at a counter that is refilled leaves nothing to remember
      if levels[i] > 0 then
        redis.call('SET', key, whole(now + levels[i]), 'PX', whole(math.ceil(levels[i] / 1000)))
      end
    end
  end
  answer[#answer + 1] = fits[i] and 1 or 0
  answer[#answer + 1] = levels[i]
end
return answer
