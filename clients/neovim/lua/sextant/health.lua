-- :checkhealth sextant
local health = vim.health

---@param cmd string[]|function
local function check_program(cmd)
  if type(cmd) == 'function' then
    return health.info('the server is reached by a function, not started as a program')
  end
  local path = vim.fn.exepath(cmd[1])
  local advice = { 'Install the server and see that this works: sextant doctor', 'Or set `cmd`.' }
  if path == '' then return health.error(('%q is not executable'):format(cmd[1]), advice) end
  local words = vim.list_extend(vim.list_slice(cmd, 2, #cmd - 1), { 'doctor', require('sextant.config').root(0) })
  local doctor = vim.system({ path, unpack(words) }, { text = true, timeout = 30000 }):wait()
  if doctor.code > 1 then return health.error(('%s: %s'):format(path, doctor.stderr), advice) end
  health[doctor.code == 0 and 'ok' or 'warn'](('%s:\n%s'):format(path, doctor.stdout))
end

---@param client vim.lsp.Client
local function check_client(client)
  local about = vim.tbl_get(client.server_capabilities, 'experimental', 'sextant')
  if not about then return health.error('what runs is not Sextant', 'Check `cmd`.') end
  local text = 'running in %s, protocol %d, positions in %s'
  health.ok(text:format(client.config.root_dir, about.protocolVersion, client.offset_encoding))
end

local function check()
  health.start('sextant: Neovim')
  if vim.fn.has('nvim-0.10') == 0 then return health.error('Neovim 0.10 or newer is needed') end
  health.ok(('Neovim %s'):format(vim.version()))
  for _, module in ipairs({ 'telescope', 'fzf-lua', 'snacks.picker' }) do
    health.info(('%s: %s'):format(module, pcall(require, module) and 'found' or 'not installed'))
  end
  health.start('sextant: program')
  check_program(require('sextant.client').config().cmd)
  health.start('sextant: running servers')
  local clients = vim.lsp.get_clients({ name = 'sextant' })
  if #clients == 0 then health.info('none; a file of a project or :Sextant search starts one') end
  vim.tbl_map(check_client, clients)
end

return { check = check }
