; Units of Bash and POSIX shells. What the captures mean is told in server/index/extract.py.

(function_definition name: (_) @name body: (_) @body) @definition.function

(comment) @comment
((command name: (command_name) @keyword) @import (#set! keyword "source ."))
