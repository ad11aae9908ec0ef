std = 'luajit'
globals = { 'vim' }
read_globals = { 'Snacks' }
max_line_length = 120
exclude_files = { '**/protocol.lua' } -- generated, and nothing but comments
