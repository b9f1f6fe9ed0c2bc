"""Lua scripts of the work queue, each of which is one atomic step."""

from typing import Final

# Returns the stored response: this one, or the one that was there already.
_SEND_RESPONSE: Final = """
local function answer(key, name, response, ttl, channel)
  if run('HSETNX', key, name, response) == 0 then return run('HGET', key, name) end
  run('EXPIRE', key, ttl)
  run('PUBLISH', channel, response)
  return response
end
"""

# ARGV: the parts of a SEND_RESPONSE.
SEND_RESPONSE: Final = f"local run = redis.call\n{_SEND_RESPONSE}\nreturn answer(unpack(ARGV))"

# KEYS: processing, attempts. ARGV: message, then the effects, each as its length and its parts.
# Returns 0 when the message is not there any more, else 1 and the errors of effects.
COMPLETE: Final = f"""
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return {{0}} end
redis.call('HDEL', KEYS[2], ARGV[1])
local told, at = {{1}}, 2
-- What fails (a key of another type) must not swallow what comes after it: the answer is among them.
local function run(...)
  local result = redis.pcall(...)
  if type(result) == 'table' and result.err then
    told[#told + 1] = (...) .. ': ' .. result.err
    return nil
  end
  return result
end
{_SEND_RESPONSE}
while at <= #ARGV do
  local length = tonumber(ARGV[at])
  local effect = {{unpack(ARGV, at + 1, at + length)}}
  at = at + length + 1
  if effect[1] == 'SUBMIT' then
    local turns = run('RPUSH', effect[2], effect[4] .. '\\n' .. effect[5])
    run('EXPIRE', effect[2], effect[6])
    if turns == nil or turns == 1 then run('LPUSH', effect[3], effect[5]) end
  elseif effect[1] == 'ADVANCE' then
    local head = run('LINDEX', effect[2], 0)
    local mark = effect[4] .. '\\n'
    if head and string.sub(head, 1, #mark) == mark then
      run('LPOP', effect[2])
      local following = run('LINDEX', effect[2], 0)
      if following then run('LPUSH', effect[3], string.sub(following, string.find(following, '\\n', 1, true) + 1)) end
    end
  elseif effect[1] == 'SEND_RESPONSE' then
    answer(unpack(effect, 2))
  else
    run(unpack(effect))
  end
end
return told
"""

# KEYS: list, consumers, attempts. ARGV: this consumer, lease in ms, prefix of processing lists.
# Returns how many messages were reclaimed from consumers whose lease has expired, and how many
# wait.
RENEW: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])
local back = 0
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)) do
  while true do
    local message = redis.call('LMOVE', ARGV[3] .. gone, KEYS[1], 'LEFT', 'RIGHT')
    if not message then break end
    redis.call('HINCRBY', KEYS[3], message, 1)
    back = back + 1
  end
  redis.call('ZREM', KEYS[2], gone)
end
return {back, redis.call('LLEN', KEYS[1])}
"""

# KEYS: list, processing, attempts. ARGV: 1 if it counts as an attempt; then messages, newest first,
# so that the oldest is fetched first again. Returns how many were requeued.
REQUEUE: Final = """
local back = 0
for at = 2, #ARGV do
  if redis.call('LREM', KEYS[2], 1, ARGV[at]) == 1 then
    redis.call('RPUSH', KEYS[1], ARGV[at])
    if ARGV[1] == '1' then redis.call('HINCRBY', KEYS[3], ARGV[at], 1) end
    back = back + 1
  end
end
return back
"""
