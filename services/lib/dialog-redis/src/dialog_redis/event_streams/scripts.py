"""Scripts on one event stream; each is one atomic step.

KEYS are the stream and its state: a hash with `created`, an id that is new whenever the stream was
created anew, and `runs`, the processes of Redis that have published, each with the last id of the
stream when that process was first seen: `run=id run=id …`, oldest first.
"""

from typing import Final

_RUN: Final = """
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
"""

# ARGV: consumer group, id to use if the stream is created now, number of runs kept.
# Creates the stream and the group (from the first entry on) if they are missing, and records the run.
# Returns the run, `created` and `runs`.
ATTACH: Final = (
    _RUN
    + """
local created = redis.call('HGET', KEYS[2], 'created')
local exists = redis.call('EXISTS', KEYS[1]) == 1
if not exists or not created then
  created = ARGV[2]
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[2], 'created', created)
end
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then return made end
local runs = redis.call('HGET', KEYS[2], 'runs') or ''
if not string.find(runs, run .. '=', 1, true) then
  local info, last = redis.call('XINFO', 'STREAM', KEYS[1]), '0-0'
  for at = 1, #info, 2 do
    if info[at] == 'last-generated-id' then last = info[at + 1] end
  end
  local kept = {}
  for each in string.gmatch(runs, '%S+') do kept[#kept + 1] = each end
  kept[#kept + 1] = run .. '=' .. last
  while #kept > tonumber(ARGV[3]) do table.remove(kept, 1) end
  runs = table.concat(kept, ' ')
  redis.call('HSET', KEYS[2], 'runs', runs)
end
return {run, created, runs}
"""
)

# ARGV: run and `created` that the publisher knows, then for each entry: session, eventId, type,
# payload, traceparent ('' for none).
# Returns 'MOVED' if Redis is another process or the stream another one than the publisher knows, and
# adds nothing. Otherwise, for each entry, its id, or `!` and the error, or '' if an earlier entry of
# its session failed.
PUBLISH: Final = (
    _RUN
    + """
if run ~= ARGV[1] or redis.call('HGET', KEYS[2], 'created') ~= ARGV[2] or redis.call('EXISTS', KEYS[1]) == 0 then
  return 'MOVED'
end
local results, failed = {}, {}
for at = 3, #ARGV, 5 do
  local session = ARGV[at]
  if failed[session] then
    results[#results + 1] = ''
  else
    local fields = {'eventId', ARGV[at + 1], 'type', ARGV[at + 2], 'payload', ARGV[at + 3]}
    if ARGV[at + 4] ~= '' then fields[7], fields[8] = 'traceparent', ARGV[at + 4] end
    local id = redis.pcall('XADD', KEYS[1], '*', unpack(fields))
    if type(id) == 'table' and id.err then
      failed[session] = true
      results[#results + 1] = '!' .. id.err
    else
      results[#results + 1] = id
    end
  end
end
return results
"""
)

# KEYS: stream. ARGV: Unix ms before which acknowledged entries may go, largest number of entries.
# Removes entries that every group has acknowledged and that are older than the time; beyond the
# largest number also others. Returns how many of the others were removed.
TRIM: Final = """
local function parts(id)
  local ms, seq = string.match(id, '(%d+)-(%d+)')
  return tonumber(ms), tonumber(seq)
end
local function before(a, b)
  local ams, aseq = parts(a)
  local bms, bseq = parts(b)
  return ams < bms or (ams == bms and aseq < bseq)
end
local lowest = ARGV[1] .. '-0'
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local known = {}
  for at = 1, #group, 2 do known[group[at]] = group[at + 1] end
  local done = known['last-delivered-id']
  if known['pending'] > 0 then done = redis.call('XPENDING', KEYS[1], known['name'])[2] end
  if before(done, lowest) then lowest = done end
end
redis.call('XTRIM', KEYS[1], 'MINID', lowest)
return redis.call('XTRIM', KEYS[1], 'MAXLEN', ARGV[2])
"""

# KEYS: stream, dead letter stream. ARGV: group, largest number of dead letters, then for each entry:
# its id, the number of fields and values, and these.
DEAD_LETTER: Final = """
local at = 3
while at <= #ARGV do
  local id, count = ARGV[at], tonumber(ARGV[at + 1])
  local fields = {}
  for each = 1, count do fields[each] = ARGV[at + 1 + each] end
  at = at + 2 + count
  if redis.call('XACK', KEYS[1], ARGV[1], id) == 1 then
    redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[2], '*', unpack(fields))
  end
end
"""

# KEYS: dead letter stream, stream. ARGV: ids of dead letters.
# Moves dead letters back; returns how many were found and could be moved.
REPLAY: Final = """
local moved = 0
for _, id in ipairs(ARGV) do
  local found = redis.call('XRANGE', KEYS[1], id, id)[1]
  if found then
    local fields, whole = {}, true
    for at = 1, #found[2], 2 do
      local name, value = found[2][at], found[2][at + 1]
      if name == 'eventId' or name == 'type' or name == 'payload' or name == 'traceparent' then
        fields[#fields + 1] = name
        fields[#fields + 1] = value
      elseif name == 'truncated' then
        whole = false
      end
    end
    if whole and #fields > 0 then
      redis.call('XADD', KEYS[2], '*', unpack(fields))
      redis.call('XDEL', KEYS[1], id)
      moved = moved + 1
    end
  end
end
return moved
"""
