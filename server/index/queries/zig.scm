; Units of Zig. What the captures mean is told in server/index/extract.py.

(function_declaration name: (_) @name body: (_)? @body) @definition.function
; In a container it is a method, also where a function returns the container.
(struct_declaration (function_declaration name: (_) @name) @definition.method)
(enum_declaration (function_declaration name: (_) @name) @definition.method)
(union_declaration (function_declaration name: (_) @name) @definition.method)
(opaque_declaration (function_declaration name: (_) @name) @definition.method)

(variable_declaration (identifier) @name (struct_declaration) @body) @definition.struct
(variable_declaration (identifier) @name (union_declaration) @body) @definition.struct
(variable_declaration (identifier) @name (opaque_declaration) @body) @definition.struct
(variable_declaration (identifier) @name (enum_declaration) @body) @definition.enum
(variable_declaration (identifier) @name (error_set_declaration) @body) @definition.enum
(variable_declaration (identifier) @name (field_expression object: (struct_declaration))) @scope.class

(test_declaration [(string) (identifier)] @name (block) @body) @definition.function
(test_declaration . "test" @name . (block) @body) @definition.function

(comment) @comment
((variable_declaration (builtin_function (builtin_identifier) @keyword)) @import (#set! keyword "@import @This"))
(variable_declaration (field_expression)) @import
