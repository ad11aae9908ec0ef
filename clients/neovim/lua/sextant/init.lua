-- What users call: setup, the commands, the statusline.
local M = {}

--- Start the server for every buffer of a language it knows. Neovim 0.11 and newer need no setup unless options are
--- to be set: vim.lsp.enable('sextant') does as much.
---@param options? table see sextant.Options
function M.setup(options)
  if vim.fn.has('nvim-0.10') == 0 then return vim.notify('sextant needs Neovim 0.10 or newer', vim.log.levels.ERROR) end
  local config, client = require('sextant.config'), require('sextant.client')
  config.set(options)
  local problem = config.missing(config.options.cmd)
  if problem then vim.notify_once('sextant: ' .. problem, vim.log.levels.WARN) end
  if vim.lsp.config then
    vim.lsp.config('sextant', config.lsp())
    vim.lsp.enable('sextant')
  else
    local group = vim.api.nvim_create_augroup('sextant.attach', {})
    local function attach(event) client.attach(event.buf) end
    vim.api.nvim_create_autocmd('FileType', { group = group, callback = attach })
    client.attach_all()
  end
  for name, modes in pairs(config.options.keymaps and { search = { 'n' }, similar = { 'n', 'x' } } or {}) do
    local keys, plug = name == 'search' and '<leader>ss' or '<leader>sf', ('<Plug>(sextant-%s)'):format(name)
    for _, mode in ipairs(modes) do
      local free = vim.fn.maparg(keys, mode) == '' and vim.fn.hasmapto(plug, mode) == 0
      if free then vim.keymap.set(mode, keys, plug, { desc = 'Sextant: ' .. name }) end
    end
  end
end

---@class sextant.Show
---@field to? 'quickfix'|'loclist' instead of a picker
---@field picker? string instead of the option
---@field options? table for the picker
---@field lines? { [1]: integer, [2]: integer } for similar(): not the selection

local pickers = { snacks = 'snacks.picker', ['fzf-lua'] = 'fzf-lua', telescope = 'telescope' }

---@param wanted string
---@return string # the name of an adapter
local function picker(wanted)
  for _, name in ipairs(wanted == 'auto' and { 'snacks', 'fzf-lua', 'telescope' } or { wanted }) do
    if pickers[name] and pcall(require, pickers[name]) then return name == 'fzf-lua' and 'fzf' or name end
  end
  if wanted ~= 'auto' and wanted ~= 'float' then
    vim.notify_once(('sextant: no picker %q; using the built-in one'):format(wanted), vim.log.levels.WARN)
  end
  return 'float'
end

---@param question sextant.Question
---@param show? sextant.Show
local function answer(question, show)
  show = show or {}
  if not show.to then
    local name = picker(show.picker or require('sextant.config').options.picker)
    return require('sextant.picker.' .. name)(question, show.options)
  end
  question:ask(question.words, function(found)
    if found.notice then
      require('sextant.hit').say(found.notice, vim.log.levels[found.failed and 'ERROR' or 'WARN'])
    end
    if #found.hits == 0 then return end
    require('sextant.hit').list(found, vim.trim(question.title .. ': ' .. question.words), show.to)
  end)
end

--- Search by meaning.
---@param query? string
---@param show? sextant.Show
function M.search(query, show) answer(require('sextant.question').search(query or ''), show) end

--- Find code like the selection, or like the function under the cursor.
---@param show? sextant.Show
function M.similar(show) answer(require('sextant.question').similar(show and show.lines), show) end

--- Show in the picker what a request finds.
---@param method 'sextant/search'|'sextant/findSimilar'
---@param params table
function M.ask(method, params)
  local function live(_, words) return method == 'sextant/search' and { query = words } or params end
  answer(require('sextant.question').new(method, params.query or '', live))
end

