/** The reasons why a job isn't running, in the chosen language; their codes and facts are the gateway's. */
import { formatDuration, formatNumber, formatTime } from '@/format'
import { text, type TextKey } from '@/i18n'

type Facts = Record<string, unknown>

const CODES = [
  'not_due', 'due', 'waits_for', 'queue_paused', 'kind_paused', 'put_aside', 'tenant_paused', 'no_worker_of_queue', 'no_worker_of_kind',
  'workers_drain', 'queue_limit', 'key_limit', 'queue_rate', 'key_rate', 'workers_busy', 'behind', 'retrying', 'nothing',
] as const
type Code = (typeof CODES)[number]

/** What the facts are called in the texts. */
function named(facts: Facts): Record<string, string | number> {
  const values: Record<string, string | number> = {}
  for (const [name, value] of Object.entries(facts)) {
    if (typeof value === 'number') values[name] = name.endsWith('_ms') ? formatDuration(value) : formatNumber(value)
    else if (typeof value === 'string') values[name] = /^(until|since|next_at)$/.test(name) ? formatTime(value) : value
    else if (Array.isArray(value)) values[name] = value.filter((one) => typeof one === 'string').join(', ')
  }
  return values
}

/** The reason as a sentence; as the gateway says it where its code is newer than this console. */
export function sentence(reason: { code: string; text: string; facts: unknown }): string {
  const code: Code | undefined = CODES.find((known) => known === reason.code)
  if (!code) return reason.text
  const facts = (reason.facts ?? {}) as Facts
  const key: TextKey = code === 'behind' && facts.of_lane === true ? 'jobs.reasons.behind_in_lane' : `jobs.reasons.${code}`
  return text(key, named(facts))
}

/** Where to do something about it. */
export function remedy(reason: { code: string }): string | null {
  if (/^(queue_paused|kind_paused|tenant_paused|queue_limit|key_limit|queue_rate|key_rate)$/.test(reason.code)) return '/queues'
  if (/^(no_worker_of_queue|no_worker_of_kind|workers_drain|workers_busy)$/.test(reason.code)) return '/workers'
  return null
}
