/** What can be done about somebody, by whom. */
import type { Person, PersonStep } from './queries'

export const ICONS: Record<PersonStep, string> = {
  make_admin: 'i-lucide-shield-plus',
  unmake_admin: 'i-lucide-shield-minus',
  sign_out: 'i-lucide-log-out',
  keep_out: 'i-lucide-user-x',
  let_in: 'i-lucide-user-check',
  hand_over: 'i-lucide-crown',
}

export function steps(person: Person, isOwner: boolean): PersonStep[] {
  if (person.role === 'owner') return ['sign_out']
  if (!person.active) return ['let_in']
  const own: PersonStep[] = [person.role === 'admin' ? 'unmake_admin' : 'make_admin', 'sign_out', 'keep_out']
  return isOwner && person.login ? [...own, 'hand_over'] : own
}
