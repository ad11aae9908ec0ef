; Units of PHP. What the captures mean is told in server/index/extract.py.
; A namespace without braces spans its file, and the path says as much, so it is no container.

(function_definition name: (_) @name body: (_)? @body) @definition.function
(method_declaration name: (_) @name body: (_)? @body) @definition.method
(class_declaration name: (_) @name body: (_) @body) @definition.class
(trait_declaration name: (_) @name body: (_) @body) @definition.class
(interface_declaration name: (_) @name body: (_) @body) @definition.interface
(enum_declaration name: (_) @name body: (_) @body) @definition.enum
(namespace_definition name: (_) @name body: (_)) @scope.namespace

; $handler = function () {};
(assignment_expression
  left: (variable_name (name) @name)
  right: [(anonymous_function body: (_) @body) (arrow_function body: (_) @body)]) @definition.function

(attribute_list) @prefix
(comment) @comment
[(namespace_use_declaration) (namespace_definition !body) (declare_statement)] @import
