-- :checkhealth sextant
local clients, health = require('sextant.client'), vim.health

local function check_program()
  local cmd = clients.config().cmd
  if type(cmd) ~= 'table' then return health.info('the server is reached by a function, not started as a program') end
  local path = vim.fn.exepath(cmd[1] or '')
  local advice = { 'Install the server and see that this works: sextant doctor', 'Or set `cmd`.' }
  if path == '' then return health.error(('%q is not executable'):format(cmd[1]), advice) end
  local words = vim.list_extend(vim.list_slice(cmd, 2, #cmd - 1), { 'doctor', require('sextant.config').root(0) })
  local doctor = vim.system({ path, unpack(words) }, { text = true, timeout = 30000 }):wait()
  if doctor.code > 1 then return health.error(('%s: %s'):format(path, doctor.stderr), advice) end
  local said = doctor.stdout or ''
  health[doctor.code == 0 and said:find('Sextant') and 'ok' or 'warn'](('%s:\n%s'):format(path, said))
end

local function check()
  health.start('sextant: program')
  if vim.fn.has('nvim-0.10') == 0 then return health.error('Neovim 0.10 or newer is needed') end
  check_program()
  health.start('sextant: running servers')
  for _, client in ipairs(vim.lsp.get_clients({ name = 'sextant' })) do
    local problem, text = clients.misfit(client, 'sextant/search'), 'protocol 1, positions in %s, in %s'
    health[problem and 'error' or 'ok'](problem or text:format(client.offset_encoding, client.root_dir))
  end
  health.info('a file of a project or :Sextant search starts one; :checkhealth vim.lsp knows more of them')
end

return { check = check }
