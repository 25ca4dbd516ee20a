/** How the checks of a repository look, one by one and together. */
import type { Tone } from '@/components/StateBadge.vue'
import type { Check, Repository } from './queries'

export type CheckState = Check['state']

export const LOOKS: Record<CheckState, { icon: string; tone: Tone }> = {
  ok: { icon: 'i-lucide-circle-check', tone: 'good' },
  warning: { icon: 'i-lucide-triangle-alert', tone: 'warning' },
  failed: { icon: 'i-lucide-circle-x', tone: 'bad' },
  unknown: { icon: 'i-lucide-circle-help', tone: 'neutral' },
}

const WORST: readonly CheckState[] = ['failed', 'warning', 'unknown', 'ok']

/** The worst of all; `null` if nobody has looked yet. */
export function together(repository: Pick<Repository, 'preflight'>): CheckState | null {
  const checks = repository.preflight?.checks
  if (!checks) return null
  return WORST.find((state) => checks.some((check) => check.state === state)) ?? 'ok'
}
