-- :Telescope sextant [query=words], :Telescope sextant similar
local function search(options) require('sextant').search(options.query, { picker = 'telescope', options = options }) end
local function similar(options) require('sextant').similar({ picker = 'telescope', options = options }) end
local telescope = require('telescope') ---@type any
return telescope.register_extension({ exports = { sextant = search, search = search, similar = similar } })
