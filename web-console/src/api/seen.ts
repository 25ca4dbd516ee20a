/** What somebody saw before they change it: the gateway refuses a change of what is different by then. */
import { computed, ref, watch, type Ref } from 'vue'
import { Problem } from './problem'

/** The headers that say which version was seen. */
export function ifMatch(version: string | undefined): { 'If-Match'?: string } {
  return version === undefined ? {} : { 'If-Match': `"${version}"` }
}

/** Whether a change was refused because somebody was faster. */
export function isChangedMeanwhile(error: unknown): boolean {
  return error instanceof Problem && error.code === 'changed_meanwhile'
}

/**
 * The version that was there when somebody began a change (`look`), however it changes while they think. Once they are
 * told that it is different, it is the one that is shown to them then.
 */
export function useSeen(version: () => string | undefined, error: Ref<unknown>) {
  const seen = ref(version())
  const isChanged = computed(() => isChangedMeanwhile(error.value))
  const look = () => (seen.value = version())
  watch([isChanged, version], () => {
    if (isChanged.value) look()
  })
  return { seen, isChanged, look }
}
