; Units of Rust. What the captures mean is told in server/index/extract.py.

(function_item name: (_) @name body: (_)? @body) @definition.function
(function_signature_item name: (_) @name) @definition.function
(macro_definition name: (_) @name (macro_rule) @body) @definition.function
(struct_item name: (_) @name body: (_)? @body) @definition.struct
(union_item name: (_) @name body: (_) @body) @definition.struct
(enum_item name: (_) @name body: (_) @body) @definition.enum
(trait_item name: (_) @name body: (_) @body) @definition.interface
(type_item name: (_) @name type: (_) @body) @declaration.type

(impl_item
  type: [
    (type_identifier) @name
    (scoped_type_identifier name: (_) @name)
    (generic_type type: (type_identifier) @name)
    (generic_type type: (scoped_type_identifier name: (_) @name))
    (reference_type
      type: [
        (type_identifier) @name
        (scoped_type_identifier name: (_) @name)
        (generic_type type: (type_identifier) @name)
        (generic_type type: (scoped_type_identifier name: (_) @name))
        (primitive_type) @name
        (array_type) @name
        (dynamic_type) @name
      ])
    (primitive_type) @name
    (array_type) @name
    (tuple_type) @name
    (pointer_type) @name
    (dynamic_type) @name
    (function_type) @name
    (macro_invocation) @name
  ]) @scope.class
(mod_item name: (_) @name body: (_)) @scope.namespace

(attribute_item) @prefix
[(line_comment !inner) (block_comment !inner)] @comment
[(line_comment inner: (_)) (block_comment inner: (_))] @comment.inner
[(use_declaration) (extern_crate_declaration) (mod_item !body)] @import
