-- The running servers: which one answers for a buffer, questions to it, and what it tells of itself.
local config, say = require('sextant.config'), require('sextant.say')

local M = {}
local modern = vim.fn.has('nvim-0.11') == 1
local health = {} ---@type table<integer, sextant.ServerStatusParams> by client
local crashes = {} ---@type integer[] when, in seconds

---@class sextant.Asked a question without an answer
---@field finish fun(err?: { message: string }, result?: any, client?: vim.lsp.Client)
---@field early? fun(result: sextant.SearchResult, client: vim.lsp.Client)
---@field client? vim.lsp.Client once it is sent
---@field id? integer

local open = {} ---@type table<string|integer, sextant.Asked> by token

--- Call a method of a client; before 0.11 they were functions without self.
---@param client vim.lsp.Client
---@param method string
function M.call(client, method, ...)
  if modern then return client[method](client, ...) end
  return client[method](...)
end

--- The configuration in force, with what the user merged into it.
---@return vim.lsp.Config
---@diagnostic disable-next-line: undefined-field
function M.config() return modern and vim.lsp.config.sextant or M.lsp() end

--- Whether the server sees a buffer's text.
---@param buf integer
---@return boolean
local function sees(buf)
  return vim.bo[buf].buftype == '' and vim.list_contains(M.config().filetypes or {}, vim.bo[buf].filetype)
end

--- Start the server of a project; a buffer that it sees is attached.
---@param buf integer
---@param root string
---@return integer? id, string? problem
local function start(buf, root)
  ---@type vim.lsp.ClientConfig
  local wanted = vim.tbl_extend('force', M.config(), { root_dir = root, name = 'sextant' })
  local problem = config.missing(wanted.cmd)
  local id = not problem and vim.lsp.start(wanted, { bufnr = buf, attach = sees(buf) }) or nil
  local client = id and vim.lsp.get_client_by_id(id)
  -- Neovim 0.10 knows no `attach`.
  if client and not sees(buf) then client.attached_buffers[buf] = nil end
  return id, problem
end

--- Attach every buffer that is open, and in Neovim 0.10, where vim.lsp.enable() is missing, those to come.
---@param wanted? boolean whether vim.lsp.enable() is to be called in any case
function M.attach_all(wanted)
  local is_wanted = wanted or not vim.lsp.is_enabled or vim.lsp.is_enabled('sextant')
  if modern then return is_wanted and vim.lsp.enable('sextant') end
  local function attach(event)
    local root = sees(event.buf) and config.root(event.buf)
    if root then start(event.buf, root) end
  end
  local group = vim.api.nvim_create_augroup('sextant.attach', {})
  vim.api.nvim_create_autocmd('FileType', { group = group, callback = attach })
  vim.cmd.doautoall('<nomodeline>', 'sextant.attach', 'FileType')
end

--- Find or start the client that answers for a buffer, and wait until it is ready.
---@param buf integer
---@param done fun(client: vim.lsp.Client?, problem: string)
local function ready(buf, done)
  buf = vim.api.nvim_buf_is_valid(buf) and buf or 0
  local client = vim.lsp.get_clients({ name = 'sextant', bufnr = buf })[1]
  if client then return done(client, '') end
  local root = config.root(buf)
  if not root then return done(nil, 'this belongs to no project; :cd to a folder that is to be searched') end
  local id, problem = start(buf, root)
  local ends = vim.uv.now() + 60000
  local function wait()
    client = id and vim.lsp.get_client_by_id(id) or nil
    if client and client.initialized then return done(client, '') end
    if client and vim.uv.now() < ends then return vim.defer_fn(wait, 20) end
    done(nil, problem or 'the server did not start; :Sextant log tells why')
  end
  wait()
end

--- Why a server cannot be asked.
---@param client vim.lsp.Client
---@param method string
---@return string? problem
function M.misfit(client, method)
  local about = vim.tbl_get(client.server_capabilities or {}, 'experimental', 'sextant') or {}
  if about.protocolVersion == 1 and vim.list_contains(about.methods or {}, method) then return end
  return 'what runs is not the Sextant that this plugin knows; check `cmd`, update the older one'
end

