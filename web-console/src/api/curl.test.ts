import { expect, it, vi } from 'vitest'
import { curl, quote, withQuery } from './curl'

it('gives a shell nothing but text', () => {
  vi.stubGlobal('location', { origin: 'https://codex.test' })
  expect(quote("it's $HOME `x`")).toBe(`'it'\\''s $HOME \`x\`'`)
  expect(curl('POST', '/api/v1/x', { reason: "it's" })).toBe(
    `curl -sS -X POST -H "Authorization: Bearer $CODEX_K8S_TOKEN" -H 'Content-Type: application/json' -d '{"reason":"it'\\''s"}' 'https://codex.test/api/v1/x'`,
  )
})

it('leaves out what is empty', () => {
  expect(withQuery('/x', { a: 'b c', b: undefined, c: '', d: 0 })).toBe('/x?a=b+c&d=0')
  expect(withQuery('/x', {})).toBe('/x')
})
