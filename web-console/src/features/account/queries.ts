/** One's own sessions and personal tokens. */
import { useQuery } from '@tanstack/vue-query'
import { useAction } from '@/api/action'
import { api, unwrap, type Schemas } from '@/api/client'

export type Scope = Schemas['Scope']
export const SCOPES: readonly Scope[] = ['read', 'write', 'admin']

const keys = { sessions: ['account', 'sessions'] as const, tokens: ['account', 'tokens'] as const }

export function useSessions() {
  return useQuery({ queryKey: keys.sessions, queryFn: ({ signal }) => unwrap(api.GET('/api/v1/staff/me/sessions', { signal })) })
}

export function useTokens() {
  return useQuery({ queryKey: keys.tokens, queryFn: ({ signal }) => unwrap(api.GET('/api/v1/staff/me/tokens', { signal })) })
}

export function useEndSession() {
  return useAction(
    (id: number) => unwrap(api.DELETE('/api/v1/staff/me/sessions/{id}', { params: { path: { id } } })),
    [keys.sessions],
  )
}

export function useCreateToken() {
  return useAction(
    (body: { name: string; scopes: Scope[]; days: number }) => unwrap(api.POST('/api/v1/staff/me/tokens', { body })),
    [keys.tokens],
  )
}

export function useRevokeToken() {
  return useAction(
    (id: number) => unwrap(api.DELETE('/api/v1/staff/me/tokens/{id}', { params: { path: { id } } })),
    [keys.tokens],
  )
}
