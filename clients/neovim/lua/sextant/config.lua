-- The options, and what follows from them for a buffer.
local M = {}

---@class sextant.Options
---@field cmd string[]|function the server's command, or what else vim.lsp.ClientConfig.cmd allows
---@field filetypes string[] buffers whose unsaved text the server sees
---@field root_markers string[] what marks the top folder of a project
---@field settings sextant.Settings the server's settings
---@field picker 'auto'|'telescope'|'fzf-lua'|'snacks'|'float'
---@field limit integer hits asked for
---@field keymaps boolean whether setup() sets the suggested mappings where they are free
---@field icons table<string, string> by the name of a SymbolKind
-- stylua: ignore
M.options = {
  cmd = { 'sextant', 'serve' },
  filetypes = vim.split('bash c clojure coffee cpp crystal cs dart elixir elm erlang fish fortran fsharp go groovy '
    .. 'haskell java javascript javascriptreact julia kotlin lisp lua nim nix objc objcpp ocaml pascal '
    .. 'perl php ps1 python r ruby rust scala scheme sh solidity sql svelte swift tcl terraform '
    .. 'typescript typescriptreact vim vue zig', ' '),
  root_markers = { '.git', '.hg', '.jj', '.sextantignore' },
  settings = {},
  picker = 'auto',
  limit = 50,
  keymaps = true,
  icons = { Class = '◆', Constructor = '⊕', Enum = '∷', Function = 'ƒ', Interface = '◇', Method = 'ƒ', Module = '▤',
    Struct = '◆' },
}

---@param options? table
function M.set(options)
  for name in pairs(options or {}) do
    assert(M.options[name] ~= nil, ('sextant: unknown option %q, see :help sextant-options'):format(name))
  end
  M.options = vim.tbl_deep_extend('force', M.options, options or {})
end

--- The folder to index for a buffer: the project around it, else the current folder, but never a whole home or disk.
---@param buf integer
---@return string?
function M.root(buf)
  local name, cwd = vim.api.nvim_buf_get_name(buf), vim.uv.cwd() or '/'
  local file = name ~= '' and vim.bo[buf].buftype == '' and not name:find('^%w+://') and name
  local root = vim.fs.root(file or cwd .. '/.', M.options.root_markers)
    or (not file or vim.startswith(file, cwd .. '/')) and cwd
  return root and root ~= vim.uv.os_homedir() and root ~= vim.fs.dirname(root) and root or nil
end

--- Why the server cannot be started, as far as that can be seen beforehand.
---@param cmd? string[]|function
---@return string?
function M.missing(cmd)
  local name = type(cmd) == 'table' and cmd[1]
  if not name or vim.fn.executable(name) == 1 then return end
  return ('%q is not executable: install the server or set `cmd`. :checkhealth sextant tells more.'):format(name)
end

return M
