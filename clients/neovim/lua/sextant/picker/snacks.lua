-- snacks.nvim as the picker.
local hits = require('sextant.hit')
local snacks = require('snacks') ---@type any

---@param question sextant.Question
---@param options? table its own
return function(question, options)
  -- Runs in a coroutine that ends when other words are typed.
  local function find(_, context)
    return function(add)
      local items
      vim.schedule(function()
        question:ask(context.filter.search, function(answer)
          local rows = hits.rows(answer, context.picker.list.win:size().width - 2)
          items = hits.items(answer)
          for i, item in ipairs(items) do
            local place = { file = item.filename, pos = { item.lnum, item.col - 1 }, text = item.text }
            items[i] = vim.tbl_extend('error', place, { row = rows[i], hit = answer.hits[i] })
          end
          context.picker.title = question.title .. (answer.notice and ': ' .. answer.notice or '')
          context.picker:update_titles()
          context.async:resume()
        end)
      end)
      while not items do
        context.async:suspend()
      end
      vim.tbl_map(add, items)
    end
  end
  local function preview(context)
    context.preview:reset()
    context.preview:set_title(hits.path(context.item.hit))
    hits.preview(context.buf, context.win, context.item.hit)
  end
  local defaults = { title = question.title, search = question.words, live = true, supports_live = true }
  defaults.finder, defaults.preview, defaults.on_close = find, preview, function() question:stop() end
  defaults.format = function(item) return item.row end
  defaults.sort = { fields = { 'score:desc', 'idx' } } -- the server's order is the order
  snacks.picker.pick(vim.tbl_deep_extend('force', defaults, options or {}))
end
