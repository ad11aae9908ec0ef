; Units of Elixir, whose definitions are calls of macros. What the captures mean is told in server/index/extract.py.

((call target: (identifier) @keyword (arguments . (_) @name) (do_block) @body) @definition.namespace
  (#set! keyword "defmodule defimpl"))
((call target: (identifier) @keyword (arguments . (_) @name) (do_block) @body) @definition.interface
  (#set! keyword "defprotocol"))

; Clauses of one name and arity are one function.
((call
  target: (identifier) @keyword
  (arguments
    . [
      (call target: (identifier) @name (arguments) @parameters)
      (identifier) @name
      (binary_operator
        left: [(call target: (identifier) @name (arguments) @parameters) (identifier) @name]
        operator: "when")
    ]
    (keywords)? @body)
  (do_block)? @body) @definition.function
  (#set! keyword "def defp defmacro defmacrop defguard defguardp defdelegate defn defnp") (#set! joined))
; def left <~> right
((call
  target: (identifier) @keyword
  (arguments
    . [
      (binary_operator
        left: (identifier)
        operator: [
          "+" "-" "*" "/" "++" "--" "+++" "---" ".." "<>" "|||" "&&&" "<<<" ">>>" "<<~" "~>>" "<~" "~>" "<~>" "|>" "<|>"
          "==" "!=" "===" "!==" "=~" "<" ">" "<=" ">=" "^^^" "**"
        ] @name)
      (binary_operator left: (binary_operator left: (identifier) operator: ["<>" "|>" "~>" "<~>"] @name) operator: "when")
    ]
    (keywords)? @body)
  (do_block)? @body) @definition.function
  (#set! keyword "def defp defmacro defmacrop") (#set! joined))

; What a behaviour asks for
((unary_operator
  operand: (call
    target: (identifier) @keyword
    (arguments
      . [
        (binary_operator left: (call target: (identifier) @name))
        (binary_operator left: (binary_operator left: (call target: (identifier) @name)) operator: "when")
      ]))) @definition.function
  (#set! keyword "callback macrocallback"))

; test "sends one", %{conn: conn} do ... end
((call target: (identifier) @keyword (arguments . (string) @name) (do_block) @body) @definition.function
  (#set! keyword "test property"))
((call target: (identifier) @keyword (arguments . (string) @name) (do_block)) @scope.namespace
  (#set! keyword "describe"))

((do_block
  (unary_operator operand: (call target: (identifier) @keyword (arguments . [(string) (sigil)] @doc)))) @body
  (#set! keyword "moduledoc"))
((unary_operator operand: (call target: (identifier) @keyword (arguments . [(string) (sigil)] @doc.before))) @prefix
  (#set! keyword "doc"))
((unary_operator operand: (call target: (identifier) @keyword)) @prefix
  (#set! keyword "doc spec impl deprecated since dialyzer tag"))

(comment) @comment
((call target: (identifier) @keyword) @import
  (#set! keyword "use import alias require"))
