/** People, as platform admins see and change them. */
import { ref } from 'vue'
import { useAction } from '@/api/action'
import { api, unwrap, type Schemas } from '@/api/client'
import { PAGE, usePages } from '@/api/pages'
import { ifMatch } from '@/api/seen'

export type Person = Schemas['User']

const PEOPLE = ['people'] as const

export function usePeople() {
  return usePages<Person>(ref(PEOPLE), (before, signal) =>
    unwrap(api.GET('/api/v1/staff/users', { params: { query: { before, limit: PAGE } }, signal })),
  )
}

export function useInvite() {
  return useAction((email: string) => unwrap(api.POST('/api/v1/staff/users', { body: { email } })), [PEOPLE])
}

export type PersonStep = 'make_admin' | 'unmake_admin' | 'keep_out' | 'let_in' | 'sign_out' | 'hand_over'

export function useChangePerson() {
  return useAction(async ({ id, seen, step }: { id: number; seen: string | undefined; step: PersonStep }): Promise<void> => {
    const params = { path: { id } }
    const guarded = { ...params, header: ifMatch(seen) }
    switch (step) {
      case 'make_admin':
      case 'unmake_admin':
        await unwrap(api.PUT('/api/v1/staff/users/{id}/role', { params: guarded, body: { role: step === 'make_admin' ? 'admin' : 'none' } }))
        return
      case 'keep_out':
      case 'let_in':
        await unwrap(api.PUT('/api/v1/staff/users/{id}/active', { params: guarded, body: { active: step === 'let_in' } }))
        return
      case 'sign_out':
        await unwrap(api.POST('/api/v1/staff/users/{id}/sign-out', { params }))
        return
      case 'hand_over':
        await unwrap(api.POST('/api/v1/staff/users/{id}/ownership', { params }))
    }
  }, [PEOPLE])
}
