; Units of C#. What the captures mean is told in server/index/extract.py.
; A namespace without braces spans its file, and the path says as much, so it is no container.

(class_declaration name: (_) @name body: (_)? @body) @definition.class
(record_declaration name: (_) @name body: (_)? @body) @definition.class
(record_declaration "struct" name: (_) @name) @definition.struct
(struct_declaration name: (_) @name body: (_)? @body) @definition.struct
(interface_declaration name: (_) @name body: (_)? @body) @definition.interface
(enum_declaration name: (_) @name body: (_) @body) @definition.enum
(delegate_declaration name: (_) @name) @definition.type
(method_declaration name: (_) @name body: (_)? @body) @definition.method
(constructor_declaration name: (_) @name body: (_)? @body) @definition.constructor
(destructor_declaration name: (_) @name body: (_)? @body) @definition.method
(operator_declaration operator: _ @name body: (_)? @body) @definition.method
(conversion_operator_declaration type: (_) @name body: (_)? @body) @definition.method
(local_function_statement name: (_) @name body: (_)? @body) @definition.function

; Properties and indexers with code in them
(property_declaration name: (_) @name value: (arrow_expression_clause) @body) @definition.method
(property_declaration
  name: (_) @name accessors: (accessor_list (accessor_declaration body: (_))) @body) @definition.method
(indexer_declaration "this" @name value: (arrow_expression_clause) @body) @definition.method
(indexer_declaration "this" @name accessors: (accessor_list (accessor_declaration body: (_))) @body) @definition.method

(namespace_declaration name: (_) @name) @scope.namespace
(namespace_declaration name: (_) @import)

(attribute_list) @prefix
(comment) @comment
[(using_directive) (file_scoped_namespace_declaration)] @import
