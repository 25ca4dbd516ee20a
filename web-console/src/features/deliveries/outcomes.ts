/** What came of a delivery, in the chosen language. */
import { text } from '@/i18n'
import en from './en'

type Code = keyof typeof en.outcomes

/** As the worker's code says it where this console doesn't know it. */
export function outcome(code: string): string {
  return code in en.outcomes ? text(`deliveries.outcomes.${code as Code}`) : code
}
