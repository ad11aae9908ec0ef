-- The running servers: which one answers for a buffer, questions to it, and what it tells of itself.
local config = require('sextant.config')

local M = {}
local modern = vim.fn.has('nvim-0.11') == 1
local unanswered = vim.defaulttable() ---@type table<integer, table<function, true>> callbacks by client
local started = {} ---@type table<string, integer> clients by root, ready or not

---@type table<integer, { work: table<string|integer, table>, health: table }> by client
M.state = vim.defaulttable()

--- Call a method of a client; before 0.11 they were functions without self.
---@param client vim.lsp.Client
---@param method string
function M.call(client, method, ...)
  if modern then return client[method](client, ...) end
  return client[method](...)
end

--- The configuration in force, with what the user merged into it.
---@return vim.lsp.ClientConfig
function M.config() return modern and vim.lsp.config.sextant or config.lsp() end

--- The client that answers for a buffer: its own, else the one of its project.
---@param buf integer
---@return vim.lsp.Client?
function M.of(buf)
  local own = vim.lsp.get_clients({ name = 'sextant', bufnr = buf })[1]
  local root = not own and config.root(buf)
  for _, client in ipairs(root and vim.lsp.get_clients({ name = 'sextant' }) or {}) do
    for _, folder in ipairs(client.workspace_folders or {}) do
      if vim.uri_to_fname(folder.uri) == root then return client end
    end
  end
  return own
end

---@param root string
---@return integer? id, string? problem
local function start(root)
  local wanted = vim.tbl_extend('force', M.config(), { root_dir = root, name = 'sextant' })
  local problem = config.missing(wanted.cmd)
  if problem then return nil, problem end
  if modern then return vim.lsp.start(wanted, { attach = false }) end
  local known = vim.lsp.get_client_by_id(started[root] or -1)
  -- Neovim 0.10 has no other way to start a server without a buffer.
  if not known or known.is_stopped() then started[root] = vim.lsp.start_client(wanted) end
  return started[root]
end

--- Attach a buffer in Neovim 0.10, where vim.lsp.enable() is missing.
---@param buf integer
function M.attach(buf)
  if vim.bo[buf].buftype ~= '' or not vim.list_contains(config.options.filetypes, vim.bo[buf].filetype) then return end
  M.config().root_dir(buf, function(root) vim.lsp.buf_attach_client(buf, start(root) or -1) end)
end

--- Attach every buffer that is open already.
function M.attach_all()
  if not modern then
    vim.tbl_map(M.attach, vim.tbl_filter(vim.api.nvim_buf_is_loaded, vim.api.nvim_list_bufs()))
  elseif not vim.lsp.is_enabled or vim.lsp.is_enabled('sextant') then
    vim.lsp.enable('sextant')
  end
end

--- Find or start the client that answers for a buffer, and wait until it is ready.
---@param buf integer
---@param done fun(client?: vim.lsp.Client, problem?: string)
local function ready(buf, done)
  local client, root = M.of(buf), config.root(buf)
  if client then return done(client) end
  if not root then return done(nil, 'this belongs to no project; :cd to a folder that is to be searched') end
  local id, problem = start(root)
  local function wait()
    local starting = vim.lsp.get_client_by_id(id or -1)
    if starting and not starting.initialized then return vim.defer_fn(wait, 20) end
    done(starting, problem or 'the server did not start; :Sextant log tells why')
  end
  wait()
end

