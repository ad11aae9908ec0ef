-- A question that a picker asks again and again as its words change.
local client = require('sextant.client')

---@class sextant.Question
---@field title string
---@field words string the words to begin with
---@field stop fun(self: sextant.Question) cancel what was asked last
---@field private static boolean whether words filter one answer instead of asking anew
---@field private known? sextant.Answer
---@field private buf integer on whose behalf it is asked
---@field private method 'sextant/search'|'sextant/findSimilar'
---@field private params fun(client: vim.lsp.Client, words: string): table
local Question = {}
Question.__index = Question

---@param result sextant.SearchResult
---@param from vim.lsp.Client
---@return sextant.Answer
local function answer_of(result, from)
  local labels = vim.tbl_map(function(completion) return completion.label end, result.completions or {})
  local notices = vim.list_extend(vim.list_slice(result.notices or {}), labels)
  local own = { encoding = from.offset_encoding }
  local answer = { again = result.isIncomplete, completions = result.completions }
  answer.hits = vim.tbl_map(function(hit) return vim.tbl_extend('error', hit, own) end, result.hits)
  answer.notice = notices[1] and table.concat(notices, ' · ')
  return answer
end

--- The hits that match the words, best match first.
---@param answer sextant.Answer
---@param words string
---@return sextant.Answer
local function filter(answer, words)
  if words == '' then return answer end
  local function text(hit) return table.concat({ hit.name, hit.containerName or '', hit.location.uri }, ' ') end
  return vim.tbl_extend('force', answer, { hits = vim.fn.matchfuzzy(answer.hits, words, { text_cb = text }) })
end

--- Ask with these words; what was asked before is cancelled and never answered.
---@param words string
---@param done fun(answer: sextant.Answer)
---@param early? fun(answer: sextant.Answer) told what is found at once, where the rest takes long
function Question:ask(words, done, early)
  self:stop()
  if self.known and not self.known.again then return done(filter(self.known, words)) end
  if vim.trim(words) == '' and not self.static then return done({ hits = {}, notice = 'what does the code do?' }) end
  local function params(to) return self.params(to, words) end
  self.stop = client.request(self.buf, self.method, params, function(err, ...)
    local answer = err and { hits = {}, notice = err.message, failed = true } or answer_of(...)
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
  local question = { static = static, buf = buf, method = method, words = words, stop = function() end }
  question.params = function(...) return vim.tbl_extend('force', shared, params(...)) end
  question.title = static and 'Similar code' or 'Sextant'
  return setmetatable(question, Question)
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

--- A place in a client's units. (character_offset() of vim.lsp.util counts wrong in Neovim 0.10.)
---@param buf integer
---@param point { [1]: integer, [2]: integer } line and byte column
---@param encoding string
---@return lsp.Position
local function position(buf, point, encoding)
  local text = vim.api.nvim_buf_get_text(buf, point[1], 0, point[1], point[2], {})[1]
  local units = { ['utf-8'] = string.len, ['utf-16'] = vim.fn.strutf16len, ['utf-32'] = vim.fn.strchars }
  return { line = point[1], character = units[encoding](text) }
end

--- Find what is like the selection, the given lines, or the function around the cursor.
---@param lines? { [1]: integer, [2]: integer }
---@return sextant.Question
function Question.similar(lines)
  local buf, from, to = vim.api.nvim_get_current_buf(), selection(lines)
  local named = vim.bo[buf].buftype == '' and vim.api.nvim_buf_get_name(buf) ~= ''
  local text = vim.api.nvim_buf_get_text(buf, from[1], from[2], to[1], to[2], {})
  if not named and #text[1] + #text == 1 then text = vim.api.nvim_buf_get_lines(buf, 0, -1, false) end
  local place = { text = table.concat(text, '\n'), languageId = vim.bo[buf].filetype }
  return Question.new('sextant/findSimilar', '', function(asked)
    if not named then return place end
    place.textDocument = { uri = vim.uri_from_bufnr(buf) }
    local encoding = asked.offset_encoding
    place.range = { start = position(buf, from, encoding), ['end'] = position(buf, to, encoding) }
    return place
  end)
end

return Question
