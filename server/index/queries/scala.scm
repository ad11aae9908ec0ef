; Units of Scala 2 and 3. What the captures mean is told in server/index/extract.py.

(class_definition name: (_) @name body: (_)? @body) @definition.class
(object_definition name: (_) @name body: (_)? @body) @definition.class
(package_object name: (_) @name body: (_)? @body) @definition.class
(trait_definition name: (_) @name body: (_)? @body) @definition.interface
(enum_definition name: (_) @name body: (_) @body) @definition.enum
(type_definition name: (_) @name type: (_)? @body) @declaration.type
(function_definition name: (_) @name body: (_)? @body) @definition.function
(function_declaration name: (_) @name) @definition.function
(template_body [(function_definition name: (_) @name) (function_declaration name: (_) @name)] @definition.method)
(with_template_body [(function_definition name: (_) @name) (function_declaration name: (_) @name)] @definition.method)

; Functions and instances in values
(val_definition pattern: (identifier) @name value: [(lambda_expression) (case_block)] @body) @definition.function
(val_definition pattern: (identifier) @name value: (instance_expression (template_body)) @body) @definition.constant
(val_definition (modifiers "implicit") pattern: (identifier) @name value: (_) @body) @definition.constant

(given_definition name: (_) @name body: (_)? @body) @definition.constant
(given_definition !name return_type: (_) @name body: (_)? @body) @definition.constant

; Extensions belong to what they extend.
(extension_definition
  (parameters . (parameter type: (_) @container))
  (function_definition name: (_) @name) @definition.method)
(extension_definition
  (parameters . (parameter type: (_) @container))
  (template_body (function_definition name: (_) @name) @definition.method))
(extension_definition (parameters) . (function_definition name: (_) @name) .) @definition

(annotation) @prefix
[(comment) (block_comment)] @comment
[(import_declaration) (package_clause !body) (export_declaration)] @import
