-- What was found: as a row, as a preview, as a place to go to.
local M = {}

---@class sextant.Found: sextant.Hit
---@field encoding 'utf-8'|'utf-16'|'utf-32' what its positions count

---@class sextant.Answer what every picker shows
---@field title string
---@field hits sextant.Found[]
---@field notice? string what must be known about them
---@field failed? boolean whether the notice is an error
---@field again? boolean whether asking again soon may find more
---@field completions? sextant.Completion[] what may follow in the words

---@alias sextant.Chunk { [1]: string, [2]: string } text and highlight group

-- stylua: ignore
local links = { Function = 'Function', Type = 'Type', Module = 'Include', Name = 'Identifier', Container = 'Comment',
  Path = 'Directory', Score = 'Number', Detail = 'Comment', Match = 'Search', Target = 'CursorLineNr', Prompt = 'Title',
  Notice = 'WarningMsg', Error = 'ErrorMsg' }
for name, link in pairs(links) do
  vim.api.nvim_set_hl(0, 'Sextant' .. name, { link = link, default = true })
end
local namespace = vim.api.nvim_create_namespace('sextant')
local groups = { Function = 'Function', Method = 'Function', Constructor = 'Function', Module = 'Module' }

--- The lines of a document: of its buffer where that is loaded, saved or not, else of the file.
---@param path string
---@return string[]
function M.lines(path)
  if vim.fn.bufloaded(path) == 1 then return vim.api.nvim_buf_get_lines(vim.fn.bufadd(path), 0, -1, false) end
  local read, lines = pcall(vim.fn.readfile, path)
  -- A line break stands for NUL.
  return read and vim.tbl_map(function(line) return (line:gsub('\r$', ''):gsub('\n', '\0')) end, lines) or {}
end

--- A hit's file as Neovim shows files.
---@param hit sextant.Hit
---@return string
function M.path(hit) return vim.fn.fnamemodify(vim.uri_to_fname(hit.location.uri), ':~:.') end

--- Bring texts to the width of the widest one, but not beyond `most` cells; what is longer is cut with an ellipsis, at
--- the front if the end matters more.
---@param texts string[]
---@param most number
---@param keep_end? boolean
---@return string[]
local function column(texts, most, keep_end)
  local width = math.floor(math.min(most, vim.fn.max(vim.tbl_map(vim.api.nvim_strwidth, texts))))
  local filled, cut = ('%%-%d.%dS '):format(width, width), ('%%.%dS…'):format(width - 1)
  return vim.tbl_map(function(text)
    local over = vim.api.nvim_strwidth(text) - width
    if over > 0 then text = keep_end and '…' .. vim.fn.strcharpart(text, over + 1) or vim.fn.printf(cut, text) end
    return width > 0 and vim.fn.printf(filled, text) or ''
  end, texts)
end

--- Lay hits out in columns: icon, name, container, path:line, score, first sentence of the documentation.
---@param answer sextant.Answer
---@param width number cells
---@return sextant.Chunk[][]
function M.rows(answer, width)
  local function each(text) return vim.tbl_map(text, answer.hits) end
  local names = column(each(function(hit) return hit.name end), width * 0.24)
  local containers = column(each(function(hit) return hit.containerName or '' end), width * 0.14)
  local function place(hit) return ('%s:%d'):format(M.path(hit), hit.location.range.start.line + 1) end
  local places, rows = column(each(place), width * 0.26, true), {}
  for i, hit in ipairs(answer.hits) do
    local kind = vim.lsp.protocol.SymbolKind[hit.kind] or ''
    rows[i] = {
      { (require('sextant.config').options.icons[kind] or '·') .. ' ', 'Sextant' .. (groups[kind] or 'Type') },
      { names[i], 'SextantName' },
      { containers[i], 'SextantContainer' },
      { places[i], 'SextantPath' },
      { ('%.2f '):format(hit.score), 'SextantScore' },
      { ((hit.detail or hit.signature or ''):gsub('%s+', ' ')), 'SextantDetail' },
    }
  end
  return rows
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
  vim.api.nvim_win_set_buf(win, buf) -- Telescope would do so after the cursor is set
  vim.bo[buf].modifiable = true
  vim.api.nvim_buf_set_lines(buf, 0, -1, false, lines)
  local filetype = vim.filetype.match({ filename = path, buf = buf }) or ''
  if not pcall(vim.treesitter.start, buf, vim.treesitter.language.get_lang(filetype)) then
    vim.bo[buf].syntax = filetype
  end
  vim.api.nvim_buf_clear_namespace(buf, -1, 0, -1)
  local definition = { end_row = range['end'].line, number_hl_group = 'SextantTarget', strict = false }
  vim.api.nvim_buf_set_extmark(buf, namespace, range.start.line, 0, definition)
  local terms = hit.why and hit.why.terms or {}
  local least = terms[1] and terms[1].weight / 4
  local heavy = vim.tbl_filter(function(term) return term.range and term.weight > least end, terms)
  vim.lsp.util.buf_highlight_references(buf, heavy, hit.encoding)
  vim.api.nvim_win_call(win, function()
    local line = math.min(hit.location.range.start.line + 1, #lines)
    vim.fn.winrestview({ lnum = line, topline = math.max(1, range.start.line - 1), leftcol = 0 })
    vim.wo.number = true
    vim.opt_local.winhighlight:append({ LspReferenceText = 'SextantMatch' })
  end)
end

--- Items for quickfix and location lists.
---@param answer sextant.Answer
---@return vim.quickfix.entry[]
function M.items(answer)
  return vim.tbl_map(function(hit)
    -- One at a time: they would be sorted.
    local item = assert(vim.lsp.util.locations_to_items({ hit.location }, hit.encoding)[1])
    local where = hit.containerName and (' (%s)'):format(hit.containerName) or ''
    item.text = ('%.2f %s%s  %s'):format(hit.score, hit.name, where, hit.detail or hit.signature or '')
    return item
  end, answer.hits)
end

--- Put hits into a quickfix or location list and show it.
---@param answer sextant.Answer
---@param to 'quickfix'|'loclist'
function M.list(answer, to)
  local what, here = { title = answer.title, items = M.items(answer) }, to == 'loclist'
  if here then vim.fn.setloclist(0, {}, ' ', what) end
  if not here then vim.fn.setqflist({}, ' ', what) end
  vim.cmd(here and 'lopen' or 'botright copen')
end

--- Go to a hit, if there is one.
---@param hit? sextant.Found
---@param command? string 'split', 'vsplit' or 'tab split' to do so elsewhere
function M.open(hit, command)
  if not hit then return end
  local path, line = vim.uri_to_fname(hit.location.uri), hit.location.range.start.line + 1
  if not M.lines(path)[line] then return require('sextant.say')(path .. ' is gone or has changed', 'WARN') end
  if command then vim.cmd(command) end
  local shown, problem = pcall(vim.lsp.util.show_document, hit.location, hit.encoding, { focus = true })
  if not shown then require('sextant.say')('cannot go there: ' .. tostring(problem):gsub('^.*Vim:', ''), 'ERROR') end
end

return M
