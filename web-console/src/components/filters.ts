/** Filters that stand in the address: shared by a link, kept by the back button. */
import { computed, type ComputedRef } from 'vue'
import { useRoute, useRouter } from 'vue-router'

export interface FilterField {
  /** Its name in the address and in the API. */
  key: string
  label: string
  kind: 'text' | 'choice' | 'time'
  choices?: { value: string; label: string }[]
  /** Always shown; others are added when needed. */
  isPinned?: boolean
}

export type Filter = Record<string, string | undefined>

/** What the address says of these keys. */
export function readFilter(query: Record<string, unknown>, keys: readonly string[]): Filter {
  const filter: Filter = {}
  for (const key of keys) {
    const value = query[key]
    if (typeof value === 'string' && value !== '') filter[key] = value
  }
  return filter
}

export function useFilter(keys: readonly string[]): {
  filter: ComputedRef<Filter>
  set: (change: Filter) => void
  clear: () => void
} {
  const route = useRoute()
  const router = useRouter()
  const filter = computed(() => readFilter(route.query, keys))
  const set = (change: Filter) => {
    const query: Record<string, unknown> = { ...route.query, ...change }
    void router.replace({ query: Object.fromEntries(Object.entries(query).filter(([, value]) => value)) as Filter })
  }
  const clear = () => set(Object.fromEntries(keys.map((key) => [key, undefined])))
  return { filter, set, clear }
}
