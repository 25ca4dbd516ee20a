/** A run's log: what is seen is asked for as it is needed, and what is new comes by the stream. */
import { onScopeDispose, ref, shallowRef, type Ref } from 'vue'
import { useLiveEvent } from '@/live/live'
import { CHUNK, LogLines } from './log'
import { readLog, type LogLine } from './queries'

interface Told {
  run_id: number
  lines: LogLine[]
}

export function useLog(id: number): {
  lines: LogLines
  isLoaded: Ref<boolean>
  error: Ref<unknown>
  near: Ref<number>
  see: (first: number, end: number) => void
  start: () => Promise<void>
} {
  const lines = new LogLines()
  const isLoaded = ref(false)
  const error = shallowRef<unknown>(null)
  /** The line that is looked at. */
  const near = ref(0)
  const asked = new Set<number>()
  const stop = new AbortController()
  onScopeDispose(() => stop.abort())

  async function ask(query: Parameters<typeof readLog>[1]): Promise<void> {
    try {
      const page = await readLog(id, query, stop.signal)
      lines.put(page.items, page.last, near.value)
      error.value = null
    } catch (failure) {
      if (!stop.signal.aborted) error.value = failure
    }
  }

  /** The end of the log, and how long it is. */
  async function start(): Promise<void> {
    await ask({ before: Number.MAX_SAFE_INTEGER, limit: CHUNK })
    isLoaded.value = error.value === null
  }

  /** Has what is missing between these lines. */
  function see(first: number, end: number): void {
    near.value = first
    for (const after of lines.missing(first, end)) {
      if (asked.has(after)) continue
      asked.add(after)
      void ask({ after, limit: CHUNK }).finally(() => asked.delete(after))
    }
  }

  useLiveEvent('log', (data) => {
    const told = data as Told
    if (told.run_id === id) lines.put(told.lines, 0, near.value)
  })
  // Connected anew: what was written meanwhile isn't told.
  const readEnd = () => void ask({ after: lines.last.value, limit: 1_000 })
  useLiveEvent('ready', readEnd)
  useLiveEvent('reset', readEnd)

  return { lines, isLoaded, error, near, see, start }
}
