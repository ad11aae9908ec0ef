; inherits: ecmascript
; Units that only the grammar of JavaScript (with JSX) spells this way.

(field_definition
  property: (_) @name
  value: [
    (arrow_function body: (_) @body)
    (function_expression body: (_) @body)
    (generator_function body: (_) @body)
  ]) @definition.method
