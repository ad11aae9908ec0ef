; inherits: c
; Units that only C++ has.

(class_specifier name: (_) @name body: (_) @body) @definition.class
(field_declaration declarator: (_) @declarator) @declaration.function
(template_declaration (function_definition declarator: (_) @declarator)) @definition.function
(template_declaration (declaration declarator: (_) @declarator)) @declaration.function
(template_declaration (class_specifier name: (_) @name body: (_))) @definition.class
(template_declaration (struct_specifier name: (_) @name body: (_))) @definition.struct
(template_declaration (alias_declaration name: (_) @name)) @definition.type
(alias_declaration name: (_) @name type: (_) @body) @definition.type
(concept_definition name: (_) @name) @definition.type
(template_declaration (concept_definition name: (_) @name)) @definition.type

; auto handler = [](int x) {};
(declaration
  declarator: (init_declarator declarator: (identifier) @name value: (lambda_expression body: (_) @body))) @definition.function

(namespace_definition name: (_) @name) @scope.namespace

(using_declaration) @import
