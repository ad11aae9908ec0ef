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
    local where = { relative = 'editor', row = top + row, col = left, style = 'minimal', border = border }
    return vim.tbl_extend('error', size, where)
  end
  return { prompt = place(0, 3), list = place(3, list), preview = place(3 + list, height - 3 - list) }
end

---@param question sextant.Question
return function(question)
  local origin, group = api.nvim_get_current_win(), api.nvim_create_augroup('sextant.float', {})
  local answer, selected, closed, timer = { hits = {} }, 1, false, assert(vim.uv.new_timer())
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
    vim.tbl_map(function(win) pcall(api.nvim_win_close, win, true) end, wins)
    pcall(api.nvim_set_current_win, origin)
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
    local colored = { virt_text_pos = 'overlay', hl_mode = 'combine' }
    for i, row in ipairs(rows) do
      colored.virt_text = row
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
    question:ask(asked, show, show)
  end

  --- Close, and do something with the hit.
  local function leave(act)
    return function()
      local hit = answer.hits[selected]
      if not hit then return end
      close()
      -- Leaving insert mode moves the cursor; only then may it be placed.
      vim.schedule(function() act(hit) end)
    end
  end
  local function open(command)
    return leave(function(hit) hits.open(hit, command) end)
  end
  local function list(to)
    return leave(function() hits.list(answer, ('%s: %s'):format(question.title, last), to) end)
  end
  local function move(by)
    return function() select((selected - 1 + by) % math.max(#answer.hits, 1) + 1) end
  end
  local function scroll(key)
    local function scrolled() vim.cmd.normal({ vim.keycode(key), bang = true }) end
    return function() api.nvim_win_call(wins.preview, scrolled) end
  end
  --- Take the first of what may follow in the words.
  local function complete()
    local text = answer.completions and answer.completions[1] and answer.completions[1].query or words()
    api.nvim_buf_set_lines(bufs.prompt, 0, -1, false, { text })
    api.nvim_win_set_cursor(wins.prompt, { 1, #text })
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
  vim.wo[wins.list].statuscolumn = ' '
  api.nvim_buf_set_lines(bufs.prompt, 0, -1, false, { question.words })
  title('prompt', question.title)

  -- stylua: ignore
  local keys = {
    ['<CR>'] = open(), ['<C-s>'] = open('split'), ['<C-v>'] = open('vsplit'), ['<C-t>'] = open('tab split'),
    ['<C-q>'] = list('quickfix'), ['<C-l>'] = list('loclist'), ['<Esc>'] = close, ['<C-c>'] = close,
    ['<Down>'] = move(1), ['<C-n>'] = move(1), ['<Up>'] = move(-1), ['<C-p>'] = move(-1),
    ['<C-f>'] = scroll('<C-d>'), ['<C-b>'] = scroll('<C-u>'), ['<Tab>'] = complete,
  }
  for key, act in pairs(keys) do
    vim.keymap.set({ 'i', 'n' }, key, act, { buffer = bufs.prompt, nowait = true })
  end
  local function changed()
    if words() == last then return end
    question:stop()
    timer:start(30, 0, vim.schedule_wrap(ask))
  end
  local function on(event, callback)
    api.nvim_create_autocmd(event, { group = group, buffer = bufs.prompt, callback = callback })
  end
  on({ 'TextChangedI', 'TextChanged' }, changed)
  on('BufLeave', close)

  render()
  vim.cmd('startinsert!')
  ask()
end
