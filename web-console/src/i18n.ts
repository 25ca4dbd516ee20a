/** The two languages. A feature's texts lie beside it; `t` knows every key and refuses any other. */
import { createI18n, useI18n } from 'vue-i18n'
import { features } from './features'
import type { Leaves, Texts } from './feature'
import en from './locales/en'
import ru from './locales/ru'

export type Locale = 'en' | 'ru'
export const LOCALES: readonly Locale[] = ['en', 'ru']

type FeatureTexts = { [F in (typeof features)[number] as F['name']]: F['texts']['en'] }
type Messages = typeof en & FeatureTexts
/** Every text's name, `jobs.title` for one. */
export type TextKey = Leaves<Messages>

const KEPT = 'codex-k8s-locale'

function messages(locale: Locale): Texts {
  const own: Texts = locale === 'en' ? en : ru
  return { ...own, ...Object.fromEntries(features.map((feature) => [feature.name, feature.texts[locale]])) }
}

/** The language chosen here, or the first of the browser's that we have. */
function initial(): Locale {
  const wanted = [localStorage.getItem(KEPT), ...navigator.languages.map((name) => name.slice(0, 2))]
  return LOCALES.find((locale) => locale === wanted.find((name) => LOCALES.includes(name as Locale))) ?? 'en'
}

/** One, few, many: 1 задание, 2 задания, 5 заданий. */
export function russianForm(count: number, forms: number): number {
  const [tens, ones] = [Math.abs(count) % 100, Math.abs(count) % 10]
  if (forms < 3) return count === 1 ? 0 : 1
  if (ones === 1 && tens !== 11) return 0
  return ones >= 2 && ones <= 4 && (tens < 12 || tens > 14) ? 1 : 2
}

export const i18n = createI18n({
  legacy: false,
  locale: initial(),
  fallbackLocale: 'en',
  messages: { en: messages('en'), ru: messages('ru') },
  pluralRules: { ru: russianForm },
})
document.documentElement.lang = i18n.global.locale.value

export function setLocale(locale: Locale): void {
  i18n.global.locale.value = locale
  localStorage.setItem(KEPT, locale)
  document.documentElement.lang = locale
}

export interface Text {
  /** The text; `count` among the parameters also chooses the form. */
  t: (key: TextKey, named?: Record<string, string | number>) => string
}

export function text(key: TextKey, named: Record<string, string | number> = {}): string {
  const { count } = named
  return typeof count === 'number' ? i18n.global.t(key, named, count) : i18n.global.t(key, named)
}

/** Texts for a component. */
export function useText(): Text {
  useI18n({ useScope: 'global' })
  return { t: text }
}
