; Units of Go. What the captures mean is told in server/index/extract.py.

(function_declaration name: (identifier) @name body: (block)? @body) @definition.function
(method_declaration
  receiver: (parameter_list
    (parameter_declaration
      type: [
        (type_identifier) @container
        (generic_type type: (type_identifier) @container)
        (pointer_type (type_identifier) @container)
        (pointer_type (generic_type type: (type_identifier) @container))
      ]))
  name: (field_identifier) @name
  body: (block)? @body) @definition.method

; handle := func() {}
(short_var_declaration
  left: (expression_list . (identifier) @name .)
  right: (expression_list . (func_literal body: (block) @body) .)) @definition.function
(var_spec name: (identifier) @name value: (expression_list . (func_literal body: (block) @body) .)) @definition.function
(var_declaration
  . (var_spec name: (identifier) @name value: (expression_list . (func_literal) .)) .) @definition

(type_spec name: (_) @name type: (_) @body) @definition.type
(type_alias name: (_) @name type: (_) @body) @definition.type
(type_spec name: (_) @name type: (struct_type)) @definition.struct
(type_spec name: (_) @name type: (interface_type)) @definition.interface
; A declaration of one type is part of the span.
(type_declaration . (type_spec name: (_) @name) .) @definition
(type_declaration . (type_alias name: (_) @name) .) @definition
(method_elem name: (_) @name) @definition.method

(comment) @comment
[(import_declaration) (package_clause)] @import