--- Ask the server; all unsaved text reaches it first.
---@param buf integer on whose behalf
---@param method string
---@param params table|fun(client: vim.lsp.Client): table
---@param done fun(err?: { message: string }, result?: any, client?: vim.lsp.Client) never called after a cancel
---@return fun() cancel
function M.request(buf, method, params, done)
  local over, cancel = false, function() end
  local function finish(...)
    if over then return end
    over = true
    done(...)
  end
  ready(buf, function(client, problem)
    if over then return end
    if not client then return finish({ message = problem }) end
    local offered = vim.tbl_get(client.server_capabilities, 'experimental', 'sextant', 'methods') or {}
    if not vim.list_contains(offered, method) then
      return finish({ message = ('this server does not offer %s; a newer one may'):format(method) })
    end
    unanswered[client.id][finish] = true
    -- Without a buffer Neovim sends the pending changes of all of them first.
    local asked = type(params) == 'function' and params(client) or params
    local sent, id = M.call(client, 'request', method, asked, function(err, result)
      unanswered[client.id][finish] = nil
      finish(err, result, client)
    end)
    if not sent then return finish({ message = 'the server is going away; try again' }) end
    cancel = function() M.call(client, 'cancel_request', id) end
  end)
  return function()
    if not over then cancel() end
    over = true
  end
end

--- Ask the servers to end what they are working on, wherever they allow that.
---@return integer # how many jobs were asked to end
function M.cancel_work()
  local count = 0
  for _, client in ipairs(vim.lsp.get_clients({ name = 'sextant' })) do
    for token, work in pairs(M.state[client.id].work) do
      if work.cancellable then
        M.call(client, 'notify', 'window/workDoneProgress/cancel', { token = token })
        count = count + 1
      end
    end
  end
  return count
end

M.handlers = {
  ['sextant/jobFinished'] = function(_, job)
    vim.notify('sextant: ' .. job.message, job.ok and vim.log.levels.INFO or vim.log.levels.WARN)
  end,
  ['experimental/serverStatus'] = function(_, health, context)
    local before = M.state[context.client_id].health.health
    M.state[context.client_id].health = health
    if health.health == 'error' and before ~= 'error' then
      vim.notify('sextant: ' .. (health.message or 'the server is in trouble, see :Sextant log'), vim.log.levels.ERROR)
    end
    vim.cmd.redrawstatus({ bang = true })
  end,
}

local crashes = {} ---@type integer[] when, in seconds

--- Start the server again for its buffers when it died, but not for ever.
function M.on_exit(code, signal, id)
  local lost = unanswered[id]
  unanswered[id], M.state[id] = nil, nil
  if vim.v.exiting ~= vim.NIL then return end
  local message = { message = 'the server ended; ask again and it is started anew' }
  for finish in pairs(lost) do
    vim.schedule(function() finish(message) end)
  end
  if code == 143 or (code == 0 and (signal == 0 or signal == 15)) then return end
  table.insert(crashes, os.time())
  local delay = #crashes > 3 and os.time() - crashes[#crashes - 3] < 60 and -1 or 300 * #crashes
  vim.schedule(function()
    if delay > 0 then return vim.defer_fn(M.attach_all, math.min(delay, 2000)) end
    local text = 'sextant: the server ended four times within a minute and stays down. :Sextant log, then :edit'
    vim.notify(text, vim.log.levels.ERROR)
  end)
end

vim.api.nvim_create_autocmd('LspProgress', {
  group = vim.api.nvim_create_augroup('sextant', {}),
  callback = function(event)
    local client = vim.lsp.get_client_by_id(event.data.client_id)
    local token, value = event.data.params.token, event.data.params.value
    if not client or client.name ~= 'sextant' or type(value) ~= 'table' then return end
    local work = M.state[client.id].work
    work[token] = value.kind ~= 'end' and vim.tbl_extend('force', work[token], value) or nil
    vim.cmd.redrawstatus({ bang = true })
  end,
})

--- What a server is doing, in a few cells; nothing without a server.
---@return string
function M.status()
  local client = M.of(vim.api.nvim_get_current_buf()) or vim.lsp.get_clients({ name = 'sextant' })[1]
  if not client then return '' end
  local _, work = next(M.state[client.id].work)
  if work then return 'sextant ' .. (work.percentage and work.percentage .. '%%' or work.message or '…') end
  local health = M.state[client.id].health.health
  return (health == nil or health == 'ok') and 'sextant' or 'sextant: ' .. health
end

return M
