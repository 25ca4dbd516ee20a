/**
 * What changes in the database, told by the gateway's event stream: one connection for the whole page as long as
 * somebody is signed in. It waits while the tab is hidden or somebody paused it, and goes on from the last event then.
 */
import { defineStore } from 'pinia'
import { computed, onScopeDispose, ref, shallowRef, watch, watchEffect } from 'vue'
import { authorizedFetch } from '@/api/client'
import { withQuery } from '@/api/curl'
import { Problem } from '@/api/problem'
import { useSession } from '@/session/session'
import { tokens } from '@/session/tokens'
import { backoffMs, EventParser } from './sse'

/** `stale`: the connection is lost, what is shown may be old. */
export type LiveState = 'off' | 'connecting' | 'connected' | 'stale' | 'paused'
interface Followed {
  run?: number
  job?: number
}
export type Handler = (data: unknown) => void
/** What the stream tells of. */
export type Topic = 'job' | 'run' | 'delivery' | 'queues' | 'run_event'

const TOPICS: readonly Topic[] = ['job', 'run', 'delivery', 'queues', 'run_event']
/** After so long without a byte the connection is taken for dead: a heartbeat comes every 15 s. */
const SILENCE_MS = 45_000
/** A connection that lasted so long was a good one. */
const GOOD_MS = 10_000
/** A tab may be looked away from for a moment. */
const HIDDEN_MS = 5_000
/** Where too much changes to be told, lists are read again so often at most. */
const REFRESH_MS = 3_000

export const useLive = defineStore('live', () => {
  const session = useSession()
  const handlers = new Map<string, Set<Handler>>()
  const refreshers = new Map<Topic, Set<() => void>>()
  const due = new Map<Topic, ReturnType<typeof setTimeout>>()
  const followed = shallowRef<Followed>({})
  const isPaused = ref(false)
  const isHidden = ref(document.hidden)
  const isOnline = ref(navigator.onLine)
  const isConnected = ref(false)
  const isRefused = ref(false)
  /** The gateway can't read its database: nothing new comes. */
  const isBehind = ref(false)
  /** Connected before, or tried in vain. */
  const wasConnected = ref(false)
  let lastEventId: string | null = null

  const isWanted = computed(
    () => !isPaused.value && !isHidden.value && session.state === 'signed-in',
  )
  const state = computed<LiveState>(() => {
    if (isPaused.value || isHidden.value) return 'paused'
    if (isConnected.value) return isBehind.value || !isOnline.value ? 'stale' : 'connected'
    if (!isWanted.value || isRefused.value) return 'off'
    return wasConnected.value ? 'stale' : 'connecting'
  })

  addEventListener('online', () => (isOnline.value = true))
  addEventListener('offline', () => (isOnline.value = false))
  let hiding: ReturnType<typeof setTimeout> | undefined
  document.addEventListener('visibilitychange', () => {
    clearTimeout(hiding)
    if (document.hidden) hiding = setTimeout(() => (isHidden.value = true), HIDDEN_MS)
    else isHidden.value = false
  })

  const wanted = computed(() => (isWanted.value ? withQuery('/api/v1/staff/stream', { ...followed.value }) : null))
  watch(wanted, (path, _, onCleanup) => {
    if (path === null) return
    isRefused.value = false
    const stop = new AbortController()
    onCleanup(() => stop.abort())
    void keepConnected(path, stop.signal)
  }, { immediate: true })

  async function keepConnected(path: string, stop: AbortSignal): Promise<void> {
    let tries = 0
    while (!stop.aborted) {
      const started = performance.now()
      let waitMs: number | null = null
      try {
        waitMs = await connect(path, stop)
      } catch (error) {
        // Signed out, not allowed or not there: nothing that another try would change.
        isRefused.value = error instanceof Problem && [401, 403, 404].includes(error.status)
      }
      if (stop.aborted) return
      isConnected.value = false
      wasConnected.value = true
      if (isRefused.value) return
      if (waitMs === 0) continue
      tries = performance.now() - started > GOOD_MS ? 0 : tries + 1
      await sleep(Math.max(waitMs ?? 0, backoffMs(tries)), stop)
    }
    isConnected.value = false
  }

  /** Reads until the connection ends; how long to wait then, null if the gateway didn't say. */
  async function connect(path: string, stop: AbortSignal): Promise<number | null> {
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
      const response = await authorizedFetch(new Request(path, { headers, signal, cache: 'no-store' }))
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
          const data: unknown = JSON.parse(event.data)
          if (event.event === 'end' && (data as { reason: string }).reason === 'token_expired') {
            await tokens.renew()
            return 0
          }
          tell(event.event, data)
        }
      }
    } finally {
      clearTimeout(silence)
    }
  }

  function tell(event: string, data: unknown): void {
    handlers.get(event)?.forEach((handler) => handler(data))
    if (event === 'ready') {
      isBehind.value = false
      if (!(data as { resumed: boolean }).resumed) TOPICS.forEach((topic) => refreshSoon(topic, 0))
    } else if (event === 'reset') {
      isBehind.value = false
      TOPICS.forEach((topic) => refreshSoon(topic, 500))
    } else if (event === 'more') {
      for (const topic of (data as { topics: Topic[] }).topics) refreshSoon(topic, REFRESH_MS)
    } else if (event === 'heartbeat') {
      isBehind.value = (data as { behind: boolean }).behind
    }
  }

  /** Once for all that is told until then, and not in the same moment as every other page. */
  function refreshSoon(topic: Topic, ms: number): void {
    if (due.has(topic)) return
    const refresh = () => {
      due.delete(topic)
      refreshers.get(topic)?.forEach((act) => act())
    }
    due.set(topic, setTimeout(refresh, ms * (1 + Math.random())))
  }

  /** Calls the handler at each event of this name, until the function that is returned is called. */
  function subscribe(event: string, handler: Handler): () => void {
    return join(handlers, event, handler)
  }

  /** Calls back when what is shown of this topic has to be read again. */
  function onRefresh(topic: Topic, refresh: () => void): () => void {
    return join(refreshers, topic, refresh)
  }

  function join<K, F>(sets: Map<K, Set<F>>, key: K, one: F): () => void {
    const set = sets.get(key) ?? new Set<F>()
    sets.set(key, set.add(one))
    return () => void set.delete(one)
  }

  /** Also hears of this run's log, or of this job however old it is, until the function that is returned is called. */
  function follow(what: Followed): () => void {
    followed.value = what
    return () => {
      if (followed.value === what) followed.value = {}
    }
  }

  const pause = (on: boolean) => (isPaused.value = on)

  return { state, isPaused, subscribe, onRefresh, follow, pause }
})

/** Calls the handler at each event of this name as long as the component lives. */
export function useLiveEvent(event: string, handler: Handler): void {
  onScopeDispose(useLive().subscribe(event, handler))
}

/**
 * Keeps a screen up to date as long as it lives: `on` gets each row of the topic that changed, in the shape of the
 * list's items; `refresh` is called when there was too much to tell, or something may have been missed.
 */
export function useLiveTopic<T>(topic: Topic, on: (row: T) => void, refresh: () => void): void {
  const live = useLive()
  onScopeDispose(live.subscribe(topic, (row) => on(row as T)))
  onScopeDispose(live.onRefresh(topic, refresh))
}

/** Follows a run's log or a single job as long as the component lives. */
export function useLiveFollow(what: () => Followed): void {
  const live = useLive()
  watchEffect((onCleanup) => onCleanup(live.follow(what())))
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
