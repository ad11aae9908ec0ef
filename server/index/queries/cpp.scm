; inherits: c
; Units that only C++ has.

(class_specifier name: (_) @name body: (_) @body) @definition.class
(declaration declarator: [(reference_declarator) (operator_cast)] @declarator) @declaration.function
(field_declaration
  declarator: [(function_declarator) (pointer_declarator) (reference_declarator) (operator_cast)] @declarator
) @declaration.function
(template_declaration (function_definition declarator: (_) @declarator)) @definition
(template_declaration (declaration declarator: (_) @declarator)) @definition
(template_declaration (class_specifier name: (_) @name body: (_))) @definition
(template_declaration (struct_specifier name: (_) @name body: (_))) @definition
(template_declaration (alias_declaration name: (_) @name)) @definition
(alias_declaration name: (_) @name type: (_) @body) @declaration.type
(concept_definition name: (_) @name) @definition.type
; Specialisations go by the name of their template.
(class_specifier name: (template_type name: (_) @name)) @definition.class
(struct_specifier name: (template_type name: (_) @name)) @definition.struct
(template_declaration (concept_definition name: (_) @name)) @definition

; auto handler = [](int x) {};
(declaration
  declarator: (init_declarator declarator: (identifier) @name value: (lambda_expression body: (_) @body))) @definition.function

(namespace_definition name: (_) @name) @scope.namespace
(namespace_definition name: (_) @import)

(using_declaration) @import
