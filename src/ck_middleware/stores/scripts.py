"""This file is what Redis does in one step: scripts, for it runs one at a time. Nothing in them is newer than Redis 6.

ARGV[1] is the prefix of all keys. KEYS[1] is a session, one string: its owners in a first line, then the value. A
script's own words: `found` is that string, `cut` the end of its first line, `px` milliseconds to live.
"""

from typing import Final

_FIND: Final = "local found = redis.call('GET', KEYS[1]) local cut = found and string.find(found, '\\n', 1, true) "
_OWNERS: Final = (
    "local function owners(head) local names = {} "
    "for owner in string.gmatch(head, '%S+') do names[#names + 1] = ARGV[1] .. 'o:' .. owner end return names end "
)
# Every owner lives at least as long as this session, which it may have had before.
_PROLONG: Final = (
    "local function prolong(head, px) for _, owner in ipairs(owners(head)) do "
    "if redis.call('PTTL', owner) < tonumber(px) then redis.call('PEXPIRE', owner, px) end end end "
)
_FORGET: Final = (
    "local function forget(head, key) for _, owner in ipairs(owners(head)) do redis.call('SREM', owner, key) end end "
)
# A few members of each owner are looked at in passing, so that sessions that expired do not pile up in one that lives.
PUT: Final = f"""{_OWNERS}{_PROLONG}{_FORGET}{_FIND}
if found then forget(string.sub(found, 1, cut), ARGV[2]) end
redis.call('SET', KEYS[1], ARGV[3] .. '\\n' .. ARGV[4], 'PX', ARGV[5])
for _, owner in ipairs(owners(ARGV[3])) do
  for _, key in ipairs(redis.call('SRANDMEMBER', owner, 5)) do
    if redis.call('EXISTS', ARGV[1] .. 's:' .. key) == 0 then redis.call('SREM', owner, key) end
  end
  redis.call('SADD', owner, ARGV[2])
end
prolong(ARGV[3], ARGV[5])
return 1"""
SWAP: Final = f"""{_OWNERS}{_PROLONG}{_FIND}
if not found or string.sub(found, cut + 1) ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], string.sub(found, 1, cut) .. ARGV[3], 'PX', ARGV[4])
prolong(string.sub(found, 1, cut), ARGV[4])
return 1"""
TOUCH: Final = f"""{_OWNERS}{_PROLONG}{_FIND}
if not found then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
prolong(string.sub(found, 1, cut), ARGV[2])
return 1"""
DELETE: Final = f"""{_OWNERS}{_FORGET}{_FIND}
if not found or (ARGV[3] and string.sub(found, cut + 1) ~= ARGV[3]) then return 0 end
forget(string.sub(found, 1, cut), ARGV[2])
return redis.call('DEL', KEYS[1])"""
# KEYS[1] is an owner here. A key that expired and was used again, without this owner, is not the owner's.
OWNED: Final = """local living = {}
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local found = redis.call('GET', ARGV[1] .. 's:' .. key)
  local head = found and ' ' .. string.sub(found, 1, string.find(found, '\\n', 1, true) - 1) .. ' '
  if head and string.find(head, ' ' .. ARGV[2] .. ' ', 1, true) then living[#living + 1] = key
  else redis.call('SREM', KEYS[1], key) end
end
return living"""
PRESENT: Final = """local there = {}
for place, key in ipairs(KEYS) do there[place] = redis.call('EXISTS', key) end
return there"""
