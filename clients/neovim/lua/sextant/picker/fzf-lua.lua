-- fzf-lua as the picker.
local fzf = require('fzf-lua') ---@type any
local hits = require('sextant.hit')

---@param question sextant.Question
---@param options? table fzf-lua's own
return function(question, options)
  local answer = { title = question.title, hits = {} } ---@type sextant.Answer
  local colored = fzf.utils.ansi_from_hl

  -- A line is its number in the answer, hidden, and the row.
  local function hit_of(line) return answer.hits[tonumber(line and line:match('^%d+')) or 0] end
  local function open(command)
    return function(lines) hits.open(hit_of(lines[1]), command) end
  end
  local function list(to)
    local function act(lines) hits.list({ hits = vim.tbl_map(hit_of, lines), title = answer.title }, to) end
    return { fn = act, prefix = 'select-all' }
  end

  local Previewer = require('fzf-lua.previewer.builtin').base:extend()
  function Previewer:populate_preview_buf(line)
    local hit, buf = hit_of(line), self:get_tmp_buffer()
    self:set_preview_buf(buf)
    if hit then hits.preview(buf, self.win.preview_winid, hit) end
  end

  local function find(words)
    return function(write)
      question:ask(words[1] or '', function(new)
        answer = new
        if new.notice then write('0\t' .. colored(new.failed and 'SextantError' or 'SextantNotice', new.notice)) end
        for i, row in ipairs(hits.rows(new, vim.o.columns - 12)) do
          write(i .. '\t' .. table.concat(vim.tbl_map(function(chunk) return (colored(chunk[2], chunk[1])) end, row)))
        end
        write(nil)
      end)
    end
  end
  -- stylua: ignore
  local actions = { ['enter'] = open(), ['ctrl-s'] = open('split'), ['ctrl-v'] = open('vsplit'),
    ['ctrl-t'] = open('tab split'), ['ctrl-q'] = list('quickfix'), ['alt-l'] = list('loclist') }
  local defaults = { prompt = question.title .. '> ', query = question.words, exec_empty_query = true }
  defaults.actions, defaults.previewer = actions, { _ctor = function() return Previewer end }
  defaults.fzf_opts = { ['--delimiter'] = '\t', ['--with-nth'] = '2..', ['--multi'] = true, ['--ansi'] = true }
  defaults.winopts = { preview = { layout = 'vertical' }, on_close = function() question:stop() end }
  fzf.fzf_live(find, vim.tbl_deep_extend('force', defaults, options or {}))
end
