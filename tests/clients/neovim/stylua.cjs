// node stylua.cjs PACKAGE FILE...: fails and names the files that StyLua, compiled for node, would write differently.
// With FIX=1 it writes them. The options are those of clients/neovim/stylua.toml, which this build cannot read.
const fs = require('node:fs')
const [package, ...files] = process.argv.slice(2)
const stylua = require(package)
let failed = false
for (const file of files) {
  const config = stylua.Config.new()
  config.column_width = 120
  config.indent_type = stylua.IndentType.Spaces
  config.indent_width = 2
  config.quote_style = stylua.QuoteStyle.AutoPreferSingle
  config.collapse_simple_statement = stylua.CollapseSimpleStatement.Always
  const text = fs.readFileSync(file, 'utf8')
  const styled = stylua.formatCode(text, config, undefined, stylua.OutputVerification.None)
  if (styled === text) continue
  if (process.env.FIX) fs.writeFileSync(file, styled)
  else console.log(`${file} is not as StyLua writes it`)
  failed = true
}
process.exit(failed && !process.env.FIX ? 1 : 0)
