/** The API, asked by schemathesis for everything that its description allows and much that it doesn't: no 5xx. */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@playwright/test'
import { product } from './product'

const VERSION = '4.32.5'
const SECONDS = 40
/** What never ends, and what leads to another site. */
const LEFT_OUT = '/stream$|/auth/github'

function run(program: string, args: string[]): Promise<{ code: number | null; said: string }> {
  return new Promise((done, fail) => {
    // It leaves notes where it stands.
    const cwd = mkdtempSync(join(tmpdir(), 'codex-k8s-fuzz-'))
    const child = spawn(program, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1' } })
    let said = ''
    child.stdout.on('data', (part: Buffer) => (said += part.toString()))
    child.stderr.on('data', (part: Buffer) => (said += part.toString()))
    child.once('error', (error) => fail(new Error(`${program} can't be run: install Python 3 with venv and pip (${error.message})`)))
    child.once('exit', (code) => {
      rmSync(cwd, { recursive: true, force: true })
      done({ code, said })
    })
  })
}

/** Its program, fetched through pip once. */
async function schemathesis(): Promise<string> {
  const home = process.getuid?.() === 0 ? '/var/cache/codex-k8s' : join(homedir(), '.cache/codex-k8s')
  const folder = join(process.env.CODEX_K8S_CACHE_DIR || home, `schemathesis-${VERSION}`)
  const complete = join(folder, 'complete')
  if (!existsSync(complete)) {
    mkdirSync(folder, { recursive: true })
    for (const [program, ...args] of [
      ['python3', '-m', 'venv', '--clear', folder],
      [join(folder, 'bin/pip'), 'install', '--quiet', '--disable-pip-version-check', `schemathesis==${VERSION}`],
    ] as [string, ...string[]][]) {
      const { code, said } = await run(program, args)
      if (code !== 0) throw new Error(`schemathesis can't be fetched:\n${said}`)
    }
    writeFileSync(complete, '')
  }
  return join(folder, 'bin/st')
}

test('nothing that is asked of the API breaks it', async () => {
  test.setTimeout(240_000)
  const program = await schemathesis()
  const { url, staff_token: token } = product.state
  const { said } = await run(program, [
    'run',
    `${url}/api/v1/openapi.json`,
    '--header',
    `Authorization: Bearer ${token}`,
    '--checks',
    'not_a_server_error',
    '--exclude-path-regex',
    LEFT_OUT,
    '--phases',
    'coverage,fuzzing',
    '--max-time',
    String(SECONDS),
    '--max-examples',
    '40',
    '--continue-on-failure',
    '--suppress-health-check',
    'all',
    '--generation-database',
    'none',
    '--warnings',
    'off',
  ])
  // Its own errors while it makes up requests (CPython 3.11 refuses some depths) are none of ours.
  expect(said, said.slice(-6_000)).toMatch(/\b(\d{3,}) generated, \1 passed\b/)
})
