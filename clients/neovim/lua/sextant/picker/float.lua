-- The built-in picker: a prompt, live results and a preview in floating windows.
local hits = require('sextant.hit')

local api, namespace = vim.api, vim.api.nvim_create_namespace('sextant.float')

--- Prompt above list above preview, which is left out where there is no room.
---@return table<string, vim.api.keyset.win_config>
local function layout()
  local height, width = math.floor((vim.o.lines - vim.o.cmdheight) * 0.9), math.floor(vim.o.columns * 0.94)
  local top, left = math.floor((vim.o.lines - height) / 2), math.floor((vim.o.columns - width) / 2)
  local list = height < 20 and height - 3 or math.floor(height * 0.42)
  local border = vim.fn.exists('+winborder') == 1 and vim.o.winborder ~= '' and vim.o.winborder or 'rounded'
  local function place(row, lines)
    local size = { width = math.max(width - 2, 10), height = math.max(lines - 2, 1) }
    local where = { relative = 'editor', row = top + row, col = left, style = 'minimal', border = border }
    return vim.tbl_extend('error', size, where)
  end
  local preview = height - 3 - list
  return { prompt = place(0, 3), list = place(3, list), preview = preview > 0 and place(3 + list, preview) or nil }
end

---@param question sextant.Question
return function(question)
  local origin, group = api.nvim_get_current_win(), api.nvim_create_augroup('sextant.float', {})
  local answer, selected, closed, timer = question.nothing, 1, false, assert(vim.uv.new_timer())
  local bufs, wins, last = {}, {}, nil ---@type table<string, integer>, table<string, integer>, string?

  local function title(part, text, highlight)
    local chunks = text and { { (' %s '):format(text), highlight or 'FloatTitle' } } or ''
    api.nvim_win_set_config(wins[part], { title = chunks, title_pos = 'left' })
  end
  local function words() return api.nvim_buf_get_lines(bufs.prompt, 0, 1, false)[1] or '' end

  local function close()
    if closed then return end
    closed = true
    question:stop()
    timer:close()
    api.nvim_del_augroup_by_id(group)
    vim.cmd.stopinsert()
    for _, win in pairs(wins) do
      pcall(api.nvim_win_close, win, true)
    end
    pcall(api.nvim_set_current_win, origin)
  end

  local function select(index)
    local hit = answer.hits[index]
    selected = index
    if hit then api.nvim_win_set_cursor(wins.list, { index, 0 }) end
    if not wins.preview then return end
    if not hit then api.nvim_buf_set_lines(bufs.preview, 0, -1, false, {}) end
    if hit then hits.preview(bufs.preview, wins.preview, hit) end
    title('preview', hit and vim.fn.fnamemodify(vim.uri_to_fname(hit.location.uri), ':~:.'))
  end

  local function render()
    local rows = hits.rows(answer, api.nvim_win_get_width(wins.list) - 1)
    api.nvim_buf_set_lines(bufs.list, 0, -1, false, {})
    for i, row in ipairs(rows) do
      local text, marks = hits.join({ { ' ', 'Normal' }, unpack(row) })
      api.nvim_buf_set_lines(bufs.list, i - 1, i == 1 and 1 or i - 1, false, { text })
      for _, mark in ipairs(vim.list_slice(marks, 2)) do
        api.nvim_buf_set_extmark(bufs.list, namespace, i - 1, mark[1][1], { end_col = mark[1][2], hl_group = mark[2] })
      end
    end
    vim.wo[wins.list].cursorline = #rows > 0
    local highlight = answer.failed and 'SextantError' or answer.notice and 'SextantNotice'
    title('list', answer.notice or #rows > 0 and ('%d found'):format(#rows) or nil, highlight)
    local hint = { virt_text = { { words() == '' and question.hint or '', 'SextantContainer' } }, id = 1 }
    api.nvim_buf_set_extmark(bufs.prompt, namespace, 0, 0, vim.tbl_extend('error', hint, { virt_text_pos = 'overlay' }))
  end

  local function ask()
    if closed then return end
    local asked, kept = words(), words() == last and selected or 1
    last = asked
    local function show(new)
      if closed then return end
      answer = new
      render()
      select(math.min(kept, math.max(#new.hits, 1)))
      if new.again then timer:start(700, 0, vim.schedule_wrap(ask)) end
    end
    question:ask(asked, show, show)
  end

  --- Close, and show the hit or the list of all.
  local function leave(show, ...)
    local more = { ... }
    return function()
      local hit, all, asked = answer.hits[selected], answer, last
      if not hit then return end
      close()
      -- Leaving insert mode moves the cursor; only then may it be placed.
      vim.schedule(function() show(hit, all, ('%s: %s'):format(question.title, asked), unpack(more)) end)
    end
  end
  local function open(hit, _, _, command) hits.open(hit, command) end
  local function list(_, all, name, to) hits.list(all, name, to) end
  local function move(by)
    return function() select((selected - 1 + by) % math.max(#answer.hits, 1) + 1) end
  end
  local function scroll(key)
    local function scrolled() vim.cmd.normal({ vim.keycode(key), bang = true }) end
    return function() api.nvim_win_call(wins.preview or wins.list, scrolled) end
  end

  for name, place in pairs(layout()) do
    bufs[name] = api.nvim_create_buf(false, true)
    vim.bo[bufs[name]].bufhidden = 'wipe'
    wins[name] = api.nvim_open_win(bufs[name], name == 'prompt', place)
    vim.wo[wins[name]].wrap = false
    vim.wo[wins[name]].winhighlight = 'FloatBorder:SextantBorder'
  end
  vim.bo[bufs.prompt].filetype = 'sextant'
  vim.wo[wins.prompt].statuscolumn = '%#SextantPrompt# ❯ '
  api.nvim_buf_set_lines(bufs.prompt, 0, -1, false, { question.words })
  title('prompt', question.title)

  -- stylua: ignore
  local keys = {
    ['<CR>'] = leave(open), ['<C-s>'] = leave(open, 'split'), ['<C-v>'] = leave(open, 'vsplit'),
    ['<C-t>'] = leave(open, 'tab split'), ['<C-q>'] = leave(list, 'quickfix'), ['<C-l>'] = leave(list, 'loclist'),
    ['<Esc>'] = close, ['<C-c>'] = close,
    ['<Down>'] = move(1), ['<C-n>'] = move(1), ['<Up>'] = move(-1), ['<C-p>'] = move(-1),
    ['<C-f>'] = scroll('<C-d>'), ['<C-b>'] = scroll('<C-u>'),
  }
  for key, act in pairs(keys) do
    vim.keymap.set({ 'i', 'n' }, key, act, { buffer = bufs.prompt, nowait = true })
  end
  local function changed()
    if words() == last then return end
    question:stop()
    timer:start(30, 0, vim.schedule_wrap(ask))
  end
  api.nvim_create_autocmd(
    { 'TextChangedI', 'TextChanged' },
    { group = group, buffer = bufs.prompt, callback = changed }
  )
  api.nvim_create_autocmd('WinLeave', { group = group, buffer = bufs.prompt, callback = close })

  render()
  vim.cmd('startinsert!')
  ask()
end
