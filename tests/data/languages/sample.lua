-- Copyright 2024 Somebody

--- Sends parcels.
local M = {}

local curl = require("plenary.curl")

---A thing to send.
---@class Parcel
---@field weight number
local Parcel = {}
Parcel.__index = Parcel

--- Makes one.
---@param weight number
---@return Parcel
function Parcel.new(weight)
  return setmetatable({ weight = weight }, Parcel)
end

--- Weighs it.
function Parcel:weigh()
  local function round(x)
    return math.floor(x)
  end
  return round(self.weight)
end

--[[ Sends one.
  Block.
]]
M.send = function(parcel, ...)
  curl.post(M.url, { body = parcel })
end

local function helper(a, b)
  return a + b
end

local recursive
recursive = function(n)
  return recursive(n - 1)
end

local shout = function(s) return s:upper() end

function global_one() end

function M.a.b.deep() end

M.handlers = {
  -- Opens.
  open = function(self) end,
  ["close-all"] = function() end,
  nested = {
    inner = function() end,
  },
  plain = 1,
}

local config = {
  setup = function(opts)
    return opts
  end,
}

M["quoted"] = function() end

vim.keymap.set("n", "x", function()
  print("anonymous")
end)

local a, b = function() end, function() end

return M