--- Ask the server; all unsaved text reaches it first.
---@param buf integer on whose behalf
---@param method string
---@param params fun(client: vim.lsp.Client): table
---@param done fun(err?: { message: string }, result?: any, client?: vim.lsp.Client) never called after a cancel
---@param early? fun(result: sextant.SearchResult, client: vim.lsp.Client) told what is found at once
---@return fun() cancel
function M.request(buf, method, params, done, early)
  local token = ('sextant-%d'):format(vim.uv.hrtime())
  local function finish(...)
    if not open[token] then return end
    open[token] = nil
    done(...)
  end
  local asked = { finish = finish, early = early } ---@type sextant.Asked
  open[token] = asked
  ready(buf, function(client, problem)
    problem = client and M.misfit(client, method) or problem
    if not client or problem ~= '' or not open[token] then return finish({ message = problem }) end
    local question = vim.tbl_extend('force', vim.empty_dict(), params(client)) -- {} would be sent as a list
    if early then question.partialResultToken = token end
    -- Without a buffer Neovim sends the pending changes of all of them first.
    local sent, id = M.call(client, 'request', method, question, function(err, result) finish(err, result, client) end)
    if not sent then return finish({ message = 'the server is going away; try again' }) end
    asked.client, asked.id = client, id
  end)
  return function()
    if open[token] and asked.client then M.call(asked.client, 'cancel_request', asked.id) end
    open[token] = nil
  end
end

--- Ask the servers to end their jobs; what is no job they leave alone.
function M.cancel_jobs()
  for _, client in ipairs(vim.lsp.get_clients({ name = 'sextant' })) do
    ---@diagnostic disable-next-line: param-type-mismatch
    for token in pairs(client.progress.pending) do
      M.call(client, 'notify', 'window/workDoneProgress/cancel', { token = token })
    end
  end
  say('jobs are asked to end, if there are any')
end

local handlers = {
  ['$/progress'] = function(err, params, context)
    local asked = open[params.token]
    if asked and asked.early and asked.client then return asked.early(params.value, asked.client) end
    vim.lsp.handlers['$/progress'](err, params, context)
    vim.cmd.redrawstatus({ bang = true })
  end,
  ['sextant/jobFinished'] = function(_, job) say(job.message, job.ok and 'INFO' or 'WARN') end,
  ['experimental/serverStatus'] = function(_, status, context)
    health[context.client_id] = status
    if status.health == 'error' then say(status.message or 'the server is in trouble, see :Sextant log', 'ERROR') end
    vim.cmd.redrawstatus({ bang = true })
  end,
}

--- Run a command of a code action in a picker.
---@param given lsp.Command
local function run(given) require('sextant').ask(given.command:gsub('%.', '/'), vim.tbl_get(given, 'arguments', 1)) end

--- Start the server again for its buffers when it died, but not for ever.
local on_exit = vim.schedule_wrap(function(code, signal, id)
  health[id] = nil
  for _, asked in ipairs(vim.tbl_values(open)) do
    local is_lost = asked.client and asked.client.id == id
    if is_lost then asked.finish({ message = 'the server ended; ask again and it is started anew' }) end
  end
  if vim.v.exiting ~= vim.NIL or code == 143 or (code == 0 and (signal == 0 or signal == 15)) then return end
  table.insert(crashes, os.time())
  if os.time() - (crashes[#crashes - 3] or 0) < 60 then
    return say('the server ended four times within a minute and stays down. :Sextant log, then :edit', 'ERROR')
  end
  vim.defer_fn(M.attach_all, 300 * math.min(#crashes, 5))
end)

--- The configuration for vim.lsp.config() and vim.lsp.start().
---@return vim.lsp.Config
function M.lsp()
  local experimental = { experimental = { serverStatusNotification = true } }
  return {
    name = 'sextant',
    cmd = config.options.cmd,
    filetypes = config.options.filetypes,
    settings = {
      sextant = config.options.settings --[[@as table]],
    },
    capabilities = vim.tbl_extend('force', vim.lsp.protocol.make_client_capabilities(), experimental),
    handlers = handlers,
    on_exit = on_exit,
    -- Code actions of the server; it would show their hits less well.
    commands = { ['sextant.search'] = run, ['sextant.findSimilar'] = run },
    root_dir = function(buf, found)
      local root = not config.missing(M.config().cmd) and config.root(buf)
      if root then found(root) end
    end,
  }
end

--- What a server is doing, in a few words; nothing without a server.
---@return string
function M.status()
  local client = vim.lsp.get_clients({ name = 'sextant', bufnr = 0 })[1] or vim.lsp.get_clients({ name = 'sextant' })[1]
  if not client then return '' end
  local status, _, job = health[client.id], next(client.progress.pending --[[@as table<string, string>]])
  if status and (not status.quiescent or status.health ~= 'ok') then job = status.summary or status.health end
  return job and 'sextant: ' .. job:gsub('%%', '%%%%') or 'sextant'
end

return M
