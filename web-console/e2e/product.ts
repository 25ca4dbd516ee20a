/** The whole product, as `codex-k8s dev` runs it, on ports of its own with data that is thrown away. */
import { spawn, type ChildProcess } from 'node:child_process'
import { createHmac, randomUUID } from 'node:crypto'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '../..')
const PROGRAM = process.env.CODEX_K8S_PROGRAM ?? join(process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target'), 'debug/codex-k8s')

/** What `dev` leaves for those who look for it. */
export interface State {
  url: string
  staff_token: string
  webhook_secret: string
  github: { url: string; token: string }
}

function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer()
    server.once('error', fail)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => done(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

export async function until<T>(what: string, seconds: number, look: () => T | null | undefined | false | Promise<T | null | undefined | false>): Promise<T> {
  const end = Date.now() + seconds * 1_000
  for (;;) {
    const found = await look()
    if (found) return found
    if (Date.now() > end) throw new Error(`${what}: not within ${seconds} s`)
    await new Promise((done) => setTimeout(done, 100))
  }
}

/** Starts it; what is called in the end stops it. */
export async function start(): Promise<{ state: State; dataDir: string; stop: () => Promise<void> }> {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} isn't there: \`make test\` builds it`)
  const dataDir = mkdtempSync(join(tmpdir(), 'codex-k8s-e2e-'))
  chmodSync(dataDir, 0o711)
  const env: NodeJS.ProcessEnv = {}
  for (const [name, value] of Object.entries(process.env)) {
    if (!name.startsWith('CODEX_K8S_') || name === 'CODEX_K8S_CACHE_DIR') env[name] = value
  }
  env.CODEX_K8S_AGENT_PROGRAM = `${process.execPath} ${join(import.meta.dirname, 'agent.mjs')} ${PROGRAM}`
  const port = String(await freePort())
  const child = spawn(PROGRAM, ['dev', '--quiet', '--port', port, '--data-dir', dataDir], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (part: Buffer) => (said += part.toString()))
  const stop = async () => {
    await ended(child)
    rmSync(dataDir, { recursive: true, force: true })
  }
  try {
    await until('the product is up', 90, () => {
      if (child.exitCode !== null) throw new Error(`codex-k8s dev ended:\n${said}`)
      return existsSync(join(dataDir, 'demo.told'))
    })
  } catch (error) {
    await stop()
    throw new Error(`${String(error)}\n${said}`)
  }
  const state = JSON.parse(readFileSync(join(dataDir, 'dev.json'), 'utf8')) as State
  return { state, dataDir, stop }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((done) => child.once('exit', done))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 30_000)
  await gone
  clearTimeout(timer)
}

/** The running product, for the tests. */
export const product = {
  get state(): State {
    return JSON.parse(process.env.E2E_STATE ?? '{}') as State
  },

  /** What the staff API answers to the development token. */
  async api<T = Record<string, unknown>>(path: string, method = 'GET', body?: unknown): Promise<T> {
    const answer = await fetch(`${this.state.url}/api/v1/staff/${path}`, {
      method,
      headers: { authorization: `Bearer ${this.state.staff_token}`, ...(body ? { 'content-type': 'application/json' } : {}) },
      body: body ? JSON.stringify(body) : undefined,
    })
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
    return (answer.status === 204 ? {} : await answer.json()) as T
  },

  /** Puts a label on an issue of the simulated GitHub, which tells the gateway, signed. */
  async label(repository: string, issue: number, label: string, title = 'T'): Promise<string> {
    const { url, webhook_secret: secret, github } = this.state
    const put = await fetch(`${github.url}/repos/${repository}/issues/${issue}/labels`, {
      method: 'POST',
      headers: { authorization: `Bearer ${github.token}`, 'content-type': 'application/json', 'user-agent': 'e2e' },
      body: JSON.stringify({ labels: [label] }),
    })
    if (!put.ok) throw new Error(`the label wasn't put on: ${put.status}`)
    const [owner, name] = repository.split('/')
    const body = JSON.stringify({
      action: 'labeled',
      issue: { number: issue, title, labels: [{ name: label }] },
      label: { name: label },
      repository: { full_name: repository, name, owner: { login: owner } },
      sender: { login: 'olga', type: 'User' },
    })
    const delivery = randomUUID()
    const sent = await fetch(`${url}/api/v1/webhooks/github`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-github-event': 'issues',
        'x-github-delivery': delivery,
        'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
      },
      body,
    })
    if (sent.status !== 202) throw new Error(`the gateway didn't take the webhook: ${sent.status}`)
    return delivery
  },
}
