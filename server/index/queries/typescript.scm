; inherits: ecmascript
; Units that only the grammars of TypeScript (and TSX) have.

(abstract_class_declaration name: (_) @name body: (_) @body) @definition.class
(export_statement declaration: (abstract_class_declaration name: (_) @name)) @definition
(interface_declaration name: (_) @name body: (_) @body) @definition.interface
(export_statement declaration: (interface_declaration name: (_) @name)) @definition
(enum_declaration name: (_) @name body: (_) @body) @definition.enum
(export_statement declaration: (enum_declaration name: (_) @name)) @definition
(type_alias_declaration name: (_) @name value: (_) @body) @definition.type
(export_statement declaration: (type_alias_declaration name: (_) @name)) @definition

; Overloads, one function with what follows them, and what is declared without a body
((function_signature name: (_) @name) @definition.function (#set! joined))
(export_statement declaration: (function_signature name: (_) @name)) @definition
((method_signature name: (_) @name) @definition.method (#set! joined))
((abstract_method_signature name: (_) @name) @definition.method (#set! joined))

(public_field_definition
  name: (_) @name
  value: [
    (arrow_function body: (_) @body)
    (function_expression body: (_) @body)
    (generator_function body: (_) @body)
  ]) @definition.method

(internal_module name: (_) @name) @scope.namespace
(module name: (_) @name) @scope.namespace
