/** How a delivery's statuses look. */
import type { Tone } from '@/components/StateBadge.vue'
import type { DeliveryLine, DeliveryStatus } from './queries'

export const STATUSES: readonly DeliveryStatus[] = ['accepted', 'processed', 'ignored']

export const LOOKS: Record<DeliveryStatus, { icon: string; tone: Tone }> = {
  accepted: { icon: 'i-lucide-inbox', tone: 'active' },
  processed: { icon: 'i-lucide-circle-check', tone: 'good' },
  ignored: { icon: 'i-lucide-circle-minus', tone: 'neutral' },
}

/** Whether a changed delivery belongs into a list with this filter. */
export function fits(delivery: DeliveryLine, filter: Record<string, string | undefined>): boolean {
  const { status, event } = filter
  return (status === undefined || delivery.status === status) && (event === undefined || delivery.event === event)
}
