// Writes a .br and a .gz beside every file of the build that becomes smaller by it, so that the gateway, or any server
// of static files, compresses nothing while it answers.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const root = new URL('../dist/app', import.meta.url).pathname
for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !/\.(js|css|html|svg|json)$/.test(entry.name)) continue
  const path = join(entry.parentPath, entry.name)
  const plain = readFileSync(path)
  const brotli = brotliCompressSync(plain, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length },
  })
  const gzip = gzipSync(plain, { level: 9 })
  if (brotli.length < plain.length) writeFileSync(`${path}.br`, brotli)
  if (gzip.length < plain.length) writeFileSync(`${path}.gz`, gzip)
}

// What every page loads first. The rest of the 350 KB that a first load may cost is the routes'.
const MOST_KB = 250
const page = readFileSync(join(root, 'index.html'), 'utf8')
const first = [...page.matchAll(/(?:src|href)="(\/assets\/[^"]+\.js)"/g)].map(([, path]) => join(root, path))
const kilobytes = first.reduce((sum, path) => sum + readFileSync(`${path}.br`).length, 0) / 1024
if (kilobytes > MOST_KB) {
  console.error(`what every page loads has grown to ${Math.round(kilobytes)} KB of JavaScript; ${MOST_KB} KB are allowed`)
  process.exit(1)
}
