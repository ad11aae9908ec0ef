; Units of Kotlin. What the captures mean is told in server/index/extract.py.

(class_declaration name: (_) @name (class_body)? @body) @definition.class
(class_declaration "interface" name: (_) @name) @definition.interface
(class_declaration name: (_) @name (enum_class_body) @body) @definition.enum
(object_declaration name: (_) @name (class_body)? @body) @definition.class
(companion_object name: (_) @name (class_body)? @body) @definition.class
(type_alias type: (_) @name (_) @body) @declaration.type
(enum_entry (identifier) @name (class_body)) @scope.class
(property_declaration (variable_declaration (identifier) @name) (object_literal)) @scope.class

(function_declaration name: (_) @name (function_body)? @body) @definition.function
(class_body (function_declaration name: (_) @name) @definition.method)
(enum_class_body (function_declaration name: (_) @name) @definition.method)
(secondary_constructor "constructor" @name (block)? @body) @definition.constructor
(anonymous_initializer "init" @name (block) @body) @definition.constructor

; Extensions belong to what they extend.
(function_declaration
  [(user_type) (nullable_type (user_type))] @container
  . "."
  . name: (_) @name) @definition.method
(property_declaration
  [(user_type) (nullable_type (user_type))] @container
  . "."
  . (variable_declaration (identifier) @name)
  [(getter) (setter)] @body) @definition.method

; Properties with code in them
(property_declaration (variable_declaration (identifier) @name) [(getter) (setter)] @body) @definition.function
(property_declaration
  (variable_declaration (identifier) @name)
  [(lambda_literal) (anonymous_function)] @body) @definition.function

(annotation) @prefix
; `@Deprecated("x")` before `suspend` is read as an expression.
(annotated_expression (annotation) (parenthesized_expression) .) @prefix
[(line_comment) (block_comment)] @comment
[(package_header) (import) (file_annotation)] @import
