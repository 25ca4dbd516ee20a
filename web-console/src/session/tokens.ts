/**
 * The access token: in memory only. It is renewed by the refresh cookie, which is good once; its second use ends the
 * session. So the tabs of a browser take turns (a Web Lock) and tell each other what they got (a BroadcastChannel).
 */
import { Problem } from '@/api/problem'

interface Held {
  bearer: string
  /** By this browser's monotonic clock, in ms: a wrong wall clock must not matter. */
  staleAt: number
}

type Told = { kind: 'token'; bearer: string; expiresInS: number } | { kind: 'signed-out' }

const LOCK = 'codex-k8s-refresh'
/** Renewed so long before its end. */
const MARGIN_S = 45

export class Tokens {
  #held: Held | null = null
  #renewing: Promise<string> | null = null
  #ended = false
  readonly #channel = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel('codex-k8s-session')
  /** Called when the session has ended, here or in another tab. */
  onEnd: (how: 'expired' | 'signed-out') => void = () => {}

  constructor() {
    this.#channel?.addEventListener('message', ({ data }: MessageEvent<Told>) => {
      if (data.kind === 'token') this.#hold(data.bearer, data.expiresInS)
      else this.#end('signed-out')
    })
  }

  /** One that is good for a while. */
  async get(): Promise<string> {
    const held = this.#held
    return held && performance.now() < held.staleAt ? held.bearer : await this.renew()
  }

  /** A new one, or the one that another tab got meanwhile. Throws when nobody is signed in. */
  renew(): Promise<string> {
    this.#renewing ??= this.#take().finally(() => {
      this.#renewing = null
    })
    return this.#renewing
  }

  async #take(): Promise<string> {
    const before = this.#held?.bearer
    return await turn(async () => {
      const held = this.#held
      if (held && held.bearer !== before && performance.now() < held.staleAt) return held.bearer
      const response = await post('/api/v1/auth/refresh')
      const body: unknown = await response.json().catch(() => null)
      if (!response.ok) {
        const problem = await Problem.of(response, body)
        if (response.status === 401) this.#end('expired')
        throw problem
      }
      const { access_token, expires_in } = body as { access_token: string; expires_in: number }
      this.#hold(access_token, expires_in)
      this.#tell({ kind: 'token', bearer: access_token, expiresInS: expires_in })
      return access_token
    })
  }

  /** Ends the session, in all tabs. */
  async signOut(): Promise<void> {
    const response = await turn(() => post('/api/v1/auth/sign-out'))
    if (!response.ok) throw await Problem.of(response, await response.json().catch(() => null))
    this.forget()
  }

  /** The session has been ended by other means: forgets it, in all tabs. */
  forget(): void {
    this.#tell({ kind: 'signed-out' })
    this.#end('signed-out')
  }

  #hold(bearer: string, expiresInS: number): void {
    this.#ended = false
    this.#held = { bearer, staleAt: performance.now() + Math.max(5, expiresInS - MARGIN_S) * 1_000 }
  }

  #end(how: 'expired' | 'signed-out'): void {
    this.#held = null
    if (this.#ended) return
    this.#ended = true
    this.onEnd(how)
  }

  #tell(told: Told): void {
    this.#channel?.postMessage(told)
  }
}

/** One tab after the other. */
async function turn<T>(act: () => Promise<T>): Promise<T> {
  return navigator.locks ? await navigator.locks.request(LOCK, act) : await act()
}

/** `keepalive`: should the page go meanwhile, the next cookie still arrives. */
async function post(path: string): Promise<Response> {
  try {
    return await fetch(path, { method: 'POST', keepalive: true })
  } catch (error) {
    throw Problem.unreachable(error)
  }
}

export const tokens = new Tokens()
