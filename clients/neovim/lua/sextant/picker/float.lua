-- The built-in picker: a prompt, live results and a preview in floating windows.
local hits = require('sextant.hit')

local api, namespace = vim.api, vim.api.nvim_create_namespace('sextant.float')

--- Prompt above list above preview.
---@return table<string, vim.api.keyset.win_config>
local function layout()
  local height, width = math.floor((vim.o.lines - vim.o.cmdheight) * 0.9), math.floor(vim.o.columns * 0.94)
  local top, left = math.floor((vim.o.lines - height) / 2), math.floor((vim.o.columns - width) / 2)
  local list = math.floor(height * 0.42)
  local border = vim.fn.exists('+winborder') == 1 and vim.o.winborder ~= '' and vim.o.winborder or 'rounded'
  local function place(row, lines)
    local size = { width = math.max(width - 2, 10), height = math.max(lines - 2, 1) }
    return vim.tbl_extend('error', size, { relative = 'editor', row = top + row, col = left, border = border })
  end
  return { prompt = place(0, 3), list = place(3, list), preview = place(3 + list, height - 3 - list) }
end

---@param question sextant.Question
return function(question)
  local selected, closed, timer = 1, false, assert(vim.uv.new_timer())
  local answer = { title = question.title, hits = {} } ---@type sextant.Answer
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
    if api.nvim_get_current_win() == wins.prompt then vim.cmd.stopinsert() end
    vim.tbl_map(function(win) pcall(api.nvim_win_close, win, true) end, wins)
  end

  local function select(index)
    local hit = answer.hits[index]
    selected = index
    title('preview', hit and hits.path(hit))
    if not hit then return api.nvim_buf_set_lines(bufs.preview, 0, -1, false, {}) end
    api.nvim_win_set_cursor(wins.list, { index, 0 })
    hits.preview(bufs.preview, wins.preview, hit)
  end

  local function render()
    local rows = hits.rows(answer, api.nvim_win_get_width(wins.list) - 1)
    local texts = vim.tbl_map(function(row) return (hits.join(row)) end, rows)
    api.nvim_buf_clear_namespace(bufs.list, namespace, 0, -1)
    api.nvim_buf_set_lines(bufs.list, 0, -1, false, texts)
    for i, row in ipairs(rows) do
      local colored = { virt_text = row, virt_text_pos = 'overlay', hl_mode = 'combine' }
      api.nvim_buf_set_extmark(bufs.list, namespace, i - 1, 0, colored)
    end
    vim.wo[wins.list].cursorline = #rows > 0
    local highlight = answer.failed and 'SextantError' or answer.notice and 'SextantNotice'
    title('list', answer.notice or #rows > 0 and ('%d found'):format(#rows) or nil, highlight)
  end

  local function ask()
    if closed then return end
    local asked, kept = words(), words() == last and selected or 1
    last = asked
    local function show(new)
      answer = new
      render()
      select(math.min(kept, math.max(#new.hits, 1)))
      if new.again then timer:start(700, 0, vim.schedule_wrap(ask)) end
    end
    if #answer.hits == 0 and not answer.again then title('list', '…') end
    question:ask(asked, show, show)
  end

  --- A key that closes and does something with the hit.
  local function leave(act, argument)
    return function()
      local hit = answer.hits[selected]
      if not hit then return end
      close()
      -- Leaving insert mode moves the cursor; only then may it be placed.
      vim.schedule(function() act(hit, argument) end)
    end
  end
  local function list(_, to) hits.list(answer, to) end
  local function move(by)
    return function() select((selected - 1 + by) % math.max(#answer.hits, 1) + 1) end
  end
  local function scroll(key)
    return function() vim.fn.win_execute(wins.preview, 'normal! ' .. vim.keycode(key)) end
  end
  --- Take the first of what may follow in the words.
  local function complete()
    local text = answer.completions and answer.completions[1] and answer.completions[1].query or words()
    api.nvim_buf_set_lines(bufs.prompt, 0, -1, false, { text })
    api.nvim_win_set_cursor(wins.prompt, { 1, #text })
  end
  local function changed() return words() ~= last and ask() end
  local function arrange()
    for name, place in pairs(layout()) do
      api.nvim_win_set_config(wins[name], place)
    end
    render()
    select(selected)
  end

  for name, place in pairs(layout()) do
    bufs[name] = api.nvim_create_buf(false, true)
    vim.bo[bufs[name]].bufhidden = 'wipe'
    wins[name] = api.nvim_open_win(bufs[name], name == 'prompt', vim.tbl_extend('error', place, { style = 'minimal' }))
    vim.wo[wins[name]].wrap = false
    api.nvim_create_autocmd({ 'BufLeave', 'WinClosed' }, { buffer = bufs[name], callback = vim.schedule_wrap(close) })
  end
  vim.bo[bufs.prompt].filetype = 'sextant'
  vim.wo[wins.prompt].statuscolumn = '%#SextantPrompt# ❯ '
  vim.wo[wins.list].statuscolumn = ' '
  api.nvim_buf_set_lines(bufs.prompt, 0, -1, false, { question.words })
  title('prompt', question.title)

  -- stylua: ignore
  local keys = {
    ['<CR>'] = leave(hits.open), ['<C-s>'] = leave(hits.open, 'split'), ['<C-v>'] = leave(hits.open, 'vsplit'),
    ['<C-t>'] = leave(hits.open, 'tab split'), ['<C-q>'] = leave(list, 'quickfix'), ['<C-l>'] = leave(list, 'loclist'),
    ['<Down>'] = move(1), ['<C-n>'] = move(1), ['<Up>'] = move(-1), ['<C-p>'] = move(-1), ['<Tab>'] = complete,
    ['<C-f>'] = scroll('<C-d>'), ['<C-b>'] = scroll('<C-u>'), ['<Esc>'] = close, ['<C-c>'] = close,
  }
  for key, act in pairs(keys) do
    vim.keymap.set({ 'i', 'n' }, key, act, { buffer = bufs.prompt, nowait = true })
  end
  api.nvim_create_autocmd({ 'TextChangedI', 'TextChanged' }, { buffer = bufs.prompt, callback = changed })
  api.nvim_create_autocmd('VimResized', { buffer = bufs.prompt, callback = arrange })

  vim.cmd('startinsert!')
  ask()
end
