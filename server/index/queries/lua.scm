; Units of Lua. What the captures mean is told in server/index/extract.py.

(function_declaration name: (identifier) @name body: (_)? @body) @definition.function
(function_declaration
  name: (dot_index_expression table: (_) @container field: (_) @name) body: (_)? @body) @definition.function
(function_declaration
  name: (method_index_expression table: (_) @container method: (_) @name) body: (_)? @body) @definition.method

; M.f = function() end
(assignment_statement
  (variable_list . name: (identifier) @name .)
  (expression_list . value: (function_definition body: (_)? @body) .)) @definition.function
(assignment_statement
  (variable_list . name: (dot_index_expression table: (_) @container field: (_) @name) .)
  (expression_list . value: (function_definition body: (_)? @body) .)) @definition.function
(assignment_statement
  (variable_list . name: (bracket_index_expression table: (_) @container field: (string) @name) .)
  (expression_list . value: (function_definition body: (_)? @body) .)) @definition.function
; local f = function() end
(variable_declaration
  (assignment_statement
    (variable_list . name: (identifier) @name .)
    (expression_list . value: (function_definition) .))) @definition

; { f = function() end }
(field name: [(identifier) (string)] @name value: (function_definition body: (_)? @body)) @definition.function

; Tables name what they hold.
(assignment_statement
  (variable_list . name: [(identifier) (dot_index_expression)] @name .)
  (expression_list . value: (table_constructor) .)) @scope.class
(field name: (identifier) @name value: (table_constructor)) @scope.class

(comment) @comment
((variable_declaration
  (assignment_statement (expression_list . value: (function_call name: (identifier) @keyword) .))) @import
  (#set! keyword "require"))
(chunk (return_statement) @import)
