-- A question that a picker asks again and again as its words change.
local client, config = require('sextant.client'), require('sextant.config')

---@class sextant.Question
---@field title string
---@field words string the words to begin with
---@field stop fun(self?: sextant.Question) cancel what was asked last
---@field private known? sextant.Answer to what is no search: words filter it instead of asking anew
---@field private buf integer on whose behalf it is asked
---@field private method string
---@field private params fun(client: vim.lsp.Client): table
local Question = {}
Question.__index = Question

---@param title string
---@param result sextant.SearchResult
---@param from vim.lsp.Client
---@return sextant.Answer
local function answer_of(title, result, from)
  local labels = vim.tbl_map(function(completion) return completion.label end, result.completions or {})
  local notices = vim.list_extend(vim.list_slice(result.notices or {}), labels)
  local function own(hit) return vim.tbl_extend('error', hit, { encoding = from.offset_encoding }) end
  local answer = { title = title, again = result.isIncomplete, completions = result.completions }
  answer.hits, answer.notice = vim.tbl_map(own, result.hits), notices[1] and table.concat(notices, ' · ')
  return answer
end

---@return sextant.Answer
local function nothing(title, notice, failed) return { title = title, hits = {}, notice = notice, failed = failed } end

--- The hits that match the words, best match first.
---@param answer sextant.Answer
---@param words string
---@return sextant.Answer
local function filter(answer, words)
  if words == '' then return answer end
  local function text(hit) return table.concat({ hit.name, hit.containerName or '', hit.location.uri }, ' ') end
  local matching = { hits = vim.fn.matchfuzzy(answer.hits, words, { text_cb = text }) }
  return vim.tbl_extend('force', answer, matching) --[[@as sextant.Answer]]
end

--- Ask with these words; what was asked before is cancelled and never answered.
---@param words string
---@param done fun(answer: sextant.Answer)
---@param early? fun(answer: sextant.Answer) told what is found at once, where the rest takes long
function Question:ask(words, done, early)
  self:stop()
  local is_search = self.method == 'sextant/search'
  if self.known and not self.known.again then return done(filter(self.known, words)) end
  local title = vim.trim(self.title .. ': ' .. words)
  if is_search and vim.trim(words) == '' then return done(nothing(title, 'what does the code do?')) end
  local function params(to)
    local own = is_search and { query = words, complete = true } or {}
    return vim.tbl_extend('force', self.params(to), { limit = config.options.limit, explain = true }, own)
  end
  self.stop = client.request(self.buf, self.method, params, function(err, ...)
    if err then return done(nothing(title, err.message, true)) end
    local answer = answer_of(title, ...)
    self.known = not is_search and answer or nil
    done(is_search and answer or filter(answer, words))
  end, early and function(...) early(answer_of(title, ...)) end)
end

--- Ask what `params` says, for the current buffer; a search adds its words.
---@param method string 'sextant/search' or 'sextant/findSimilar'
---@param words string
---@param params fun(client: vim.lsp.Client): table
---@return sextant.Question
function Question.new(method, words, params)
  local title, buf = method == 'sextant/search' and 'Sextant' or 'Similar code', vim.api.nvim_get_current_buf()
  local question = { title = title, words = words, stop = function() end, buf = buf, method = method, params = params }
  return setmetatable(question, Question)
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
  local first, last = vim.fn.getline(lines[1]), vim.fn.getline(lines[2])
  if vim.fn.visualmode() ~= 'v' or lines[1] ~= from[1] or lines[2] ~= to[1] then
    return { lines[1] - 1, 0 }, { lines[2] - 1, #last }
  end
  -- The last character belongs to the selection, with all its bytes; the lines may be shorter now.
  local width = vim.o.selection == 'exclusive' and 0 or #vim.fn.matchstr(last, '.', to[2])
  return { from[1] - 1, math.min(from[2], #first) }, { to[1] - 1, math.min(to[2] + width, #last) }
end

--- Find what is like the selection, the given lines, or the function around the cursor.
---@param lines? { [1]: integer, [2]: integer }
---@return sextant.Question
function Question.similar(lines)
  local buf, from, to = vim.api.nvim_get_current_buf(), selection(lines)
  local function text(...) return vim.api.nvim_buf_get_text(buf, ...) end
  -- All is read now: until a server is there the buffer may change or go.
  local head = table.concat(text(from[1], 0, from[1], from[2], {}))
  local tail = table.concat(text(to[1], 0, to[1], to[2], {}))
  local own, uri = text(from[1], from[2], to[1], to[2], {}), vim.uri_from_bufnr(buf)
  local named = vim.bo[buf].buftype == '' and vim.api.nvim_buf_get_name(buf) ~= ''
  if not named and #own[1] + #own == 1 then own = vim.api.nvim_buf_get_lines(buf, 0, -1, false) end
  local place = { text = table.concat(own, '\n'), languageId = vim.bo[buf].filetype }
  return Question.new('sextant/findSimilar', '', function(asked)
    if not named then return place end
    -- character_offset() of vim.lsp.util counts wrong in Neovim 0.10.
    local count = ({ ['utf-16'] = vim.fn.strutf16len, ['utf-32'] = vim.fn.strchars })[asked.offset_encoding]
      or string.len
    local start, stop = { line = from[1], character = count(head) }, { line = to[1], character = count(tail) }
    return vim.tbl_extend('error', place, { textDocument = { uri = uri }, range = { start = start, ['end'] = stop } })
  end)
end

return Question
