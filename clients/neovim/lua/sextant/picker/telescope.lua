-- Telescope as the picker.
local hits = require('sextant.hit')
local pickers = require('telescope.pickers') ---@type any

---@param question sextant.Question
---@param options? table Telescope's own
return function(question, options)
  local picker ---@type any

  -- Runs in a coroutine; one whose question was cancelled is never resumed.
  local function find(words)
    local send, receive = require('plenary.async.control').channel.oneshot()
    question:ask(words or '', send)
    local answer = receive() ---@type sextant.Answer
    if picker.results_border then picker.results_border:change_title(answer.notice or 'Results') end
    local items = hits.items(answer)
    for i, row in ipairs(hits.rows(answer, vim.api.nvim_win_get_width(picker.results_win) - 3)) do
      local own = { value = answer.hits[i], ordinal = '', display = function() return hits.join(row) end }
      items[i] = vim.tbl_extend('error', items[i] or {}, own)
    end
    return items
  end
  local previewer = require('telescope.previewers').new_buffer_previewer({
    dyn_title = function(_, entry) return hits.path(entry.value) end,
    define_preview = function(self, entry) hits.preview(self.state.bufnr, self.state.winid, entry.value) end,
  })
  picker = pickers.new(options or {}, {
    prompt_title = question.title,
    default_text = question.words,
    finder = require('telescope.finders').new_dynamic({ fn = find, entry_maker = function(item) return item end }),
    sorter = require('telescope.sorters').empty(), -- the server's order is the order
    previewer = previewer,
    attach_mappings = function(prompt)
      vim.api.nvim_create_autocmd('BufWipeout', { buffer = prompt, callback = function() question:stop() end })
      return true
    end,
  })
  picker:find()
end
