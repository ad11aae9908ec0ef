; Units of Haskell. What the captures mean is told in server/index/extract.py.

(data_type name: (_) @name constructors: (_)? @body deriving: (_)* @body) @definition.struct
(newtype name: (_) @name constructor: (_)? @body deriving: (_)* @body) @definition.struct
(type_synonym name: (_) @name type: (_) @body) @definition.type
(type_family name: (_) @name) @declaration.type
(data_family name: (_) @name) @declaration.type
(class name: (_) @name declarations: (_)? @body) @definition.interface
(instance name: (_) @name patterns: (_)? @name declarations: (_)? @body) @definition.class

; The signature and the equations of one function are one unit.
(declarations (signature name: [(variable) @name (prefix_id (_) @name)]) @definition.function (#set! joined))
(local_binds (signature name: [(variable) @name (prefix_id (_) @name)]) @definition.function (#set! joined))
(class_declarations
  (signature
    [
      name: [(variable) @name (prefix_id (_) @name)]
      names: (binding_list [(variable) @name (prefix_id (_) @name)])
    ]) @definition.method (#set! joined))
((function name: [(variable) @name (prefix_id (_) @name)] match: (_)+ @body binds: (_)? @body) @definition.function
  (#set! joined))
((function (infix operator: [(operator) @name (infix_id (_) @name)]) match: (_)+ @body binds: (_)? @body) @definition.function
  (#set! joined))
; What has no parameters is a unit where others can see it.
(declarations
  (bind name: [(variable) @name (prefix_id (_) @name)] match: (_)+ @body binds: (_)? @body) @definition.function
  (#set! joined))
(class_declarations
  (bind name: [(variable) @name (prefix_id (_) @name)] match: (_)+ @body binds: (_)? @body) @definition.method
  (#set! joined))
(instance_declarations
  (bind name: [(variable) @name (prefix_id (_) @name)] match: (_)+ @body binds: (_)? @body) @definition.method
  (#set! joined))
([
  (class_declarations (function name: [(variable) @name (prefix_id (_) @name)]) @definition.method)
  (class_declarations (function (infix operator: [(operator) @name (infix_id (_) @name)])) @definition.method)
  (instance_declarations (function name: [(variable) @name (prefix_id (_) @name)]) @definition.method)
  (instance_declarations (function (infix operator: [(operator) @name (infix_id (_) @name)])) @definition.method)
  (instance_declarations (signature name: [(variable) @name (prefix_id (_) @name)]) @definition.method)
] (#set! joined))

((pattern_synonym (signature synonym: (constructor) @name)) @definition.function (#set! joined))
((pattern_synonym
  (equation synonym: [(constructor) @name (apply function: (constructor) @name)] pattern: (_) @body)) @definition.function
  (#set! joined))
((pattern_synonym
  (equation synonym: (apply function: (apply function: (constructor) @name)) pattern: (_) @body)) @definition.function
  (#set! joined))
(foreign_import signature: (signature name: (variable) @name)) @definition.function

[(comment) (haddock)] @comment
(declarations (pragma) @prefix)
(haskell (pragma) @import)
[(header) (import)] @import
