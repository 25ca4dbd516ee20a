/**
 * What changes in the database, told by the gateway's event stream: one connection for the whole page, opened by the
 * first who subscribes. It waits while the tab is hidden or somebody paused it, and goes on from the last event then.
 */
import { defineStore } from 'pinia'
import { computed, onScopeDispose, ref, watch } from 'vue'
import { authorizedFetch } from '@/api/client'
import { Problem } from '@/api/problem'
import { useSession } from '@/session/session'
import { backoffMs, EventParser } from './sse'

/** `stale`: the connection is lost, what is shown may be old. */
export type LiveState = 'off' | 'connecting' | 'connected' | 'stale' | 'paused'
export type Handler = (data: unknown) => void

/** After so long without a byte the connection is taken for dead: the gateway sends a comment more often. */
const SILENCE_MS = 45_000
/** A connection that lasted so long was a good one. */
const GOOD_MS = 10_000
/** A tab may be looked away from for a moment. */
const HIDDEN_MS = 5_000

export const useLive = defineStore('live', () => {
  const session = useSession()
  const handlers = new Map<string, Set<Handler>>()
  const subscribers = ref(0)
  const isPaused = ref(false)
  const isHidden = ref(document.hidden)
  const isConnected = ref(false)
  const wasConnected = ref(false)
  let lastEventId: string | null = null

  const isWanted = computed(
    () => subscribers.value > 0 && !isPaused.value && !isHidden.value && session.state === 'signed-in',
  )
  const state = computed<LiveState>(() => {
    if (isPaused.value || (isHidden.value && subscribers.value > 0)) return 'paused'
    if (isConnected.value) return 'connected'
    if (!isWanted.value) return 'off'
    return wasConnected.value ? 'stale' : 'connecting'
  })

  let hiding: ReturnType<typeof setTimeout> | undefined
  document.addEventListener('visibilitychange', () => {
    clearTimeout(hiding)
    if (document.hidden) hiding = setTimeout(() => (isHidden.value = true), HIDDEN_MS)
    else isHidden.value = false
  })

  watch(isWanted, (wanted, _, onCleanup) => {
    if (!wanted) return
    const stop = new AbortController()
    onCleanup(() => stop.abort())
    void keepConnected(stop.signal)
  })

  async function keepConnected(stop: AbortSignal): Promise<void> {
    let tries = 0
    while (!stop.aborted) {
      const started = performance.now()
      let waitMs: number | null = null
      try {
        waitMs = await connect(stop)
      } catch (error) {
        // Signed out or not allowed: nothing that another try would change.
        if (error instanceof Problem && (error.status === 401 || error.status === 403)) break
      }
      isConnected.value = false
      tries = performance.now() - started > GOOD_MS ? 0 : tries + 1
      await sleep(Math.max(waitMs ?? 0, backoffMs(tries)), stop)
    }
    isConnected.value = false
  }

  /** Reads until the connection ends; how long the gateway wants to be left alone then. */
  async function connect(stop: AbortSignal): Promise<number | null> {
    const dead = new AbortController()
    let silence: ReturnType<typeof setTimeout> | undefined
    const heard = () => {
      clearTimeout(silence)
      silence = setTimeout(() => dead.abort(), SILENCE_MS)
    }
    heard()
    try {
      const headers = new Headers({ Accept: 'text/event-stream' })
      if (lastEventId !== null) headers.set('Last-Event-ID', lastEventId)
      const signal = AbortSignal.any([stop, dead.signal])
      const response = await authorizedFetch(new Request('/api/v1/staff/stream', { headers, signal, cache: 'no-store' }))
      if (!response.ok || !response.body) {
        throw await Problem.of(response, await response.json().catch(() => null))
      }
      isConnected.value = true
      wasConnected.value = true
      const parser = new EventParser()
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return parser.retryMs
        heard()
        for (const event of parser.push(value)) {
          if (event.id !== null) lastEventId = event.id
          tell(event.event, event.data)
        }
      }
    } finally {
      clearTimeout(silence)
    }
  }

  function tell(event: string, text: string): void {
    let data: unknown = text
    try {
      data = JSON.parse(text)
    } catch {
      // Not JSON: handed on as it is.
    }
    handlers.get(event)?.forEach((handler) => handler(data))
  }

  /** Calls the handler at each event of this name, until the function that is returned is called. */
  function subscribe(event: string, handler: Handler): () => void {
    const set = handlers.get(event) ?? new Set<Handler>()
    handlers.set(event, set.add(handler))
    subscribers.value += 1
    return () => {
      if (set.delete(handler)) subscribers.value -= 1
    }
  }

  const pause = (on: boolean) => (isPaused.value = on)

  return { state, isPaused, subscribe, pause }
})

/** Calls the handler at each event of this name as long as the component lives. */
export function useLiveEvent(event: string, handler: Handler): void {
  onScopeDispose(useLive().subscribe(event, handler))
}

function sleep(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    stop.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
