/**
 * What a script finds. It runs once in each Lua state, and returns a function that makes the globals of one run. There is
 * no clock, no file, no bytecode, which could break out of its memory, and no way to change what the next script finds:
 * all tables are behind others that are empty and cannot be changed, which is why there is no `rawset`.
 */
export const preludeSource = `
local call, sha1hex, encode, decode = ...
local null = decode('null')
local error, setmetatable, rawget, type, setfenv, loadstring = error, setmetatable, rawget, type, setfenv, loadstring
local sub, find = string.sub, string.find
local seed = math.randomseed

string.dump = nil
string.gfind = nil
getmetatable('').__metatable = false

local plain = {}
for _, name in ipairs({ 'assert', 'error', 'getmetatable', 'ipairs', 'next', 'pairs', 'pcall', 'rawequal', 'rawget',
  'select', 'setmetatable', 'tonumber', 'tostring', 'type', 'unpack', 'xpcall', '_VERSION' }) do
  plain[name] = _G[name]
end
local libraries = { string = string, table = table, math = math, coroutine = coroutine }

local function readonly()
  error('Attempt to modify a readonly table', 2)
end
local function locked(members)
  return setmetatable({}, { __index = members, __newindex = readonly, __metatable = false })
end

local function raise(...)
  local done, result = call(...)
  if done then return result end
  error(result, 0)
end
local function try(...)
  local _, result = call(...)
  return result
end
local function reply(member)
  return function(text)
    if type(text) ~= 'string' then error('wrong number or type of arguments', 2) end
    if member == 'err' then
      if sub(text, 1, 1) == '-' then text = sub(text, 2) end
      if text == '' then text = 'ERR' elseif not find(text, ' ', 1, true) then text = 'ERR ' .. text end
    end
    return { [member] = text }
  end
end
local function hash(...)
  if select('#', ...) ~= 1 then error('wrong number of arguments', 2) end
  return sha1hex((...))
end
local function yes() return true end
local function nothing() end

local redis = {
  call = raise, pcall = try, sha1hex = hash, status_reply = reply('ok'), error_reply = reply('err'),
  log = nothing, LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
  replicate_commands = yes, set_repl = nothing, REPL_NONE = 0, REPL_AOF = 1, REPL_SLAVE = 2, REPL_REPLICA = 2, REPL_ALL = 3,
  setresp = function(version) if version ~= 2 and version ~= 3 then error('RESP version must be 2 or 3.', 2) end end,
  REDIS_VERSION = '7.0.15', REDIS_VERSION_NUM = 0x0007000f,
}
local cjson = {
  encode = function(value)
    local done, text = encode(value)
    if done then return text end
    error(text, 2)
  end,
  decode = function(text)
    local value, wrong = decode(text)
    if wrong then error(wrong, 2) end
    return value
  end,
  null = null,
  encode_keep_buffer = yes,
}

local function missing(_, name)
  error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
end

plain.redis = locked(redis)
plain.server = plain.redis
plain.cjson = locked(cjson)
for name, library in pairs(libraries) do plain[name] = locked(library) end
setmetatable(plain, { __index = missing })
local inherit = { __index = plain }

return function(keys, arguments)
  local members = setmetatable({ KEYS = keys, ARGV = arguments }, inherit)
  local globals = setmetatable({}, { __index = members, __newindex = readonly, __metatable = false })
  members._G = globals
  members.loadstring = function(source, name)
    if type(source) ~= 'string' or sub(source, 1, 1) == '\\27' then return nil, 'expected the source of a chunk' end
    local chunk, wrong = loadstring(source, name)
    return chunk and setfenv(chunk, globals), wrong
  end
  seed(0)
  return globals
end
`;
