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
    local on = { group = vim.api.nvim_create_augroup('sextant.attach', {}) }
    on.callback = function(event) client.attach(event.buf) end
    vim.api.nvim_create_autocmd('FileType', on)
    client.attach_all()
  end
  if not config.options.keymaps then return end
  -- Where they are taken they stay as they are.
  local free = { unique = true, desc = 'Sextant' }
  pcall(vim.keymap.set, 'n', '<leader>ss', '<Plug>(sextant-search)', free)
  pcall(vim.keymap.set, { 'n', 'x' }, '<leader>sf', '<Plug>(sextant-similar)', free)
end

---@class sextant.Show
---@field to? 'quickfix'|'loclist' instead of a picker
---@field picker? string instead of the option
---@field options? table for the picker
---@field lines? { [1]: integer, [2]: integer } for similar(): not the selection

--- The wanted picker, else the built-in one. An adapter can be loaded only where its plugin is.
---@param wanted string
---@return fun(question: sextant.Question, options?: table)
local function picker(wanted)
  for _, name in ipairs(wanted == 'auto' and { 'snacks', 'fzf-lua', 'telescope' } or { wanted }) do
    local found, show = pcall(require, 'sextant.picker.' .. name)
    if found then return show end
  end
  local text = ('sextant: no picker %q; using the built-in one'):format(wanted)
  if wanted ~= 'auto' then vim.notify_once(text, vim.log.levels.WARN) end
  return require('sextant.picker.float')
end

---@param question sextant.Question
---@param show? sextant.Show
local function answer(question, show)
  local to, wanted = show and show.to, show and show.picker or require('sextant.config').options.picker
  if not to then return picker(wanted)(question, show and show.options) end
  question:ask(question.words, function(found)
    local hits = require('sextant.hit')
    if found.notice then hits.say(found.notice, vim.log.levels[found.failed and 'ERROR' or 'WARN']) end
    if #found.hits > 0 then hits.list(found, vim.trim(question.title .. ': ' .. question.words), to) end
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
  require('sextant.client').request(0, method, function() return params or {} end, function(err, result)
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

--- Which list an argument such as ++quickfix names.
local function list_of(words) return words[1] and words[1]:match('^%+%+(%l+)$') end

local commands = {
  reindex = function(words)
    local scope = vim.list_contains({ 'all', 'changed' }, words[1]) and table.remove(words, 1) or nil
    M.reindex(scope, words[1])
  end,
  tune = function(words) M.tune(words[1]) end,
  status = function()
    request('sextant/indexStatus', nil, function(status)
      local text = 'encoder %s, %s neighbours, %.0f MB of memory'
      local engine = text:format(status.encoder, status.backend, status.residentBytes / 2 ^ 20)
      local lines = vim.list_extend(vim.tbl_map(M.describe, status.folders), { engine })
      vim.api.nvim_echo({ { table.concat(lines, '\n') } }, false, {})
    end)
  end,
  cancel = function()
    local any = require('sextant.client').cancel_jobs() > 0
    vim.notify(any and 'sextant: cancelling' or 'sextant: there is nothing to cancel')
  end,
  log = function() vim.cmd('tabedit +$ ' .. vim.fn.fnameescape(require('vim.lsp.log').get_filename())) end,
  search = function(words, command)
    -- Not joined from words: blanks inside quotes matter.
    M.search(command.args:gsub('^%s*search%s*', ''):gsub('^%+%+%l+%s*', ''), { to = list_of(words) })
  end,
  similar = function(words, command)
    local lines = command.range > 0 and { command.line1, command.line2 } or nil
    M.similar({ to = list_of(words), lines = lines })
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
