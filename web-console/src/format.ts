/** Numbers, times and lengths of time in the chosen language. */
import { computed, ref, type ComputedRef } from 'vue'
import { i18n } from './i18n'

const locale = i18n.global.locale
const formats = computed(() => ({
  number: new Intl.NumberFormat(locale.value),
  compact: new Intl.NumberFormat(locale.value, { notation: 'compact', maximumFractionDigits: 1 }),
  percent: new Intl.NumberFormat(locale.value, { style: 'percent', maximumFractionDigits: 1 }),
  rate: new Intl.NumberFormat(locale.value, { notation: 'compact', maximumSignificantDigits: 2 }),
  time: new Intl.DateTimeFormat(locale.value, { dateStyle: 'medium', timeStyle: 'medium' }),
  exact: new Intl.DateTimeFormat(locale.value, { dateStyle: 'full', timeStyle: 'long' }),
  clock: new Intl.DateTimeFormat(locale.value, { timeStyle: 'medium' }),
  // The narrow Russian form is a bare minus sign.
  relative: new Intl.RelativeTimeFormat(locale.value, { numeric: 'always', style: locale.value === 'ru' ? 'short' : 'narrow' }),
}))

export const formatNumber = (value: number): string => formats.value.number.format(value)
export const formatCompact = (value: number): string => formats.value.compact.format(value)
export const formatPercent = (share: number): string => formats.value.percent.format(share)
export const formatRate = (value: number): string => formats.value.rate.format(value)
export const formatTime = (at: string | Date): string => formats.value.time.format(new Date(at))
export const formatExact = (at: string | Date): string => formats.value.exact.format(new Date(at))
export const formatClock = (at: string | Date): string => formats.value.clock.format(new Date(at))

const UNITS = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
] as const

/** How long ago, or in how long. */
export function formatRelative(at: string | Date, now: number): string {
  const ms = new Date(at).getTime() - now
  const [unit, length] = UNITS.find(([, length]) => Math.abs(ms) >= length) ?? ['second', 1_000]
  // Russian shortens with full stops, which a table is calmer without.
  return formats.value.relative.format(Math.trunc(ms / length) || -0, unit).replace('.', '')
}

/** In one unit, for the axis of a chart: 850 ms, 12.5 s, 3.3 min. */
export function formatBrief(ms: number): string {
  const [unit, length] = UNITS.find(([, length]) => ms >= length) ?? (['millisecond', 1] as const)
  const style = { style: 'unit', unit, unitDisplay: 'narrow', maximumFractionDigits: 1 } as const
  return new Intl.NumberFormat(locale.value, style).format(ms / length)
}

/** 850 ms, 12.4 s, 3 min 20 s, 2 h 5 min, 3 d 4 h. */
export function formatDuration(ms: number): string {
  const unit = (value: number, name: string, digits = 0) =>
    new Intl.NumberFormat(locale.value, {
      style: 'unit',
      unit: name,
      unitDisplay: 'narrow',
      maximumFractionDigits: digits,
    }).format(value)
  if (ms < 1_000) return unit(Math.round(ms), 'millisecond')
  if (ms < 60_000) return unit(ms / 1_000, 'second', 1)
  const at = UNITS.findIndex(([, length]) => ms >= length)
  const [big, small] = [UNITS[at] ?? UNITS[3], UNITS[at + 1] ?? UNITS[3]]
  const rest = Math.floor((ms % big[1]) / small[1])
  const whole = unit(Math.floor(ms / big[1]), big[0])
  return rest > 0 ? `${whole} ${unit(rest, small[0])}` : whole
}

const now = ref(Date.now())
setInterval(() => {
  if (!document.hidden) now.value = Date.now()
}, 1_000)

/** The present, every second anew; one clock for all. */
export function useNow(): ComputedRef<number> {
  return computed(() => now.value)
}
