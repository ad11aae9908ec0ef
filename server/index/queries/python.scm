; Units of Python. What the captures mean is told in server/index/extract.py.

(function_definition name: (identifier) @name body: (block)? @body) @definition.function
(class_definition name: (identifier) @name body: (block)? @body) @definition.class
(decorated_definition
  definition: (function_definition name: (identifier) @name)) @definition
(decorated_definition
  definition: (class_definition name: (identifier) @name)) @definition
((decorated_definition
  (decorator [(identifier) @keyword (attribute attribute: (identifier) @keyword)])
  definition: (function_definition name: (identifier) @name)) @definition
  (#set! keyword "overload") (#set! joined))
(type_alias_statement left: (type (_) @name) right: (type) @body) @definition.type

(function_definition body: (block . (expression_statement . (string) @doc)) @body)
(class_definition body: (block . (expression_statement . (string) @doc)) @body)
(module . (comment)* . (expression_statement . (string) @doc.module))

(decorator) @prefix
(comment) @comment
[(import_statement) (import_from_statement) (future_import_statement)] @import
