-- A question that a picker asks again and again as its words change.
local client = require('sextant.client')
local hit = require('sextant.hit')

---@class sextant.Question
---@field title string
---@field words string the words to begin with
---@field hint string shown while there are none
---@field stop fun(self: sextant.Question) cancel what was asked last
---@field private static boolean whether words filter one answer instead of asking anew
---@field private known? sextant.Answer
---@field private buf integer on whose behalf it is asked
---@field private method 'sextant/search'|'sextant/findSimilar'
---@field private params fun(client: vim.lsp.Client, words: string): table
local Question = {}
Question.__index = Question

---@param result table the server's SearchResult
---@param from vim.lsp.Client
---@return sextant.Answer
local function answer_of(result, from)
  local notices = vim.list_slice(result.notices or {})
  local words = vim.tbl_map(function(completion) return completion.label end, result.completions or {})
  local verdict = words[1] and table.concat(words, ' ') or #result.hits == 0 and 'nothing found'
  table.insert(notices, verdict or result.lowConfidence and 'nothing matches well, these are guesses' or nil)
  table.insert(notices, result.isIncomplete and 'still indexing…' or nil)
  for _, each in ipairs(result.hits) do
    each.encoding = from.offset_encoding
  end
  local folders, again = from.workspace_folders or {}, result.isIncomplete
  return { hits = result.hits, notice = notices[1] and table.concat(notices, ' · '), again = again, folders = folders }
end

--- An answer without hits.
---@type sextant.Answer
Question.nothing = { hits = {}, folders = {} }

--- The hits that match the words, best match first.
---@param answer sextant.Answer
---@param words string
---@return sextant.Answer
local function filter(answer, words)
  local keys = {}
  for i, each in ipairs(answer.hits) do
    keys[i] = { i = i, text = table.concat({ each.name, each.containerName or '', each.location.uri }, ' ') }
  end
  local found = vim.fn.matchfuzzy(keys, words, { key = 'text' })
  local hits = vim.tbl_map(function(key) return answer.hits[key.i] end, found)
  return words == '' and answer or vim.tbl_extend('force', answer, { hits = hits })
end

--- Ask with these words; what was asked before is cancelled and never answered.
---@param words string
---@param done fun(answer: sextant.Answer)
---@param early? fun(answer: sextant.Answer) told what is found at once, where the rest takes long
function Question:ask(words, done, early)
  self:stop()
  if self.known and not self.known.again then return done(filter(self.known, words)) end
  if vim.trim(words) == '' and not self.static then return done(Question.nothing) end
  local function params(to) return self.params(to, words) end
  self.stop = client.request(self.buf, self.method, params, function(err, ...)
    local failed = err and { notice = err.message, failed = true }
    local answer = failed and vim.tbl_extend('force', Question.nothing, failed) or answer_of(...)
    self.known = self.static and not err and answer or nil
    done(self.static and filter(answer, words) or answer)
  end, early and function(...) early(answer_of(...)) end)
end

--- Ask what `params` says, for the current buffer.
---@param method string
---@param words string
---@param params fun(client: vim.lsp.Client, words: string): table
---@return sextant.Question
function Question.new(method, words, params)
  local static, buf = method ~= 'sextant/search', vim.api.nvim_get_current_buf()
  local shared = { limit = require('sextant.config').options.limit, explain = true }
  local fields = { static = static, buf = buf, method = method, words = words, stop = function() end }
  fields.params = function(...) return vim.tbl_extend('force', shared, params(...)) end
  fields.title, fields.hint = static and 'Similar code' or 'Sextant', static and 'filter' or 'what does the code do?'
  return setmetatable(fields, Question)
end

--- Search by meaning.
---@param words string
---@return sextant.Question
function Question.search(words)
  return Question.new('sextant/search', words, function(_, asked) return { query = asked, complete = true } end)
end

--- Return both ends of the selection or of some lines, the end being exclusive; twice the cursor where there are none.
---@param lines? { [1]: integer, [2]: integer } the range of a command
---@return { [1]: integer, [2]: integer }, { [1]: integer, [2]: integer } # lines from 0 and byte columns
local function selection(lines)
  local is_visual, cursor = vim.fn.mode():match('^[vV\22]') ~= nil, vim.api.nvim_win_get_cursor(0)
  -- Only the end of Visual mode sets its marks.
  if is_visual then vim.api.nvim_feedkeys(vim.keycode('<Esc>'), 'nx', false) end
  local from, to = vim.api.nvim_buf_get_mark(0, '<'), vim.api.nvim_buf_get_mark(0, '>')
  lines = is_visual and { from[1], to[1] } or lines
  if not lines then return { cursor[1] - 1, cursor[2] }, { cursor[1] - 1, cursor[2] } end
  local last = vim.fn.getline(lines[2])
  if vim.fn.visualmode() ~= 'v' or lines[1] ~= from[1] or lines[2] ~= to[1] then
    return { lines[1] - 1, 0 }, { lines[2] - 1, #last }
  end
  -- The last character belongs to the selection, with all its bytes.
  local width = vim.o.selection == 'exclusive' and 0 or #vim.fn.matchstr(last, '.', to[2])
  return { from[1] - 1, from[2] }, { to[1] - 1, math.min(to[2] + width, #last) }
end

--- Find what is like the selection, the given lines, or the function around the cursor.
---@param lines? { [1]: integer, [2]: integer }
---@return sextant.Question
function Question.similar(lines)
  local buf, from, to = vim.api.nvim_get_current_buf(), selection(lines)
  local named = vim.bo[buf].buftype == '' and vim.api.nvim_buf_get_name(buf) ~= ''
  local text = vim.api.nvim_buf_get_text(buf, from[1], from[2], to[1], to[2], {})
  if not named and #text[1] + #text == 1 then text = vim.api.nvim_buf_get_lines(buf, 0, -1, false) end
  local lines_at, filetype = { vim.fn.getline(from[1] + 1), vim.fn.getline(to[1] + 1) }, vim.bo[buf].filetype
  return Question.new('sextant/findSimilar', '', function(asked)
    local function position(point, line)
      return { line = point[1], character = hit.to_units(line, point[2], asked.offset_encoding) }
    end
    local range = { start = position(from, lines_at[1]), ['end'] = position(to, lines_at[2]) }
    local place = named and { textDocument = { uri = vim.uri_from_bufnr(buf) }, range = range } or {}
    place.text, place.languageId = table.concat(text, '\n'), asked.config.get_language_id(buf, filetype)
    return place
  end)
end

return Question
