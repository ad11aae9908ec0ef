-- The running servers: which one answers for a buffer, questions to it, and what it tells of itself.
local config = require('sextant.config')

local M = {}
local modern = vim.fn.has('nvim-0.11') == 1
local health = {} ---@type table<integer, sextant.ServerStatusParams> by client
local crashes = {} ---@type integer[] when, in seconds

---@class sextant.Asked a question without an answer
---@field client vim.lsp.Client
---@field finish fun(err?: { message: string }, result?: any, client?: vim.lsp.Client)
---@field early? fun(result: sextant.SearchResult, client: vim.lsp.Client)
local open = {} ---@type table<string|integer, sextant.Asked> by token

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

--- Whether the server sees a buffer's text.
---@param buf integer
---@return boolean
local function sees(buf)
  return vim.bo[buf].buftype == '' and vim.list_contains(config.options.filetypes, vim.bo[buf].filetype)
end

--- Start the server of a project; a buffer that it sees is attached.
---@param buf integer
---@param root string
---@return integer? id, string? problem
local function start(buf, root)
  local wanted = vim.tbl_extend('force', M.config(), { root_dir = root, name = 'sextant' })
  local problem = config.missing(wanted.cmd)
  local id = not problem and vim.lsp.start(wanted, { bufnr = buf, attach = sees(buf) })
  -- Neovim 0.10 knows no `attach`.
  if id and not sees(buf) then vim.lsp.get_client_by_id(id).attached_buffers[buf] = nil end
  return id or nil, problem
end

--- Attach a buffer in Neovim 0.10, where vim.lsp.enable() is missing.
---@param buf integer
function M.attach(buf)
  if sees(buf) then M.config().root_dir(buf, function(root) start(buf, root) end) end
end

--- Attach every buffer that is open already.
function M.attach_all()
  local bufs = vim.tbl_filter(vim.api.nvim_buf_is_loaded, vim.api.nvim_list_bufs())
  if not modern then return vim.tbl_map(M.attach, bufs) end
  if not vim.lsp.is_enabled or vim.lsp.is_enabled('sextant') then vim.lsp.enable('sextant') end
end

--- Find or start the client that answers for a buffer, and wait until it is ready.
---@param buf integer
---@param done fun(client?: vim.lsp.Client, problem?: string)
local function ready(buf, done)
  local client, root = vim.lsp.get_clients({ name = 'sextant', bufnr = buf })[1], config.root(buf)
  if client then return done(client) end
  if not root then return done(nil, 'this belongs to no project; :cd to a folder that is to be searched') end
  local id, problem = start(buf, root)
  local function wait()
    local starting = vim.lsp.get_client_by_id(id or -1)
    if starting and not starting.initialized then return vim.defer_fn(wait, 20) end
    done(starting, not starting and (problem or 'the server did not start; :Sextant log tells why') or nil)
  end
  wait()
end

--- Ask the server; all unsaved text reaches it first.
---@param buf integer on whose behalf
---@param method string
---@param params fun(client: vim.lsp.Client): table?
---@param done fun(err?: { message: string }, result?: any, client?: vim.lsp.Client) never called after a cancel
---@param early? fun(result: sextant.SearchResult, client: vim.lsp.Client) told what is found at once
---@return fun() cancel
function M.request(buf, method, params, done, early)
  local token, over, id = ('sextant-%d'):format(vim.uv.hrtime()), false, nil
  local function finish(...)
    open[token] = nil
    if over then return end
    over = true
    done(...)
  end
  ready(buf, function(client, problem)
    local offered = client and vim.tbl_get(client.server_capabilities, 'experimental', 'sextant', 'methods') or {}
    if client and not vim.list_contains(offered, method) then
      problem = ('this server does not offer %s; a newer one may'):format(method)
    end
    if over or problem then return finish({ message = problem }) end
    open[token] = { client = client, finish = finish, early = early }
    local question = vim.tbl_extend('force', vim.empty_dict(), params(client)) -- {} would be sent as a list
    if early then question.partialResultToken = token end
    -- Without a buffer Neovim sends the pending changes of all of them first.
    local function answered(err, result) finish(err, result, client) end
    local _, sent = M.call(client, 'request', method, question, answered)
    if not sent then return finish({ message = 'the server is going away; try again' }) end
    id = sent
  end)
  return function()
    if id and not over then M.call(open[token].client, 'cancel_request', id) end
    over = true
    finish()
  end
end

--- Ask the servers to end their jobs.
---@return integer # how many were asked to end
function M.cancel_jobs()
  local count = 0
  for _, client in ipairs(vim.lsp.get_clients({ name = 'sextant' })) do
    for token in pairs(client.progress.pending) do
      local is_job = vim.startswith(tostring(token), 'sextant-job-')
      if is_job then M.call(client, 'notify', 'window/workDoneProgress/cancel', { token = token }) end
      count = count + (is_job and 1 or 0)
    end
  end
  return count
end

M.handlers = {
  ['$/progress'] = function(err, params, context)
    local asked = open[params.token]
    if asked then return asked.early(params.value, asked.client) end
    vim.lsp.handlers['$/progress'](err, params, context)
    vim.cmd.redrawstatus({ bang = true })
  end,
  ['sextant/jobFinished'] = function(_, job)
    vim.notify('sextant: ' .. job.message, job.ok and vim.log.levels.INFO or vim.log.levels.WARN)
  end,
  ['experimental/serverStatus'] = function(_, status, context)
    local before = health[context.client_id]
    health[context.client_id] = status
    if status.health == 'error' and (not before or before.health ~= 'error') then
      vim.notify('sextant: ' .. (status.message or 'the server is in trouble, see :Sextant log'), vim.log.levels.ERROR)
    end
    vim.cmd.redrawstatus({ bang = true })
  end,
}

--- Run a command of a code action in a picker.
---@param command lsp.Command
function M.run_command(command) require('sextant').ask(command.command:gsub('%.', '/'), command.arguments[1]) end

local function stay_down()
  local text = 'sextant: the server ended four times within a minute and stays down. :Sextant log, then :edit'
  vim.notify(text, vim.log.levels.ERROR)
end

--- Start the server again for its buffers when it died, but not for ever.
function M.on_exit(code, signal, id)
  health[id] = nil
  if vim.v.exiting ~= vim.NIL then return end
  local lost = vim.tbl_filter(function(asked) return asked.client.id == id end, open)
  local gone = { message = 'the server ended; ask again and it is started anew' }
  vim.schedule(function()
    vim.tbl_map(function(asked) asked.finish(gone) end, lost)
  end)
  if code == 143 or (code == 0 and (signal == 0 or signal == 15)) then return end
  table.insert(crashes, os.time())
  local often = #crashes > 3 and os.time() - crashes[#crashes - 3] < 60
  vim.defer_fn(often and stay_down or M.attach_all, 300 * math.min(#crashes, 5))
end

--- What a server is doing, in a few words; nothing without a server.
---@return string
function M.status()
  local client = vim.lsp.get_clients({ name = 'sextant', bufnr = 0 })[1] or vim.lsp.get_clients({ name = 'sextant' })[1]
  if not client then return '' end
  local status, _, job = health[client.id], next(client.progress.pending)
  if status and (not status.quiescent or status.health ~= 'ok') then job = status.summary or status.health end
  return job and 'sextant: ' .. job:gsub('%%', '%%%%') or 'sextant'
end

return M