--- Ask for something that is no search, and say what went wrong.
---@param method string
---@param params? table
---@param done fun(result: any)
local function request(method, params, done)
  require('sextant.client').request(0, method, function() return params end, function(err, result)
    if err then return require('sextant.hit').say(err.message, vim.log.levels.ERROR) end
    done(result)
  end)
end

local function started() vim.notify('sextant: started; the statusline shows how far it is, :Sextant cancel ends it') end

--- Bring the index up to date: what changed, or all of it.
---@param scope? 'changed'|'all'
---@param on? string 'auto', 'inline', 'local' or the address of a cluster
function M.reindex(scope, on) request('sextant/reindex', { scope = scope, on = on }, started) end

--- Train the repository's model.
---@param on? string
function M.tune(on) request('sextant/tune', { on = on }, started) end

--- For a statusline: nothing without a server, else its name with what it is doing.
---@return string
function M.status() return package.loaded['sextant.client'] and require('sextant.client').status() or '' end

--- Describe a folder of sextant/indexStatus.
---@param folder sextant.FolderStatus
---@return string
function M.describe(folder)
  local path, message = vim.fn.fnamemodify(vim.uri_to_fname(folder.uri), ':~'), folder.message or ''
  return vim.trim(('%s: %s, %s. %s'):format(path, folder.state, folder.summary or '', message))
end

local commands = {
  reindex = function(words)
    local scoped = words[1] == 'all' or words[1] == 'changed'
    M.reindex(scoped and words[1] or nil, words[scoped and 2 or 1])
  end,
  tune = function(words) M.tune(words[1]) end,
  status = function()
    request('sextant/indexStatus', nil, function(status)
      local lines = vim.tbl_map(M.describe, status.folders)
      local text = 'encoder %s, %s neighbours, %.0f MB of memory'
      table.insert(lines, text:format(status.encoder, status.backend, status.residentBytes / 2 ^ 20))
      vim.api.nvim_echo({ { table.concat(lines, '\n') } }, false, {})
    end)
  end,
  cancel = function()
    local count = require('sextant.client').cancel_jobs()
    vim.notify(count > 0 and 'sextant: cancelling' or 'sextant: there is nothing to cancel')
  end,
  log = function()
    vim.cmd.tabedit(vim.fn.fnameescape(require('vim.lsp.log').get_filename()))
    vim.cmd.normal({ 'G', bang = true })
  end,
  search = function(words, command)
    -- Not joined from words: blanks inside quotes matter.
    local query = command.args:gsub('^%s*search%s*', ''):gsub('^%+%+%l+%s*', '')
    M.search(query, { to = words[1] and words[1]:match('^%+%+(%l+)$') })
  end,
  similar = function(words, command)
    local lines = command.range > 0 and { command.line1, command.line2 } or nil
    M.similar({ to = words[1] and words[1]:match('^%+%+(%l+)$'), lines = lines })
  end,
}

--- Run :Sextant.
---@param command vim.api.keyset.create_user_command.command_args
function M.run(command)
  if vim.fn.has('nvim-0.10') == 0 then return M.setup() end
  local name = command.fargs[1] or 'search'
  if commands[name] then return commands[name](vim.list_slice(command.fargs, 2), command) end
  local names = table.concat(vim.fn.sort(vim.tbl_keys(commands)), ', ')
  vim.notify(('sextant: there is no %q; say one of %s'):format(name, names), vim.log.levels.ERROR)
end

local words = { [''] = 'cancel log reindex search similar status tune', tune = 'auto inline local' }
words.search = '++loclist ++quickfix -path: kind:class kind:function kind:method lang: path:'
words.similar, words.reindex = '++loclist ++quickfix', 'all changed auto inline local'

--- Complete :Sextant.
---@return string[]
function M.complete(lead, line)
  local known = vim.split(words[line:match('Sextant%s+(%S+)%s') or ''] or '', ' ')
  return vim.tbl_filter(function(word) return vim.startswith(word, lead) end, known)
end

return M
