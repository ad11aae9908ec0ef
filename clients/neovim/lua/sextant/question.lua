-- A question that a picker asks again and again as its words change.
local client = require('sextant.client')
local hit = require('sextant.hit')

---@class sextant.Question
---@field title string
---@field words string the words to begin with
---@field hint string shown while there are none
---@field private static boolean whether words filter one answer instead of asking anew
---@field private known? sextant.Answer
---@field private cancel fun()
local Question = {}
Question.__index = Question

---@param result table the server's SearchResult
---@param from vim.lsp.Client
---@return sextant.Answer
local function answer_of(result, from)
  local notice = #result.hits == 0 and 'nothing found'
    or result.lowConfidence and 'nothing matches well, these are guesses'
  if result.isIncomplete then notice = (notice and notice .. ' · ' or '') .. 'still indexing…' end
  local about = { encoding = from.offset_encoding, folders = from.workspace_folders or {} }
  return vim.tbl_extend('error', about, { hits = result.hits, notice = notice or nil, again = result.isIncomplete })
end

local nothing = { hits = {}, encoding = 'utf-16', folders = {} } ---@type sextant.Answer

--- The hits of which a word is part, best match first.
---@param answer sextant.Answer
---@param words string
---@return sextant.Answer
local function filter(answer, words)
  if words == '' then return answer end
  local keys = {}
  for i, each in ipairs(answer.hits) do
    keys[i] = { i = i, text = table.concat({ each.name, each.containerName or '', each.location.uri }, ' ') }
  end
  local found = vim.fn.matchfuzzy(keys, words, { key = 'text' })
  return vim.tbl_extend('force', answer, { hits = vim.tbl_map(function(key) return answer.hits[key.i] end, found) })
end

--- Ask with these words; what was asked before is cancelled and never answered.
---@param words string
---@param done fun(answer: sextant.Answer)
function Question:ask(words, done)
  self:stop()
  if self.known and not self.known.again then return done(filter(self.known, words)) end
  if vim.trim(words) == '' and not self.static then return done(nothing) end
  self.cancel = client.request(self.buf, self.method, function(to) return self.params(to, words) end, function(err, ...)
    local answer = err and vim.tbl_extend('force', nothing, { notice = err.message, failed = true }) or answer_of(...)
    if self.static and not err then self.known = answer end
    done(self.static and filter(answer, words) or answer)
  end)
end

--- Cancel what was asked last.
function Question:stop()
  if self.cancel then self.cancel() end
  self.cancel = nil
end

---@return sextant.Question
local function new(fields)
  local limit = require('sextant.config').options.limit
  local params = fields.params
  fields.buf = vim.api.nvim_get_current_buf()
  fields.params = function(...) return vim.tbl_extend('error', params(...), { limit = limit, explain = true }) end
  return setmetatable(fields, Question)
end

--- Search by meaning.
---@param words string
---@return sextant.Question
function Question.search(words)
  local function params(_, asked) return { query = asked } end
  return new({
    title = 'Sextant',
    words = words,
    hint = 'what does the code do?',
    method = 'sextant/search',
    params = params,
  })
end

--- Return both ends of the selection, the end being exclusive; twice the cursor where nothing is selected.
---@param lines? { [1]: integer, [2]: integer } the range of a command
---@return { [1]: integer, [2]: integer }, { [1]: integer, [2]: integer } # lines from 0 and byte columns
local function selection(lines)
  local mode, from, to = vim.fn.mode(), vim.fn.getpos("'<"), vim.fn.getpos("'>")
  if mode:match('^[vV\22]') then
    from, to = vim.fn.getpos('v'), vim.fn.getpos('.')
    vim.api.nvim_feedkeys(vim.keycode('<Esc>'), 'nx', false)
  elseif lines and lines[1] == from[2] and lines[2] == to[2] then
    mode = vim.fn.visualmode()
  elseif lines then
    mode, from, to = 'V', { 0, lines[1], 1 }, { 0, lines[2], 1 }
  else
    local cursor = vim.api.nvim_win_get_cursor(0)
    return { cursor[1] - 1, cursor[2] }, { cursor[1] - 1, cursor[2] }
  end
  if from[2] > to[2] or (from[2] == to[2] and from[3] > to[3]) then
    from, to = to, from
  end
  local last = vim.fn.getline(to[2])
  if mode ~= 'v' then return { from[2] - 1, 0 }, { to[2] - 1, #last } end
  -- The last character belongs to the selection, with all its bytes.
  local width = vim.o.selection == 'exclusive' and 0 or #vim.fn.matchstr(last, '.', to[3] - 1)
  return { from[2] - 1, from[3] - 1 }, { to[2] - 1, math.min(to[3] - 1 + width, #last) }
end

--- Find what is like the selection, the given lines, or the function around the cursor.
---@param lines? { [1]: integer, [2]: integer }
---@return sextant.Question
function Question.similar(lines)
  local buf, from, to = vim.api.nvim_get_current_buf(), selection(lines)
  local named = vim.bo[buf].buftype == '' and vim.api.nvim_buf_get_name(buf) ~= ''
  local text = table.concat(vim.api.nvim_buf_get_text(buf, from[1], from[2], to[1], to[2], {}), '\n')
  if not named and text == '' then text = table.concat(vim.api.nvim_buf_get_lines(buf, 0, -1, false), '\n') end
  local first, last, filetype = vim.fn.getline(from[1] + 1), vim.fn.getline(to[1] + 1), vim.bo[buf].filetype
  local function params(asked)
    local function position(point, line)
      return { line = point[1], character = hit.to_units(line, point[2], asked.offset_encoding) }
    end
    return {
      textDocument = named and { uri = vim.uri_from_bufnr(buf) } or nil,
      range = named and { start = position(from, first), ['end'] = position(to, last) } or nil,
      text = text ~= '' and text or nil,
      languageId = asked.config.get_language_id(buf, filetype),
    }
  end
  local fields = { title = 'Similar code', words = '', hint = 'filter', static = true, params = params }
  return new(vim.tbl_extend('error', fields, { method = 'sextant/findSimilar' }))
end

return Question
