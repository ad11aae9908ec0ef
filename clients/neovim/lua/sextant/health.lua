-- :checkhealth sextant
local health = vim.health

---@param cmd string[]|function
local function check_program(cmd)
  if type(cmd) == 'function' then
    return health.info('the server is reached by a function, not started as a program')
  end
  local path = vim.fn.exepath(cmd[1])
  local advice = { 'Install the server and see that this works: sextant --version', 'Or set `cmd`.' }
  if path == '' then return health.error(('%q is not executable'):format(cmd[1]), advice) end
  local function run(word)
    local command = vim.list_extend({ path }, vim.list_slice(cmd, 2, #cmd - 1))
    return vim.system(vim.list_extend(command, { word }), { text = true, timeout = 30000 }):wait()
  end
  local version = run('--version')
  if version.code ~= 0 then return health.error(('%s does not run: %s'):format(path, version.stderr), advice) end
  health.ok(('%s: %s'):format(path, vim.trim(version.stdout)))
  local doctor = run('doctor')
  health.info(doctor.code ~= 2 and doctor.stdout or 'this server has no doctor to tell of Python, index and cluster')
end

---@param client vim.lsp.Client
local function check_client(client)
  local about = vim.tbl_get(client.server_capabilities, 'experimental', 'sextant')
  if not about then return health.error('what runs is not Sextant', 'Check `cmd`.') end
  health.ok(('running, protocol %d, positions in %s'):format(about.protocolVersion, client.offset_encoding))
  local answer = require('sextant.client').call(client, 'request_sync', 'sextant/indexStatus', {}, 5000, 0)
  if not (answer and answer.result) then return health.error('no answer within five seconds', ':Sextant log') end
  for _, folder in ipairs(answer.result.folders) do
    health[folder.state == 'degraded' and 'warn' or 'ok'](require('sextant').describe(folder))
  end
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
