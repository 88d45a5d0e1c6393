-- Stands before cache_write.lua and cache_remove.lua: how they read a field of revisions:v1:{kind}:{id}.
--
-- Offset, sequence and labels of a state; nothing of what is none of ours, which counts as absent.
local function parse(state)
  local item_offset, release_sequence, labels = string.match(state, '^(%d+):(%d+):(.*)$')
  local ok, decoded = pcall(cjson.decode, labels or '')
  if not ok or type(decoded) ~= 'table' then
    return nil, nil, {}
  end
  for _, label in ipairs(decoded) do
    if type(label) ~= 'string' then
      return nil, nil, {}
    end
  end
  return tonumber(item_offset), tonumber(release_sequence), decoded
end
