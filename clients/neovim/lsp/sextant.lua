-- For vim.lsp.enable('sextant'), Neovim 0.11 and newer.
return require('sextant.client').lsp()
