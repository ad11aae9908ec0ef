; Units that JavaScript and TypeScript share. What the captures mean is told in server/index/extract.py.

(function_declaration name: (_) @name body: (_)? @body) @definition.function
(generator_function_declaration name: (_) @name body: (_)? @body) @definition.function
(function_expression name: (_) @name body: (_)? @body) @definition.function
(generator_function name: (_) @name body: (_)? @body) @definition.function
(class_declaration name: (_) @name body: (_) @body) @definition.class
(class name: (_) @name body: (_) @body) @definition.class
(method_definition name: (_) @name body: (_)? @body) @definition.method

; const handler = async () => {}
(variable_declarator
  name: (identifier) @name
  value: [
    (arrow_function body: (_) @body)
    (function_expression body: (_) @body)
    (generator_function body: (_) @body)
  ]) @definition.function
(variable_declarator name: (identifier) @name value: (class body: (_) @body)) @definition.class

; A declaration of one name is part of the span, and so is `export`.
(lexical_declaration
  . (variable_declarator name: (identifier) @name value: [(arrow_function) (function_expression) (generator_function)]) .
) @definition
(variable_declaration
  . (variable_declarator name: (identifier) @name value: [(arrow_function) (function_expression) (generator_function)]) .
) @definition
(export_statement
  declaration: (lexical_declaration
    . (variable_declarator name: (identifier) @name value: [(arrow_function) (function_expression) (generator_function)]) .)
) @definition
(lexical_declaration . (variable_declarator name: (identifier) @name value: (class)) .) @definition
(export_statement declaration: (function_declaration name: (_) @name)) @definition
(export_statement declaration: (generator_function_declaration name: (_) @name)) @definition
(export_statement declaration: (class_declaration name: (_) @name)) @definition

; const Button = forwardRef((props, ref) => {}), at the top of a file only: elsewhere it is a value, not a function.
(program
  (lexical_declaration
    . (variable_declarator
      name: (identifier) @name
      value: (call_expression
        arguments: (arguments
          . [(arrow_function body: (statement_block) @body) (function_expression body: (statement_block) @body)]))) .
  ) @definition.function)
(program
  (export_statement
    declaration: (lexical_declaration
      . (variable_declarator
        name: (identifier) @name
        value: (call_expression
          arguments: (arguments
            . [(arrow_function body: (statement_block) @body) (function_expression body: (statement_block) @body)]))) .)
  ) @definition.function)

; handler = function () {}, exports.handler = ..., Thing.prototype.handler = ...
(assignment_expression
  left: (identifier) @name
  right: [
    (arrow_function body: (_) @body)
    (function_expression body: (_) @body)
    (generator_function body: (_) @body)
  ]) @definition.function
(assignment_expression
  left: (member_expression object: (_) @container property: (_) @name)
  right: [
    (arrow_function body: (_) @body)
    (function_expression body: (_) @body)
    (generator_function body: (_) @body)
  ]) @definition.function
(assignment_expression
  left: (member_expression object: (_) @container property: (_) @name)
  right: (class body: (_) @body)) @definition.class

; { handler: () => {} }
(pair
  key: [(property_identifier) (string)] @name
  value: [
    (arrow_function body: (_) @body)
    (function_expression body: (_) @body)
    (generator_function body: (_) @body)
  ]) @definition.function

; What has no name of its own goes by the name of its module.
(export_statement
  "default" @name.module
  value: [
    (arrow_function body: (_) @body)
    (function_expression !name body: (_) @body)
    (generator_function !name body: (_) @body)
  ]) @definition.function
(export_statement "default" @name.module value: (class !name body: (_) @body)) @definition.class

; Objects name what they hold.
(variable_declarator name: (identifier) @name value: (object)) @scope.class
(assignment_expression left: (identifier) @name right: (object)) @scope.class
(assignment_expression left: (member_expression object: (identifier) @name) right: (object)) @scope.class
(pair key: (property_identifier) @name value: (object)) @scope.class

(decorator) @prefix
(comment) @comment
[(import_statement) (export_statement source: (_))] @import
((lexical_declaration (variable_declarator value: (call_expression function: (identifier) @keyword))) @import
  (#set! keyword "require"))
((variable_declaration (variable_declarator value: (call_expression function: (identifier) @keyword))) @import
  (#set! keyword "require"))
