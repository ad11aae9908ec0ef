; Units of Swift. What the captures mean is told in server/index/extract.py.

(class_declaration declaration_kind: ["class" "actor"] name: (type_identifier) @name body: (_) @body) @definition.class
(class_declaration declaration_kind: "struct" name: (type_identifier) @name body: (_) @body) @definition.struct
(class_declaration declaration_kind: "enum" name: (type_identifier) @name body: (_) @body) @definition.enum
(class_declaration declaration_kind: "extension" name: (_) @name body: (_) @body) @scope.class
(protocol_declaration name: (_) @name body: (_) @body) @definition.interface
(typealias_declaration name: (type_identifier) @name (_) @body) @declaration.type

; An operator is no named node, and the field of a result is called name, too. Spelled out, it compiles ten times longer.
(function_declaration "func" . name: _ @name body: _? @body) @definition.function
(protocol_function_declaration "func" . name: _ @name) @definition.method
(init_declaration "init" @name body: (_)? @body) @definition.constructor
(deinit_declaration "deinit" @name body: (_)? @body) @definition.method
(subscript_declaration "subscript" @name (computed_property) @body) @definition.method
(macro_declaration (simple_identifier) @name definition: (_) @body) @definition.function

; Properties with code in them
(property_declaration
  name: (pattern bound_identifier: (_) @name)
  [computed_value: (_) @body (willset_didset_block) @body]) @definition.function
(property_declaration name: (pattern bound_identifier: (_) @name) value: (lambda_literal) @body) @definition.function

(attribute) @prefix
[(comment) (multiline_comment)] @comment
(import_declaration) @import
