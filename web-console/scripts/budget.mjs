// Fails where the first load would be more than 350 KB of compressed JavaScript: what the page itself asks for, with
// everything that this imports, and the overview, the screen that opens first. The tests in the browser count again.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

const BUDGET = 350_000
const root = new URL('../dist/app', import.meta.url).pathname
const assets = join(root, 'assets')
const page = readFileSync(join(root, 'index.html'), 'utf8')

const wanted = [...page.matchAll(/(?:src|href)="\/assets\/([^"]+\.js)"/g)].map(([, name]) => name)
wanted.push(...readdirSync(assets).filter((name) => /^Overview-.*\.js$/.test(name)))
const loaded = new Set()
while (wanted.length > 0) {
  const name = wanted.pop()
  if (loaded.has(name)) continue
  loaded.add(name)
  const text = readFileSync(join(assets, name), 'utf8')
  for (const [, next] of text.matchAll(/(?:from|import)\s*"\.\/([^"]+\.js)"/g)) wanted.push(next)
}
const size = (name) => {
  const compressed = statSync(join(assets, `${name}.br`), { throwIfNoEntry: false })
  return (compressed ?? statSync(join(assets, name))).size
}
const bytes = [...loaded].reduce((sum, name) => sum + size(name), 0)
if (bytes > BUDGET) {
  const largest = [...loaded].sort((one, other) => size(other) - size(one)).slice(0, 8)
  console.error(`the first load is ${bytes} bytes of compressed JavaScript, more than ${BUDGET}:`)
  for (const name of largest) console.error(`  ${size(name)} ${name}`)
  process.exit(1)
}
