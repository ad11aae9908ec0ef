; Units of C, and of C++ where both spell them alike. What the captures mean is told in server/index/extract.py.

(function_definition declarator: (_) @declarator body: (_)? @body) @definition.function
(declaration
  declarator: [(function_declarator) (pointer_declarator)] @declarator) @declaration.function

(struct_specifier name: (_) @name body: (_) @body) @definition.struct
(union_specifier name: (_) @name body: (_) @body) @definition.struct
(enum_specifier name: (_) @name body: (_) @body) @definition.enum
(type_definition type: (struct_specifier body: (_) @body) declarator: (type_identifier) @name) @definition.struct
(type_definition type: (union_specifier body: (_) @body) declarator: (type_identifier) @name) @definition.struct
(type_definition type: (enum_specifier body: (_) @body) declarator: (type_identifier) @name) @definition.enum

(preproc_function_def name: (_) @name value: (_) @body) @definition.function

(comment) @comment
(preproc_include) @import
