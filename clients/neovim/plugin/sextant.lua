-- All that happens at start-up: one command and two mappings. The rest is loaded when one of them is used.
if vim.g.loaded_sextant then return end
vim.g.loaded_sextant = true
vim.api.nvim_create_user_command('Sextant', function(command) require('sextant').run(command) end, {
  nargs = '*',
  range = true,
  desc = 'Search code by meaning',
  complete = "custom,v:lua.require'sextant'.complete",
})
vim.keymap.set('n', '<Plug>(sextant-search)', '<Cmd>Sextant search<CR>', { desc = 'Search code by meaning' })
vim.keymap.set({ 'n', 'x' }, '<Plug>(sextant-similar)', '<Cmd>Sextant similar<CR>', { desc = 'Find similar code' })
