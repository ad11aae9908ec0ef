--- Tell the user something on one line of the screen, if that is wide enough to say anything: what is longer would have
--- to be dismissed.
---@param text string
---@param level? 'ERROR'|'WARN'|'INFO'
return function(text, level)
  local line, room = vim.trim(('sextant: ' .. text):gsub('%s+', ' ')), math.max(vim.v.echospace, 40)
  if vim.api.nvim_strwidth(line) > room then line = vim.fn.printf(('%%.%dS…'):format(room - 1), line) end
  vim.notify(line, vim.log.levels[level or 'INFO'])
end
