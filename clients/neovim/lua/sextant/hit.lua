-- What was found: as a row, as a preview, as a place to go to.
local M = {}

---@class sextant.Found: sextant.Hit
---@field encoding string in which its positions count

---@class sextant.Answer what every picker shows
---@field hits sextant.Found[]
---@field notice? string what must be known about them
---@field failed? boolean whether the notice is an error
---@field again? boolean whether asking again soon may find more
---@field completions? sextant.Completion[] what may follow in the words

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

--- The lines of a document: of its buffer where that is loaded, saved or not, else of the file.
---@param path string
---@return string[]
function M.lines(path)
  if vim.fn.bufloaded(path) == 1 then return vim.api.nvim_buf_get_lines(vim.fn.bufadd(path), 0, -1, false) end
  local read, lines = pcall(vim.fn.readfile, path)
  return read and vim.tbl_map(function(line) return (line:gsub('\r$', '')) end, lines) or {}
end

--- A hit's file as Neovim shows files.
---@param hit sextant.Hit
---@return string
function M.path(hit) return vim.fn.fnamemodify(vim.uri_to_fname(hit.location.uri), ':~:.') end

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

--- Bring texts to the width of the widest one, but not beyond `most` cells.
---@param texts string[]
---@param most number
---@param keep_end? boolean
---@return string[]
local function column(texts, most, keep_end)
  local width = math.min(math.floor(most), vim.fn.max(vim.tbl_map(vim.api.nvim_strwidth, texts)))
  return vim.tbl_map(function(text) return width > 0 and fit(text, width, keep_end) .. ' ' or '' end, texts)
end

--- Lay hits out in columns: icon, name, container, path:line, score, first sentence of the documentation.
---@param answer sextant.Answer
---@param width integer cells
---@return sextant.Chunk[][]
function M.rows(answer, width)
  local function place(hit) return ('%s:%d'):format(M.path(hit), hit.location.range.start.line + 1) end
  local function container(hit) return hit.containerName or '' end
  local names = column(vim.tbl_map(function(hit) return hit.name end, answer.hits), width * 0.24)
  local containers = column(vim.tbl_map(container, answer.hits), width * 0.14)
  local places, rows = column(vim.tbl_map(place, answer.hits), width * 0.26, true), {}
  for i, hit in ipairs(answer.hits) do
    local kind = vim.lsp.protocol.SymbolKind[hit.kind] or ''
    rows[i] = {
      { fit(require('sextant.config').options.icons[kind] or '·', 2), 'Sextant' .. (groups[kind] or 'Type') },
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
  vim.bo[buf].modifiable = true
  vim.api.nvim_buf_set_lines(buf, 0, -1, false, lines)
  local filetype = vim.filetype.match({ filename = path, buf = buf }) or ''
  if not pcall(vim.treesitter.start, buf, vim.treesitter.language.get_lang(filetype)) then
    vim.bo[buf].syntax = filetype
  end
  vim.api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
  local definition = { end_row = range['end'].line, number_hl_group = 'SextantTarget', strict = false }
  vim.api.nvim_buf_set_extmark(buf, namespace, range.start.line, 0, definition)
  local terms = hit.why and hit.why.terms or {}
  local heavy = vim.tbl_filter(function(term) return term.range and term.weight > terms[1].weight / 4 end, terms)
  vim.lsp.util.buf_clear_references(buf)
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
    local item = vim.lsp.util.locations_to_items({ hit.location }, hit.encoding)[1]
    local where = hit.containerName and (' (%s)'):format(hit.containerName) or ''
    item.text = ('%.2f %s%s  %s'):format(hit.score, hit.name, where, hit.detail or hit.signature or '')
    return item
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
