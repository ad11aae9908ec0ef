-- What was found: as a row, as a preview, as a place to go to.
local M = {}

---@class sextant.Found: sextant.Hit
---@field encoding string in which its positions count

---@class sextant.Answer what every picker shows
---@field hits sextant.Found[]
---@field notice? string what must be known about them
---@field failed? boolean whether the notice is an error
---@field again? boolean whether asking again soon may find more
---@field folders lsp.WorkspaceFolder[]

---@alias sextant.Chunk { [1]: string, [2]: string } text and highlight group

-- stylua: ignore
local links = { Function = 'Function', Type = 'Type', Module = 'Include', Name = 'Identifier', Container = 'Comment',
  Path = 'Directory', Score = 'Number', Detail = 'Comment', Match = 'Search', Target = 'CursorLineNr', Prompt = 'Title',
  Notice = 'WarningMsg', Error = 'ErrorMsg', Border = 'FloatBorder' }
for name, link in pairs(links) do
  vim.api.nvim_set_hl(0, 'Sextant' .. name, { link = link, default = true })
end
local namespace = vim.api.nvim_create_namespace('sextant')
local groups = { Function = 'Function', Method = 'Function', Constructor = 'Function', Module = 'Module' }

--- Bytes of a line before a position that is given in a client's units.
---@param line string
---@param character integer
---@param encoding string
---@return integer
function M.to_byte(line, character, encoding)
  local byte = encoding == 'utf-8' and character or vim.fn.byteidxcomp(line, character, encoding == 'utf-16')
  return (byte < 0 or byte > #line) and #line or byte
end

--- A client's units in the first bytes of a line.
---@param line string
---@param byte integer
---@param encoding string
---@return integer
function M.to_units(line, byte, encoding)
  local text = line:sub(1, byte)
  return encoding == 'utf-8' and #text or encoding == 'utf-16' and vim.fn.strutf16len(text) or vim.fn.strchars(text)
end

--- The lines of a document: of its buffer where that is loaded, saved or not, else of the file.
---@param path string
---@return string[]
function M.lines(path)
  local buf = vim.fn.bufnr('^' .. vim.fn.fnameescape(path) .. '$')
  if buf > 0 and vim.api.nvim_buf_is_loaded(buf) then return vim.api.nvim_buf_get_lines(buf, 0, -1, false) end
  local read, lines = pcall(vim.fn.readfile, path)
  return read and vim.tbl_map(function(line) return (line:gsub('\r$', '')) end, lines) or {}
end

---@param hit sextant.Hit
---@param answer sextant.Answer
---@return string # relative to the hit's workspace folder, which is named where there are several
local function place(hit, answer)
  local path = vim.uri_to_fname(hit.location.uri)
  for _, folder in ipairs(answer.folders) do
    local root = vim.uri_to_fname(folder.uri)
    local above = #answer.folders > 1 and vim.fs.dirname(root) or root
    if vim.startswith(path, root .. '/') then path = path:sub(#above + 2) end
  end
  return ('%s:%d'):format(path, hit.location.range.start.line + 1)
end

--- Bring a text to a width in cells: filled up, or cut with an ellipsis, at the front if the end matters more.
local function fit(text, width, keep_end)
  local over = vim.api.nvim_strwidth(text) - width
  if over > 0 and keep_end then text = '…' .. vim.fn.strcharpart(text, over + 1) end
  if over > 0 and not keep_end then text = vim.fn.printf('%.*S…', width - 1, text) end
  return vim.fn.printf('%-*.*S', width, width, text)
end

--- Tell the user something on one line of the screen: what is longer would have to be dismissed.
---@param text string
---@param level? integer
function M.say(text, level)
  local line = ('sextant: ' .. text):gsub('%s+', ' ')
  vim.notify(vim.trim(fit(line, vim.v.echospace)), level)
end

--- Lay hits out in columns: icon, name, container, path:line, score, first sentence of the documentation.
---@param answer sextant.Answer
---@param width integer cells
---@return sextant.Chunk[][]
function M.rows(answer, width)
  local icons, widest = require('sextant.config').options.icons, { 0, 0, 0 }
  local function columns(hit) return { hit.name, hit.containerName or '', place(hit, answer) } end
  for _, hit in ipairs(answer.hits) do
    for i, text in ipairs(columns(hit)) do
      local most = math.floor(width * ({ 0.24, 0.14, 0.26 })[i])
      widest[i] = math.min(most, math.max(widest[i], vim.api.nvim_strwidth(text) + 1))
    end
  end
  return vim.tbl_map(function(hit)
    local kind, text = vim.lsp.protocol.SymbolKind[hit.kind] or '', columns(hit)
    return {
      { fit(icons[kind] or '·', 2), 'Sextant' .. (groups[kind] or 'Type') },
      { fit(text[1], widest[1] - 1) .. ' ', 'SextantName' },
      { widest[2] > 0 and fit(text[2], widest[2] - 1) .. ' ' or '', 'SextantContainer' },
      { fit(text[3], widest[3] - 1, true) .. ' ', 'SextantPath' },
      { ('%.2f '):format(hit.score), 'SextantScore' },
      { ((hit.detail or hit.signature or ''):gsub('%s+', ' ')), 'SextantDetail' },
    }
  end, answer.hits)
end

--- Join the chunks of a row; the highlights are byte columns.
---@param chunks sextant.Chunk[]
---@return string text, { [1]: { [1]: integer, [2]: integer }, [2]: string }[] highlights
function M.join(chunks)
  local text, highlights = '', {}
  for _, chunk in ipairs(chunks) do
    table.insert(highlights, { { #text, #text + #chunk[1] }, chunk[2] })
    text = text .. chunk[1]
  end
  return text, highlights
end

--- Show a hit's document in a scratch buffer, its definition marked and the words that carried it highlighted.
---@param buf integer
---@param win integer
---@param hit sextant.Found
function M.preview(buf, win, hit)
  local path, range = vim.uri_to_fname(hit.location.uri), hit.targetRange
  local lines = M.lines(path)
  vim.bo[buf].modifiable = true
  vim.api.nvim_buf_set_lines(buf, 0, -1, false, lines)
  local filetype = vim.filetype.match({ filename = path, buf = buf }) or ''
  if not pcall(vim.treesitter.start, buf, vim.treesitter.language.get_lang(filetype)) then
    vim.bo[buf].syntax = filetype
  end
  vim.api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
  for row = range.start.line, math.min(range['end'].line, #lines - 1) do
    vim.api.nvim_buf_set_extmark(buf, namespace, row, 0, { number_hl_group = 'SextantTarget' })
  end
  for _, term in ipairs(hit.why and hit.why.terms or {}) do
    local at = term.weight > hit.why.terms[1].weight / 4 and term.range
    local line = at and lines[at.start.line + 1]
    if line then
      local to = M.to_byte(line, at['end'].character, hit.encoding)
      local mark = { end_col = to, hl_group = 'SextantMatch', priority = 200 }
      local from = M.to_byte(line, at.start.character, hit.encoding)
      vim.api.nvim_buf_set_extmark(buf, namespace, at.start.line, math.min(from, to), mark)
    end
  end
  vim.api.nvim_win_call(win, function()
    local line = math.min(hit.location.range.start.line + 1, #lines)
    vim.fn.winrestview({ lnum = line, topline = math.max(1, range.start.line - 1), leftcol = 0 })
    vim.wo.number = true
  end)
end

--- Items for quickfix and location lists.
---@param answer sextant.Answer
---@return vim.quickfix.entry[]
function M.items(answer)
  local documents = vim.defaulttable(M.lines)
  return vim.tbl_map(function(hit)
    local path, start = vim.uri_to_fname(hit.location.uri), hit.location.range.start
    local where = hit.containerName and (' (%s)'):format(hit.containerName) or ''
    return {
      filename = path,
      lnum = start.line + 1,
      col = M.to_byte(documents[path][start.line + 1] or '', start.character, hit.encoding) + 1,
      text = ('%.2f %s%s  %s'):format(hit.score, hit.name, where, hit.detail or hit.signature or ''),
    }
  end, answer.hits)
end

--- Put hits into a quickfix or location list and show it.
---@param answer sextant.Answer
---@param title string
---@param to 'quickfix'|'loclist'
function M.list(answer, title, to)
  local what, here = { title = title, items = M.items(answer) }, to == 'loclist'
  if here then vim.fn.setloclist(0, {}, ' ', what) end
  if not here then vim.fn.setqflist({}, ' ', what) end
  vim.cmd(here and 'lopen' or 'botright copen')
end

--- Go to a hit.
---@param hit sextant.Found
---@param command? string 'split', 'vsplit' or 'tab split' to do so elsewhere
function M.open(hit, command)
  local path = vim.uri_to_fname(hit.location.uri)
  if #M.lines(path) == 0 then return vim.notify(('sextant: %s is gone'):format(path), vim.log.levels.WARN) end
  if command then vim.cmd(command) end
  vim.lsp.util.show_document(hit.location, hit.encoding, { focus = true })
end

return M
