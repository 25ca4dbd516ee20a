/** The whole product, as `codex-k8s dev` runs it, on ports of its own with data that is thrown away. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { createHmac, randomUUID } from 'node:crypto'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

const ROOT = resolve(import.meta.dirname, '../..')
const PROGRAM = process.env.CODEX_K8S_PROGRAM ?? join(process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target'), 'debug/codex-k8s')

/** What `dev` leaves for those who look for it. */
export interface State {
  url: string
  staff_token: string
  webhook_secret: string
  database_url: string
  github: { url: string; token: string }
  pid: number
}

/** As the staff API tells of them, as far as the tests look. */
export interface Job {
  id: number
  kind: string
  state: string
}
export interface Run {
  id: number
  issue: number
  status: string
  repository: string
}

const execute = promisify(execFile)

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

interface Process {
  pid: number
  parent: number
  args: string[]
}

async function processes(): Promise<Process[]> {
  const { stdout } = await execute('ps', ['-A', '-o', 'pid=,ppid=,args='], { maxBuffer: 16 * 1024 * 1024 })
  return stdout.split('\n').map((line) => {
    const [pid, parent, ...args] = line.trim().split(/\s+/)
    return { pid: Number(pid), parent: Number(parent), args }
  })
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

  /** Does something at the queue itself, past the gateway, as operators can: `codex-k8s queue …`. */
  async queue<T = Record<string, unknown>>(...args: string[]): Promise<T> {
    const env: NodeJS.ProcessEnv = { PATH: process.env.PATH, CODEX_K8S_DATABASE_URL: this.state.database_url }
    const { stdout } = await execute(PROGRAM, ['queue', '--json', ...args], { env, maxBuffer: 16 * 1024 * 1024 })
    return JSON.parse(stdout || 'null') as T
  },

  /** A comment that nobody needs before tomorrow: a job to try things on. Its identifier. */
  async enqueue(name: string, ...options: string[]): Promise<number> {
    const args = { repository: 'acme/billing', issue: 20, marker: `codex-k8s:e2e:${name}`, body: 'A test.' }
    const { id } = await this.queue<{ id: number }>('enqueue', 'issue.comment', JSON.stringify(args), '--queue', 'runs', ...options)
    return id
  },

  /** The first run that is wanted, as soon as there is one. */
  async run(wanted: (run: Run) => boolean, seconds = 60): Promise<Run> {
    return await until('such a run', seconds, async () => {
      const { items } = await this.api<{ items: Run[] }>('runs?limit=100')
      return items.find(wanted)
    })
  },

  /** Kills the gateway's process, and waits until another one answers. */
  async restartGateway(): Promise<void> {
    const gateway = async () =>
      (await processes()).find(({ parent, args }) => parent === this.state.pid && args[1] === 'gateway')?.pid ?? 0
    const before = await gateway()
    if (!before) throw new Error('the gateway has no process')
    process.kill(before, 'SIGKILL')
    await until('another gateway', 60, async () => {
      const now = await gateway()
      return now !== 0 && now !== before && (await fetch(`${this.state.url}/readyz`).then(({ ok }) => ok, () => false))
    })
  },

  /** Freezes the database, as a machine that hangs would, while this is done. */
  async whileDatabaseHangs(act: () => Promise<void>): Promise<void> {
    const all = await processes()
    const server = all.find(({ parent, args }) => parent === this.state.pid && args[0]?.endsWith('postgres'))
    if (!server) throw new Error('the database has no process')
    const frozen = [server, ...all.filter(({ parent }) => parent === server.pid)]
    const tell = (signal: NodeJS.Signals) => {
      for (const { pid } of frozen) {
        try {
          process.kill(pid, signal)
        } catch {
          // A session that has ended by itself.
        }
      }
    }
    tell('SIGSTOP')
    try {
      await act()
    } finally {
      tell('SIGCONT')
    }
  },

  /** Puts a label on an issue of the simulated GitHub, which tells the gateway, signed. */
  async label(repository: string, issue: number, label: string, title = 'T'): Promise<string> {
    const { github } = this.state
    const put = await fetch(`${github.url}/repos/${repository}/issues/${issue}/labels`, {
      method: 'POST',
      headers: { authorization: `Bearer ${github.token}`, 'content-type': 'application/json', 'user-agent': 'e2e' },
      body: JSON.stringify({ labels: [label] }),
    })
    if (!put.ok) throw new Error(`the label wasn't put on: ${put.status}`)
    return await this.tell('issues', {
      action: 'labeled',
      issue: { number: issue, title, labels: [{ name: label }] },
      label: { name: label },
      repository: place(repository),
    })
  },

  /** Sends the gateway a webhook, signed as GitHub signs; the delivery's identifier. */
  async tell(event: string, payload: object): Promise<string> {
    const { url, webhook_secret: secret } = this.state
    const body = JSON.stringify({ repository: place('acme/unknown'), sender: { login: 'olga', type: 'User' }, ...payload })
    const delivery = randomUUID()
    const sent = await fetch(`${url}/api/v1/webhooks/github`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-github-event': event,
        'x-github-delivery': delivery,
        'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
      },
      body,
    })
    if (sent.status !== 202) throw new Error(`the gateway didn't take the webhook: ${sent.status}`)
    return delivery
  },
}

/** A repository as payloads have it. */
function place(repository: string): object {
  const [owner, name] = repository.split('/')
  return { full_name: repository, name, owner: { login: owner } }
}
