; Units of Ruby. What the captures mean is told in server/index/extract.py.

(method name: (_) @name body: (_)? @body) @definition.function
(singleton_method name: (_) @name body: (_)? @body) @definition.method
(class name: (_) @name body: (_)? @body) @definition.class
(module name: (_) @name body: (_)? @body) @definition.namespace
; private def ...
(call arguments: (argument_list . (method name: (_) @name) .)) @definition

; Point = Struct.new(:x, :y) do ... end
(assignment left: (constant) @name right: (call block: (_))) @scope.class

(comment) @comment
((call method: (identifier) @keyword) @import (#set! keyword "require require_relative autoload"))
