import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

it('is served with the same headers by its own image as by the gateway', () => {
  const gateway = read('gateway/src/console.rs')
  const image = new Map([...read('deploy/console/headers.conf').matchAll(/^add_header (\S+) "(.*)" always;$/gm)].map(([, name, value]) => [name?.toLowerCase(), value]))
  const policy = /const POLICY: &str = "([^"]*)"/.exec(gateway)?.[1]?.replace(/\\\n\s*/g, '')
  expect(policy).toContain("default-src 'none'")
  expect(image.get('content-security-policy')).toBe(policy)
  const all = /const SECURITY: [^=]*= \[([\s\S]*?)\n\];/.exec(gateway)?.[1] ?? ''
  const pairs = [...all.matchAll(/(?:header::(\w+)|from_static\("([\w-]+)"\)),\s*"([^"]*)"/g)]
  const sent = pairs.map(([, known, other, value]) => [(known ?? other ?? '').toLowerCase().replaceAll('_', '-'), value] as const)
  expect(sent.length).toBe(5)
  for (const [name, value] of sent) expect(image.get(name), name).toBe(value)
})
