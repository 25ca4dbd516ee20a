/** Where one can go, out of the features, for those who may. */
import { computed } from 'vue'
import type { NavigationEntry, NavigationGroup } from '@/feature'
import { features } from '@/features'
import { useSession } from '@/session/session'

export interface Place extends NavigationEntry {
  /** The key of its name. */
  text: string
}

export const GROUPS: readonly NavigationGroup[] = ['work', 'engine', 'setup', 'system']

export function useNavigation() {
  const session = useSession()
  const entries = computed<Place[]>(() =>
    features
      .flatMap((feature) => (feature.navigation ?? []).map((entry) => ({ ...entry, text: entry.text ?? `${feature.name}.title` })))
      .filter((entry) => session.may(entry.right)),
  )
  const groups = computed(() =>
    GROUPS.map((group) => ({ group, entries: entries.value.filter((entry) => entry.group === group) })).filter(
      ({ entries }) => entries.length > 0,
    ),
  )
  return { entries, groups }
}
