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
  if problem then require('sextant.say')(problem, 'WARN') end
  if vim.fn.has('nvim-0.11') == 1 then vim.lsp.config('sextant', client.lsp()) end
  client.attach_all(true)
  if not config.options.keymaps then return end
  -- Where they are taken they stay as they are.
  local free, similar = { unique = true, desc = 'Sextant' }, '<Plug>(sextant-similar)'
  pcall(vim.keymap.set, 'n', '<leader>ss', '<Plug>(sextant-search)', free)
  pcall(vim.keymap.set, 'n', '<leader>sf', similar, free)
  pcall(vim.keymap.set, 'x', '<leader>sf', similar, free)
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
    if found then
      return show --[[@as function]]
    end
  end
  if wanted ~= 'auto' then require('sextant.say')(('no picker %q; this is the built-in one'):format(wanted), 'WARN') end
  return require('sextant.picker.float')
end

---@param question sextant.Question
---@param show? sextant.Show
local function answer(question, show)
  show = show or {}
  if not show.to then return picker(show.picker or require('sextant.config').options.picker)(question, show.options) end
  question:ask(question.words, function(found)
    if found.notice then require('sextant.say')(found.notice, found.failed and 'ERROR' or 'WARN') end
    if #found.hits > 0 then require('sextant.hit').list(found, show.to) end
  end)
end

--- Search by meaning.
---@param query? string
---@param show? sextant.Show
function M.search(query, show) M.ask('sextant/search', { query = query }, show) end

--- Find code like the selection, or like the function under the cursor.
---@param show? sextant.Show
function M.similar(show) answer(require('sextant.question').similar(show and show.lines), show) end

--- Show what a request finds; its query may be changed.
---@param method string 'sextant/search' or 'sextant/findSimilar'
---@param params table
---@param show? sextant.Show
function M.ask(method, params, show)
  answer(require('sextant.question').new(method, params.query or '', function() return params end), show)
end

--- Ask for something that is no search, and say what went wrong.
---@param method string
---@param params table
---@param done fun(result: any)
local function request(method, params, done)
  require('sextant.client').request(0, method, function() return params end, function(err, result)
    if err then return require('sextant.say')(err.message, 'ERROR') end
    done(result)
  end)
end

local function started() require('sextant.say')('started; the statusline tells more, :Sextant cancel ends it') end

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

---@param folder sextant.FolderStatus
---@return string
local function describe(folder)
  return ('%s: %s, %s'):format(vim.uri_to_fname(folder.uri), folder.message or folder.state, folder.summary)
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
    request('sextant/indexStatus', {}, function(status)
      local lines = vim.tbl_map(describe, status.folders)
      vim.api.nvim_echo({ { table.concat(lines, '\n') } }, false, {})
    end)
  end,
  cancel = function() require('sextant.client').cancel_jobs() end,
  log = function() vim.cmd('tabedit +$ ' .. vim.fn.fnameescape(require('vim.lsp.log').get_filename())) end,
  search = function(words, command)
    -- Not joined from words: blanks inside quotes matter.
    M.search(command.args:gsub('^%s*search%s*', ''):gsub('^%+%+%l+%s*', ''), { to = list_of(words) })
  end,
  similar = function(words, command)
    M.similar({ to = list_of(words), lines = command.range > 0 and { command.line1, command.line2 } or nil })
  end,
}

local words = { [''] = 'cancel log reindex search similar status tune', tune = 'auto inline local' }
words.search = '++loclist ++quickfix -path: kind:class kind:function kind:method lang: path:'
words.similar, words.reindex = '++loclist ++quickfix', 'all changed auto inline local'

--- Run :Sextant.
---@param command vim.api.keyset.create_user_command.command_args
function M.run(command)
  if vim.fn.has('nvim-0.10') == 0 then return M.setup() end
  local name = command.fargs[1] or 'search'
  if commands[name] then return commands[name](vim.list_slice(command.fargs, 2), command) end
  require('sextant.say')(('there is no %q; say one of %s'):format(name, words['']), 'ERROR')
end

--- Complete :Sextant; the editor picks what begins as what is typed.
---@return string
function M.complete(_, line) return (words[line:match('Sextant%s+(%S+)%s') or ''] or ''):gsub(' ', '\n') end

return M
